package core

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/advisory"
	"github.com/sluice-mq/sluice/gateway/completion"
	"github.com/sluice-mq/sluice/gateway/feed"
	"github.com/sluice-mq/sluice/gateway/selector"
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
	// feeds are the queues that topics feed.
	feeds     feed.Table
	selectors selector.Shared
	// retains: the policy keeps something of some topics for those who come later. landing is what is on its way there.
	retains atomic.Bool
	landing feed.Landing
	logbook logbook
	// flushes are under way, by number.
	flushes   map[uint64]*flushing
	lastFlush uint64
	// judgement counts the changes of what subscriptions may hear, and sent are topics that somebody sent to.
	judgement uint64
	sent      memory
	tallies   topicTallies

	// In a cluster: what this node told the others of its subscribers, the last one's name, and the nodes
	// that it has links to, by name.
	interests map[interestKey]*interest
	named     uint64
	peers     []*peer
	// announcing are those who wait until all nodes know of an interest.
	announcing completion.Line
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

// publish hands a message to every current subscriber, here and on other nodes, and to the queues that the topic feeds. The sender is told
// when it is there, and none of the subscribers is far behind any more, at the latest when their grace is over. from may be nil.
func (h *hub) publish(m *gateway.Message, from *session, w waiter) {
	if h.logs(m.Destination) {
		h.log([]*gateway.Message{m}, from, w)
		return
	}
	h.spreadOut(m, from, w)
}

// spreadOut is publish for a message that is in its topic's log, if there is one.
func (h *hub) spreadOut(m *gateway.Message, from *session, w waiter) {
	if h.retains.Load() {
		h.publishRetained(m, from, w)
		return
	}
	r := h.route(topicKey(m.Destination))
	r.sent(m)
	if len(r.feeds) > 0 {
		var ok bool
		if w, ok = h.keep(r, m, from, w); !ok {
			return
		}
	}
	h.show(r, m, from, w)
}

// show hands a message to every current subscriber.
func (h *hub) show(r *route, m *gateway.Message, from *session, w waiter) {
	if h.broker.expired(m) { // nobody is to see it
		h.broker.adviseExpired(m)
		complete(w.c, w.token, nil)
		return
	}
	if h.broker.advisor.Heeds(advisory.Delivered, advisory.NoConsumer) {
		h.adviseSent(r, m)
	}
	var v selector.Verdict
	given := 0
	for _, sub := range r.here {
		if sub.options.NoLocal && sub.session == from {
			continue
		}
		if sub.selector != nil && !v.Of(sub.selector, m) || sub.options.Match != nil && !sub.options.Match(m) {
			continue
		}
		given++
		if sub.offer(m, w, r.judgement) {
			w = w.hold() // one of those behind is enough: the next message asks again
		}
	}
	r.shown(given)
	for i := range r.away {
		if r.away[i].relay(m, w) {
			w = w.hold()
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
	known.Tell()
	h.mu.RLock()
	watched := make([]*topicSubscription, 0, len(h.watched))
	for sub := range h.watched {
		watched = append(watched, sub)
	}
	peers := slices.Clone(h.peers)
	h.mu.RUnlock()
	for _, p := range peers {
		p.LetGo(now)
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
	sub.ring.Lock()
	defer sub.ring.Unlock()
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
	r = &route{broker: h.broker, here: slices.Clone(h.exact[topic]), judgement: h.judgement, tally: h.tallies.of(topic)}
	patterns := h.patterns
	if isTempPlace(topic) {
		patterns = nil // nobody but its session hears it
	} else {
		r.feeds, r.retain = h.feeds.For(topic, h.broker.cfg.VirtualTopics), h.retains.Load() && !advisory.Is(topic) && h.broker.retention(topic).Any()
	}
	for _, sub := range patterns {
		if advisory.Matches(sub.options.Destination.Name, topic) && sub.mayHear(topic) {
			r.here = append(r.here, sub)
		}
	}
	together(r.here)
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
	name := topicKey(sub.options.Destination)
	if sub.heeds = true; !h.has(name) {
		h.adviseTopic(name, false)
	}
	h.broker.advisor.Listen(name, 1)
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
	name := topicKey(sub.options.Destination)
	if isPattern(name) {
		h.patterns = without(h.patterns, sub)
	} else if rest := without(h.exact[name], sub); len(rest) > 0 {
		h.exact[name] = rest
	} else {
		delete(h.exact, name)
	}
	h.forget(name)
	h.renounce(sub)
	if sub.heeds {
		sub.heeds = false
		h.broker.advisor.Listen(name, -1)
		if !h.has(name) {
			h.adviseTopic(name, true)
		}
	}
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

// together puts subscriptions with the same selector beside one another.
func together(subs []*topicSubscription) {
	if !slices.ContainsFunc(subs, func(s *topicSubscription) bool { return s.selector != nil }) {
		return
	}
	text := func(s *topicSubscription) string {
		if s.selector == nil {
			return ""
		}
		return s.selector.String()
	}
	slices.SortStableFunc(subs, func(a, b *topicSubscription) int { return strings.Compare(text(a), text(b)) })
}
