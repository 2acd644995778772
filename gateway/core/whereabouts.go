package core

import "github.com/sluice-mq/sluice/gateway"

// whereabouts are where a seat's owner is: here, or at a node to which there is a link, or nowhere.
type whereabouts struct {
	shard *shard
	node  string
	epoch uint64
}

// place tells it, and gives the subscription a name there if it is another node.
func (t *seat) place(sub *clusterSubscription) (p whereabouts, wire uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := t.here.Load(); s != nil {
		return whereabouts{shard: s, epoch: s.epoch}, 0
	}
	if !t.linked || t.leaving != nil {
		return whereabouts{}, 0
	}
	wire = t.broker.wire.Add(1)
	t.wires[wire] = sub
	return whereabouts{node: t.owner, epoch: t.epoch}, wire
}

// unplug forgets a name.
func (t *seat) unplug(wire uint64) {
	t.mu.Lock()
	delete(t.wires, wire)
	t.mu.Unlock()
}

// follow has a subscription told when the owner changes, until forget.
func (t *seat) follow(sub *clusterSubscription) {
	t.mu.Lock()
	t.subs[sub] = struct{}{}
	t.mu.Unlock()
	sub.attach()
}

func (t *seat) forget(sub *clusterSubscription) {
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
		sub.adoptedThere(f)
	case f.Message != nil:
		sub.arrived(f)
	}
}

// isAt reports whether the owner is the one of an epoch, and there is a link to it.
func (t *seat) isAt(epoch uint64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.isThere(epoch)
}

// isThere is isAt. The lock is held. This node may have become the owner without having heard that another is none any more.
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
