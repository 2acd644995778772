package core

import (
	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/advisory"
)

// guard keeps a subscription to a pattern of topics from messages that its principal may not read. Routes are found by it, so that messages cost
// nothing; those that were on an older route when rights changed are looked at one by one.
type guard struct{ rights gateway.Rights }

// newGuard is the guard that a subscription needs, nil if it may read all it can get.
func newGuard(rights gateway.Rights, d gateway.Destination) *guard {
	if d.Kind != gateway.KindTopic || !d.IsPattern() || rights.All(gateway.Read, d) && !advisory.Reaches(d.Name) {
		return nil
	}
	return &guard{rights}
}

// mayRead returns why a destination may not be read: who hears what becomes of messages to another one has to be allowed to read that as well.
func mayRead(rights gateway.Rights, d gateway.Destination) error {
	err := rights.May(gateway.Read, d)
	if about, shows := advisory.Subject(d.Name); err == nil && shows && d.Kind == gateway.KindTopic {
		err = rights.May(gateway.Read, about)
	}
	return err
}

// mayRead reports whether it lets somebody read a destination. Without a guard it does.
func (g *guard) mayRead(d gateway.Destination) bool {
	return g == nil || mayRead(g.rights, d) == nil
}

// mayHear reports whether the messages of a topic may be delivered to the subscription.
func (sub *topicSubscription) mayHear(topic string) bool {
	return sub.guard.Load().mayRead(gateway.Destination{Kind: gateway.KindTopic, Name: topic})
}

// judged is a subscription that gets another guard.
type judged struct {
	sub   *topicSubscription
	guard *guard
}

// rejudge has subscriptions hear by other rights. When it returns, nothing that they may not read waits for them or comes to them any more.
func (h *hub) rejudge(all []judged) {
	if len(all) == 0 {
		return
	}
	h.mu.Lock()
	for _, j := range all {
		j.sub.guard.Store(j.guard)
	}
	h.judgement++
	judgement := h.judgement
	clear(h.routes)
	h.mu.Unlock()
	for _, j := range all {
		j.sub.clean(judgement)
	}
}

// clean takes away what waits and may not be read, and has what comes on routes of an earlier judgement looked at.
func (sub *topicSubscription) clean(judgement uint64) {
	sub.ring.Lock()
	sub.judgement = judgement
	hungry := sub.ring.Hungry()
	for range sub.ring.Len() {
		if d := sub.ring.Pop(); sub.mayHear(d.Message.Destination.Name) {
			sub.ring.Push(d)
		}
	}
	sub.ring.SetHungry(hungry)
	release := len(sub.held) > 0 && !sub.behind(2)
	sub.ring.Unlock()
	if release {
		sub.letGo(sub.session.broker.nowMillis())
	}
}

// topicsRemembered bounds the topics that are known only because somebody sent to them.
const topicsRemembered = 16384

// memory holds names, the newest of them. It is the hub's, under its lock.
type memory struct {
	names map[string]struct{}
	order []string
	next  int
}

// add remembers a name, and returns the one that is forgotten for it, if there is one.
func (m *memory) add(name string) (gone string) {
	if _, has := m.names[name]; has {
		return ""
	}
	if m.names == nil {
		m.names = make(map[string]struct{})
	}
	m.names[name] = struct{}{}
	if len(m.order) < topicsRemembered {
		m.order = append(m.order, name)
		return ""
	}
	gone = m.order[m.next]
	delete(m.names, gone)
	m.order[m.next] = name
	m.next = (m.next + 1) % topicsRemembered
	return gone
}

// remember notes that somebody who may make topics sends to one.
func (h *hub) remember(name string) {
	h.mu.RLock()
	_, has := h.sent.names[name]
	h.mu.RUnlock()
	if has {
		return
	}
	h.mu.Lock()
	if !h.has(name) {
		h.adviseTopic(name, false)
	}
	h.sent.add(name)
	h.mu.Unlock()
}

// knows reports whether a topic exists: somebody subscribes to it by its name, on this or a linked node, or it was sent to on this node since
// the start by somebody who may make it, as far as that is remembered.
func (h *hub) knows(name string) bool {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.has(name)
}

// has is knows for who holds the lock.
func (h *hub) has(name string) bool {
	if _, has := h.sent.names[name]; has || len(h.exact[name]) > 0 {
		return true
	}
	for _, p := range h.peers {
		if len(p.exact[name]) > 0 {
			return true
		}
	}
	return false
}
