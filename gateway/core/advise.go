package core

import (
	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/advising"
	"github.com/sluice-mq/sluice/gateway/advisory"
	"github.com/sluice-mq/sluice/gateway/dispatch"
)

// client is the session as advisories show it.
func (s *session) client() *advisory.Client {
	return &advisory.Client{Connection: s.id, ClientID: s.login.ClientID, User: s.who().Name, Remote: s.login.From()}
}

// adviseConnected tells that the session is open, if somebody listened when it was added to the open ones.
func (s *session) adviseConnected() {
	if !s.untold.Load() {
		return
	}
	a := s.broker.advisor
	a.Tell(advising.Advice{
		Topic: advisory.Topic(advisory.Connection, gateway.Destination{}),
		Make:  func(int) *gateway.Message { return a.Origin.Connected(s.client()) },
		Over:  func() { s.untold.Store(false) },
	})
}

func (s *session) adviseDisconnected() {
	if a := s.broker.advisor; a.Heeds(advisory.Connection) {
		a.Tell(advising.Advice{
			Topic: advisory.Topic(advisory.Connection, gateway.Destination{}),
			Make:  func(int) *gateway.Message { return a.Origin.Disconnected(s.client()) },
		})
	}
}

// subscriber is a subscription as advisories show it.
func (s *session) subscriber(o *gateway.SubscribeOptions, number uint64, d gateway.Destination) *advisory.Subscriber {
	return &advisory.Subscriber{
		Connection: s.id, Number: number, Destination: d, STOMP: len(s.login.Protocol) > 5 && s.login.Protocol[:5] == "stomp", Selector: o.Selector,
		Subscription: o.Durable, Prefetch: o.Prefetch, Pending: o.Pending, Priority: o.Priority,
		Browser: o.Browse, NoLocal: o.NoLocal, Exclusive: o.Exclusive, Retroactive: o.Retroactive,
	}
}

// advised are the destinations of which others hear that the subscription is there: nobody hears who listens to advisories.
func (e *enrolled) advised() []gateway.Destination {
	all := e.options.Destinations()
	n := 0
	for _, d := range all {
		if d.Kind != gateway.KindTopic || !advisory.Reaches(d.Name) {
			all[n] = d
			n++
		}
	}
	return all[:n]
}

// count has the subscription count as a consumer. The session's lock is held.
func (e *enrolled) count() {
	a := e.session.broker.advisor
	a.Join(e.advised(), 1)
	e.unsaid.Store(a.Heeds(advisory.Consumer))
}

// adviseBegun tells that the subscription is there, if somebody listened when it was counted.
func (e *enrolled) adviseBegun() {
	if !e.unsaid.Load() {
		return
	}
	all := e.advised()
	if len(all) == 0 {
		e.unsaid.Store(false)
	}
	for i, d := range all {
		x := e.advice(d, e.session.broker.advisor.Origin.Subscribed)
		if i == len(all)-1 {
			x.Over = func() { e.unsaid.Store(false) }
		}
		e.session.broker.advisor.Tell(x)
	}
}

// adviseEnded tells that the subscription is gone, and uncounts it.
func (e *enrolled) adviseEnded() {
	a := e.session.broker.advisor
	all := e.advised()
	a.Join(all, -1)
	if !a.Heeds(advisory.Consumer) {
		return
	}
	for _, d := range all {
		a.Tell(e.advice(d, a.Origin.Unsubscribed))
	}
}

func (e *enrolled) advice(d gateway.Destination, say func(*advisory.Subscriber, int) *gateway.Message) advising.Advice {
	return advising.Advice{
		Topic: advisory.Topic(advisory.Consumer, d), Of: d, Counts: true, Consumers: e.session.broker.advisor.Count(d),
		Make: func(n int) *gateway.Message { return say(e.session.subscriber(&e.options, e.number, d), n) },
	}
}

// wantsUnread reports whether a message that goes without having been read is read all the same, because somebody listens.
func (s *shard) wantsUnread(d *pendingDeath) bool {
	return d.Entry.Message == nil && d.Cause == dispatch.Expired && s.broker.advisor.Heeds(advisory.Expired)
}

// adviseDeath tells that a message is dead, and whether it went to a dead-letter queue.
func (s *shard) adviseDeath(d *pendingDeath, kept bool) {
	a, m := s.broker.advisor, d.Entry.Message
	at, ok := gateway.Placed(d.q.name)
	if m == nil || !ok {
		return
	}
	if d.Cause == dispatch.Expired && a.Heeds(advisory.Expired) {
		a.About(advisory.Expired, at, m)
	}
	if kept && a.Heeds(advisory.Dead) {
		a.About(advisory.Dead, at, m)
	}
}

