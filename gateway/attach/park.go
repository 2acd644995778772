package attach

import (
	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/completion"
)

// parkedRefusal waits until it is known whether an owner adopts what is refused. Until then the client counts as having it.
type parkedRefusal struct {
	tags  []uint64
	c     gateway.Completion
	token uint64
}

// refuse refuses what the client has of the deliveries. The lock is held, and released. What an owner before this
// one handed out, and this one has not adopted, is where it was before: it is delivered again, and may be refused then.
func (sub *Subscription) refuse(tags []uint64, c gateway.Completion, token uint64) {
	all := completion.NewParts(1, c, token)
	kept := make(map[uint64]held)
	var there []uint64
	for _, tag := range tags {
		if h, has := sub.held[tag]; has && !h.parked && sub.there != "" && sub.isPresent(h) {
			h.parked = true // it may have to be refused once more
			kept[tag] = h
			there = append(there, tag)
		}
	}
	present, _, past, _ := sub.give(tags, false)
	for tag, h := range kept {
		sub.held[tag] = h
	}
	local, attachment := sub.local, sub.attachment
	f := &gateway.Frame{Kind: gateway.FrameNack, Tags: present, Epoch: sub.epoch, Subscription: sub.wire}
	sub.mu.Unlock()
	if len(there) > 0 {
		all.Add()
		sub.seat.Ask(f, nil, func(err error) { sub.refused(parkedRefusal{there, all, 0}, attachment, f.Epoch, err) })
	}
	if len(present) > 0 && local != nil {
		all.Add()
		local.Nack(present, all, 0)
	}
	if len(past) > 0 {
		all.Add()
		all.Done(ErrOwnerGone)
	}
	all.Done(nil)
}

// refused takes the owner's answer to a refusal. If it had none, because the owner is gone, the next one is asked.
func (sub *Subscription) refused(p parkedRefusal, attachment, epoch uint64, err error) {
	there := sub.seat.IsAt(epoch)
	sub.mu.Lock()
	if err != nil && !sub.closed && (sub.attachment != attachment || !there) {
		sub.parked = append(sub.parked, p)
		sub.mu.Unlock()
		sub.fence()
		return
	}
	sub.unmark(p.tags)
	sub.give(p.tags, false)
	sub.mu.Unlock()
	completion.Complete(p.c, p.token, err)
}

// park keeps a refusal if some of it may be adopted yet, and reports whether it did. The lock is held, and released if it did.
func (sub *Subscription) park(tags []uint64, c gateway.Completion, token uint64) bool {
	open := false
	for _, tag := range tags {
		h, has := sub.held[tag]
		if has && !h.parked && !sub.isPresent(h) && h.seq != 0 {
			open = open || sub.local == nil && sub.there == "" || sub.asked[h.seq] == tag
		}
	}
	if !open || sub.closed {
		return false
	}
	p := parkedRefusal{c: c, token: token}
	for _, tag := range tags {
		if h, has := sub.held[tag]; has && !h.parked {
			h.parked = true
			sub.held[tag] = h
			p.tags = append(p.tags, tag)
		}
	}
	sub.parked = append(sub.parked, p)
	sub.mu.Unlock()
	sub.fence()
	return true
}

// unmark makes parked deliveries ordinary ones. The lock is held.
func (sub *Subscription) unmark(tags []uint64) {
	for _, tag := range tags {
		if h, has := sub.held[tag]; has {
			h.parked = false
			sub.held[tag] = h
		}
	}
}

// fence carries out what is parked, if the owner has said, or as soon as it has, what it adopts: what it is asked now it answers after that.
func (sub *Subscription) fence() {
	sub.mu.Lock()
	attachment, epoch, local, there := sub.attachment, sub.epoch, sub.local != nil, sub.there != ""
	f := &gateway.Frame{Kind: gateway.FrameAck, Epoch: epoch, Subscription: sub.wire}
	none := len(sub.parked) == 0
	sub.mu.Unlock()
	switch {
	case none:
	case local:
		sub.unpark(attachment)
	case there:
		sub.seat.Ask(f, nil, func(err error) {
			if err == nil || sub.seat.IsAt(epoch) { // else it is attached anew, and asks again
				sub.unpark(attachment)
			}
		})
	}
}

// unpark carries out what is parked, unless the owner has changed since.
func (sub *Subscription) unpark(attachment uint64) {
	sub.mu.Lock()
	if sub.attachment != attachment {
		sub.mu.Unlock()
		return
	}
	waiting := sub.parked
	sub.parked = nil
	for _, p := range waiting {
		sub.unmark(p.tags)
		for _, tag := range p.tags {
			if seq := sub.held[tag].seq; sub.asked[seq] == tag {
				delete(sub.asked, seq)
			}
		}
	}
	sub.mu.Unlock()
	for _, p := range waiting {
		sub.mu.Lock()
		sub.refuse(p.tags, p.c, p.token)
	}
}
