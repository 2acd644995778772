package core

import (
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
	// matches remembers who gets the messages of a topic. The lists are never
	// changed, only replaced.
	matches map[string][]*topicSubscription
	// watched subscriptions keep senders waiting.
	watched map[*topicSubscription]struct{}
}

// matchesMost bounds the remembered topics.
const matchesMost = 16384

func (h *hub) init(b *Broker) {
	h.broker = b
	h.exact = make(map[string][]*topicSubscription)
	h.matches = make(map[string][]*topicSubscription)
	h.watched = make(map[*topicSubscription]struct{})
}

// publish hands a message to every current subscriber. The sender is told when
// none of them is far behind any more, at the latest when their grace is over.
func (h *hub) publish(m *gateway.Message, from *session, w waiter) {
	for _, sub := range h.subscribers(m.Destination.Name) {
		if sub.options.NoLocal && sub.session == from {
			continue
		}
		if sub.options.Match != nil && !sub.options.Match(m) {
			continue
		}
		if sub.offer(m, w) {
			w = waiter{} // one of those behind is enough: the next message asks again
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
	h.mu.RLock()
	watched := make([]*topicSubscription, 0, len(h.watched))
	for sub := range h.watched {
		watched = append(watched, sub)
	}
	h.mu.RUnlock()
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

func (h *hub) subscribers(topic string) []*topicSubscription {
	h.mu.RLock()
	list, ok := h.matches[topic]
	h.mu.RUnlock()
	if ok {
		return list
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if list, ok = h.matches[topic]; ok {
		return list
	}
	list = append(list, h.exact[topic]...)
	for _, sub := range h.patterns {
		if matches(sub.options.Destination.Name, topic) {
			list = append(list, sub)
		}
	}
	if len(h.matches) >= matchesMost {
		clear(h.matches)
	}
	h.matches[topic] = list
	return list
}

func (h *hub) add(sub *topicSubscription) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if sub.closed.Load() { // with its session, before it was open
		return
	}
	if sub.options.Destination.IsPattern() {
		h.patterns = append(h.patterns, sub)
		clear(h.matches)
		return
	}
	name := sub.options.Destination.Name
	h.exact[name] = append(h.exact[name], sub)
	delete(h.matches, name)
}

func (h *hub) remove(sub *topicSubscription) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if sub.options.Destination.IsPattern() {
		h.patterns = without(h.patterns, sub)
		clear(h.matches)
		return
	}
	name := sub.options.Destination.Name
	if rest := without(h.exact[name], sub); len(rest) > 0 {
		h.exact[name] = rest
	} else {
		delete(h.exact, name)
	}
	delete(h.matches, name)
}

// without removes sub from a list that nobody else reads.
func without(list []*topicSubscription, sub *topicSubscription) []*topicSubscription {
	for i, other := range list {
		if other == sub {
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
