package core

import (
	"strings"
	"time"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/policy"
)

const (
	// flushWithin is how long a subscription waits for what is on its way to where it is kept.
	flushWithin = 2 * time.Second
	// recallWithin is how long it tries to get what is kept.
	recallWithin = 20 * time.Second
	// seenFor is how long it remembers what it got so: by then none of that comes as a new message any more.
	seenFor = 10 * time.Second
)

// recall is a subscription's way to what is kept of its topics. What is new waits meanwhile.
type recall struct {
	early []*gateway.Message
	bytes int
	room  chan struct{} // there may be room for more
	gone  chan struct{} // the subscription is closed
	// elsewhere: its client had one like it on another node before, which got what is kept.
	elsewhere bool
}

// recalls reports whether a subscription gets what is kept.
func (sub *topicSubscription) recalls() bool {
	b, o := sub.session.broker, &sub.options
	switch {
	case !b.topics.retains.Load() || o.Prefetch <= 0 || o.Destination.Kind != gateway.KindTopic:
		return false
	case o.Retroactive:
		return true
	case o.Destination.IsPattern():
		return b.policies.Load().Any(func(p *policy.Policy) bool { return p.Retain.Always })
	}
	return b.retention(o.Destination.Name).Always
}

// more says that there may be room.
func (r *recall) more() {
	select {
	case r.room <- struct{}{}:
	default:
	}
}

// isEarly takes a new message whose turn has not come, or that came before as one that was kept. The ring's lock is held.
func (sub *topicSubscription) isEarly(m *gateway.Message) bool {
	if sub.recall != nil {
		sub.hold(m)
		return true
	}
	_, twice := sub.seen[m.ID]
	return twice
}

// hold keeps a new message until all that is kept has come. The ring's lock is held.
func (sub *topicSubscription) hold(m *gateway.Message) {
	r, cfg := sub.recall, &sub.session.broker.cfg
	r.early, r.bytes = append(r.early, m), r.bytes+m.Size()
	for len(r.early) > cfg.TopicMessages || len(r.early) > 1 && r.bytes > cfg.TopicBytes {
		r.bytes -= r.early[0].Size()
		r.early = r.early[1:]
		sub.dropped++
		sub.session.broker.counts.slowDropped.Add(1)
	}
}

// remember gets what is kept, and then lets what is new come.
func (sub *topicSubscription) remember(r *recall) {
	b := sub.session.broker
	seen := make(map[string]struct{})
	if !r.elsewhere {
		b.topics.flush(r.gone)
		sub.recallAll(r, seen)
	}
	sub.ring.Lock()
	wake := false
	for _, m := range r.early {
		if _, twice := seen[m.ID]; !twice && !sub.closed.Load() {
			sub.tag++
			wake = sub.ring.Push(gateway.Delivery{Message: m, Tag: sub.tag}) || wake
		}
	}
	sub.recall, sub.seen = nil, seen
	sub.ring.Unlock()
	if wake {
		sub.ring.Wake()
	}
	late := time.NewTimer(seenFor)
	defer late.Stop()
	select {
	case <-late.C:
	case <-r.gone:
	case <-b.watching.Done():
	}
	sub.ring.Lock()
	sub.seen = nil
	sub.ring.Unlock()
}

// recallAll gets what is kept in all shards.
func (sub *topicSubscription) recallAll(r *recall, seen map[string]struct{}) {
	b, place := sub.session.broker, gateway.RetainedPlace(sub.options.Destination.Name)
	shards := []int{gateway.ShardOf(place, len(b.seats))}
	if sub.options.Destination.IsPattern() {
		shards = shards[:0]
		for i := range b.seats {
			shards = append(shards, i)
		}
	}
	for _, i := range shards {
		if !sub.recallOf(i, place, r, seen) {
			return
		}
	}
}

// recallOf gets what is kept in one of them. It reports false if there is nobody to get it any more.
func (sub *topicSubscription) recallOf(shard int, place string, r *recall, seen map[string]struct{}) bool {
	b := sub.session.broker
	f := &gateway.Frame{Queue: place}
	for deadline := time.Now().Add(recallWithin); ; {
		page, err := b.browse(shard, f, r.gone)
		if err != nil {
			f.Tag, f.Seq = 0, 0 // another owner has other tags; what was seen is recognised
			if time.Now().After(deadline) {
				b.cfg.Logger.Warn("what is kept of a topic could not be got", "destination", sub.options.Destination.String(), "shard", shard, "error", err)
				return true
			}
			if !sub.pauseRecall(r) {
				return false
			}
			continue
		}
		for _, m := range page.Messages {
			if _, twice := seen[m.ID]; !twice && !sub.recalled(m, r) {
				return false
			}
			seen[m.ID] = struct{}{}
		}
		if page.Tag == 0 {
			return true
		}
		f.Tag, f.Seq, f.Group = page.Tag, page.Seq, page.Queue
		deadline = time.Now().Add(recallWithin)
	}
}

