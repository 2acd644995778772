package core

import (
	"context"
	"errors"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/quota"
	"github.com/sluice-mq/sluice/gateway/tap"
)

// What clients do is written down, and shown to whoever watches.

// Tap begins to show what happens to messages on this node, until ctx or the broker ends. Deliveries that were handed out before are not
// shown when they are settled. The error is of kind Limit if there are too many taps, and Invalid if the options make no sense.
func (b *Broker) Tap(ctx context.Context, o tap.Options) (*tap.Tap, error) {
	t, err := b.taps.Add(o)
	if err != nil {
		return nil, err
	}
	if !b.spawn(func() {
		select {
		case <-ctx.Done():
		case <-b.watching.Done():
		}
		b.taps.End(t)
	}) {
		b.taps.End(t)
		return nil, errStopping
	}
	return t, nil
}

// watched is the session as taps show it.
func (s *session) watched() *tap.Watched {
	return &tap.Watched{Session: s.id, User: s.who().Name, Remote: s.login.From()}
}

// refusedLogin notes that somebody was not let in; p is who it was, if that is known.
func (b *Broker) refusedLogin(l *gateway.Login, p gateway.Principal, err error) {
	b.counts.refused.Add(1)
	b.audit.Refused(l, p, err)
}

// denied notes that the session may not do something, and returns err.
func (s *session) denied(a gateway.Action, d gateway.Destination, err error) error {
	s.broker.counts.denied.Add(1)
	s.trail.Denied(a, d, err)
	return err
}

// limited notes that a limit refuses something, and returns what the client may know.
func (s *session) limited(err error, d gateway.Destination) error {
	var x *quota.Reached
	if !errors.As(err, &x) {
		return err
	}
	s.trail.Limited(x, d)
	return x.Told
}

// tellLimit notes that a limit makes clients wait.
func (s *session) tellLimit(x *quota.Reached) { s.trail.Limited(x, gateway.Destination{}) }

// tellDisconnected writes down that the session is closed.
func (s *session) tellDisconnected() {
	s.mu.Lock()
	why := s.why
	s.mu.Unlock()
	s.trail.Disconnected(s.sent.Load(), s.delivered.Load(), why)
}

// witness shows a message to whoever watches, and has what becomes of it written down if that is wanted.
func (s *session) witness(m *gateway.Message, c gateway.Completion) gateway.Completion {
	if taps := s.broker.taps.Open(); taps != nil {
		s.watched().ShowSent(taps, s.broker.cfg.Now(), m)
	}
	if !s.broker.audit.Commands() {
		return c
	}
	return s.trail.Sent(c, false, m)
}

// witnessAll is witness for a transaction.
func (s *session) witnessAll(messages []*gateway.Message, c gateway.Completion) gateway.Completion {
	if taps := s.broker.taps.Open(); taps != nil {
		for _, m := range messages {
			s.watched().ShowSent(taps, s.broker.cfg.Now(), m)
		}
	}
	if !s.broker.audit.Commands() {
		return c
	}
	return s.trail.Sent(c, true, messages...)
}

// tellSettled writes down, and shows, what became of deliveries.
func (e *enrolled) tellSettled(kind gateway.EventKind, done []handed) {
	s := e.session
	if s.broker.audit.Commands() {
		for i := range done {
			s.trail.Settled(kind, done[i].d, done[i].id)
		}
	}
	what := tap.Acked
	if kind == gateway.Refused {
		what = tap.Refused
	}
	for i := range done {
		if h := &done[i]; len(h.shown) > 0 {
			s.watched().ShowSettled(h.shown, s.broker.cfg.Now(), what, e.options.Name, h.d, h.id)
		}
	}
}
