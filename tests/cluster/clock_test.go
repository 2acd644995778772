package cluster

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/tests/node"
)

// hour is how far clocks are set.
const hour = time.Hour

// Clocks of nodes are set an hour forward or back, and now and then a node is killed while they differ. Nothing expires that has hours to
// live, nobody loses a connection, and no owner is replaced for it.
func TestClocksAreSet(t *testing.T) {
	long(t)
	t.Parallel()
	rnd, c := chance(t), node.NewCluster(t)
	c.Use(node.Clocked(t))
	c.Launch()
	s := begin(t, c, rnd, habits{lives: 3 * hour})
	s.settled()
	var off [3]time.Duration // of the nodes' clocks
	all, kills, set := rounds(t, 1), 0, time.Duration(0)
	var g gaps
	for round := range all {
		i := busiest(c)
		if round%3 == 2 {
			i = rnd.IntN(3)
		}
		step := time.Duration(1+rnd.IntN(2)) * hour // one of the two others
		if off[i]+step > hour {
			step -= 3 * hour
		}
		before, connections, doubled := owners(c), s.connections(), s.l.Doubled()
		s.mark()
		c.Nodes[i].Step(step)
		off[i] += step
		set = max(set, step.Abs())
		s.progress(400)
		g.add(s, i)
		require.Equal(t, before, owners(c), "shards moved")
		require.Equal(t, connections, s.connections(), "consumers lost their connections")
		require.Equal(t, doubled, s.l.Doubled(), "messages came again")
		if round%4 == 3 {
			kills++
			i = rnd.IntN(3)
			c.Nodes[i].Kill()
			s.progress(200)
			off[i] = 0
			c.Nodes[i].Restart()
			s.ready(c.Nodes[i])
			s.settled()
		}
	}
	s.finish(false)
	s.flagged()
	s.inOrder()
	g.tell(t, "times that a clock was set", all)
	t.Logf("FIGURE %d clocks set by up to %v, and %d kills while they differed", all, set, kills)
}

// connections is how many all takers have had.
func (s *scene) connections() (n int) {
	for _, k := range s.takers {
		n += k.Connections()
	}
	return n
}

// settled waits until no node has two shards more than another, so that none is moved for that.
func (s *scene) settled() {
	s.t.Helper()
	s.await("balance", func() bool {
		var owned [3]int
		for _, i := range owners(s.c) {
			owned[i]++
		}
		return max(owned[0], owned[1], owned[2])-min(owned[0], owned[1], owned[2]) < 2
	})
	s.progress(1000) // with what came again because owners changed
}
