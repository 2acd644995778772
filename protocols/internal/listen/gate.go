package listen

import (
	"container/list"
	"context"
	"net/netip"
	"sync"
	"time"
)

// verdict is how an attempt to pass a gate ended.
type verdict uint8

const (
	passed verdict = iota
	// tooManyOfOne: the address has as many before the gate and in it as one may.
	tooManyOfOne
	// tooManyWait: no more may wait, or others who wait had a better claim.
	tooManyWait
	// tooLong: no turn came in time.
	tooLong
	// over: the context is done.
	over
)

// gate lets a bounded number in at once. The others wait, and come in by turns of their addresses, so that whoever comes with
// thousands delays himself and nobody else. An address that has as many places as are left gets no more: the first has half of them
// at most, the second a quarter, and so on, so that it takes many addresses to leave nothing to one more.
type gate struct {
	slots int // inside at once
	each  int // of one address, inside or waiting; 0 is no limit
	room  int // waiting at once

	mu      sync.Mutex
	inside  int
	waiting int
	parties map[netip.Addr]*party
	turns   list.List // of *party: those who wait, who is next first
}

// party is all that come from one address.
type party struct {
	inside int
	queue  []*place      // oldest first
	turn   *list.Element // nil if nobody waits
}

// place is one that waits. Its verdict is there when told is closed.
type place struct {
	told    chan struct{}
	verdict verdict
}

func newGate(slots, each, room int) *gate {
	return &gate{slots: slots, each: each, room: room, parties: map[netip.Addr]*party{}}
}

// enter waits for a turn, at most that long and no longer than ctx. Who passed must leave.
func (g *gate) enter(ctx context.Context, from netip.Addr, patience time.Duration) verdict {
	w, v := g.ask(from)
	if w == nil {
		return v
	}
	t := time.NewTimer(patience)
	defer t.Stop()
	select {
	case <-w.told:
		return w.verdict
	case <-t.C:
		return g.give(from, w, tooLong)
	case <-ctx.Done():
		return g.give(from, w, over)
	}
}

// ask returns a verdict at once, or a place to wait at.
func (g *gate) ask(from netip.Addr) (*place, verdict) {
	g.mu.Lock()
	defer g.mu.Unlock()
	p := g.parties[from]
	if p == nil {
		p = &party{}
	}
	if g.each > 0 && p.inside+len(p.queue) >= g.each {
		return nil, tooManyOfOne
	}
	// Whoever waits while there are places waits for those of its own address.
	if len(p.queue) == 0 && g.open(p) {
		g.parties[from] = p
		p.inside++
		g.inside++
		return nil, passed
	}
	if g.waiting >= g.room && !g.evict(p) {
		return nil, tooManyWait
	}
	g.parties[from] = p
	w := &place{told: make(chan struct{})}
	p.queue = append(p.queue, w)
	g.waiting++
	if p.turn == nil {
		p.turn = g.turns.PushBack(from)
	}
	return w, passed
}

// open reports whether an address may have one more place.
func (g *gate) open(p *party) bool { return p.inside < g.slots-g.inside }

// evict makes room for one of a party that has less than its part of the room, at the cost of one that has more.
func (g *gate) evict(claimant *party) bool {
	part := max(1, g.room/(g.turns.Len()+1))
	if len(claimant.queue) >= part {
		return false
	}
	for e := g.turns.Back(); e != nil; e = e.Prev() {
		from := e.Value.(netip.Addr)
		if p := g.parties[from]; len(p.queue) > part {
			g.tell(from, p, len(p.queue)-1, tooManyWait)
			return true
		}
	}
	return false
}

// tell gives the i-th of a party that wait its verdict.
func (g *gate) tell(from netip.Addr, p *party, i int, v verdict) {
	w := p.queue[i]
	copy(p.queue[i:], p.queue[i+1:])
	p.queue[len(p.queue)-1] = nil
	p.queue = p.queue[:len(p.queue)-1]
	g.waiting--
	if len(p.queue) == 0 {
		g.turns.Remove(p.turn)
		p.turn, p.queue = nil, nil
	}
	if v == passed {
		p.inside++
		g.inside++
	}
	g.forget(from, p)
	w.verdict = v
	close(w.told)
}

func (g *gate) forget(from netip.Addr, p *party) {
	if p.inside == 0 && len(p.queue) == 0 {
		delete(g.parties, from)
	}
}

// give gives a place up, unless its verdict came first.
func (g *gate) give(from netip.Addr, w *place, v verdict) verdict {
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-w.told:
		return w.verdict
	default:
	}
	p := g.parties[from]
	for i := range p.queue {
		if p.queue[i] == w {
			g.tell(from, p, i, v)
			break
		}
	}
	return v
}

// leave gives a place inside to whose turn it is.
func (g *gate) leave(from netip.Addr) {
	g.mu.Lock()
	defer g.mu.Unlock()
	p := g.parties[from]
	p.inside--
	g.inside--
	g.forget(from, p)
	for e := g.turns.Front(); e != nil && g.inside < g.slots; {
		next := e.Next()
		from := e.Value.(netip.Addr)
		if p := g.parties[from]; g.open(p) {
			g.turns.MoveToBack(e)
			g.tell(from, p, 0, passed)
		}
		e = next
	}
}

// counts returns how many are inside and how many wait.
func (g *gate) counts() (inside, waiting int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.inside, g.waiting
}

// origin is what counts as one address: an IPv4 address or the /64 network of an IPv6
// address, since whoever has one address there has all of them.
func origin(a netip.Addr) netip.Addr {
	a = a.Unmap().WithZone("")
	if a.Is6() {
		if p, err := a.Prefix(64); err == nil {
			return p.Addr()
		}
	}
	return a
}
