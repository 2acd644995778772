package core

import (
	"slices"
	"strings"
	"sync"

	"github.com/sluice-mq/sluice/gateway"
)

// hub knows who subscribes to which topic.
type hub struct {
	broker *Broker

	mu       sync.RWMutex
	exact    map[string][]*topicSubscription
	patterns []*topicSubscription
	// routes remembers who gets the messages of a topic.
	routes map[string]*route
	// watched subscriptions keep senders waiting.
	watched map[*topicSubscription]struct{}
	// judgement counts the changes of what subscriptions may hear, and sent are topics that somebody sent to.
	judgement uint64
	sent      memory

	// In a cluster: what this node told the others of its subscribers, the last one's name, and the nodes
	// that it has links to, by name.
	interests map[interestKey]*interest
	named     uint64
	peers     []*peer
	// announcing are those who wait until all nodes know of an interest.
	announcing []announcement
}

// routesMost bounds the remembered topics.
const routesMost = 16384

func (h *hub) init(b *Broker) {
	h.broker = b
	h.exact = make(map[string][]*topicSubscription)
	h.routes = make(map[string]*route)
	h.watched = make(map[*topicSubscription]struct{})
	h.interests = make(map[interestKey]*interest)
}

// publish hands a message to every current subscriber, here and on other nodes. The sender is told when
// none of them is far behind any more, at the latest when their grace is over.
func (h *hub) publish(m *gateway.Message, from *session, w waiter) {
	r := h.route(m.Destination.Name)
	for _, sub := range r.here {
		if sub.options.NoLocal && sub.session == from {
			continue
		}
		if sub.options.Match != nil && !sub.options.Match(m) {
			continue
		}
		if sub.offer(m, w, r.judgement) {
			w = waiter{} // one of those behind is enough: the next message asks again
		}
	}
	for i := range r.away {
		if r.away[i].relay(m, w) {
			w = waiter{}
		}
	}
	complete(w.c, w.token, nil)
}

// watch has the sweep look after a subscription that keeps senders waiting.
func (h *hub) watch(sub *topicSubscription) {
	h.mu.Lock()
	h.watched[sub] = struct{}{}
	h.mu.Unlock()
}

// sweep ends the grace of those that had it long enough.
func (h *hub) sweep(now int64) {
	h.mu.Lock()
	known := h.announced(now)
	h.mu.Unlock()
	tell(known)
	h.mu.RLock()
	watched := make([]*topicSubscription, 0, len(h.watched))
	for sub := range h.watched {
		watched = append(watched, sub)
	}
	peers := slices.Clone(h.peers)
	h.mu.RUnlock()
	for _, p := range peers {
		p.letGo(now)
	}
	for _, sub := range watched {
		if sub.letGo(now) {
			h.unwatch(sub)
		}
	}
}

// unwatch forgets a subscription that keeps nobody waiting, if that is still so.
func (h *hub) unwatch(sub *topicSubscription) {
	h.mu.Lock()
	defer h.mu.Unlock()
	sub.ring.mu.Lock()
	defer sub.ring.mu.Unlock()
	if len(sub.held) == 0 {
		delete(h.watched, sub)
	}
}

func (h *hub) route(topic string) *route {
	h.mu.RLock()
	r := h.routes[topic]
	h.mu.RUnlock()
	if r != nil {
		return r
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if r = h.routes[topic]; r != nil {
		return r
	}
	r = &route{here: slices.Clone(h.exact[topic]), judgement: h.judgement}
	for _, sub := range h.patterns {
		if matches(sub.options.Destination.Name, topic) && sub.mayHear(topic) {
			r.here = append(r.here, sub)
		}
	}
	if len(h.peers) > 0 {
		r.away = h.legs(topic, r.here)
	}
	if len(h.routes) >= routesMost {
		clear(h.routes)
	}
	h.routes[topic] = r
	return r
}

// forget has the routes to a topic, or to those of a pattern, found anew. The lock is held.
func (h *hub) forget(destination string) {
	if isPattern(destination) {
		clear(h.routes)
	} else {
		delete(h.routes, destination)
	}
}

func (h *hub) add(sub *topicSubscription) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if sub.closed.Load() { // with its session, before it was open
		return
	}
	h.announce(sub)
	name := sub.options.Destination.Name
	if isPattern(name) {
		h.patterns = append(h.patterns, sub)
	} else {
		h.exact[name] = append(h.exact[name], sub)
	}
	h.forget(name)
}

func (h *hub) remove(sub *topicSubscription) {
	h.mu.Lock()
	defer h.mu.Unlock()
	name := sub.options.Destination.Name
	if isPattern(name) {
		h.patterns = without(h.patterns, sub)
	} else if rest := without(h.exact[name], sub); len(rest) > 0 {
		h.exact[name] = rest
	} else {
		delete(h.exact, name)
	}
	h.forget(name)
	h.renounce(sub)
}

// without removes x from a list that nobody else reads.
func without[T any](list []*T, x *T) []*T {
	for i, other := range list {
		if other == x {
			copy(list[i:], list[i+1:])
			list[len(list)-1] = nil
			return list[:len(list)-1]
		}
	}
	return list
}

// matches reports whether a topic falls under a pattern. "*" stands for one
// token, ">" for the rest, which may be empty: a.> matches a, as in ActiveMQ.
// What follows a ">" is ignored.
func matches(pattern, topic string) bool {
	for {
		p, patternRest, morePattern := strings.Cut(pattern, ".")
		if p == ">" {
			return true
		}
		t, topicRest, moreTopic := strings.Cut(topic, ".")
		if p != "*" && p != t {
			return false
		}
		switch {
		case !moreTopic:
			return !morePattern || patternRest == ">" || strings.HasPrefix(patternRest, ">.")
		case !morePattern:
			return false
		}
		pattern, topic = patternRest, topicRest
	}
}
