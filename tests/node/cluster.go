package node

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sluice-mq/sluice/tests/ports"
)

// size is how many nodes a cluster has.
const size = 3

// grace is what nodes of a Cluster leave to load balancers, which are not there.
const grace = time.Second

// Cluster is three nodes that reach one another only through Routes that a test can cut. Its
// methods belong to the test's goroutine.
type Cluster struct {
	Nodes  [size]*Node
	Routes [size][size]*Route // from the first to the second; nil from a node to itself
	// Ports are where the nodes really wait for one another.
	Ports [size]int
}

// StartCluster starts three nodes with empty stores and waits until all are ready. Settings are keys of the
// configuration, for all nodes.
func StartCluster(t testing.TB, settings ...string) *Cluster {
	t.Helper()
	c := NewCluster(t, settings...)
	c.Launch()
	return c
}

// NewCluster is StartCluster without the start.
func NewCluster(t testing.TB, settings ...string) *Cluster {
	t.Helper()
	secret := filepath.Join(t.TempDir(), "secret")
	// Another cluster of a test beside this one may come to its ports: it must find a closed door there.
	if err := os.WriteFile(secret, fmt.Appendf(nil, "a secret of this test %x%x\n", rand.Uint64(), rand.Uint64()), 0o600); err != nil {
		t.Fatal(err)
	}
	c := &Cluster{}
	// Whoever is told of this address by another node finds nobody there.
	taken := ports.Of(t, size+1)
	nowhere := taken.Addresses()[size]
	copy(c.Ports[:], taken.Ports)
	for i := range c.Nodes {
		var routes []string
		for j := range c.Nodes {
			if i != j {
				c.Routes[i][j] = newRoute(t, fmt.Sprintf("127.0.0.1:%d", c.Ports[j]))
				routes = append(routes, c.Routes[i][j].Addr())
			}
		}
		c.Nodes[i] = fresh(t, append([]string{
			"drain_grace=" + grace.String(),
			fmt.Sprintf("node=n%d", i+1), "cluster.name=faults", fmt.Sprintf("cluster.address=127.0.0.1:%d", c.Ports[i]),
			"cluster.routes=" + strings.Join(routes, ","), "cluster.advertise=" + nowhere, "cluster.secret_file=" + secret,
		}, settings...))
		c.Nodes[i].grace = grace
	}
	return c
}

// Place has a node keep its store in a directory, before its first start.
func (c *Cluster) Place(i int, dir string) { c.Nodes[i].Place(dir) }

// Use has all nodes run another binary from their next start on.
func (c *Cluster) Use(binary string) {
	for _, n := range c.Nodes {
		n.binary = binary
	}
}

// Launch starts the nodes that do not run, at once, and waits until all are ready.
func (c *Cluster) Launch() {
	for _, n := range c.Nodes {
		if n.ended == nil || !n.Running() {
			n.Launch()
		}
	}
	for _, n := range c.Nodes {
		n.t.Helper()
		n.AwaitReady()
	}
}

// Cut ends all traffic between two nodes.
func (c *Cluster) Cut(i, j int, how Cut) {
	c.Routes[i][j].Set(how)
	c.Routes[j][i].Set(how)
}

// Isolate cuts a node off from all others.
func (c *Cluster) Isolate(i int, how Cut) {
	for j := range c.Nodes {
		if i != j {
			c.Cut(i, j, how)
		}
	}
}

// Heal ends all cuts.
func (c *Cluster) Heal() {
	for i := range c.Nodes {
		for j := range c.Nodes {
			if i != j {
				c.Routes[i][j].Set(Open)
			}
		}
	}
}
