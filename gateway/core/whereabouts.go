package core

import (
	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/attach"
)

// attaching is a seat as subscriptions to the shard's queues see it.
type attaching struct{ *seat }

// Place implements attach.Seat.
func (t attaching) Place(sub *attach.Subscription) attach.Place {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := t.here.Load(); s != nil {
		return attach.Place{Here: s, Epoch: s.epoch}
	}
	if !t.linked || t.leaving != nil {
		return attach.Place{}
	}
	wire := t.broker.wire.Add(1)
	t.wires[wire] = sub
	return attach.Place{There: t.owner, Epoch: t.epoch, Wire: wire}
}

// Unplug implements attach.Seat.
func (t attaching) Unplug(wire uint64) {
	t.mu.Lock()
	delete(t.wires, wire)
	t.mu.Unlock()
}

// Follow implements attach.Seat.
func (t attaching) Follow(sub *attach.Subscription) {
	t.mu.Lock()
	t.subs[sub] = struct{}{}
	t.mu.Unlock()
	sub.Attach()
}

// Forget implements attach.Seat.
func (t attaching) Forget(sub *attach.Subscription) {
	t.mu.Lock()
	delete(t.subs, sub)
	t.mu.Unlock()
}

// delivered takes a delivery of another node, or its word that deliveries are its own now.
func (t *seat) delivered(node string, f *gateway.Frame) {
	t.mu.Lock()
	sub := t.wires[f.Subscription]
	if t.owner != node || t.epoch != f.Epoch {
		sub = nil
	}
	t.mu.Unlock()
	switch {
	case sub == nil:
	case f.Kind == gateway.FrameAdopted:
		sub.Adopted(f)
	case f.Message != nil:
		sub.Arrived(f)
	}
}

// IsAt implements attach.Seat.
func (t attaching) IsAt(epoch uint64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.isThere(epoch)
}

// isThere reports whether the owner is the one of an epoch, and there is a link to it. The lock is held. This node may have become the owner without having heard that another is none any more.
func (t *seat) isThere(epoch uint64) bool {
	return t.linked && t.leaving == nil && t.epoch == epoch && t.opening == nil && t.here.Load() == nil
}

// stale notes that a node does not own the shard, whatever it said before.
func (t *seat) stale(node string, epoch uint64) {
	t.mu.Lock()
	same := t.owner == node && t.epoch == epoch
	t.mu.Unlock()
	if same {
		t.linkTo(node, false)
	}
}

// Ask implements attach.Seat.
func (t attaching) Ask(f, again *gateway.Frame, done func(error)) { t.ask(f, again, done) }

// Call implements attach.Seat.
func (t attaching) Call(f *gateway.Frame, done func(error)) { t.call(f, done) }

// attached is the node of a session, as its subscriptions to queues see it.
type attached struct{ session *session }

// InTouch implements attach.Node.
func (n attached) InTouch() bool { return n.session.broker.inTouch() }

// Send implements attach.Node.
func (n attached) Send(node string, f *gateway.Frame) { n.session.broker.cfg.Cluster.Send(node, f) }

// Opened implements attach.Node.
func (n attached) Opened() { n.session.broker.counts.subscriptions.Add(1) }

// Delivered implements attach.Node.
func (n attached) Delivered(messages int) { n.session.broker.counts.queueOut.Add(uint64(messages)) }

// Ended implements attach.Node.
func (n attached) Ended(sub *attach.Subscription) {
	n.session.ended(sub)
	n.session.broker.counts.subscriptions.Add(-1)
}

// Attach implements attach.Owner.
func (s *shard) Attach(o gateway.SubscribeOptions, wild bool) attach.Local {
	sub := newQueueSubscription(s.broker.guests.session(), s, o)
	sub.wild = wild
	return sub
}

// Replaced implements attach.Owner.
func (s *shard) Replaced() bool { return s.replaced.Load() }
