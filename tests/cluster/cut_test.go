package cluster

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/tests/node"
)

// A node that owns shards is cut off from the others, and found again.
func TestANodeIsCutOff(t *testing.T) {
	long(t)
	for name, how := range map[string]node.Cut{"silently": node.Silent, "abruptly": node.Abrupt} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rnd, c := chance(t), node.StartCluster(t)
			s := begin(t, c, rnd, habits{})
			var g gaps
			var back []time.Duration
			all := rounds(t, 1)
			for range all {
				i := busiest(c)
				s.mark()
				c.Isolate(i, how)
				s.progressBut(i, 200)
				g.add(s, i)
				<-time.After(time.Duration(rnd.IntN(8000)) * time.Millisecond) // the fault itself
				c.Heal()
				healed := time.Now()
				s.ready(c.Nodes[i])
				back = append(back, time.Since(healed))
				s.progress(200)
			}
			s.finish(false)
			s.flagged()
			g.tell(t, "times a node was cut off "+name, all)
			t.Logf("FIGURE a node that was cut off counts again after %s", spread(back))
		})
	}
}

// Only two nodes do not hear one another; the third hears both.
func TestALinkIsCut(t *testing.T) {
	long(t)
	t.Parallel()
	rnd, c := chance(t), node.StartCluster(t)
	s := begin(t, c, rnd, habits{})
	all := rounds(t, 1)
	for range all {
		i, how := busiest(c), node.Silent
		if rnd.IntN(2) == 0 {
			how = node.Abrupt
		}
		c.Cut(i, (i+1+rnd.IntN(2))%3, how)
		<-time.After(4*time.Second + time.Duration(rnd.IntN(4000))*time.Millisecond) // the fault itself
		c.Heal()
		s.progress(200)
	}
	s.finish(false)
	s.flagged()
	t.Logf("FIGURE %d cuts of one link", all)
}

// The cuts are complete: nodes that are told of one another find no way around the routes.
func TestNoWayAroundACut(t *testing.T) {
	t.Parallel()
	c := node.StartCluster(t)
	routes := func() (count int) {
		for _, port := range c.Ports {
			count += established(t, port)
		}
		return count
	}
	await(t, "routes", func() bool { return routes() >= 3 })
	c.Isolate(0, node.Abrupt)
	c.Cut(1, 2, node.Abrupt)
	await(t, "the end of all connections", func() bool { return routes() == 0 })
	require.Never(t, func() bool { return routes() > 0 }, 3*time.Second, 50*time.Millisecond)
	c.Heal()
	await(t, "routes again", func() bool { return routes() >= 3 })
}

// established counts connections that were accepted at a loopback port and are open.
func established(t *testing.T, port int) (count int) {
	t.Helper()
	table, err := os.ReadFile("/proc/net/tcp")
	require.NoError(t, err)
	local := fmt.Sprintf("0100007F:%04X", port)
	for line := range strings.Lines(string(table)) {
		f := strings.Fields(line)
		if len(f) > 3 && f[1] == local {
			if state, err := strconv.ParseUint(f[3], 16, 8); err == nil && state == 1 {
				count++
			}
		}
	}
	return count
}
