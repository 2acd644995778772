package app

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
)

// TestEveryMetricIsInTheHandbook compares what is collected with the table in
// docs/operations.md, both ways.
func TestEveryMetricIsInTheHandbook(t *testing.T) {
	handbook, err := os.ReadFile("../../../docs/operations.md")
	require.NoError(t, err)
	var documented []string
	for _, row := range regexp.MustCompile("(?m)^\\| `sluice_.*$").FindAll(handbook, -1) {
		cell, _, _ := strings.Cut(string(row[1:]), "|")
		for _, name := range regexp.MustCompile("`(sluice_[a-z_]+)").FindAllStringSubmatch(cell, -1) {
			documented = append(documented, name[1])
		}
	}
	described := make(chan *prometheus.Desc, 1000)
	for _, c := range append(collectorsOf(&health{}), &brokerCollector{}, guardCollector{}) {
		c.Describe(described)
	}
	close(described)
	var collected []string
	for d := range described {
		if name := regexp.MustCompile(`fqName: "(sluice_\w+)"`).FindStringSubmatch(d.String()); name != nil {
			collected = append(collected, name[1])
		}
	}
	require.ElementsMatch(t, collected, documented)
}
