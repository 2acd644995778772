package cluster

import (
	"testing"
	"time"

	"github.com/sluice-mq/sluice/tests/node"
)

func TestKillANode(t *testing.T) {
	rnd, c := chance(t), node.StartCluster(t)
	s := begin(t, c, rnd, drops{sender: 2000, taker: 2000})
	var g gaps
	all := rounds(t, 2)
	for range all {
		i := rnd.IntN(3)
		s.mark()
		c.Nodes[i].Kill()
		began := time.Now()
		s.progress(200)
		g.add(s, i)
		t.Logf("n%d was killed; all senders went on after %v", i+1, time.Since(began).Round(time.Millisecond))
		c.Nodes[i].Restart()
		s.progress(300)
	}
	s.finish()
	s.flagged()
	g.tell(t, "kills of a node", all)
}
