package dispatch

import "github.com/sluice-mq/sluice/gateway"

// SubID names a subscription of one queue.
type SubID uint64

// Entry is a message's place in its queue.
type Entry struct {
	// Tag orders the queue: messages are delivered by ascending tag, also those
	// that come back. The caller gives each message a tag above all earlier ones.
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
	// SubscriptionBytes bounds what was delivered to a subscription and not Taken
	// yet: beyond it the next entry waits. 0 is no bound.
	SubscriptionBytes int64
}

// Cause says why a message is dead.
type Cause uint8

const (
	// Refused by a consumer (NACK).
	Refused Cause = iota + 1
	// Expired before anybody took it.
	Expired
)

// Effects are what the caller must carry out, in the order Deliver, Load,
// Settle, Mark, Dead. The caller passes one buffer to every event and resets it in between;
// what it keeps of a slice beyond that it must copy.
type Effects struct {
	// Deliver hands an entry to a subscription. Its Message is never nil.
	Deliver []Delivery
	// Load asks for the messages of these sequences, ascending; answered by Loaded or
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
