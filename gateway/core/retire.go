package core

import (
	"math"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/dispatch"
)

// The client of a subscription may be gone while what it did has no answer, because the owner of the queue is not to be reached, say. The
// subscription stays until it has, and might be given messages meanwhile that nobody takes: they would come back when
// it is closed, behind later ones that others have had. So it retires first.

// noCredit is more than any subscription has.
const noCredit = -math.MaxInt32

// Retire implements gateway.Retirable.
func (sub *queueSubscription) Retire(tags []uint64) {
	sub.shard.on(sub.queue, func(q *queue, fx *dispatch.Effects) {
		now := sub.session.broker.nowMillis()
		q.Extend(sub.id, noCredit, now, fx)
		_ = sub.takeBack(q, nil, fx) // what is in the ring is in flight here
		for i := range tags {
			_ = q.Release(sub.id, tags[i:i+1], gateway.Return{Redelivered: true}, now, fx) // but for those that are not here any more
		}
	})
}

// Retire implements gateway.Retirable.
func (sub *clusterSubscription) Retire(tags []uint64) {
	sub.mu.Lock()
	defer sub.mu.Unlock()
	sub.retired = true
	sub.extendLocked(noCredit)
	present, _, _, _ := sub.give(tags, false) // the others wait in their queue, or come back to it
	if sub.local != nil {
		sub.local.Retire(present)
		return
	}
	if sub.node == "" {
		return
	}
	sub.giveBackUntaken()
	if len(present) > 0 {
		sub.send(&gateway.Frame{Kind: gateway.FrameGiveBack, Tags: present, Count: 1})
	}
}

// Retire implements gateway.Retirable.
func (e *enrolled) Retire(tags []uint64) {
	r, ok := e.source.(gateway.Retirable)
	if !ok {
		return
	}
	done := e.settle(tags, false)
	r.Retire(tags)
	e.rid("", done)
}
