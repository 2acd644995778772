package core

import (
	"strings"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/advisory"
	"github.com/sluice-mq/sluice/gateway/quota"
)

// standing is who a session acts for and what it may do. It is replaced and never changed, so that nobody sees half of a change.
type standing struct {
	principal gateway.Principal
	rights    gateway.Rights
	// terms are those of the session's accounts.
	terms quota.Terms
}

// grant says that a session may send to a destination while it has that standing.
type grant struct {
	standing    *standing
	destination gateway.Destination
	// unmade, if not nil, is the refusal if there is no such queue: the principal may use it and not make it.
	unmade error
	// asks is what messages there may ask of the broker.
	asks question
}

// grantsMost is how many grants a session remembers.
const grantsMost = 32

// who is the principal, the anonymous one for sessions that no client has.
func (s *session) who() gateway.Principal {
	if st := s.standing.Load(); st != nil {
		return st.principal
	}
	return gateway.Principal{}
}

// granted returns the grant to send to a destination, or why there is none. For the destination of the last message it costs a few nanoseconds.
func (s *session) granted(d gateway.Destination) (*grant, error) {
	if g := s.last.Load(); g != nil && g.standing == s.standing.Load() && g.destination == d {
		return g, nil
	}
	return s.judge(d)
}

// judge finds out whether the session may send to a destination.
func (s *session) judge(d gateway.Destination) (*grant, error) {
	st := s.standing.Load()
	s.mu.Lock()
	g := s.grants[d]
	s.mu.Unlock()
	if g != nil && g.standing == st {
		s.last.Store(g)
		return g, nil
	}
	if err := d.Validate(); err != nil {
		return nil, err
	}
	asks := questionAt(d)
	if d.IsPattern() && asks != ofDestinations {
		return nil, gateway.Errorf(gateway.Invalid, "cannot send to the wildcard destination %s", d)
	}
	if d.Kind == gateway.KindSubscription {
		return nil, gateway.Errorf(gateway.Invalid, "nobody can send to %s", d)
	}
	if err := st.rights.May(gateway.Write, d); err != nil {
		return nil, s.denied(gateway.Write, d, err)
	}
	d.Name = strings.Clone(d.Name) // it may be a part of something large
	g = &grant{standing: st, destination: d, asks: asks}
	unmade := st.rights.May(gateway.Create, d)
	switch {
	case d.Kind.IsTemp(): // there as long as its session
	case d.Kind == gateway.KindTopic && unmade == nil:
		s.broker.topics.remember(d.Name)
	case d.Kind == gateway.KindTopic && !s.broker.isKept(d) && !s.broker.topics.knows(d.Name):
		return nil, s.denied(gateway.Create, d, unmade)
	case d.Kind == gateway.KindTopic || s.broker.isKept(d):
	case unmade != nil:
		g.unmade = unmade
	default:
		if err := s.broker.ledger.Create(s.accounts, d, s.broker.isHere(d.Name)); err != nil {
			return nil, s.limited(err, d)
		}
	}
	s.mu.Lock()
	if len(s.grants) >= grantsMost || s.grants == nil {
		s.grants = make(map[gateway.Destination]*grant)
	}
	s.grants[d] = g
	s.mu.Unlock()
	s.last.Store(g)
	return g, nil
}

// mayOpen returns why a session may not subscribe to a destination, nil if it may.
func (s *session) mayOpen(st *standing, d gateway.Destination, browse bool) error {
	if d.Kind.IsTemp() {
		return s.mayHave(d)
	}
	if err := mayRead(st.rights, d); err != nil {
		return s.denied(gateway.Read, d, err)
	}
	if d.IsPattern() || browse || d.Kind == gateway.KindTopic && advisory.Is(d.Name) {
		return nil
	}
	unmade := st.rights.May(gateway.Create, d)
	if unmade == nil || s.broker.isKept(d) {
		return nil
	}
	if d.Kind == gateway.KindTopic {
		if !s.broker.topics.knows(d.Name) {
			return s.denied(gateway.Create, d, unmade)
		}
		return nil
	}
	exists, err := s.broker.ask(d.Name)
	if err == nil && !exists {
		err = s.denied(gateway.Create, d, unmade)
	}
	return err
}

// isKept reports whether a destination is there whoever uses it.
func (b *Broker) isKept(d gateway.Destination) bool {
	for _, k := range b.cfg.Kept {
		if k.Kind == d.Kind && gateway.Matches(k.Name, d.Name) {
			return true
		}
	}
	return false
}
