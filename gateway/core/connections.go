package core

import (
	"cmp"
	"slices"
	"time"

	"github.com/sluice-mq/sluice/gateway"
)

// Connection is an open session as administrators see it.
type Connection struct {
	// Session names it on all nodes.
	Session   string
	Principal gateway.Principal
	// ClientID, Protocol, Listener, Remote and Library are those of its Login.
	ClientID, Protocol, Listener, Remote, Library string
	Since                                         time.Time
	// In messages came from the client, and Out deliveries went to it.
	In, Out       uint64
	Subscriptions []ConnectionSubscription
}

// ConnectionSubscription is one of a session.
type ConnectionSubscription struct {
	Destination gateway.Destination
	// Name is that of its SubscribeOptions.
	Name     string
	Prefetch int
	// Out deliveries went to the client, and of InFlight it has not said what became of them.
	Out      uint64
	InFlight int
}

// Connections lists the open sessions, the oldest first.
func (b *Broker) Connections() []Connection {
	sessions := b.openSessions()
	all := make([]Connection, 0, len(sessions))
	for _, s := range sessions {
		c := Connection{
			Session: s.id, Principal: s.who(), ClientID: s.login.ClientID, Protocol: s.login.Protocol, Listener: s.login.Listener,
			Remote: s.login.From(), Library: s.login.Library, Since: s.since, In: s.sent.Load(), Out: s.delivered.Load(),
		}
		s.mu.Lock()
		closed := s.closed
		for _, e := range s.subscriptions {
			c.Subscriptions = append(c.Subscriptions, ConnectionSubscription{
				Destination: e.options.Destination, Name: e.options.Name, Prefetch: e.options.Prefetch, Out: e.taken.Load(), InFlight: e.inFlight(),
			})
		}
		s.mu.Unlock()
		if closed {
			continue
		}
		slices.SortFunc(c.Subscriptions, func(a, b ConnectionSubscription) int {
			return cmp.Or(cmp.Compare(a.Destination.String(), b.Destination.String()), cmp.Compare(a.Name, b.Name))
		})
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b Connection) int { return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.Session, b.Session)) })
	return all
}

// Disconnect ends a session for an administrator, whose reason its client hears. The error is of kind NotFound if there is none of that name.
func (b *Broker) Disconnect(session, reason string) error {
	for _, s := range b.openSessions() {
		if s.id != session {
			continue
		}
		text := "disconnected by an administrator"
		if reason != "" {
			text += ": " + reason
		}
		s.end(gateway.Errorf(gateway.Unavailable, "%s", text))
		return nil
	}
	return gateway.Errorf(gateway.NotFound, "there is no session %s", session)
}
