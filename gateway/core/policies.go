package core

import (
	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/policy"
)

// policies are the table and what it makes worth looking for.
type policies struct {
	*policy.Table
	// forwards: some destination's messages go to others as well.
	forwards bool
	// lives: messages of some have a bounded life; limits: some queues have a bounded depth.
	lives, limits bool
	// prefetches: some say how many deliveries a subscription may have.
	prefetches bool
	// pends: some say how many messages may wait beyond that.
	pends bool
}

// SetPolicies has destinations behave by another table from now on; nil is none. It may be called while running.
func (b *Broker) SetPolicies(t *policy.Table) {
	b.policies.Store(&policies{
		Table:    t,
		forwards: t.Any(func(p *policy.Policy) bool { return len(p.ForwardTo) > 0 }),
		lives:    t.Any(func(p *policy.Policy) bool { return p.DefaultTTL > 0 || p.MaximumTTL > 0 }),
		limits:   t.Any(func(p *policy.Policy) bool { return p.Limits.Messages > 0 || p.Limits.Bytes > 0 }),

		pends:      t.Any(func(p *policy.Policy) bool { return p.Pending > 0 }),
		prefetches: t.Any(func(p *policy.Policy) bool { return p.Prefetch > 0 }),
	})
	b.topics.retains.Store(t.Any(func(p *policy.Policy) bool { return p.Retain.Any() }))
	b.topics.mu.Lock()
	clear(b.topics.routes)
	b.topics.mu.Unlock()
	for _, s := range b.owned() {
		s.retainAnew()
		s.mu.Lock()
		s.behaveAnew()
		s.release()
	}
}

// forwarded is the policy of a destination whose messages go to others as well, nil for others.
func (b *Broker) forwarded(d gateway.Destination) *policy.Policy {
	p := b.policies.Load()
	if !p.forwards {
		return nil
	}
	if found := p.Find(d); len(found.ForwardTo) > 0 {
		return found
	}
	return nil
}

// retention is what is kept of a topic for those who come later.
func (b *Broker) retention(topic string) *policy.Retain {
	return &b.policies.Load().Find(gateway.Destination{Kind: gateway.KindTopic, Name: topic}).Retain
}

// usualPrefetch has a policy say how many deliveries a subscription may have outstanding, and how many may wait beyond that, whose client did not. Of several destinations the first counts for which
// some policy says it. Browsers have their own: they hold nothing up.
func (b *Broker) usualPrefetch(o *gateway.SubscribeOptions) {
	p := b.policies.Load()
	if o.Pending == 0 && p.pends && o.Destination.Kind == gateway.KindTopic {
		o.Pending = p.Find(o.Destination).Pending
	}
	if !o.PrefetchUnset || o.Browse || !p.prefetches {
		return
	}
	for _, d := range o.Destinations() {
		if n := p.Find(d).Prefetch; n > 0 {
			o.Prefetch = n
			return
		}
	}
}
