package core

import (
	"context"
	"slices"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/feed"
)

// lasting is what an enrolled subscription has to do because its queue is fed by a topic.
type lasting struct {
	// place is that of a durable subscription, which it holds; empty for others.
	place string
	// since is the revision of the binding, 0 if there is none.
	since uint64
	// anew: the binding was made anew by this subscription. What it does not keep may have come in a moment before.
	anew *feed.Feed
	// sifts: deliveries are looked at one by one, by anew or by rights. unwritten are then the tags of those that Next returned and Written was not told of, if
	// the client acknowledges nothing: what it does not see must not be counted among them.
	sifts, settles bool
	unwritten      []uint64
}

// validDurable returns why there cannot be such a durable subscription.
func (s *session) validDurable(o *gateway.SubscribeOptions) error {
	switch {
	case o.Destination.Kind != gateway.KindTopic || slices.ContainsFunc(o.Also, func(d gateway.Destination) bool { return d.Kind != gateway.KindTopic }):
		return gateway.Errorf(gateway.Invalid, "Invalid Subscription: cannot durably subscribe to a %s destination!", kindWord(o))
	case len(o.Also) > 0:
		return gateway.Errorf(gateway.Invalid, "Invalid Subscription: a durable subscription has one destination")
	case s.login.ClientID == "" && !o.Shared:
		return gateway.Errorf(gateway.Invalid, "You cannot create a durable subscriber without specifying a unique clientID on a Connection")
	case o.Browse:
		return gateway.Errorf(gateway.Invalid, "Invalid Subscription: a durable subscription cannot be browsed")
	}
	return feed.Durable(s.login.ClientID, o.Durable).Validate()
}

func kindWord(o *gateway.SubscribeOptions) string {
	for _, d := range o.Destinations() {
		switch {
		case d.Kind.IsTemp():
			return "temporary"
		case d.Kind.IsQueue():
			return "Queue"
		}
	}
	return "Queue"
}

// last prepares a subscription whose queue a topic feeds: a durable one, or one of a virtual topic's queues.
func (e *enrolled) last() error {
	s, o := e.session, &e.options
	if o.Durable == "" {
		revision, err := s.bindVirtual(o)
		e.since = revision
		return err
	}
	place, err := s.broker.durables.Take(s.login.ClientID, o.Durable, o.Shared)
	if err != nil {
		return err
	}
	e.place = place
	want := feed.Binding{Topic: o.Destination.Name, Client: s.login.ClientID, Name: o.Durable, Selector: o.Selector, NoLocal: o.NoLocal, User: s.who().Name}
	f := s.broker.topics.boundTo(place)
	if f != nil && !f.KeepsTheSame(&want) && s.broker.durables.Count(place) > 1 {
		err = gateway.Errorf(gateway.Conflict, "Durable consumer is in use for client: %s and subscriptionName: %s", want.Client, want.Name)
	}
	renewed := false
	if err == nil {
		e.since, renewed, err = s.broker.bind(context.Background(), want)
	}
	if err != nil {
		e.unhold()
		return err
	}
	if renewed {
		e.anew = feed.New(want)
	}
	e.sifts = renewed || o.Destination.IsPattern()
	e.settles = e.sifts && o.AutoAck
	return nil
}

// unhold gives a durable subscription up.
func (e *enrolled) unhold() {
	if e.place != "" {
		e.session.broker.durables.Leave(e.place)
	}
}

// sift takes out what the client may not read, or what was kept for the subscription as it was before, and settles it.
func (e *enrolled) sift(ds []gateway.Delivery) int {
	g := e.guard.Load()
	n := 0
	var over []uint64
	for i := range ds {
		m := ds[i].Message
		if !g.mayRead(m.Destination) || e.anew != nil && !(gateway.Matches(e.anew.Topic, m.Destination.Name) && e.anew.Selects(m, "")) {
			over = append(over, ds[i].Tag)
			continue
		}
		ds[n] = ds[i]
		n++
	}
	clear(ds[n:])
	if len(over) > 0 {
		e.source.Ack(over, nil, 0)
	}
	if e.settles {
		for i := range ds[:n] {
			e.unwritten = append(e.unwritten, ds[i].Tag)
		}
	}
	return n
}

// nextSifted is Next of the source, without what the client must not see.
func (e *enrolled) nextSifted(dst []gateway.Delivery, maxBytes int) int {
	for {
		n := e.source.Next(dst, maxBytes)
		if n == 0 {
			return 0
		}
		if n = e.sift(dst[:n]); n > 0 {
			return n
		}
	}
}

// settleWritten acknowledges what was written to a client that acknowledges nothing.
func (e *enrolled) settleWritten(n int) {
	n = min(n, len(e.unwritten))
	e.source.Ack(e.unwritten[:n], nil, 0)
	e.unwritten = e.unwritten[:copy(e.unwritten, e.unwritten[n:])]
}

// Forget implements gateway.Session.
func (s *session) Forget(name string, c gateway.Completion, token uint64) {
	b := s.broker
	f := b.topics.boundTo(feed.Durable(s.login.ClientID, name).Place())
	if f == nil {
		complete(c, token, gateway.Errorf(gateway.NotFound, "No durable subscription exists for clientID: %s and subscriptionName: %s", s.login.ClientID, name))
		return
	}
	d := gateway.Destination{Kind: gateway.KindTopic, Name: f.Topic}
	if err := s.standing.Load().rights.May(gateway.Read, d); err != nil {
		complete(c, token, s.denied(gateway.Read, d, err))
		return
	}
	if !b.spawn(func() { complete(c, token, b.unbind(b.watching, f)) }) {
		complete(c, token, errStopping)
	}
}
