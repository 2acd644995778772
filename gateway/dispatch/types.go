package dispatch

import (
	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/selector"
)

// SubID names a subscription of one queue.
type SubID uint64

// Entry is a message's place in its queue.
type Entry struct {
	// Tag orders the queue: messages are delivered by ascending tag, also those
	// that come back. The caller gives each message a tag of its own.
	Tag uint64
	// Seq is the message's record in the journal; 0 if it is only in memory.
	Seq uint64
	// Expires is when it is worth nothing any more, in Unix milliseconds; 0 is never.
	Expires int64
	// Message is nil while only the journal has it.
	Message *gateway.Message
	// Size counts against the window, in bytes.
	Size uint32
	// Redeliveries is how often it may have been handed out before.
	Redeliveries uint32
	// Lane is what the message says of its turn: see LaneOf.
	Lane Lane
}

// Lane is a message's priority and group.
type Lane uint64

// Consumer is what a subscription wants of its queue.
type Consumer struct {
	// Prefetch is how many deliveries may be outstanding; with 0 it never gets any.
	Prefetch int
	// Selector of what it takes; nil: everything.
	Selector *selector.Selector
	// Exclusive: one of the exclusive subscriptions has the queue to itself.
	Exclusive bool
	// Priority: nothing for this one while one with a higher priority has credit for it.
	Priority int8
	// Redelivery of what it gives back; nil: the queue's.
	Redelivery *gateway.Redelivery
}

// hollow reports whether only the place is left: it was settled while somebody had it, and goes when that one lets go.
func (e *Entry) hollow() bool { return e.Seq == 0 && e.Message == nil }

// Config bounds what a queue holds in memory although the journal has it too.
// Memory-only messages are the caller's to bound.
type Config struct {
	// WindowMessages and WindowBytes: bodies beyond either are dropped from memory
	// and loaded again when their turn comes.
	WindowMessages int
	WindowBytes    int
	// Priorities: messages of a higher priority are handed out first.
	Priorities bool
	// Exclusive: all subscriptions count as exclusive.
	Exclusive bool
	// BriefGroups: a group is a subscription's only while that has something of it in flight, and nothing of it is handed out while something of it
	// comes later: so its order holds, whoever comes and goes.
	BriefGroups bool
	// Redelivery of what comes back; nil: as often as it has to, at once.
	Redelivery *gateway.Redelivery
	// SubscriptionBytes bounds what was delivered to a subscription and not Taken
	// yet: beyond it the next entry waits. 0 is no bound.
	SubscriptionBytes int64
}

// bounded is the configuration with bounds that make sense.
func (c Config) bounded() Config {
	c.WindowMessages = max(c.WindowMessages, 1)
	c.WindowBytes = max(c.WindowBytes, 1)
	return c
}

// Cause says why a message is dead.
type Cause uint8

const (
	// Refused by a consumer (NACK).
	Refused Cause = iota + 1
	// Expired before anybody took it.
	Expired
	// Exhausted: it came back more often than its redelivery policy allows.
	Exhausted
	// Crowded out by newer ones where a limit says so.
	Crowded
	// Taken out by Take, to be stored elsewhere.
	Taken
)

// Effects are what the caller must carry out, in the order Deliver, Load,
// Settle, Mark, Dead. The caller passes one buffer to every event and resets it in between;
// what it keeps of a slice beyond that it must copy.
type Effects struct {
	// Deliver hands an entry to a subscription. Its Message is never nil.
	Deliver []Delivery
	// Load asks for the messages of these sequences, ascending and at most 4096; answered by Loaded or
	// LoadFailed with all of them. No further Load comes before that.
	Load []uint64
	// Settle: these records' messages are gone for good.
	Settle []uint64
	// Mark: these counts changed and should survive a restart.
	Mark []gateway.Mark
	// Dead entries are to be dead-lettered or dropped; answered by Buried or Unburied,
	// not from within the event.
	// Message may be nil unless it is only in memory; then the caller loads it itself.
	Dead []Death
}

// Delivery is an effect: entry goes to subscription.
type Delivery struct {
	Sub   SubID
	Entry Entry
}

// Death is an effect: the entry left the queue's order and awaits burial.
type Death struct {
	Entry Entry
	Cause Cause
}

// resetKeeps is how many deliveries or deaths a buffer keeps the memory of.
const resetKeeps = 1 << 14

// Reset empties the buffer and keeps its memory, without pinning messages. What
// an exceptional event took, a million expiries, it gives back.
func (fx *Effects) Reset() {
	if cap(fx.Deliver) > resetKeeps || cap(fx.Dead) > resetKeeps || cap(fx.Settle) > resetKeeps || cap(fx.Mark) > resetKeeps {
		*fx = Effects{}
		return
	}
	clear(fx.Deliver)
	clear(fx.Dead)
	fx.Deliver, fx.Load, fx.Settle = fx.Deliver[:0], fx.Load[:0], fx.Settle[:0]
	fx.Mark, fx.Dead = fx.Mark[:0], fx.Dead[:0]
}
