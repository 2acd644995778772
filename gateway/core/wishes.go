package core

import (
	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/dispatch"
)

// wish adds to options what another node said of them.
func wish(o *gateway.SubscribeOptions, c *gateway.Consumer) {
	if c != nil {
		o.Selector, o.Exclusive, o.Priority, o.Redelivery = c.Selector, c.Exclusive, c.Priority, c.Redelivery
	}
}

// consumer is how the queue sees a subscription.
func (sub *queueSubscription) consumer(prefetch int) dispatch.Consumer {
	o := &sub.options
	if sub.mute {
		prefetch = 0
	}
	return dispatch.Consumer{Prefetch: prefetch, Selector: sub.selector, Exclusive: o.Exclusive, Priority: o.Priority, Redelivery: o.Redelivery}
}

// choose takes the selector of a subscription. One that is not understood, which can only be of a node of another version, selects nothing.
func (sub *queueSubscription) choose() {
	selectors := &sub.session.broker.topics.selectors
	var err error
	if sub.selector, err = selectors.Take(sub.options.Selector); err != nil {
		sub.mute = true
		sub.session.broker.cfg.Logger.Error("a selector of another node is not understood, and selects nothing", "queue", sub.queue, "error", err)
	}
}

// unchoose is the end of choose.
func (sub *queueSubscription) unchoose() {
	sub.session.broker.topics.selectors.Leave(sub.selector)
}

// waitsToJoin reports whether a subscription joins its queue only when all others had the time to say what they have: of those that may have a queue to themselves
// the one comes first that has something of it. The lock is held.
func (sub *queueSubscription) waitsToJoin(q *queue, had []dispatch.Had) bool {
	return !sub.shard.begun() && len(had) == 0 && (sub.options.Exclusive || q.policy.Exclusive)
}
