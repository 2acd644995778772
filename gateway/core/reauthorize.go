package core

import (
	"maps"
	"slices"
	"time"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/union"
)

// openSessions are those that are open now.
func (b *Broker) openSessions() []*session {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Collect(maps.Keys(b.sessions))
}

// Reauthorize asks the Authenticator who everybody is now, and the Authorizer what they may. It is called after either has changed its mind. When it
// returns, whoever is nobody any more has no session; subscriptions that may not be read any more have ended, with an error of kind Denied, and
// what they had is back in its queue; and nothing that may not be read waits for any subscription. What goes on loses nothing.
// It may be called from any goroutine; one call follows another.
func (b *Broker) Reauthorize() {
	b.reauthorizing.Lock()
	defer b.reauthorizing.Unlock()
	b.mu.Lock()
	b.judgement++ // who is on the way in asks again
	b.mu.Unlock()
	var all []judged
	for _, s := range b.openSessions() {
		all = append(all, s.reauthorize()...)
	}
	b.topics.rejudge(all)
}

// reauthorize renews what the session may, ends what it may not any more, and returns the subscriptions that need another guard.
func (s *session) reauthorize() (all []judged) {
	b := s.broker
	s.mu.Lock()
	old, closed := s.standing.Load(), s.closed
	s.mu.Unlock()
	if closed {
		return nil
	}
	p, err := b.cfg.Authenticator.Renew(old.principal)
	switch {
	case err != nil && gateway.KindOf(err) == gateway.Unauthenticated:
		s.end(publicError(err))
		return nil
	case err != nil:
		b.cfg.Logger.Warn("a session could not be renewed and stays as it is", "session", s.id, "user", old.principal.Name, "error", err)
		p = old.principal
	}
	b.ledger.Renewed(p)
	st := &standing{principal: p, rights: b.cfg.Authorizer.Rights(p)}
	b.expire(s, p.Expires)
	s.mu.Lock()
	st.terms = b.ledger.Terms(s.accounts)
	s.standing.Store(st)
	clear(s.grants)
	subs := slices.Collect(maps.Values(s.subscriptions))
	s.mu.Unlock()
	for _, e := range subs {
		d := e.options.Destination
		if denied := s.mayStay(st, e); denied != nil {
			e.tell(denied)
			e.source.Close()
			continue
		}
		if u, ok := e.source.(*union.Union); ok {
			all = append(all, judgeJoined(u, st)...)
		}
		if e.place != "" {
			e.guard.Store(newGuard(st.rights, d))
		}
		if sub, ok := e.source.(*topicSubscription); ok {
			if g := newGuard(st.rights, d); g != nil || sub.guard.Load() != nil {
				all = append(all, judged{sub, g})
			}
		}
	}
	return all
}

// mayStay returns why a subscription may not go on, nil if it may.
func (s *session) mayStay(st *standing, e *enrolled) *gateway.Error {
	for _, d := range e.options.Destinations() {
		if d.Kind.IsTemp() {
			continue // its own
		}
		if err := mayRead(st.rights, d); err != nil {
			return publicError(s.denied(gateway.Read, d, err))
		}
	}
	return nil
}

// end is the broker's own end of a session.
func (s *session) end(err *gateway.Error) {
	s.mu.Lock()
	if s.closed || s.why != nil {
		s.mu.Unlock()
		return
	}
	s.why = err
	subs := slices.Collect(maps.Values(s.subscriptions))
	s.mu.Unlock()
	if s.login.Ended != nil {
		s.login.Ended(err)
	} else {
		for _, e := range subs {
			e.tell(err)
		}
	}
	s.Close()
}

// expire notes when a session's proof is worth nothing any more; zero is never.
func (b *Broker) expire(s *session, at time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, open := b.sessions[s]; open && !at.IsZero() {
		b.expiring[s] = at
	} else {
		delete(b.expiring, s)
	}
}

var errExpired = gateway.Errorf(gateway.Unauthenticated, "the token has expired")

// endExpired ends the sessions whose proof has expired. It is the sweep's.
func (b *Broker) endExpired(now time.Time) {
	var over []*session
	b.mu.Lock()
	for s, at := range b.expiring {
		if !now.Before(at) {
			over = append(over, s)
			delete(b.expiring, s)
		}
	}
	b.mu.Unlock()
	for _, s := range over {
		s.end(errExpired)
	}
}
