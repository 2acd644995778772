package users

import (
	"context"
	"time"

	"github.com/sluice-mq/sluice/auth"
	"github.com/sluice-mq/sluice/gateway"
)

// flight is a computation that others wait for who have the same credentials.
type flight struct {
	done chan struct{}
	// right and decided are set before done is closed. A flight that was given up decided nothing.
	right, decided bool
}

// check compares a passcode with a secret, which may be nil. Only one computation runs for the same credentials, and
// one that was right is remembered: a thousand clients of one user that come back together cost one.
func (u *Users) check(ctx context.Context, s secret, stored, login, passcode string) (bool, error) {
	switch {
	case s == nil || len(passcode) > MaxPasscode:
		return false, nil
	case s.form() == plainForm:
		u.computed.Add(1)
		return s.matches(passcode), nil
	}
	key := u.sum(stored, login, passcode)
	for {
		f, mine, right := u.board(key)
		switch {
		case right:
			u.recalled.Add(1)
			return true, nil
		case mine:
			return u.compute(ctx, f, key, s, passcode)
		}
		select {
		case <-f.done:
		case <-ctx.Done():
			return false, givenUp(ctx)
		}
		if f.decided {
			u.shared.Add(1)
			return f.right, nil
		}
	}
}

// board returns right if that is remembered; else the flight of these credentials, which is the caller's own to fly or not.
func (u *Users) board(key sum) (f *flight, mine, right bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.remembered.has(key, u.now()) {
		return nil, false, true
	}
	if f := u.flights[key]; f != nil {
		return f, false, false
	}
	f = &flight{done: make(chan struct{})}
	u.flights[key] = f
	return f, true, false
}

func (u *Users) compute(ctx context.Context, f *flight, key sum, s secret, passcode string) (bool, error) {
	d := u.directory.Load()
	defer func() {
		u.mu.Lock()
		defer u.mu.Unlock()
		delete(u.flights, key)
		if f.right && u.remember > 0 && u.directory.Load() == d {
			now := u.now()
			u.remembered.add(key, now, now.Add(u.remember))
		}
		close(f.done)
	}()
	if err := u.gate.enter(ctx, auth.AddressOf(ctx)); err != nil {
		return false, err
	}
	defer u.gate.leave()
	u.computed.Add(1)
	f.right, f.decided = s.matches(passcode), true
	return f.right, nil
}

func givenUp(ctx context.Context) error {
	return gateway.WrapError(gateway.Unavailable, context.Cause(ctx), "the login took too long")
}

// remembered is a bounded set of sums that are worth something until a time. The holder of the lock calls it.
type remembered struct {
	limit int
	until map[sum]time.Time
}

func newRemembered(limit int) *remembered {
	return &remembered{limit: limit, until: map[sum]time.Time{}}
}

func (r *remembered) has(key sum, now time.Time) bool {
	until, found := r.until[key]
	if found && !now.Before(until) {
		delete(r.until, key)
		return false
	}
	return found
}

// add makes room by forgetting what is over, or else anything: that costs somebody a computation.
func (r *remembered) add(key sum, now, until time.Time) {
	if len(r.until) >= r.limit {
		for k, t := range r.until {
			if !now.Before(t) {
				delete(r.until, k)
			}
		}
		for k := range r.until {
			if len(r.until) < r.limit {
				break
			}
			delete(r.until, k)
		}
	}
	r.until[key] = until
}

func (r *remembered) clear() { clear(r.until) }
