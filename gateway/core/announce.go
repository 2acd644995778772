package core

import (
	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/completion"
)

// announceMillis is for how long a client waits until all nodes know of its subscription.
const announceMillis = 1000

// Announced implements gateway.Announced.
func (sub *topicSubscription) Announced(c gateway.Completion, token uint64) {
	h := &sub.session.broker.topics
	h.mu.Lock()
	if sub.interest != nil {
		h.announcing.Join(sub.interest.name, h.broker.nowMillis(), c, token)
		c = nil
	}
	known := h.announced(h.broker.nowMillis())
	h.mu.Unlock()
	complete(c, token, nil)
	known.Tell()
}

// isKnown notes that a node knows of an interest, and of all before it.
func (h *hub) isKnown(p *peer, name uint64) {
	h.mu.Lock()
	p.told = max(p.told, name)
	known := h.announced(h.broker.nowMillis())
	h.mu.Unlock()
	known.Tell()
}

// announced takes those off the list whose interest is known everywhere, or who have waited long enough. The lock is held.
func (h *hub) announced(now int64) completion.Served {
	if h.announcing.Empty() {
		return nil
	}
	everywhere := h.named
	for _, p := range h.peers {
		everywhere = min(everywhere, p.told)
	}
	return h.announcing.Leave(everywhere, now, announceMillis)
}
