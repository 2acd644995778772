package core

import (
	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/dispatch"
	"github.com/sluice-mq/sluice/gateway/policy"
	"github.com/sluice-mq/sluice/gateway/ring"
)

// policyOf is how the queue in a place behaves, never nil. A durable subscription's behaves as its topic does; what is kept of topics, and what is the
// broker's own, behaves as nobody said.
func (b *Broker) policyOf(place string) *policy.Policy {
	d, ok := gateway.Placed(place)
	table := b.policies.Load().Table
	switch {
	case !ok || d.Kind == gateway.KindTopic:
		return (*policy.Table)(nil).Find(d)
	case d.Kind == gateway.KindSubscription && table.Index(d) < 0:
		f := b.topics.boundTo(place)
		if f == nil {
			return (*policy.Table)(nil).Find(d)
		}
		d = gateway.Destination{Kind: gateway.KindTopic, Name: f.Topic}
	}
	return table.Find(d)
}

// configOf is a policy as the brain of a queue has it.
func configOf(p *policy.Policy) dispatch.Config {
	return dispatch.Config{
		WindowMessages: windowMessages, WindowBytes: windowBytes, SubscriptionBytes: ring.MostBytes,
		Priorities: p.Priorities, Exclusive: p.Exclusive, Redelivery: p.Redelivery,
	}
}

// behave has a queue behave by another policy. The lock is held.
func (s *shard) behave(q *queue, p *policy.Policy) {
	if q.policy == p {
		return
	}
	q.policy = p
	q.Configure(configOf(p), s.broker.nowMillis(), &s.fx)
	s.effects(q)
	s.crowd(q)
}

// behaveAnew has all queues behave by the table that is in force. The lock is held.
func (s *shard) behaveAnew() {
	table := s.broker.policies.Load()
	if s.table == table {
		return
	}
	s.table = table
	for name, q := range s.queues {
		s.behave(q, s.broker.policyOf(name))
	}
}

// behaveBound has the queue of a durable subscription behave as its topic does, which may not have been known before. The lock is held.
func (s *shard) behaveBound(q *queue) {
	if d, _ := gateway.Placed(q.name); d.Kind == gateway.KindSubscription {
		s.behave(q, s.broker.policyOf(q.name))
	}
}