// adviseArrival tells that a message has come to a queue. The lock is held.
func (s *shard) adviseArrival(q *queue, m *gateway.Message) {
	if a := s.broker.advisor; a.Heeds(advisory.Delivered, advisory.NoConsumer) {
		if d, ok := gateway.Placed(q.name); ok && d.Kind == gateway.KindQueue {
			a.Arrived(&q.policy.Advisories, d, m, len(q.subscriptions) == 0)
		}
	}
}

// adviseMade tells that there is a queue now, but for what an owner only takes over. The lock is held.
func (s *shard) adviseMade(name string) {
	b := s.broker
	if !b.advisor.Heeds(advisory.Destination) || !seekable(name) || !b.ready.Load() || b.seats[s.index].here.Load() != s {
		return
	}
	if now := b.nowMillis(); s.epoch != 0 && max(now-s.since, s.since-now) < gatherMillis {
		return
	}
	b.advisor.Destination(gateway.Destination{Kind: gateway.KindQueue, Name: name}, "", false)
}

// adviseRemoved tells that a queue is gone. The lock is held.
func (s *shard) adviseRemoved(name string) {
	if s.broker.advisor.Heeds(advisory.Destination) && seekable(name) && !s.ended {
		s.broker.advisor.Destination(gateway.Destination{Kind: gateway.KindQueue, Name: name}, "", true)
	}
}

// adviseTopic tells that there is a topic now, or not any more.
func (h *hub) adviseTopic(name string, gone bool) {
	if h.broker.advisor.Heeds(advisory.Destination) && !isPattern(name) && !isTempPlace(name) {
		h.broker.advisor.Destination(gateway.Destination{Kind: gateway.KindTopic, Name: name}, "", gone)
	}
}

// adviseSent tells what becomes of a message to a topic.
func (h *hub) adviseSent(r *route, m *gateway.Message) {
	if m.Destination.Kind == gateway.KindTopic {
		a := &h.broker.policies.Load().Find(m.Destination).Advisories
		h.broker.advisor.Arrived(a, m.Destination, m, len(r.here)+len(r.away)+len(r.feeds) == 0)
	}
}

// adviseSlow tells, if the policy of the topic wants that, that the subscription does not keep up. The lock is held.
func (sub *topicSubscription) adviseSlow(m *gateway.Message) {
	b := sub.session.broker
	d := m.Destination
	if !b.advisor.Heeds(advisory.Slow) || sub.toldSlow || d.Kind != gateway.KindTopic || !b.policies.Load().Find(d).Advisories.Slow {
		return
	}
	sub.toldSlow = true
	b.advisor.Tell(advising.Advice{Topic: advisory.Topic(advisory.Slow, d), Make: func(int) *gateway.Message {
		return b.advisor.Origin.SlowConsumer(sub.session.subscriber(&sub.options, sub.number, sub.options.Destination), d)
	}})
}

// adviseDropped tells, if the policy of the topic wants that, that a message was dropped for the subscription. The lock is held.
func (sub *topicSubscription) adviseDropped(m *gateway.Message) {
	b := sub.session.broker
	d := m.Destination
	if !b.advisor.Heeds(advisory.Discarded) || d.Kind != gateway.KindTopic || advisory.Is(d.Name) || !b.policies.Load().Find(d).Advisories.Discarded {
		return
	}
	c, size, n := advising.Subject(m), m.Size(), sub.discarded
	b.advisor.Tell(advising.Advice{Topic: advisory.Topic(advisory.Discarded, d), Size: size - len(m.Body), Make: func(int) *gateway.Message {
		return b.advisor.Origin.DiscardedFor(sub.session.subscriber(&sub.options, sub.number, sub.options.Destination), c, size, n)
	}})
}

// adviseExpired tells that a message of a topic has expired.
func (b *Broker) adviseExpired(m *gateway.Message) {
	if b.advisor.Heeds(advisory.Expired) {
		b.advisor.About(advisory.Expired, m.Destination, m)
	}
}

// advisesConsumed reports whether it is told when a message to a destination is acknowledged.
func (b *Broker) advisesConsumed(d gateway.Destination) bool {
	return !d.Kind.IsTemp() && b.policies.Load().Find(d).Advisories.Consumed
}

// adviseConsumed tells which messages were acknowledged.
func (b *Broker) adviseConsumed(done []handed) {
	for i := range done {
		if m := done[i].subject; m != nil {
			d, size := m.Destination, done[i].size
			b.advisor.Tell(advising.Advice{Topic: advisory.Topic(advisory.Consumed, d), Size: m.Size(), Make: func(int) *gateway.Message {
				return b.advisor.Origin.About(advisory.Consumed, d, m, size)
			}})
		}
	}
}
