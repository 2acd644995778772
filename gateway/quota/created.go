package quota

import (
	"slices"

	"github.com/sluice-mq/sluice/gateway"
)

// createdUse is a queue that an account counts because a client of it made it.
type createdUse struct {
	a *account
	d gateway.Destination
	u *use
}

// asksMost is how many queues are asked for at once. The order is random, so that all have their turn.
const asksMost = 256

// askForQueues finds out which of the queues that clients made still exist, and lets accounts that are not needed any more go.
func (l *Ledger) askForQueues() {
	now := l.now()
	var ask []createdUse
	l.mu.Lock()
	changed := make(map[*account]struct{})
	visit := func(a *account) {
		for d, u := range a.destinations {
			switch {
			case !u.created || u.asking:
			case u.gone:
				changed[a] = struct{}{}
				u.created, u.gone = false, false
				if u.subscriptions == 0 {
					delete(a.destinations, d)
				}
			case len(ask) < asksMost:
				u.asking = true
				ask = append(ask, createdUse{a, d, u})
			}
		}
		l.close(a, now)
	}
	visit(l.total)
	for _, a := range l.users {
		visit(a)
	}
	for _, a := range l.hosts {
		visit(a)
	}
	l.mu.Unlock()
	if len(changed) > 0 { // who makes one of those that are gone once more is to be asked again
		l.broker.Refresh(func(accounts Accounts) bool {
			return slices.ContainsFunc(accounts.all, func(a *account) bool {
				_, has := changed[a]
				return has
			})
		})
	}
	for _, c := range ask {
		l.broker.Inquire(c.d.Name, func(exists bool, err error) {
			l.mu.Lock()
			c.u.asking, c.u.gone = false, !exists && err == nil
			l.mu.Unlock()
		})
	}
}
