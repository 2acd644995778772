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
}

// matchesMost bounds the remembered topics.
const matchesMost = 16384

func (h *hub) init(b *Broker) {
	h.broker = b
	h.exact = make(map[string][]*topicSubscription)
	h.matches = make(map[string][]*topicSubscription)
}

// publish hands a message to every current subscriber.
func (h *hub) publish(m *gateway.Message, from *session) {
	for _, sub := range h.subscribers(m.Destination.Name) {
		if sub.options.NoLocal && sub.session == from {
			continue
		}
		if sub.options.Match != nil && !sub.options.Match(m) {
			continue
		}
		sub.offer(m)
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
