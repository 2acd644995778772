package attach

import (
	"math"

	"github.com/sluice-mq/sluice/gateway"
)

// What a door gives back and no client has seen takes its old place, and its queue's order holds only if what the door gets next comes behind it.
// So everything that follows goes back with it: what waits for the door here, and, if the owner is another node, what that one sends before it
// hears of this. Until it has said that nothing of that is on its way any more, it hands out nothing.

// halt is more credit than a subscription has, and so little that it can be taken back and given again.
const halt = 1 << 29

// The client of a subscription may be gone while what it did has no answer, because the owner of the queue is not to be reached, say. The
// subscription stays until it has, and might be given messages meanwhile that nobody takes: they would come back when
// it is closed, behind later ones that others have had. So it retires first.

// noCredit is more than any subscription has.
const noCredit = -math.MaxInt32

// Release implements gateway.Subscription. What no owner has adopted yet comes back from it then, or waits there already.
func (sub *Subscription) Release(tags []uint64, r gateway.Return) error {
	sub.mu.Lock()
	present, _, _, err := sub.give(tags, true)
	local, stand := sub.local, func() {}
	if err == nil && local == nil && len(present) > 0 {
		f := &gateway.Frame{Kind: gateway.FrameGiveBack, Tags: present, Delay: r.Delay.Milliseconds()}
		if r.Redelivered {
			f.Count = 1
		}
		if r.Untouched() {
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
func (sub *Subscription) halt() (stand func()) {
	if sub.halted {
		return func() {}
	}
	sub.halted = true
	sub.send(&gateway.Frame{Kind: gateway.FrameExtend, Count: -halt})
	attachment := sub.attachment
	f := &gateway.Frame{Kind: gateway.FrameAck, Epoch: sub.epoch, Subscription: sub.wire}
	return func() {
		sub.seat.Ask(f, nil, func(error) { sub.resume(attachment) }) // an error is of an owner that it leaves
	}
}

// resume gives the owner there the credit back, unless it has changed since.
func (sub *Subscription) resume(attachment uint64) {
	sub.mu.Lock()
	defer sub.mu.Unlock()
	if sub.attachment == attachment && sub.halted {
		sub.halted = false
		sub.send(&gateway.Frame{Kind: gateway.FrameExtend, Count: halt})
	}
}

// giveBackUntaken gives the owner there back what came and nobody may take. The lock is held.
func (sub *Subscription) giveBackUntaken() {
	if untaken := sub.untaken(); len(untaken) > 0 && sub.there != "" {
		sub.send(&gateway.Frame{Kind: gateway.FrameGiveBack, Tags: untaken})
		sub.report(1)
	}
}

// untaken empties the ring. The lock is held.
func (sub *Subscription) untaken() []uint64 {
	sub.ring.Lock()
	defer sub.ring.Unlock()
	tags, bytes := sub.ring.Empty()
	sub.unreported += bytes
	return tags
}

// report tells the owner there what was taken since it was told last, if it is so much. The lock is held.
func (sub *Subscription) report(least int) {
	if sub.unreported >= least {
		sub.send(&gateway.Frame{Kind: gateway.FrameTaken, Count: int64(sub.unreported)})
		sub.unreported = 0
	}
}

// Retire implements gateway.Retirable.
func (sub *Subscription) Retire(tags []uint64) {
	sub.mu.Lock()
	defer sub.mu.Unlock()
	sub.retired = true
	sub.extendLocked(noCredit)
	present, _, _, _ := sub.give(tags, false) // the others wait in their queue, or come back to it
	if sub.local != nil {
		sub.local.Retire(present)
		return
	}
	if sub.there == "" {
		return
	}
	sub.giveBackUntaken()
	if len(present) > 0 {
		sub.send(&gateway.Frame{Kind: gateway.FrameGiveBack, Tags: present, Count: 1})
	}
}
