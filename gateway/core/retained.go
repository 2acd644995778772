package core

import (
	"time"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/completion"
	"github.com/sluice-mq/sluice/gateway/dispatch"
	"github.com/sluice-mq/sluice/gateway/policy"
)

// What is kept of a topic for those who come later is a queue without consumers, whose oldest messages go when there are more than the policy says.

// retainedTopic is the topic of which something is kept in a place.
func retainedTopic(place string) (topic string, ok bool) {
	d, _ := gateway.Placed(place)
	return d.Name, d.Kind == gateway.KindTopic
}

// retainedOf is what the policy keeps in a place, nil if that is not its business.
func (b *Broker) retainedOf(place string) *policy.Retain {
	if topic, ok := retainedTopic(place); ok {
		return b.retention(topic)
	}
	return nil
}

// until is when a message expires in its queue: earlier than it says where it is kept of a topic for a while.
func (b *Broker) until(place string, timestamp, expires int64) int64 {
	if !b.topics.retains.Load() {
		return expires
	}
	r := b.retainedOf(place)
	if r == nil || r.Age <= 0 {
		return expires
	}
	if aged := timestamp + max(r.Age, time.Millisecond).Milliseconds(); expires == 0 || aged < expires {
		return aged
	}
	return expires
}

// bound lets the oldest go of what is kept. The shard's lock is held.
func (s *shard) bound(q *queue) {
	r := q.retain
	if r == nil || r.All || r.Messages == 0 && r.Bytes == 0 {
		return
	}
	messages, bytes := q.Depth()
	if r.Messages > 0 && messages > r.Messages || r.Bytes > 0 && bytes > r.Bytes {
		q.CrowdOut(r.Messages, r.Bytes, s.broker.nowMillis(), &s.fx)
		s.effects(q)
	}
}

// retainAnew keeps by a new policy. What is not kept any more goes.
func (s *shard) retainAnew() {
	s.mu.Lock()
	for name, q := range s.queues {
		if q.retain == nil {
			continue
		}
		if q.retain = s.broker.retainedOf(name); !q.retain.Any() {
			q.Purge(&s.fx)
			s.effects(q)
			continue
		}
		s.bound(q)
	}
	s.release()
}

// leaves reports whether a dead message simply goes: what is kept of a topic was never anybody's.
func (q *queue) leaves(d *dispatch.Death) bool {
	return q.retain != nil && (d.Cause == dispatch.Crowded || d.Cause == dispatch.Expired)
}

// publishRetained is publish where the policy keeps something of some topics for those who come later. Who comes while the message is on its way
// waits for it.
func (h *hub) publishRetained(m *gateway.Message, from *session, w waiter) {
	w = waiter{h.land(w.c), w.token}
	r := h.route(topicKey(m.Destination))
	r.sent(m)
	w, ok := h.keep(r, m, from, w)
	if ok {
		h.show(r, m, from, w)
	}
}

// land is a completion of somebody who sends to topics: what comes until then is on its way to where it is kept.
func (h *hub) land(c gateway.Completion) gateway.Completion {
	if !h.retains.Load() {
		return c
	}
	return &landingDone{h, h.landing.Begin(), c}
}

type landingDone struct {
	hub        *hub
	generation uint64
	c          gateway.Completion
}

// Hold implements gateway.Holder.
func (l *landingDone) Hold(token uint64) { hold(l.c, token) }

// Complete implements gateway.Completion.
func (l *landingDone) Complete(token uint64, err error) {
	l.hub.landing.End(l.generation)
	complete(l.c, token, err)
}

// copies are what queues keep of a message.
func (r *route) copies(m *gateway.Message, from *session) (all []*gateway.Message) {
	client := ""
	if from != nil {
		client = from.login.ClientID
	}
	for i := range r.feeds {
		if f := &r.feeds[i]; f.Selects(m, client) {
			c := f.Copy(m)
			if c.Queue == "" {
				r.broker.live(c, c.Destination)
			}
			all = append(all, c)
		}
	}
	if r.retain {
		c := m.Copy()
		c.Also, c.Queue = nil, gateway.RetainedPlace(m.Destination.Name)
		all = append(all, c)
	}
	return all
}

// keep has the queues keep a message that the topic feeds. What is left for the sender to wait for is told by the waiter that it returns; not ok: the
// message is refused.
func (h *hub) keep(r *route, m *gateway.Message, from *session, w waiter) (rest waiter, ok bool) {
	b := h.broker
	copies := r.copies(m, from)
	if len(copies) == 0 {
		return w, true
	}
	if m.Persistent && !b.cfg.Store.Space().Sends {
		complete(w.c, w.token, errNoSpace)
		return waiter{}, false
	}
	all := completion.NewParts(1+len(copies), w.c, w.token)
	if from != nil {
		sent := amount{len(copies), len(copies) * m.Size()}
		all.After = func() { from.underway.take(sent) }
		if from.underway.add(sent) {
			all.Hold(0)
		}
	}
	for _, c := range copies {
		b.counts.queueIn.Add(1)
		place := c.Place()
		b.seatOf(place).send(c, b.wayOf(from, place, true), all, 0)
	}
	return waiter{all, 0}, true
}

var errNoSpace = gateway.Errorf(gateway.NoSpace, "the store has no space left")
