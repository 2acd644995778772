package cluster

import (
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/tests/node"
)

// The owner of most shards stands still, longer than it takes the others to replace it or not so long, and
// goes on where it was, which is nowhere.
func TestAnOwnerStandsStill(t *testing.T) {
	long(t)
	t.Parallel()
	rnd, c := chance(t), node.StartCluster(t)
	s := begin(t, c, rnd, habits{})
	all := rounds(t, 1)
	for range all {
		n := c.Nodes[busiest(c)]
		n.Signal(syscall.SIGSTOP)
		<-time.After(3*time.Second + time.Duration(rnd.IntN(12000))*time.Millisecond) // the fault itself
		n.Signal(syscall.SIGCONT)
		s.progress(200)
		require.True(t, n.Running())
	}
	s.finish(false)
	s.flagged()
	s.inOrder()
	t.Logf("FIGURE %d pauses of an owner", all)
}

// Each node in turn is stopped in order and started again.
func TestRollingRestart(t *testing.T) {
	long(t)
	t.Parallel()
	rnd, c := chance(t), node.StartCluster(t)
	s := begin(t, c, rnd, habits{})
	var g gaps
	all := rounds(t, 1)
	for range all {
		for i, n := range c.Nodes {
			s.mark()
			n.Stop()
			s.progress(200)
			g.add(s, i)
			n.Restart()
			s.ready(n)
			s.progress(200)
		}
	}
	s.finish(false)
	s.flagged()
	s.inOrder()
	g.tell(t, "stops in order", 3*all)
}
