package attach

import (
	"sync"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/completion"
	"github.com/sluice-mq/sluice/gateway/ring"
)

// Wild is the Tag of a FrameSubscribe of a subscription that does not keep its queue alive.
const Wild = 1

// reportBytes is how much is taken before the owner is told that there is room.
const reportBytes = ring.MostBytes / 4

// ErrOwnerGone says that it is not known what became of something.
var ErrOwnerGone = gateway.Errorf(gateway.Unavailable, "the node that had the queue is gone; the message will be delivered again")

// Subscription implements gateway.Subscription on a queue of a cluster: it is attached to the shard's owner,
// here or at another node, and attaches again when that changes. Tags are its own: those of owners mean nothing to the next one.
type Subscription struct {
	node    Node
	seat    Seat
	index   int // of the shard
	queue   string
	options gateway.SubscribeOptions
	ring    ring.Ring // of deliveries from another node
	wild    bool      // it does not keep its queue alive

	// taken are the tags that Next returned and Written was not told of, in order; only with AutoAck. The
	// door's writer's own.
	taken []uint64

	mu         sync.Mutex
	closed     bool
	retired    bool  // its client takes nothing more
	halted     bool  // what comes from the owner there was sent before it knew what came back
	here       Owner // attached here
	local      Local
	there      string // attached there
	epoch      uint64
	wire       uint64
	attachment uint64 // counts them
	last       uint64 // tag
	held       map[uint64]held
	// asked are the tags of what the present owner was asked to adopt and has not answered, by sequence.
	asked map[uint64]uint64
	// parked are refusals of what the present owner, or the next one, may adopt.
	parked     []parkedRefusal
	extension  int
	unreported int
}

// held is a delivery that the client has.
type held struct {
	tag, seq, attachment uint64
	redeliveries         uint32
	parked               bool // it is being refused
}

// New makes a subscription to a queue of a shard. wild: it does not keep its queue alive. It is attached when it is opened.
func New(n Node, t Seat, shard int, o gateway.SubscribeOptions, wild bool) *Subscription {
	sub := &Subscription{node: n, seat: t, index: shard, queue: o.Destination.Place(), options: o, wild: wild, held: make(map[uint64]held)}
	sub.ring.Init(o.Wake)
	return sub
}

// Open implements union.Source.
func (sub *Subscription) Open() {
	sub.node.Opened()
	sub.seat.Follow(sub)
}

// Wake has the door look again: something that held the subscription up is over.
func (sub *Subscription) Wake() { sub.options.Wake() }

// Attach takes the subscription to where the owner is now, with what its client has. What it was sent and its client has not seen comes again.
func (sub *Subscription) Attach() {
	sub.mu.Lock()
	sub.attachLocked()
	sub.mu.Unlock()
	sub.fence()
}

func (sub *Subscription) attachLocked() {
	if sub.closed {
		return
	}
	p := sub.seat.Place(sub)
	if p.Here != nil && sub.here == p.Here {
		return
	}
	if p.There != "" && p.There == sub.there && p.Epoch == sub.epoch {
		sub.seat.Unplug(p.Wire)
		return
	}
	sub.detach()
	sub.attachment++
	credit := sub.extension - len(sub.held)
	switch {
	case p.Here != nil:
		o := sub.options
		o.AutoAck, o.Ended = false, nil
		sub.here, sub.local = p.Here, p.Here.Attach(o, sub.wild)
		sub.adopted(sub.local.Resume(credit, sub.claims()))
	case p.There != "":
		sub.there, sub.epoch, sub.wire = p.There, p.Epoch, p.Wire
		sub.announce(sub.claims())
		f := &gateway.Frame{Kind: gateway.FrameSubscribe, Queue: sub.queue, Count: int64(sub.options.Prefetch), Consumer: wishesOf(&sub.options)}
		if sub.wild {
			f.Tag = Wild
		}
		sub.send(f)
		sub.send(&gateway.Frame{Kind: gateway.FrameExtend, Count: int64(credit)})
	}
	sub.options.Wake()
}

// detach leaves the owner. The lock is held.
func (sub *Subscription) detach() {
	if sub.local != nil {
		sub.local.Close()
		sub.here, sub.local = nil, nil
	}
	if sub.there != "" {
		sub.send(&gateway.Frame{Kind: gateway.FrameUnsubscribe, Tags: sub.untaken()})
		sub.seat.Unplug(sub.wire)
		sub.there, sub.wire, sub.unreported, sub.halted = "", 0, 0, false
	}
}

