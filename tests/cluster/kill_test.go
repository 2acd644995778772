package cluster

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/tests/node"
)

// longest is how long senders may be without receipts after the kill of a node.
const longest = 20 * time.Second

// Nodes are killed, those that own shards more often than others, and some again while they recover.
func TestKillANode(t *testing.T) {
	t.Parallel()
	rnd, c := chance(t), node.StartCluster(t)
	s := begin(t, c, rnd, habits{sender: 2000, taker: 2000})
	var g gaps
	all, again := rounds(t, 1), 0
	for round := range all {
		i := rnd.IntN(3)
		if round%3 < 2 {
			i = busiest(c)
		}
		owned := 0
		for _, at := range owners(c) {
			if at == i {
				owned++
			}
		}
		s.mark()
		c.Nodes[i].Kill()
		began := time.Now()
		s.progress(200)
		t.Logf("n%d was killed, which owned %d shards; all senders went on after %v", i+1, owned, time.Since(began).Round(time.Millisecond))
		if owned > 0 {
			g.add(s, i)
		}
		for range rnd.IntN(3) * (round % 2) {
			c.Nodes[i].Launch()
			<-time.After(time.Duration(rnd.IntN(1500)) * time.Millisecond) // the fault itself
			c.Nodes[i].Kill()
			again++
		}
		c.Nodes[i].Restart()
		s.ready(c.Nodes[i])
		s.progress(300)
	}
	s.finish(!short())
	s.flagged()
	s.inOrder()
	g.tell(t, "kills", all)
	t.Logf("FIGURE %d nodes were killed again while they recovered", again)
	require.Less(t, g.longest(), longest)
}

// Two nodes of three are killed, one after another or at once: nothing is promised until one is back.
func TestKillTheMajority(t *testing.T) {
	long(t)
	t.Parallel()
	rnd, c := chance(t), node.StartCluster(t)
	s := begin(t, c, rnd, habits{})
	all := rounds(t, 1)
	for range all {
		order := rnd.Perm(3)
		c.Nodes[order[0]].Kill()
		<-time.After(time.Duration(rnd.IntN(3000)) * time.Millisecond) // the fault itself
		c.Nodes[order[1]].Kill()
		<-time.After(time.Duration(rnd.IntN(3000)) * time.Millisecond)
		c.Launch()
		s.progress(200)
	}
	s.finish(false)
	s.flagged()
	t.Logf("FIGURE %d kills of two nodes", all)
}

// All nodes are killed within a moment.
func TestKillTheCluster(t *testing.T) {
	t.Parallel()
	rnd, c := chance(t), node.StartCluster(t)
	s := begin(t, c, rnd, habits{})
	all := rounds(t, 1)
	for range all {
		for _, i := range rnd.Perm(3) {
			c.Nodes[i].Kill()
			<-time.After(time.Duration(rnd.IntN(20)) * time.Millisecond) // the fault itself
		}
		c.Launch()
		s.progress(200)
	}
	s.finish(false)
	s.flagged()
	t.Logf("FIGURE %d kills of all nodes", all)
}
