package quota

import (
	"slices"

	"github.com/sluice-mq/sluice/gateway"
)

// Share is a subscription's part of what its session's accounts may have in flight.
type Share struct {
	accounts    Accounts
	destination gateway.Destination
	wanted      int
	extend      func(int)
	wake        func()

	// Guarded by the ledger's lock: what it may have outstanding, whether that may change, the room in flight that it has
	// taken, and what it waits for.
	prefetch int
	open     bool
	tokens   int
	waitsFor *account
}

// Claim is what a subscription wants to be counted for.
type Claim struct {
	Accounts    Accounts
	Destination gateway.Destination
	// Prefetch is how many deliveries its client wants to have outstanding.
	Prefetch int
	// Extend changes how many it may have, once it is open, and Wake tells it that there may be room for more.
	Extend func(int)
	Wake   func()
}

// Enrol counts a subscription in its session's accounts, or refuses it with Reached. It returns how many deliveries it may have outstanding.
func (l *Ledger) Enrol(c Claim) (e *Share, prefetch int, err error) {
	e = &Share{accounts: c.Accounts, destination: c.Destination, wanted: c.Prefetch, extend: c.Extend, wake: c.Wake}
	prefetch, changes, err := l.enrol(e)
	extend(changes)
	if err != nil {
		return nil, 0, err
	}
	return e, prefetch, nil
}

func (l *Ledger) enrol(e *Share) (prefetch int, changes []change, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	d, accounts := e.destination, e.accounts.all
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

// Prefetch is how many deliveries of a subscription may be outstanding, but for what its door lets be beyond that.
func (l *Ledger) Prefetch(e *Share) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return e.prefetch
}

// Opened lets a subscription's share change from now on.
func (l *Ledger) Opened(e *Share) {
	if e.accounts.None() {
		return
	}
	l.mu.Lock()
	_, e.open = l.total.subscriptions[e] // it may be closed already
	changes := e.reshare(nil)
	l.mu.Unlock()
	extend(changes)
}

// Strike takes a subscription out of the books.
func (l *Ledger) Strike(e *Share) {
	accounts := e.accounts.all
	if len(accounts) == 0 {
		return
	}
	l.mu.Lock()
	e.open = false
	now := l.now()
	for _, a := range accounts {
		delete(a.subscriptions, e)
		if e.waitsFor == a {
			e.waitsFor = nil
			a.waiting = slices.DeleteFunc(a.waiting, func(w *Share) bool { return w == e })
		}
		if u := a.destinations[e.destination]; u != nil {
			if u.subscriptions--; u.subscriptions == 0 && !u.created {
				delete(a.destinations, e.destination)
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
	e *Share
	n int
}

func extend(changes []change) {
	for _, c := range changes {
		c.e.extend(c.n)
	}
}

// fair is a subscription's share of what its accounts may have in flight, at least 1 and at most what its client wants. The lock is held.
func (e *Share) fair() int {
	n := e.wanted
	for _, a := range e.accounts.all {
		if most := a.quota.InFlight; most > 0 {
			n = min(n, max(most/max(len(a.subscriptions), 1), 1))
		}
	}
	return n
}

func (e *Share) reshare(changes []change) []change {
	if n := e.fair(); e.open && n != e.prefetch {
		changes = append(changes, change{e, n - e.prefetch})
		e.prefetch = n
	}
	return changes
}

// share finds out whose shares change, now that these accounts have other subscriptions. The lock is held.
func (l *Ledger) share(accounts []*account) (changes []change) {
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
func (l *Ledger) shareAll() (changes []change) {
	for e := range l.total.subscriptions {
		changes = e.reshare(changes)
	}
	return changes
}

// Take takes room in flight for up to n deliveries. Without any the subscription is woken when there may be some; tell hears of it now and then.
func (l *Ledger) Take(e *Share, n int, tell func(*Reached)) int {
	n, reached := l.take(e, n)
	if reached != nil {
		tell(reached)
	}
	return n
}

func (l *Ledger) take(e *Share, n int) (taken int, reached *Reached) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, a := range e.accounts.all {
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
			if now := l.now(); now.Sub(a.told) >= tellPaceEach {
				a.told = now
				reached = waits(a, inFlightLimit, most)
			}
		}
		return 0, reached
	}
	for _, a := range e.accounts.all {
		a.inFlight += n
	}
	e.tokens += n
	return n, nil
}

// GiveBack returns room in flight.
func (l *Ledger) GiveBack(e *Share, n int) {
	if n == 0 {
		return
	}
	l.mu.Lock()
	woken := l.free(e, n)
	l.mu.Unlock()
	wakeAll(woken)
}

// free returns room in flight and who may use it. The lock is held.
func (l *Ledger) free(e *Share, n int) (woken []*Share) {
	n = min(n, e.tokens) // its end may have come first
	if n == 0 {
		return nil
	}
	e.tokens -= n
	for _, a := range e.accounts.all {
		a.inFlight -= n
		woken = append(woken, l.wake(a, n)...)
	}
	return woken
}

// wake takes up to n of those who wait. The lock is held.
func (l *Ledger) wake(a *account, n int) []*Share {
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

func wakeAll(woken []*Share) {
	for _, e := range woken {
		e.wake()
	}
}

// Create counts a queue that a session's message makes, or refuses it with Reached. If it is here and exists already it counts only for those who
// subscribe to it: it may be there because of that alone.
func (l *Ledger) Create(accounts Accounts, d gateway.Destination, here bool) error {
	if accounts.None() {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, a := range accounts.all {
		if a.quota.Destinations > 0 && a.destinations[d] == nil && !here {
			if err := l.allows(a, destinationsLimit, len(a.destinations), a.quota.Destinations); err != nil {
				return err
			}
		}
	}
	for _, a := range accounts.all {
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

// Sweep wakes whom a wake was lost for, and asks for the queues that clients made: those that are gone count no more.
func (l *Ledger) Sweep(ask bool) {
	l.mu.Lock()
	var woken []*Share
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
