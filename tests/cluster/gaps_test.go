package cluster

import (
	"slices"
	"testing"
	"time"
)

// gaps are how long senders were without receipts over faults.
type gaps struct{ stayed, moved []time.Duration }

// add takes the gaps over one fault of a node: of the senders whose connection
// stayed, and of those that had to find another node.
func (g *gaps) add(s *scene, node int) {
	for _, p := range s.senders {
		switch w := p.Pauses(); {
		case w.Broken:
			g.moved = append(g.moved, w.Gap)
		case w.Node != node:
			g.stayed = append(g.stayed, w.Gap)
		}
	}
}

// tell logs the figures.
func (g *gaps) tell(t *testing.T, what string, faults int) {
	t.Logf("FIGURE %d %s: senders on other nodes without receipts: %s; senders that moved: %s", faults, what, spread(g.stayed), spread(g.moved))
}

// longest is the longest of senders that stayed where they were.
func (g *gaps) longest() time.Duration { return slices.Max(append(g.stayed, 0)) }

// spread is how durations are distributed, in words.
func spread(all []time.Duration) string {
	if len(all) == 0 {
		return "none"
	}
	slices.Sort(all)
	at := func(percent int) time.Duration {
		return all[min(len(all)*percent/100, len(all)-1)].Round(10 * time.Millisecond)
	}
	return "p50 " + at(50).String() + ", p99 " + at(99).String() + ", max " + at(100).String()
}
