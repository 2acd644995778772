package users

import (
	"container/list"
	"context"
	"net/netip"
	"sync"

	"github.com/sluice-mq/sluice/gateway"
)

// gate lets a number of logins compute at once. The others wait; hosts take turns, so that a storm from one of them
// costs another host no more than one turn. How many wait is bounded.
type gate struct {
	mu         sync.Mutex
	free       int
	most       int // that wait
	mostOfHost int
	waiting    int
	turnedAway uint64
	hosts      map[netip.Prefix]*line
	turns      list.List // of *line, each with somebody in it; the front one is next
}

// line is who waits from one host, of *waiter.
type line struct {
	host netip.Prefix
	list.List
	turn *list.Element
}

type waiter struct {
	line  *line
	place *list.Element // nil: out of the line
	// answer gets nil for "go in", or why not; it has room for the one answer.
	answer chan error
}

func newGate(at, waiting, ofHost int) *gate {
	return &gate{free: at, most: waiting, mostOfHost: ofHost, hosts: map[netip.Prefix]*line{}}
}

// enter returns nil when it is the caller's turn, who then must leave. The Error is of kind Limit if too many wait, or
// Unavailable if ctx ended.
func (g *gate) enter(ctx context.Context, host netip.Prefix) error {
	g.mu.Lock()
	if g.free > 0 && g.waiting == 0 {
		g.free--
		g.mu.Unlock()
		return nil
	}
	w, err := g.stand(host)
	g.mu.Unlock()
	if err != nil {
		return err
	}
	select {
	case err := <-w.answer:
		return err
	case <-ctx.Done():
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if w.place != nil {
		g.remove(w)
		return givenUp(ctx)
	}
	if err := <-w.answer; err != nil { // it came at the same time
		return err
	}
	g.pass()
	return givenUp(ctx)
}

func (g *gate) stand(host netip.Prefix) (*waiter, error) {
	l := g.hosts[host]
	if l == nil {
		l = &line{host: host}
	}
	if l.Len() >= g.mostOfHost {
		g.turnedAway++
		return nil, gateway.Errorf(gateway.Limit, "too many logins from this address wait for their turn (%d), try again", g.mostOfHost)
	}
	if g.waiting >= g.most && !g.turnAwayFrom(l) {
		g.turnedAway++
		return nil, gateway.Errorf(gateway.Limit, "too many logins wait for their turn (%d), try again", g.most)
	}
	w := &waiter{line: l, answer: make(chan error, 1)}
	w.place = l.PushBack(w)
	if l.turn == nil {
		l.turn = g.turns.PushBack(l)
		g.hosts[host] = l
	}
	g.waiting++
	return w, nil
}

// turnAwayFrom makes room for one of l at the cost of the last one of the longest line, if that is fair.
func (g *gate) turnAwayFrom(l *line) bool {
	longest := l
	for _, o := range g.hosts {
		if o.Len() > longest.Len() {
			longest = o
		}
	}
	if longest.Len() <= l.Len()+1 {
		return false
	}
	w := longest.Back().Value.(*waiter)
	g.remove(w)
	g.turnedAway++
	w.answer <- gateway.Errorf(gateway.Limit, "too many logins wait for their turn (%d), try again", g.most)
	return true
}

func (g *gate) remove(w *waiter) {
	l := w.line
	l.Remove(w.place)
	w.place = nil
	g.waiting--
	if l.Len() == 0 {
		g.turns.Remove(l.turn)
		l.turn = nil
		delete(g.hosts, l.host)
	}
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.pass()
}

// pass gives a place inside to whoever has the turn.
func (g *gate) pass() {
	front := g.turns.Front()
	if front == nil {
		g.free++
		return
	}
	l := front.Value.(*line)
	w := l.Front().Value.(*waiter)
	g.turns.MoveToBack(front)
	g.remove(w)
	w.answer <- nil
}

func (g *gate) figures() (waiting int, turnedAway uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.waiting, g.turnedAway
}