// pauseRecall waits before it is tried again.
func (sub *topicSubscription) pauseRecall(r *recall) bool {
	pause := time.NewTimer(50 * time.Millisecond)
	defer pause.Stop()
	select {
	case <-pause.C:
		return true
	case <-r.gone:
	case <-sub.session.broker.watching.Done():
	}
	return false
}

// recalled delivers a message that was kept, when there is room for it. It reports false if the subscription is closed.
func (sub *topicSubscription) recalled(m *gateway.Message, r *recall) bool {
	b, o := sub.session.broker, &sub.options
	switch {
	case m.Expires != 0 && m.Expires <= b.nowMillis():
		return true
	case !o.Retroactive && !b.retention(m.Destination.Name).Always:
		return true
	case o.NoLocal && strings.HasPrefix(m.ID, sub.session.ids):
		return true
	case sub.selector != nil && !sub.selector.MatchMessage(m, 0) || o.Match != nil && !o.Match(m):
		return true
	}
	for {
		sub.ring.Lock()
		if sub.closed.Load() {
			sub.ring.Unlock()
			return false
		}
		if !sub.mayHear(m.Destination.Name) {
			sub.ring.Unlock()
			return true
		}
		if sub.ring.Len() == 0 || !sub.behind(1) {
			sub.tag++
			sub.ring.Hand(gateway.Delivery{Message: m, Tag: sub.tag})
			return true
		}
		sub.ring.Unlock()
		if !b.awaitRoom(r.room, r.gone) {
			return false
		}
	}
}

// elsewhere reports whether the client of a subscription that is not open yet has one like it on another node. Of two that open at the same moment
// neither knows of the other, so that none goes without.
func (h *hub) elsewhere(sub *topicSubscription) bool {
	if !sub.far {
		return false
	}
	group := sub.session.group(&sub.options)
	if group == "" {
		return false
	}
	h.mu.RLock()
	defer h.mu.RUnlock()
	for _, p := range h.peers {
		for _, in := range p.interests {
			if in.group == group {
				return true
			}
		}
	}
	return false
}

// flushing waits for nodes to say that all is where it is kept.
type flushing struct {
	left map[string]struct{} // nodes; the empty name is this one
	done chan struct{}
}

// flush waits until all that was sent to topics before, on any linked node, is where it is kept.
func (h *hub) flush(gone <-chan struct{}) {
	f := &flushing{left: map[string]struct{}{"": {}}, done: make(chan struct{})}
	h.mu.Lock()
	h.lastFlush++
	number := h.lastFlush
	if h.flushes == nil {
		h.flushes = make(map[uint64]*flushing)
	}
	h.flushes[number] = f
	for _, p := range h.peers {
		f.left[p.node] = struct{}{}
		h.broker.cfg.Cluster.Send(p.node, &gateway.Frame{Kind: gateway.FrameFlush, Number: number})
	}
	h.mu.Unlock()
	h.landing.Wait(func() { h.flushed("", number) })
	late := time.NewTimer(flushWithin)
	defer late.Stop()
	select {
	case <-f.done:
	case <-gone:
	case <-late.C:
	case <-h.broker.watching.Done():
	}
	h.mu.Lock()
	delete(h.flushes, number)
	h.mu.Unlock()
}

// flushFor tells another node when all that was sent here is where it is kept.
func (h *hub) flushFor(node string, number uint64) {
	h.landing.Wait(func() {
		h.broker.cfg.Cluster.Send(node, &gateway.Frame{Kind: gateway.FrameFlushed, Number: number})
	})
}

// flushed notes that a node has said so.
func (h *hub) flushed(node string, number uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if f := h.flushes[number]; f != nil {
		f.heard(node)
	}
}

// heard counts a node as one that has said it, or never will. The hub's lock is held.
func (f *flushing) heard(node string) {
	if _, waits := f.left[node]; !waits {
		return
	}
	delete(f.left, node)
	if len(f.left) == 0 {
		close(f.done)
	}
}
