package app

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/sluice-mq/sluice/jetstream"
	"github.com/sluice-mq/sluice/jetstream/embed"
)

// cluster says to the server and to the store what the section says.
func cluster(c *Cluster) (*embed.Cluster, *jetstream.Cluster, error) {
	if c == nil {
		return nil, nil, nil
	}
	together := &embed.Cluster{Name: c.Name, Address: c.Address.String(), Advertise: c.Advertise}
	for _, r := range c.Routes {
		together.Routes = append(together.Routes, r.String())
	}
	var err error
	if together.TLS, err = trust(c); err != nil {
		return nil, nil, err
	}
	nodes := size(c)
	if c.Replicas > nodes {
		return nil, nil, &fault{"cluster.replicas", fmt.Errorf("%d are wanted, but there are only %d nodes", c.Replicas, nodes)}
	}
	return together, &jetstream.Cluster{Nodes: nodes, Replicas: c.Replicas}, nil
}

// trust is how the nodes know one another; nil on loopback, where nothing was said.
func trust(c *Cluster) (*tls.Config, error) {
	switch {
	case c.SecretFile != "":
		secret, err := os.ReadFile(string(c.SecretFile))
		if err != nil {
			return nil, fmt.Errorf("the cluster's secret: %w", err)
		}
		config, err := embed.Trust(strings.TrimSpace(string(secret)))
		if err != nil {
			return nil, fmt.Errorf("the cluster's secret in %s: %w", c.SecretFile, err)
		}
		return config, nil
	case c.Certificate != "":
		return embed.TrustFiles(string(c.Certificate), string(c.Key), string(c.Authority), hosts(c))
	}
	return nil, nil
}

// soonEnds is how long before its end a certificate is warned of.
const soonEnds = 7 * 24 * time.Hour

// certificateEnds is until when the certificate by which the other nodes know this one is good; zero if they know it by something else, or it
// cannot be read. What runs goes on with the routes that there are, and breaks with the next ones: nobody would notice in time.
func (c *Cluster) certificateEnds() time.Time {
	if c == nil || c.Certificate == "" {
		return time.Time{}
	}
	pair, err := tls.LoadX509KeyPair(string(c.Certificate), string(c.Key))
	if err != nil {
		return time.Time{}
	}
	return pair.Leaf.NotAfter
}

// remind tells the log of a certificate of the node that ends soon, or has ended.
func (c *Cluster) remind(now time.Time, log *slog.Logger) {
	if end := c.certificateEnds(); !end.IsZero() && end.Sub(now) < soonEnds {
		log.Warn("the node's certificate for the cluster expires soon, or has expired: then no node links to it any more", "certificate", string(c.Certificate), "not_after", end.UTC().Format(time.RFC3339))
	}
}

// hosts are those of the nodes.
func hosts(c *Cluster) []string {
	all := []string{c.Address.Host}
	if host, _, err := net.SplitHostPort(c.Advertise); err == nil {
		all = append(all, host)
	}
	for _, r := range c.Routes {
		all = append(all, r.Host)
	}
	return all
}

// size is the number of nodes: the routes, and this one if it is not among them.
func size(c *Cluster) int {
	own, _ := net.InterfaceAddrs() // without them, what is written counts
	if slices.ContainsFunc(c.Routes, func(r Address) bool { return isOwn(r, c.Address, own) }) {
		return len(c.Routes)
	}
	return len(c.Routes) + 1
}

// isOwn reports whether a route leads to this node: to its port, at the host of its address or, if that
// is all hosts of the machine or another name for one, at one of the machine's addresses.
func isOwn(r, address Address, own []net.Addr) bool {
	if r.Port != address.Port {
		return false
	}
	if r.Host == address.Host {
		return true
	}
	if ip, err := netip.ParseAddr(address.Host); address.Host != "" && err == nil && !ip.IsUnspecified() {
		own = []net.Addr{&net.IPAddr{IP: ip.AsSlice()}}
	}
	hosts, err := net.LookupHost(r.Host)
	if err != nil {
		return false
	}
	return slices.ContainsFunc(hosts, func(host string) bool {
		ip := net.ParseIP(host)
		return slices.ContainsFunc(own, func(a net.Addr) bool {
			switch a := a.(type) {
			case *net.IPNet:
				return a.IP.Equal(ip)
			case *net.IPAddr:
				return a.IP.Equal(ip)
			}
			return false
		})
	})
}
