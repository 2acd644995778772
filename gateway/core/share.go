package core

import (
	"slices"

	"github.com/sluice-mq/sluice/gateway"
)

// enrol counts a subscription in its session's accounts, or refuses it. It returns how many deliveries it may have outstanding and
// what changes for others.
func (l *ledger) enrol(e *enrolled) (prefetch int, changes []change, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	d, accounts := e.options.Destination, e.session.accounts
	for _, a := range accounts {
		if err := l.allows(a, subscriptionsLimit, len(a.subscriptions), a.quota.Subscriptions); err != nil {
			return 0, nil, err
		}
		if a.destinations[d] == nil {
			if err := l.allows(a, destinationsLimit, len(a.destinations), a.quota.Destinations); err != nil {
				return 0, nil, err
			}
		}
	}
	for _, a := range accounts {
		a.subscriptions[e] = struct{}{}
		u := a.destinations[d]
		if u == nil {
			u = &use{}
			a.destinations[d] = u
		}
		u.subscriptions++
	}
	e.prefetch = e.fair()
	return e.prefetch, l.share(accounts), nil
}

// allowed is how many deliveries of a subscription may be outstanding.
func (l *ledger) allowed(e *enrolled) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return e.prefetch + int(e.extended.Load())
}

// opened lets a subscription's share change from now on.
func (l *ledger) opened(e *enrolled) {
	if len(e.session.accounts) == 0 {
		return
	}
	l.mu.Lock()
	_, e.open = l.total.subscriptions[e] // it may be closed already
	changes := e.reshare(nil)
	l.mu.Unlock()
	extend(changes)
}

// strike takes a subscription out of the books.
func (l *ledger) strike(e *enrolled) {
	accounts := e.session.accounts
	if len(accounts) == 0 {
		return
	}
	l.mu.Lock()
	e.open = false
	now := l.broker.cfg.Now()
	for _, a := range accounts {
		delete(a.subscriptions, e)
		if e.waitsFor == a {
			e.waitsFor = nil
			a.waiting = slices.DeleteFunc(a.waiting, func(w *enrolled) bool { return w == e })
		}
		if u := a.destinations[e.options.Destination]; u != nil {
			if u.subscriptions--; u.subscriptions == 0 && !u.created {
				delete(a.destinations, e.options.Destination)
			}
		}
		l.close(a, now)
	}
	woken := l.free(e, e.tokens)
	changes := l.share(accounts)
	l.mu.Unlock()
	extend(changes)
	wakeAll(woken)
}

// change is one of how many deliveries a subscription may have outstanding.
type change struct {
	e *enrolled
	n int
}

func extend(changes []change) {
	for _, c := range changes {
		c.e.source.Extend(c.n)
	}
}

// fair is a subscription's share of what its accounts may have in flight, at least 1 and at most what its client wants. The lock is held.
func (e *enrolled) fair() int {
	n := e.options.Prefetch
	for _, a := range e.session.accounts {
		if most := a.quota.InFlight; most > 0 {
			n = min(n, max(most/max(len(a.subscriptions), 1), 1))
		}
	}
	return n
}

func (e *enrolled) reshare(changes []change) []change {
	if n := e.fair(); e.open && n != e.prefetch {
		changes = append(changes, change{e, n - e.prefetch})
		e.prefetch = n
	}
	return changes
}

// share finds out whose shares change, now that these accounts have other subscriptions. The lock is held.
func (l *ledger) share(accounts []*account) (changes []change) {
	for _, a := range accounts {
		each := a.quota.InFlight / max(len(a.subscriptions), 1)
		if a.quota.InFlight == 0 || each == a.each {
			continue
		}
		a.each = each
		for e := range a.subscriptions {
			changes = e.reshare(changes)
		}
	}
	return changes
}

// shareAll does so for all. The lock is held.
func (l *ledger) shareAll() (changes []change) {
	for e := range l.total.subscriptions {
		changes = e.reshare(changes)
	}
	return changes
}

// take takes room in flight for up to n deliveries. Without any the subscription is woken when there may be some.
func (l *ledger) take(e *enrolled, n int) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, a := range e.session.accounts {
		most := a.quota.InFlight
		if most == 0 {
			continue
		}
		if n = min(n, most-a.inFlight); n > 0 {
			continue
		}
		if e.waitsFor == nil {
			e.waitsFor = a
			a.waiting = append(a.waiting, e)
			l.blocked[a] = struct{}{}
			l.reached[a.scope][inFlightLimit].Add(1)
			if now := l.broker.cfg.Now(); now.Sub(a.told) >= tellPaceEach {
				a.told = now
				e.session.tellLimit(a, inFlightLimit, most)
			}
		}
		return 0
	}
	for _, a := range e.session.accounts {
		a.inFlight += n
	}
	e.tokens += n
	return n
}

// giveBack returns room in flight.
func (l *ledger) giveBack(e *enrolled, n int) {
	if n == 0 {
		return
	}
	l.mu.Lock()
	woken := l.free(e, n)
	l.mu.Unlock()
	wakeAll(woken)
}

// free returns room in flight and who may use it. The lock is held.
func (l *ledger) free(e *enrolled, n int) (woken []*enrolled) {
	n = min(n, e.tokens) // its end may have come first
	if n == 0 {
		return nil
	}
	e.tokens -= n
	for _, a := range e.session.accounts {
		a.inFlight -= n
		woken = append(woken, l.wake(a, n)...)
	}
	return woken
}

// wake takes up to n of those who wait. The lock is held.
func (l *ledger) wake(a *account, n int) []*enrolled {
	n = min(n, len(a.waiting))
	woken := slices.Clone(a.waiting[:n])
	for _, e := range woken {
		e.waitsFor = nil
	}
	a.waiting = slices.Delete(a.waiting, 0, n)
	if len(a.waiting) == 0 {
		delete(l.blocked, a)
	}
	return woken
}

func wakeAll(woken []*enrolled) {
	for _, e := range woken {
		e.options.Wake()
	}
}

// create counts a queue that a session's message makes, or refuses it. If it is here and exists already it counts only for those who
// subscribe to it: it may be there because of that alone.
func (l *ledger) create(s *session, d gateway.Destination, here bool) error {
	if len(s.accounts) == 0 {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, a := range s.accounts {
		if a.quota.Destinations > 0 && a.destinations[d] == nil && !here {
			if err := l.allows(a, destinationsLimit, len(a.destinations), a.quota.Destinations); err != nil {
				return err
			}
		}
	}
	for _, a := range s.accounts {
		if a.quota.Destinations == 0 {
			continue
		}
		u := a.destinations[d]
		if u == nil && here {
			continue
		}
		if u == nil {
			u = &use{}
			a.destinations[d] = u
		}
		u.created, u.gone = true, false
	}
	return nil
}

// sweep wakes whom a wake was lost for, and asks for the queues that clients made: those that are gone count no more.
func (l *ledger) sweep(ask bool) {
	l.mu.Lock()
	var woken []*enrolled
	for a := range l.blocked {
		room := len(a.waiting)
		if most := a.quota.InFlight; most > 0 {
			room = most - a.inFlight
		}
		if room > 0 {
			woken = append(woken, l.wake(a, room)...)
		}
	}
	l.mu.Unlock()
	wakeAll(woken)
	if ask {
		l.askForQueues()
	}
}
