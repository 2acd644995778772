package core

import (
	"slices"
	"sync"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/advising"
	"github.com/sluice-mq/sluice/gateway/advisory"
	"github.com/sluice-mq/sluice/gateway/selector"
)

// overheard is what a subscription hears while it waits to be told what there is: what is among that is not told once more.
type overheard struct {
	waits  int
	bodies map[string]struct{}
}

// recites reports whether a subscription is told what there is.
func (sub *topicSubscription) recites() bool {
	d := &sub.options.Destination
	return d.Kind == gateway.KindTopic && advisory.Kinds(d.Name).Has(advisory.Connection, advisory.Consumer, advisory.Destination)
}

// overhear begins to remember what the subscription hears, for one of those that will tell it what there is, and stopOverhearing ends it.
func (sub *topicSubscription) overhear() {
	sub.ring.Lock()
	defer sub.ring.Unlock()
	if sub.overheard == nil {
		sub.overheard = &overheard{bodies: make(map[string]struct{})}
	}
	sub.overheard.waits++
}

func (sub *topicSubscription) stopOverhearing() {
	sub.ring.Lock()
	defer sub.ring.Unlock()
	if sub.overheard.waits--; sub.overheard.waits == 0 {
		sub.overheard = nil
	}
}

// isNew remembers an advisory and reports whether it was not heard before.
func (o *overheard) isNew(m *gateway.Message) bool {
	body := string(m.Body)
	if _, has := o.bodies[body]; has {
		return false
	}
	if advisory.Is(m.Destination.Name) && len(o.bodies) < 4*advising.RosterMost {
		o.bodies[body] = struct{}{}
	}
	return true
}

// recital tells a subscription to advisories what there is already: here, and on each node once for each link to it.
type recital struct {
	sub *topicSubscription
	// asked are the nodes, by their links. Guarded by the hub's lock.
	asked map[string]*peer

	mu sync.Mutex
	// seen are the destinations of which it has told.
	seen map[gateway.Destination]struct{}
}

// adviseKnown has a subscription to advisories hear of what there is already, on all nodes. It is on its routes by now, and hears of what
// comes later; in a cluster the other nodes know of it before they are asked.
func (sub *topicSubscription) adviseKnown() {
	b, pattern := sub.session.broker, sub.options.Destination.Name
	if !sub.recites() {
		return
	}
	r := &recital{sub: sub, seen: make(map[gateway.Destination]struct{}), asked: make(map[string]*peer)}
	// It is looked at in its turn: what was on its way before, and passed this subscription by, has been told by then, and what comes later is told to it as well.
	b.advisor.Tell(advising.Advice{
		Instead: func() {
			all := b.counted(b.watching, b.known(pattern))
			r.tell(&all)
		},
		Over: sub.stopOverhearing,
	})
	if b.guests == nil || !sub.far {
		return
	}
	h := &b.topics
	h.mu.Lock()
	sub.recital = r
	peers := slices.Clone(h.peers)
	h.mu.Unlock()
	for _, p := range peers {
		if b.guests.linked(p.node) { // else it is asked when it is
			r.ask(p.node)
		}
	}
}

// adviseLinked asks a node, to which there is a new link, for all who listen to advisories.
func (h *hub) adviseLinked(node string) {
	var all []*recital
	add := func(sub *topicSubscription) {
		if sub.recital != nil {
			all = append(all, sub.recital)
		}
	}
	h.mu.RLock()
	for name, subs := range h.exact {
		if advisory.Is(name) {
			for _, sub := range subs {
				add(sub)
			}
		}
	}
	for _, sub := range h.patterns {
		add(sub)
	}
	h.mu.RUnlock()
	for _, r := range all {
		r.ask(node)
	}
}

// ask asks a node what there is, unless it was asked since there is the link to it.
func (r *recital) ask(node string) {
	b := r.sub.session.broker
	h := &b.topics
	h.mu.Lock()
	at, linked := h.peer(node)
	if !linked || r.asked[node] == h.peers[at] {
		h.mu.Unlock()
		return
	}
	r.asked[node] = h.peers[at]
	h.mu.Unlock()
	r.sub.overhear()
	b.inspections.ask(b, node, &gateway.Frame{Queue: asksKnown + r.sub.options.Destination.Name}, func(f *gateway.Frame) {
		var all advising.Roster
		if understand(f, &all) {
			r.tell(&all)
		}
		r.sub.stopOverhearing()
	})
}

// tell tells the subscription of what is on a node.
func (r *recital) tell(all *advising.Roster) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.seen) > 4*advising.RosterMost {
		clear(r.seen)
	}
	for _, m := range all.Messages(r.seen) {
		r.sub.hear(m)
	}
}

// hear gives an advisory to this subscription alone.
func (sub *topicSubscription) hear(m *gateway.Message) {
	sub.session.broker.advisor.Stamp(m)
	var v selector.Verdict
	if !advisory.Matches(sub.options.Destination.Name, m.Destination.Name) || !sub.mayHear(m.Destination.Name) ||
		sub.selector != nil && !v.Of(sub.selector, m) || sub.options.Match != nil && !sub.options.Match(m) {
		return
	}
	sub.ring.Lock()
	isNew := sub.overheard == nil || sub.overheard.isNew(m)
	sub.ring.Unlock()
	if isNew {
		sub.offer(m, waiter{}, 0)
	}
}
