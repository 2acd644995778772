package commit

import (
	"sync/atomic"
	"time"
)

const (
	// gatherFrom is how many records a group must have had for the next one to wait for as many: with fewer, waiting
	// costs their senders more than the sync that is saved.
	gatherFrom = 3
	// gatherUpTo is how many are always enough.
	gatherUpTo = 64
	// gatherTime bounds the wait. The runtime's timers may take up to 1 ms.
	gatherTime = 300 * time.Microsecond
	// gatherRest is how many groups do not wait, at most, after waits that were in vain.
	gatherRest = 64
)

// gatherer lets a group wait, briefly, for as many records as the ones before it had. Senders that wait for their receipts
// all answer to the end of a group: a sync that begins with the first of their next records leaves the others to one more.
// Floods collect enough while the sync before them runs, and do not wait. Senders that do not come in time are not waited
// for again soon.
type gatherer struct {
	collected atomic.Int64  // records acknowledged since the last group was sealed
	goal      atomic.Int64  // how many the wait is for; 0: nobody waits
	full      chan struct{} // they are there
	patience  time.Duration // gatherTime but in tests

	// Touched by the committer's goroutine only.
	last, before int64 // the sizes of the last two groups
	rest         int   // groups that shall not wait
	penalty      int   // groups that rest after the next wait in vain
}

func newGatherer() *gatherer {
	return &gatherer{full: make(chan struct{}, 1), patience: gatherTime}
}

// add counts a record.
func (g *gatherer) add() {
	n := g.collected.Add(1)
	if goal := g.goal.Load(); goal > 0 && n >= goal {
		select {
		case g.full <- struct{}{}:
		default:
		}
	}
}

// seal begins a new group.
func (g *gatherer) seal() {
	g.before, g.last = g.last, g.collected.Swap(0)
}

// wait returns when the group is large enough, or it is time, or everything stops.
func (g *gatherer) wait(stop <-chan struct{}) {
	goal := min(max(g.last, g.before), gatherUpTo)
	if goal < gatherFrom || g.collected.Load() == 0 {
		return
	}
	if g.rest > 0 {
		g.rest--
		return
	}
	select {
	case <-g.full: // of the wait before
	default:
	}
	g.goal.Store(goal)
	defer g.goal.Store(0)
	if g.collected.Load() >= goal {
		return
	}
	timer := time.NewTimer(g.patience)
	defer timer.Stop()
	select {
	case <-g.full:
		g.penalty /= 2
	case <-timer.C:
		g.penalty = min(max(2*g.penalty, 1), gatherRest)
		g.rest = g.penalty
	case <-stop:
	}
}
