package core

import (
	"context"
	"fmt"
	"strings"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/advisory"
	"github.com/sluice-mq/sluice/gateway/quota"
)

// Open implements gateway.Broker.
func (b *Broker) Open(ctx context.Context, login gateway.Login) (gateway.Session, error) {
	b.mu.Lock()
	judgement := b.judgement
	b.mu.Unlock()
	p, err := b.cfg.Authenticator.Authenticate(ctx, login)
	if err != nil {
		b.refusedLogin(&login, gateway.Principal{}, err)
		return nil, err
	}
	for {
		rights := b.cfg.Authorizer.Rights(p)
		s, now, err := b.admit(&login, &standing{principal: p, rights: rights}, judgement)
		if err != nil {
			b.refusedLogin(&login, p, err)
			if x, ok := err.(*quota.Reached); ok {
				return nil, x.Told
			}
			return nil, err
		}
		if s != nil {
			s.trail.Connected()
			s.adviseConnected()
			return s, nil
		}
		judgement = now // the rules have changed meanwhile
		if p, err = b.cfg.Authenticator.Renew(p); err != nil {
			b.refusedLogin(&login, p, err)
			return nil, err
		}
	}
}

var errStopping = gateway.Errorf(gateway.Unavailable, "the broker is stopping")

// admit makes the session of somebody, unless the rules have changed since that judgement: then there is neither a session nor an error.
func (b *Broker) admit(login *gateway.Login, st *standing, judgement uint64) (s *session, now uint64, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.draining:
		return nil, 0, errStopping
	case b.judgement != judgement:
		return nil, b.judgement, nil
	case !st.principal.Expires.IsZero() && !b.cfg.Now().Before(st.principal.Expires):
		return nil, 0, errExpired
	}
	if login.ClientID != "" {
		if other := b.clients[login.ClientID]; other != nil {
			return nil, 0, gateway.Errorf(gateway.Conflict, "Broker: %s - Client: %s already connected from tcp://%s", b.cfg.Node, login.ClientID, other.login.Remote)
		}
	}
	accounts, err := b.ledger.Enter(st.principal, login.Remote)
	if err != nil {
		return nil, 0, err
	}
	b.nextID++
	s = &session{
		broker: b, login: *login, ids: fmt.Sprintf("%s%d:-1:1:", b.ids, b.nextID), since: b.cfg.Now(),
		accounts: accounts, subscriptions: make(map[closer]*enrolled),
	}
	s.id = strings.TrimSuffix(s.ids, ":-1:1:")
	s.login.Credentials = gateway.Credentials{}
	s.trail = b.audit.Trail(&s.login, s.id, s.who)
	st.terms = b.ledger.Terms(accounts)
	s.standing.Store(st)
	s.untold.Store(b.advisor.Heeds(advisory.Connection))
	b.sessions[s] = struct{}{}
	b.named[s.id] = s
	if !st.principal.Expires.IsZero() {
		b.expiring[s] = st.principal.Expires
	}
	if login.ClientID != "" {
		b.clients[login.ClientID] = s
	}
	return s, 0, nil
}
