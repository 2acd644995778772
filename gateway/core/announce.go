package core

import (
	"slices"

	"github.com/sluice-mq/sluice/gateway"
)

// announceMillis is for how long a client waits until all nodes know of its subscription.
const announceMillis = 1000

// announcement waits until all linked nodes know of an interest.
type announcement struct {
	name  uint64
	since int64
	w     waiter
}

// Announced implements gateway.Announced.
func (sub *topicSubscription) Announced(c gateway.Completion, token uint64) {
	h := &sub.session.broker.topics
	h.mu.Lock()
	if sub.interest != nil {
		h.announcing = append(h.announcing, announcement{sub.interest.name, h.broker.nowMillis(), waiter{c, token}})
		c = nil
	}
	known := h.announced(h.broker.nowMillis())
	h.mu.Unlock()
	complete(c, token, nil)
	tell(known)
}

// isKnown notes that a node knows of an interest, and of all before it.
func (h *hub) isKnown(p *peer, name uint64) {
	h.mu.Lock()
	p.told = max(p.told, name)
	known := h.announced(h.broker.nowMillis())
	h.mu.Unlock()
	tell(known)
}

// announced takes those off the list whose interest is known everywhere, or who have waited long enough. The lock is held.
func (h *hub) announced(now int64) (known []waiter) {
	if len(h.announcing) == 0 {
		return nil
	}
	everywhere := h.named
	for _, p := range h.peers {
		everywhere = min(everywhere, p.told)
	}
	h.announcing = slices.DeleteFunc(h.announcing, func(a announcement) bool {
		over := a.name <= everywhere || max(now-a.since, a.since-now) > announceMillis // the clock may be set back
		if over {
			known = append(known, a.w)
		}
		return over
	})
	return known
}

// tell completes what was waited for.
func tell(known []waiter) {
	for _, w := range known {
		complete(w.c, w.token, nil)
	}
}