// send tells the owner there. The lock is held.
func (sub *Subscription) send(f *gateway.Frame) {
	f.Shard, f.Epoch, f.Subscription = sub.index, sub.epoch, sub.wire
	sub.node.Send(sub.there, f)
}

// Arrived takes a delivery from the owner there. Its tag means something only to that one: it may have come just when the subscription went elsewhere.
func (sub *Subscription) Arrived(f *gateway.Frame) {
	sub.mu.Lock()
	if sub.there == "" || sub.wire != f.Subscription || sub.epoch != f.Epoch {
		sub.mu.Unlock()
		return
	}
	sub.ring.Lock()
	wake := sub.ring.Push(gateway.Delivery{Message: f.Message, Tag: f.Tag, Redeliveries: f.Redeliveries, Seq: f.Seq})
	sub.ring.Unlock()
	if sub.retired || sub.halted { // it was under way
		sub.giveBackUntaken()
	}
	sub.mu.Unlock()
	if wake {
		sub.ring.Wake()
	}
}

// Pending is what waits for its door on this node.
func (sub *Subscription) Pending() (n, bytes int) {
	sub.mu.Lock()
	defer sub.mu.Unlock()
	if sub.local != nil {
		return sub.local.Pending()
	}
	return sub.ring.Pending()
}

// Next implements gateway.Subscription. A node that has lost touch with the others hands out nothing.
func (sub *Subscription) Next(dst []gateway.Delivery, maxBytes int) (n int) {
	sub.mu.Lock()
	defer sub.mu.Unlock()
	if !sub.node.InTouch() {
		return 0 // the sweep wakes it
	}
	switch {
	case sub.local != nil:
		if sub.here.Replaced() {
			return 0 // it goes to the next owner soon
		}
		n = sub.local.Next(dst, maxBytes)
	case sub.there != "":
		var bytes int
		sub.ring.Lock()
		n, bytes = sub.ring.Take(dst, maxBytes)
		sub.ring.Unlock()
		sub.unreported += bytes
		if n == 0 {
			sub.report(1)
		} else {
			sub.report(reportBytes)
		}
		sub.node.Delivered(n)
	}
	for i := range n {
		sub.last++
		sub.held[sub.last] = held{tag: dst[i].Tag, seq: dst[i].Seq, attachment: sub.attachment, redeliveries: dst[i].Redeliveries}
		dst[i].Tag = sub.last
		if sub.options.AutoAck {
			sub.taken = append(sub.taken, sub.last)
		}
	}
	return n
}

// Written implements gateway.Subscription.
func (sub *Subscription) Written(n int) {
	if !sub.options.AutoAck {
		return
	}
	n = min(n, len(sub.taken))
	sub.Ack(sub.taken[:n], nil, 0)
	sub.taken = sub.taken[:copy(sub.taken, sub.taken[n:])]
}

// check fails unless the client has all of the deliveries. The lock is held.
func (sub *Subscription) check(tags []uint64) error {
	var seen map[uint64]struct{}
	if len(tags) > 1 {
		seen = make(map[uint64]struct{}, len(tags))
	}
	for _, tag := range tags {
		_, twice := seen[tag]
		if h, has := sub.held[tag]; !has || h.parked || twice {
			return gateway.Errorf(gateway.NotFound, "no such delivery")
		}
		if seen != nil {
			seen[tag] = struct{}{}
		}
	}
	return nil
}

// give takes deliveries from what the client has: the tags of those that the present owner handed out, and of all the
// sequences. strict: all of them have to be there, or none is taken. The lock is held.
func (sub *Subscription) give(tags []uint64, strict bool) (present, presentSeqs, past []uint64, err error) {
	if strict {
		if err := sub.check(tags); err != nil {
			return nil, nil, nil, err
		}
	}
	for _, tag := range tags {
		h, has := sub.held[tag]
		if !has || h.parked {
			continue
		}
		delete(sub.held, tag)
		if sub.isPresent(h) {
			present = append(present, h.tag)
			if h.seq != 0 {
				presentSeqs = append(presentSeqs, h.seq)
			}
			continue
		}
		if h.seq != 0 {
			past = append(past, h.seq)
		}
		sub.extendLocked(1) // it took of the credit when the subscription was attached
		sub.extension--
	}
	return present, presentSeqs, past, nil
}

// Ack implements gateway.Subscription.
func (sub *Subscription) Ack(tags []uint64, c gateway.Completion, token uint64) {
	sub.mu.Lock()
	present, seqs, past, err := sub.give(tags, true)
	if err != nil {
		sub.mu.Unlock()
		completion.Complete(c, token, err)
		return
	}
	sub.settle(present, seqs, past, c, token, false)
}

