package core

import (
	"strings"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/advisory"
)

// originHeader says where a copy was sent, in ActiveMQ's words. It is a header of what is copied to another destination, unless its sender has set one.
const originHeader = "original-destination"

// withOrigin adds where a message was sent to the header of a copy. The header must not be shared.
func withOrigin(h gateway.Header, origin string) gateway.Header {
	if _, has := h.Get(originHeader); has {
		return h
	}
	return append(h, gateway.Field{Name: originHeader, Value: origin})
}

// originOf is how a destination stands in that header.
func originOf(d gateway.Destination) string { return "/" + d.Kind.String() + "/" + d.Name }

// fed is a queue that a topic feeds.
type fed struct {
	*feed
	queue string // of a virtual topic; empty: a durable subscription's
}

// copy is what the queue gets of a message.
func (f *fed) copy(m *gateway.Message) *gateway.Message {
	c := m.Copy()
	c.Also = nil
	if f.queue == "" {
		c.Queue = f.at
		return c
	}
	c.Header = withOrigin(c.Header, originOf(m.Destination))
	c.Destination = gateway.Destination{Kind: gateway.KindQueue, Name: f.queue}
	return c
}

// feedsOf are the queues that a topic feeds, each once. The lock is held.
func (h *hub) feedsOf(topic string) (all []fed) {
	if len(h.feeds) == 0 {
		return nil
	}
	var seen map[string]struct{}
	add := func(f *feed) {
		if f.at != "" {
			all = append(all, fed{f, ""})
			return
		}
		queue := f.Queue
		if isPattern(f.Topic) {
			queue = strings.TrimSuffix(queue, topicMark) + topic
		}
		if prefix, collected, ok := h.broker.collects(queue); !ok || collected != topic || prefix+topic != queue {
			return // the rules have changed since
		}
		if _, twice := seen[queue]; twice {
			return
		}
		if seen == nil {
			seen = make(map[string]struct{})
		}
		seen[queue] = struct{}{}
		all = append(all, fed{f, queue})
	}
	for _, f := range h.fed[topic] {
		add(f)
	}
	for _, f := range h.fedPatterns {
		if advisory.Matches(f.Topic, topic) {
			add(f)
		}
	}
	return all
}

// copies are what queues keep of a message.
func (r *route) copies(m *gateway.Message, from *session) (all []*gateway.Message) {
	for i := range r.feeds {
		if f := &r.feeds[i]; f.selects(m, from) {
			c := f.copy(m)
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
	all := &parts{left: 1 + len(copies), c: w.c, token: w.token}
	if from != nil {
		all.from, all.copies = from, amount{len(copies), len(copies) * m.Size()}
		if from.underway.add(all.copies) {
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
