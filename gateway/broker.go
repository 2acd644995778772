package gateway

import (
	"context"
	"time"
)

// Broker is what a door leans on: it opens sessions. Implemented by gateway/core.
type Broker interface {
	// Open authenticates a client and opens its session. Errors: Unauthenticated
	// (who it is), Conflict (its client-id is taken on this node), Limit,
	// Unavailable (starting or draining).
	Open(ctx context.Context, login Login) (Session, error)
}

// Login is what a client said when it connected and where it came from.
type Login struct {
	Credentials Credentials
	// ClientID is the JMS client identifier; empty is none. It is unique per node.
	ClientID string
	// Protocol is the door's name and version for logs: "stomp/1.2".
	Protocol string
	// Remote is the peer's address, "ip:port": the client's own, not that of a proxy before it.
	Remote string
	// Whereabouts, if not nil, is asked in the place of Remote when something is written down: the session acts for connections
	// that come and go. It must return at once, and is called from any goroutine.
	Whereabouts func() string
	// Listener is the address that the client came to, "ip:port"; empty for those of the process itself.
	Listener string
	// Library is what the client's software calls itself; empty if it does not say. It comes from the client.
	Library string
	// Ended, if not nil, is called at most once if the broker ends the session by itself: whoever it was opened for is nobody any more, its
	// proof has expired, or an administrator wants it. The session is closed when, or soon after, it returns. The rules are those of
	// SubscribeOptions.Ended, which is not called then.
	Ended func(*Error)
}

// From is where the session's client is now, for logs.
func (l *Login) From() string {
	if l.Whereabouts != nil {
		return l.Whereabouts()
	}
	return l.Remote
}

// Session is one client's standing with the broker. Identity and rights live in
// it, so that no later call can forget them. All methods may be called from any
// goroutine; the order promises below hold for calls made one after another.
type Session interface {
	Principal() Principal
	// ID names the session on all nodes. The names of its temporary destinations begin with it and a colon.
	ID() string
	// Send hands a message over and does not wait. If c is not nil, c.Complete
	// is called exactly once with the token: with nil when the promise of the message's
	// delivery mode holds (Persistent: stored as the durability setting says;
	// otherwise: accepted), else with an *Error, and then the message is not
	// and never will be delivered. core fills ID, Timestamp (when 0) and takes
	// ownership of m.
	// Order: messages of one session to one destination with one delivery mode
	// are stored and delivered in the order of the calls.
	Send(m *Message, c Completion, token uint64)
	// Commit stores all messages and settles all deliveries of a transaction, or
	// does nothing of it. Completion as in Send. A crash in between leaves either
	// all sends or none; its acks may be repeated as redeliveries.
	Commit(tx *Transaction, c Completion, token uint64)
	// Subscribe opens a subscription. Deliveries may be waiting when it returns.
	Subscribe(SubscribeOptions) (Subscription, error)
	// Forget ends a durable subscription of the session's client for good: what waits for it is dropped. Errors: NotFound;
	// Conflict, if it has a consumer. Completion as in Send, when no node keeps messages for it any more.
	Forget(name string, c Completion, token uint64)
	// Close ends every subscription, ends the session's temporary destinations, hands unacknowledged messages back and
	// forgets the session. Sends already made are still stored and completed.
	// Further calls fail with Unavailable; a second Close does nothing.
	Close()
}

// Paced is implemented by sessions of principals who may not send as fast as they can.
type Paced interface {
	// Pause is how long a door should wait before it takes the next message from the client; nearly always 0. What is sent
	// all the same is taken and makes the next pause longer: nothing is refused for being early.
	Pause() time.Duration
}

// Completion receives the outcome of Send, Ack, Nack and Commit. Complete must
// not block and must not call back into the broker; it may be called from any
// goroutine, also before the call that it completes has returned.
type Completion interface {
	Complete(token uint64, err error)
}

// Holder is implemented by the completions of doors that can stop reading a client.
type Holder interface {
	// Hold says that what was sent with the token is kept back for a while, because somebody who hears it is behind: the door should take nothing more
	// from its client until that is completed, because each further message would take from the room that is left to whoever is behind. What is only
	// on its way to the disk is not kept back. The rules are Complete's. It may also come after Complete, and then says nothing.
	Hold(token uint64)
}

