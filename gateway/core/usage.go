package core

import (
	"time"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/quota"
)

// usage is the broker as the ledger of what clients use of it sees it.
type usage struct{ broker *Broker }

// Inquire implements quota.Broker.
func (u usage) Inquire(queue string, done func(exists bool, err error)) {
	u.broker.inquire(queue, done)
}

// Refresh implements quota.Broker.
func (u usage) Refresh(which func(quota.Accounts) bool) {
	for _, s := range u.broker.openSessions() {
		if which(s.accounts) {
			s.refresh()
		}
	}
}

// SetQuotas changes the quotas. Open sessions keep what they have beyond them.
func (b *Broker) SetQuotas(q quota.Quotas) {
	b.reauthorizing.Lock()
	defer b.reauthorizing.Unlock()
	var sessions []*session
	b.ledger.Change(q, func() []gateway.Principal {
		sessions = b.openSessions()
		people := make([]gateway.Principal, len(sessions))
		for i, s := range sessions {
			people[i] = s.who()
		}
		return people
	}, func() {
		for _, s := range sessions {
			s.refresh()
		}
	})
}

// refresh takes in new terms of the session's accounts, and has its grants asked for again.
func (s *session) refresh() {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := *s.standing.Load()
	st.terms = s.broker.ledger.Terms(s.accounts)
	s.standing.Store(&st)
}

// Pause implements gateway.Paced.
func (s *session) Pause() (pause time.Duration) {
	return s.broker.ledger.Pause(&s.standing.Load().terms)
}

// enrol counts the subscription in its session's accounts, or says why it may not be. It returns how many deliveries it may have outstanding.
func (e *enrolled) enrol() (prefetch int, err error) {
	e.share, prefetch, err = e.session.broker.ledger.Enrol(quota.Claim{
		Accounts: e.session.accounts, Destination: e.options.Destination, Prefetch: e.options.Prefetch,
		Extend: func(n int) { e.source.Extend(n) }, Wake: e.options.Wake,
	})
	return prefetch, err
}

// allowed is how many deliveries of the subscription may be outstanding.
func (e *enrolled) allowed() int {
	return e.session.broker.ledger.Prefetch(e.share) + int(e.extended.Load())
}
