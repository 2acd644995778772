// Package attach is the client's end of a subscription to a queue in a cluster: it attaches to the owner of the queue, wherever that is and becomes, and keeps what the
// client has. It owns its tags and what was handed out by them; where the owner is, and how frames come there, is its seat's business.
package attach

import (
	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/dispatch"
)

// Place is where the owner of a shard is: here, or at a node to which there is a link, or nowhere.
type Place struct {
	Here  Owner
	There string
	Epoch uint64
	// Wire names the subscription on the link, if it is another node.
	Wire uint64
}

// Seat knows where the owner of a shard is. Safe for concurrent use; it may be asked with the subscription's lock held.
type Seat interface {
	// Place says it, and gives the subscription a name there if it is another node; Unplug forgets the name.
	Place(sub *Subscription) Place
	Unplug(wire uint64)
	// Follow has the subscription attached, now and whenever the owner changes, until Forget.
	Follow(sub *Subscription)
	Forget(sub *Subscription)
	// IsAt reports whether the owner is the one of an epoch, at another node to which there is a link.
	IsAt(epoch uint64) bool
	// Ask asks the owner of f.Epoch. Should that not answer, again is what is offered to the next one, or, if it is nil, nothing: then done gets ErrOwnerGone.
	Ask(f, again *gateway.Frame, done func(error))
	// Call has the owner do something, whoever that is and becomes.
	Call(f *gateway.Frame, done func(error))
}

// Node is the node of the subscription's client. Safe for concurrent use.
type Node interface {
	// InTouch reports whether it may hand anything out. If not, the subscription is woken when it may.
	InTouch() bool
	// Send sends a frame to another node. It does not block.
	Send(node string, f *gateway.Frame)
	// Opened and Ended are told of the subscription, and Delivered of what other nodes' owners have sent and the client gets.
	Opened()
	Delivered(n int)
	Ended(sub *Subscription)
}

// Owner is the owner of a shard on this node.
type Owner interface {
	// Attach makes a subscription to one of its queues.
	Attach(o gateway.SubscribeOptions, wild bool) Local
	// Replaced reports whether another node owns the shard, and this one has not been told by the store yet.
	Replaced() bool
}

// Local is a subscription to a queue of an owner on this node.
type Local interface {
	gateway.Subscription
	gateway.Retirable
	// Resume opens it with so much more credit than its prefetch, and with what its client has from owners before this one. It returns
	// those of them that are its own from here on, and their tags.
	Resume(credit int, had []dispatch.Had) (seqs, tags []uint64)
	// SettleNow acknowledges, or refuses: what is not there is settled.
	SettleNow(tags []uint64, nack bool, c gateway.Completion, token uint64)
	// Pending is what waits to be taken.
	Pending() (n, bytes int)
}
