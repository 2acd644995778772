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
	// Listener is the address that the client came to, "ip:port"; empty for those of the process itself.
	Listener string
	// Library is what the client's software calls itself; empty if it does not say. It comes from the client.
	Library string
	// Ended, if not nil, is called at most once if the broker ends the session by itself: whoever it was opened for is nobody any more, its
	// proof has expired, or an administrator wants it. The session is closed when, or soon after, it returns. The rules are those of
	// SubscribeOptions.Ended, which is not called then.
	Ended func(*Error)
}

// Session is one client's standing with the broker. Identity and rights live in
// it, so that no later call can forget them. All methods may be called from any
// goroutine; the order promises below hold for calls made one after another.
type Session interface {
	Principal() Principal
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
	// Close ends every subscription, hands unacknowledged messages back and
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

// SubscribeOptions describe a subscription.
type SubscribeOptions struct {
	// Destination may be a pattern.
	Destination Destination
	// Prefetch is how many deliveries may be unacknowledged at once; 0 delivers
	// nothing. For topics it bounds the waiting deliveries.
	Prefetch int
	// AutoAck: a delivery counts as acknowledged as soon as Written was told of it.
	AutoAck bool
	// NoLocal leaves out messages that the same session sent.
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
	// (a slow topic consumer whose policy is disconnect; a node that drains). Same rules as Wake.
	Ended func(*Error)
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
	// Nack refuses deliveries: a persistent message moves to the dead-letter
	// queue, another is dropped (ActiveMQ's poison acknowledgement). Completion
	// (c may be nil) comes when the messages have changed queues for good. The slice is not kept.
	Nack(tags []uint64, c Completion, token uint64)
	// Release gives deliveries that Next returned back to the queue while the subscription
	// lives: they take their old places and go to whoever has the turn, perhaps to this one again. redelivered
	// says that they count as handed out. With unknown or already settled tags the Error is of kind NotFound,
	// and then none is given back. A topic keeps nothing: there they are forgotten. The slice is not kept.
	Release(tags []uint64, redelivered bool) error
	// Extend lets n more deliveries be outstanding than Prefetch says (n may be
	// negative to take it back): deliveries acknowledged inside an open transaction do not fill the window.
	Extend(n int)
	// Close ends it. What was not acknowledged goes to other consumers in its old
	// order, marked redelivered if Next had returned it.
	Close()
}

// Announced is implemented by subscriptions of which other nodes must hear.
type Announced interface {
	// Announced completes when all nodes know of the subscription, at the latest after a second: what is sent to
	// its topic from then on, on any node, reaches it. The rules for c are those of Send.
	Announced(c Completion, token uint64)
}

// Transaction is what a client did between BEGIN and COMMIT.
type Transaction struct {
	Sends []*Message
	Acks  []TransactionAck
}

// TransactionAck settles deliveries of one subscription when its transaction commits.
// A closed subscription is allowed: its deliveries are acknowledged if nobody else has them yet.
type TransactionAck struct {
	Subscription Subscription
	Tags         []uint64
	Nack         bool
}