// settle acknowledges. The lock is held, and released.
func (sub *Subscription) settle(present, seqs, past []uint64, c gateway.Completion, token uint64, regardless bool) {
	all := completion.NewParts(1, c, token)
	local := sub.local
	switch {
	case local != nil && (len(present) > 0 || len(past) == 0 && c != nil):
		if c != nil {
			all.Add()
		}
	case sub.there != "" && len(present) > 0 && c == nil:
		sub.send(&gateway.Frame{Kind: gateway.FrameAck, Tags: present})
	case sub.there != "" && len(present) > 0:
		all.Add()
		f := &gateway.Frame{Kind: gateway.FrameAck, Tags: present, Epoch: sub.epoch, Subscription: sub.wire}
		sub.seat.Ask(f, sub.settlement(seqs), all.Done)
	case local == nil && len(past) == 0 && c != nil: // what was settled before
		all.Add()
		sub.seat.Call(&gateway.Frame{Kind: gateway.FrameSettle}, all.Done)
	}
	sub.mu.Unlock()
	if local != nil && (len(present) > 0 || len(past) == 0 && c != nil) {
		switch {
		case c == nil:
			local.Ack(present, nil, 0)
		case regardless:
			local.SettleNow(present, false, all, 0)
		default:
			local.Ack(present, completion.Func(func(err error) {
				if gateway.KindOf(err) == gateway.NotFound { // the owner changed in this moment
					sub.seat.Call(sub.settlement(seqs), all.Done)
					return
				}
				all.Done(err)
			}), 0)
		}
	}
	if len(past) > 0 {
		all.Add()
		sub.seat.Call(sub.settlement(past), all.Done)
	}
	all.Done(nil)
}

// settlement settles what the client had, whoever owns the queue.
func (sub *Subscription) settlement(seqs []uint64) *gateway.Frame {
	return &gateway.Frame{Kind: gateway.FrameSettle, Queue: sub.queue, Tags: seqs}
}

// Nack implements gateway.Subscription.
func (sub *Subscription) Nack(tags []uint64, c gateway.Completion, token uint64) {
	sub.mu.Lock()
	if err := sub.check(tags); err != nil {
		sub.mu.Unlock()
		completion.Complete(c, token, err)
		return
	}
	if !sub.park(tags, c, token) {
		sub.refuse(tags, c, token)
	}
}

// SettleNow implements union.Source: it carries out a committed transaction's acknowledgements.
func (sub *Subscription) SettleNow(tags []uint64, nack bool, c gateway.Completion, token uint64) {
	sub.mu.Lock()
	if nack {
		if !sub.park(tags, completion.Regardless{To: c}, token) {
			sub.refuse(tags, completion.Regardless{To: c}, token)
		}
		return
	}
	present, seqs, past, _ := sub.give(tags, false)
	sub.settle(present, seqs, past, completion.Regardless{To: c}, token, true)
}

// Extend implements gateway.Subscription.
func (sub *Subscription) Extend(n int) {
	sub.mu.Lock()
	sub.extendLocked(n)
	sub.mu.Unlock()
}

func (sub *Subscription) extendLocked(n int) {
	sub.extension += n
	switch {
	case sub.local != nil:
		sub.local.Extend(n)
	case sub.there != "":
		sub.send(&gateway.Frame{Kind: gateway.FrameExtend, Count: int64(n)})
	}
}

// Close implements gateway.Subscription.
func (sub *Subscription) Close() {
	sub.mu.Lock()
	if sub.closed {
		sub.mu.Unlock()
		return
	}
	sub.closed = true
	sub.detach()
	waiting := sub.parked
	sub.parked = nil
	sub.mu.Unlock()
	for _, p := range waiting { // their messages are in the queue again
		completion.Complete(p.c, p.token, ErrOwnerGone)
	}
	sub.seat.Forget(sub)
	sub.node.Ended(sub)
}

// wishesOf are what another node has to know of a subscription that it serves, nil if that is nothing.
func wishesOf(o *gateway.SubscribeOptions) *gateway.Consumer {
	if o.Selector == "" && !o.Exclusive && o.Priority == 0 && o.Redelivery == nil {
		return nil
	}
	return &gateway.Consumer{Selector: o.Selector, Exclusive: o.Exclusive, Priority: o.Priority, Redelivery: o.Redelivery}
}
