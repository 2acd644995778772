package policy

import (
	"strings"
	"time"

	"github.com/sluice-mq/sluice/gateway"
)

// Nack says what becomes of a message that a consumer refuses.
type Nack uint8

const (
	// NackDeadLetter: it is dead, as in ActiveMQ.
	NackDeadLetter Nack = iota
	// NackRequeue: it comes back, by the redelivery policy.
	NackRequeue
	// NackDrop: it is gone.
	NackDrop
)

// String returns the name in the configuration.
func (n Nack) String() string { return [...]string{"dead_letter", "requeue", "drop"}[n] }

// WhenFull says what becomes of a message to a queue that has reached a limit.
type WhenFull uint8

const (
	// Refuse it with an error that names the limit.
	Refuse WhenFull = iota
	// DropOldest makes room for it: what waits longest is dead.
	DropOldest
	// Block it: its sender waits until there is room.
	Block
)

// String returns the name in the configuration.
func (w WhenFull) String() string { return [...]string{"refuse", "drop_oldest", "block"}[w] }

// DeadLetter says where dead messages go.
type DeadLetter struct {
	// Queue for them; in its name {name} stands for that of the destination. Empty is the broker's dead-letter queue.
	Queue string
	// Off: they are dropped.
	Off bool
	// Expired messages are dropped if DropExpired; those that are not persistent are kept if KeepNonPersistent, on disk as all dead messages.
	DropExpired, KeepNonPersistent bool
	// Dropped: what DropOldest takes out goes there, too.
	Dropped bool
}

// Limits bound what waits in a queue. 0 is no bound.
type Limits struct {
	Messages int
	Bytes    int64
	WhenFull WhenFull
}

// Retain says what is kept of each topic for those who come later. Zero bounds are none, all zero keeps nothing unless All.
type Retain struct {
	Messages int
	Bytes    int64
	Age      time.Duration
	All      bool
	// Always: everybody who subscribes gets it, asked for or not.
	Always bool
}

// Any reports whether anything is kept.
func (r *Retain) Any() bool { return r.All || r.Messages > 0 || r.Bytes > 0 || r.Age > 0 }

// Advisories say of what it is told on ActiveMQ.Advisory topics, beside what is told of all destinations.
type Advisories struct {
	// Slow consumers, and messages Discarded because of those of topics.
	Slow, Discarded bool
	// Delivered messages have come to the destination, Consumed ones were acknowledged. Of non-persistent ones that come while there are NoConsumers each goes there itself.
	Delivered, Consumed, NoConsumers bool
}

// Policy is how the destinations behave that match one of its patterns. The zero value is ActiveMQ's behaviour.
type Policy struct {
	// On are the patterns.
	On []gateway.Destination
	// Priorities: messages of a higher priority are delivered first.
	Priorities bool
	// Exclusive: all subscriptions of a queue count as exclusive.
	Exclusive bool
	// Prefetch for subscriptions that ask for none; 0 is the door's default.
	Prefetch int
	// Pending is how many messages of a topic may wait beyond that for a subscription that does not say it; 0 leaves it to the broker.
	Pending int
	// Redelivery of what comes back; nil: as often as it has to, at once.
	Redelivery *gateway.Redelivery
	Nack       Nack
	DeadLetter DeadLetter
	// DefaultTTL is for messages without an expiry, MaximumTTL bounds it for all; 0 is none.
	DefaultTTL, MaximumTTL time.Duration
	Limits                 Limits
	Retain                 Retain
	// ForwardTo gets a copy of each message; with ForwardOnly the destination itself does not.
	ForwardTo   []gateway.Destination
	ForwardOnly bool
	Advisories  Advisories
}

// DeadLetterQueue returns the queue for dead messages of a destination; fallback is the broker's.
func (p *Policy) DeadLetterQueue(d gateway.Destination, fallback string) string {
	if p.DeadLetter.Queue == "" {
		return fallback
	}
	return strings.ReplaceAll(p.DeadLetter.Queue, "{name}", d.Name)
}