// SubscribeOptions describe a subscription.
type SubscribeOptions struct {
	// Destination may be a pattern.
	Destination Destination
	// Also are further destinations: a composite one. The subscription joins them, and its prefetch is for all together.
	Also []Destination
	// Selector is a JMS selector; empty selects all. What it does not select stays in a queue for others.
	Selector string
	// Durable names a durable subscription to topics: messages are kept for it while nobody holds it. It belongs to
	// the session's ClientID, which must not be empty, and outlives the session. Another destination or selector
	// makes it anew, without what it has kept. If somebody on this node holds it the Error is Conflict, unless all who hold it said Shared.
	// With Shared the ClientID may be empty: then it belongs to all who have none, under that name.
	Durable string
	Shared  bool
	// Browse looks at what is in a queue when the subscription begins, in order, without taking anything: nothing is to be
	// acknowledged. When all has been returned by Next, Ended is called with nil.
	Browse bool
	// Exclusive: one of a queue's exclusive subscriptions gets everything, others only what none of those may have any more.
	Exclusive bool
	// Priority, -128 to 127: a queue's subscriptions get nothing while one with a higher priority could take it.
	Priority int8
	// Retroactive asks for what the policy of a topic keeps for those who come later; it comes before the first new message, without a gap or a double.
	Retroactive bool
	// Redelivery replaces the queue's policy for what this subscription gives back; nil leaves it.
	Redelivery *Redelivery
	// Prefetch is how many deliveries may be unacknowledged at once; 0 delivers
	// nothing. For topics it bounds the waiting deliveries.
	Prefetch int
	// PrefetchUnset: the client asked for none, Prefetch is its door's default: a policy's takes its place.
	PrefetchUnset bool
	// Pending is how many messages of a topic may wait beyond Prefetch until the oldest are dropped, if that is fewer than the
	// broker lets wait; 0 leaves it to the broker.
	Pending int
	// AutoAck: a delivery counts as acknowledged as soon as Written was told of it.
	AutoAck bool
	// NoLocal leaves out messages that the same session sent; in a queue they wait for others.
	NoLocal bool
	// Local subscriptions to topics hear only what was sent on this node.
	Local bool
	// Name is what the client calls the subscription, with whatever else sets it apart from others of the
	// client on the same destination, such as the text of a selector. A client that has subscriptions of one name
	// on several nodes of a cluster is one client there, which hears each message of a topic on one of them. Empty: it
	// never is the same as another.
	Name string
	// Match, if not nil, leaves out the messages of a topic for which it is false.
	// It is called by the senders' goroutines: it must be quick and must not block.
	Match func(*Message) bool
	// Wake is called when Next may return something after it returned 0. It must
	// not block nor call into the broker; calls may be spurious and concurrent.
	Wake func()
	// Ended is called at most once if the broker ends the subscription by itself
	// (a slow topic consumer whose policy is disconnect; a node that drains; with nil, a browser that has seen all). Same rules as Wake.
	Ended func(*Error)
}

// Destinations are all that the subscription is for.
func (o *SubscribeOptions) Destinations() []Destination {
	return append([]Destination{o.Destination}, o.Also...)
}

// Subscription is a stream of deliveries that its door pulls. Next and Written
// belong to one goroutine (the connection's writer); the rest may be called from any.
type Subscription interface {
	// Next moves waiting deliveries into dst and returns how many. It stops after
	// the delivery that brings the sum of their sizes to maxBytes or above. It never blocks.
	Next(dst []Delivery, maxBytes int) int
	// Written tells that the first n deliveries taken by Next and not yet told of
	// were handed to the network. With AutoAck it acknowledges them.
	Written(n int)
	// Ack settles deliveries. Completion (c may be nil) comes when the settlement
	// is as durable as the messages were; with unknown or already settled tags it
	// carries an Error of kind NotFound, and then none of tags is settled. Without
	// tags it waits for what was settled before. The slice is not kept.
	Ack(tags []uint64, c Completion, token uint64)
	// Nack refuses deliveries. What becomes of them is the destination's policy; without one a persistent message moves to the
	// dead-letter queue, another is dropped (ActiveMQ's poison acknowledgement). Completion
	// (c may be nil) comes when the messages have changed queues for good. The slice is not kept.
	Nack(tags []uint64, c Completion, token uint64)
	// Release gives deliveries that Next returned back to the queue while the subscription
	// lives: they take their old places and go to whoever has the turn, perhaps to this one again. What they are given back for as not handed out
	// (r is zero) comes to this one before all that Next had not returned yet.
	// With unknown or already settled tags the Error is of kind NotFound,
	// and then none is given back. A topic keeps nothing: there they are forgotten. The slice is not kept.
	Release(tags []uint64, r Return) error
	// Extend lets n more deliveries be outstanding than Prefetch says (n may be
	// negative to take it back): deliveries acknowledged inside an open transaction do not fill the window.
	Extend(n int)
	// Close ends it. What was not acknowledged goes to other consumers in its old
	// order, marked redelivered if Next had returned it.
	Close()
}

// Return says how deliveries come back to their queue.
type Return struct {
	// Redelivered: they count as handed out, and the redelivery policy is applied: perhaps they come later, or are dead.
	Redelivered bool
	// Delay is how long they are not handed out again, at least; 0 leaves that to the policy.
	Delay time.Duration
}

// Untouched reports whether no client has seen what is given back.
func (r Return) Untouched() bool { return !r.Redelivered && r.Delay == 0 }

// Redelivery is what becomes of messages that come back.
type Redelivery struct {
	// Maximum redeliveries, after which a message is dead; below 0: there is none.
	Maximum int
	// Delay before the first redelivery; each later one waits Backoff times as long, MaxDelay at most. Backoff below 1 counts as
	// 1, a MaxDelay of 0 is none.
	Delay, MaxDelay time.Duration
	Backoff         float64
}

// Announced is implemented by subscriptions of which other nodes must hear.
type Announced interface {
	// Announced completes when all nodes know of the subscription, at the latest after a second: what is sent to
	// its topic from then on, on any node, reaches it. The rules for c are those of Send.
	Announced(c Completion, token uint64)
}

// Retirable is implemented by subscriptions to queues, which may have to stay until what their client did is carried out, when the client is gone already.
type Retirable interface {
	// Retire says that the client takes nothing more. What waits for it goes to others at once, and so do tags, deliveries that it had and will not
	// acknowledge; they count as handed out. The rest, which it has acknowledged or will when its transaction is carried out, stays with the
	// subscription until Close. The slice is not kept. It belongs to the goroutine that calls Next, which returns 0 from here on.
	Retire(tags []uint64)
}

// Transaction is what a client did between BEGIN and COMMIT.
type Transaction struct {
	Sends []*Message
	Acks  []TransactionAck
}

// TransactionAck settles deliveries of one subscription when its transaction commits.
// A closed subscription is allowed: its deliveries are acknowledged if nobody else has them yet, and in a cluster perhaps also then.
type TransactionAck struct {
	Subscription Subscription
	Tags         []uint64
	Nack         bool
}
