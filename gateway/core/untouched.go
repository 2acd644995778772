package core

import (
	"slices"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/dispatch"
)

// What a door gives back and no client has seen takes its old place, and its queue's order holds only if what the door gets next comes behind it.
// So everything that follows goes back with it: what waits for the door here, and, if the owner is another node, what that one sends before it
// hears of this. Until it has said that nothing of that is on its way any more, it hands out nothing.

// halt is more credit than a subscription has, and so little that it can be taken back and given again.
const halt = 1 << 29

// isUntouched reports whether no client has seen what is given back.
func isUntouched(r gateway.Return) bool { return !r.Redelivered && r.Delay == 0 }

// Release implements gateway.Subscription.
func (sub *queueSubscription) Release(tags []uint64, r gateway.Return) (err error) {
	sub.shard.on(sub.queue, func(q *queue, fx *dispatch.Effects) {
		if isUntouched(r) {
			err = sub.takeBack(q, tags, fx)
			return
		}
		err = q.Release(sub.id, tags, r, sub.session.broker.nowMillis(), fx)
	})
	return err
}

// takeBack puts what is given back untouched, and what waits in the ring, into their old places. The shard's lock is held.
func (sub *queueSubscription) takeBack(q *queue, tags []uint64, fx *dispatch.Effects) error {
	now := sub.session.broker.nowMillis()
	sub.ring.Lock()
	defer sub.ring.Unlock()
	if err := q.Release(sub.id, append(slices.Clone(tags), sub.ring.Tags()...), gateway.Return{}, now, fx); err != nil {
		return err
	}
	if _, bytes := sub.ring.Empty(); bytes > 0 {
		q.Taken(sub.id, int64(bytes), now, fx)
	}
	return nil
}

// standstill takes back what waits for its node, and answers behind all that it has been sent. Who asks for it has taken its credit back before.
func (sub *guestSubscription) standstill(answer func()) {
	sub.sending.Lock()
	defer sub.sending.Unlock()
	sub.shard.on(sub.queue, func(q *queue, fx *dispatch.Effects) {
		_ = sub.takeBack(q, nil, fx) // what is in the ring is in flight here, unless the subscription is closed
	})
	answer()
}

// Release implements gateway.Subscription. What no owner has adopted yet comes back from it then, or waits there already.
func (sub *clusterSubscription) Release(tags []uint64, r gateway.Return) error {
	sub.mu.Lock()
	present, _, _, err := sub.give(tags, true)
	local, stand := sub.local, func() {}
	if err == nil && local == nil && len(present) > 0 {
		f := &gateway.Frame{Kind: gateway.FrameGiveBack, Tags: present, Delay: r.Delay.Milliseconds()}
		if r.Redelivered {
			f.Count = 1
		}
		if isUntouched(r) {
			stand = sub.halt()
			f.Tags = append(f.Tags, sub.untaken()...)
			sub.report(1)
		}
		sub.send(f)
	}
	sub.mu.Unlock()
	stand()
	if err == nil && local != nil && len(present) > 0 {
		_ = local.Release(present, r) // the same, if the owner changed in this moment
	}
	return err
}

// halt has the owner there hand out nothing more. What it returns asks when nothing is on its way any more, and is to be called without the
// lock, which is held.
func (sub *clusterSubscription) halt() (stand func()) {
	if sub.halted {
		return func() {}
	}
	sub.halted = true
	sub.send(&gateway.Frame{Kind: gateway.FrameExtend, Count: -halt})
	attachment := sub.attachment
	f := &gateway.Frame{Kind: gateway.FrameAck, Epoch: sub.epoch, Subscription: sub.wire}
	return func() {
		sub.seat.ask(f, nil, func(error) { sub.resume(attachment) }) // an error is of an owner that it leaves
	}
}

// resume gives the owner there the credit back, unless it has changed since.
func (sub *clusterSubscription) resume(attachment uint64) {
	sub.mu.Lock()
	defer sub.mu.Unlock()
	if sub.attachment == attachment && sub.halted {
		sub.halted = false
		sub.send(&gateway.Frame{Kind: gateway.FrameExtend, Count: halt})
	}
}

// giveBackUntaken gives the owner there back what came and nobody may take. The lock is held.
func (sub *clusterSubscription) giveBackUntaken() {
	if untaken := sub.untaken(); len(untaken) > 0 && sub.node != "" {
		sub.send(&gateway.Frame{Kind: gateway.FrameGiveBack, Tags: untaken})
		sub.report(1)
	}
}

// untaken empties the ring. The lock is held.
func (sub *clusterSubscription) untaken() []uint64 {
	sub.ring.Lock()
	defer sub.ring.Unlock()
	tags, bytes := sub.ring.Empty()
	sub.unreported += bytes
	return tags
}

// report tells the owner there what was taken since it was told last, if it is so much. The lock is held.
func (sub *clusterSubscription) report(least int) {
	if sub.unreported >= least {
		sub.send(&gateway.Frame{Kind: gateway.FrameTaken, Count: int64(sub.unreported)})
		sub.unreported = 0
	}
}
