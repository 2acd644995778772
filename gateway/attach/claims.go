package attach

import (
	"cmp"
	"slices"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/dispatch"
)

const (
	// AdoptMost is how many deliveries of a client one frame names at most.
	AdoptMost = 8192
	// AdoptAll is how many a node names for one subscription. What its client has beyond them comes again, marked.
	AdoptAll = 1 << 17
)

// When the owner changes, a client keeps what it has: its subscription claims it, and the new owner, which
// hands out nothing before it knows what clients have, adopts it. From then on it is as if that owner had handed it out.
// What it does not adopt (because it gave it to somebody else after waiting in vain, or because it is of a build that knows
// nothing of this) is of the past: acknowledgements settle it wherever it is, and everything else is for whoever has it next.

// isPresent reports whether the present owner handed it out or adopted it. The lock is held.
func (sub *Subscription) isPresent(h held) bool {
	return h.attachment == sub.attachment && (sub.local != nil || sub.there != "")
}

// claims are the deliveries that the client has, for the owner to adopt, by ascending sequence. What is in no
// journal has no sequence, and cannot be claimed. The lock is held.
func (sub *Subscription) claims() []dispatch.Had {
	sub.asked = nil
	if len(sub.held) == 0 {
		return nil
	}
	sub.asked = make(map[uint64]uint64, len(sub.held))
	had := make([]dispatch.Had, 0, len(sub.held))
	for tag, h := range sub.held {
		if h.seq == 0 {
			continue
		}
		other, twice := sub.asked[h.seq]
		if !twice {
			had = append(had, dispatch.Had{Seq: h.seq, Redeliveries: h.redeliveries})
		}
		sub.asked[h.seq] = max(tag, other)
	}
	slices.SortFunc(had, func(a, b dispatch.Had) int { return cmp.Compare(a.Seq, b.Seq) })
	if len(had) > AdoptAll {
		for _, h := range had[AdoptAll:] {
			delete(sub.asked, h.Seq)
		}
		had = had[:AdoptAll]
	}
	return had
}

// announce tells the owner there what the client has, before it opens the subscription. The lock is held.
func (sub *Subscription) announce(had []dispatch.Had) {
	for len(had) > 0 {
		n := min(len(had), AdoptMost)
		f := &gateway.Frame{Kind: gateway.FrameAdopt, Seqs: make([]uint64, n), Counts: make([]uint32, n)}
		some := uint32(0)
		for i, h := range had[:n] {
			f.Seqs[i], f.Counts[i] = h.Seq, h.Redeliveries
			some |= h.Redeliveries
		}
		if some == 0 {
			f.Counts = nil
		}
		sub.send(f)
		had = had[n:]
	}
}

// Adopted takes an owner's answer to announce.
func (sub *Subscription) Adopted(f *gateway.Frame) {
	sub.mu.Lock()
	defer sub.mu.Unlock()
	if sub.wire == f.Subscription && len(f.Seqs) == len(f.Tags) {
		sub.adopted(f.Seqs, f.Tags)
	}
}

// adopted notes what the owner has adopted, and by which tags. What the client has not any more is given back: if it was
// acknowledged meanwhile, the owner knows. The lock is held.
func (sub *Subscription) adopted(seqs, tags []uint64) {
	var over []uint64
	for i, seq := range seqs {
		tag := sub.asked[seq]
		delete(sub.asked, seq)
		h, has := sub.held[tag]
		if !has {
			over = append(over, tags[i])
			continue
		}
		h.tag, h.attachment = tags[i], sub.attachment
		sub.held[tag] = h
	}
	if len(over) > 0 && sub.there != "" {
		sub.send(&gateway.Frame{Kind: gateway.FrameExtend, Count: -int64(len(over))}) // the owner had added them
		sub.send(&gateway.Frame{Kind: gateway.FrameGiveBack, Tags: over, Count: 1})
	}
}
