package app

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/sluice-mq/sluice/jetstream"
	"github.com/sluice-mq/sluice/jetstream/embed"
)

// cluster says to the server and to the store what the section says.
func cluster(c *Cluster) (*embed.Cluster, *jetstream.Cluster, error) {
	if c == nil {
		return nil, nil, nil
	}
	together := &embed.Cluster{Name: c.Name, Address: c.Address.String()}
	for _, r := range c.Routes {
		together.Routes = append(together.Routes, r.String())
	}
	nodes := len(c.Routes)
	if !slices.Contains(c.Routes, c.Address) {
		nodes++
	}
	if c.SecretFile != "" {
		secret, err := os.ReadFile(c.SecretFile)
		if err != nil {
			return nil, nil, fmt.Errorf("the cluster's secret: %w", err)
		}
		if together.TLS, err = embed.Trust(strings.TrimSpace(string(secret))); err != nil {
			return nil, nil, fmt.Errorf("the cluster's secret in %s: %w", c.SecretFile, err)
		}
	}
	return together, &jetstream.Cluster{Nodes: nodes, Replicas: c.Replicas}, nil
}
