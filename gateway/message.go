package gateway

import (
	"slices"
	"sync/atomic"
)

// Field is one header line of a message.
type Field struct{ Name, Value string }

// Header is an ordered list of fields. Names are case-sensitive, and of a
// repeated name the first occurrence counts (STOMP 1.2, "Repeated Header Entries").
type Header []Field

// Get returns the value of the first field of that name.
func (h Header) Get(name string) (value string, ok bool) {
	for i := range h {
		if h[i].Name == name {
			return h[i].Value, true
		}
	}
	return "", false
}

// DefaultPriority is the priority of a message whose sender named none (JMS).
const DefaultPriority = 4

// Message is the currency between doors, core and store. Once handed to
// Session.Send it must not be changed by anybody: it is shared, without copies,
// by every receiver.
type Message struct {
	// ID is the message-id, given by core and stable over redelivery, fan-out,
	// dead-lettering and restarts.
	ID string
	// Destination is where it was sent; never a pattern. Consumers see it.
	Destination Destination
	// Also are further destinations: a composite one. Each of them gets a copy with the same ID, all of those that are
	// stored or none. core empties it.
	Also []Destination
	// Queue is the place it waits in, if that is not its destination's own. It is core's own.
	Queue string
	// Header holds everything the sender said that the fields below do not:
	// content-type, correlation-id, type, reply-to, JMSXGroupID, user properties.
	Header Header
	Body   []byte
	// Text: the sender gave no length, so that JMS calls it a TextMessage.
	Text bool
	// Persistent messages survive restarts and power cuts; others are kept in
	// memory while there is room and are lost when their owner dies.
	Persistent bool
	// Priority is 0 (lowest) to 9.
	Priority uint8
	// Expires is when the message is worth nothing any more, in Unix
	// milliseconds; 0 is never.
	Expires int64
	// Timestamp is when it was sent, in Unix milliseconds.
	Timestamp int64
	// Offset is where it stands in its topic's log, if that has one: see Logs. It is set before its sender is told that it is there.
	Offset uint64
	// Source, if not nil, says of which message of a log this one is a copy that a route has made. Only logs keep it.
	Source *Source

	encoded [encodings]atomic.Pointer[[]byte]
}

// Source is where a copy comes from.
type Source struct {
	// Route is the ID of the route that has made it, and Log that of the log that it was made from: 1 to 64 letters, digits and '-', each.
	Route, Log string
	// Offset is where the message stands in that log of which it is a copy.
	Offset uint64
	// Hops is through how many routes it has come.
	Hops int
	// Once has a log store the copy only if it does not have it: see Logs.Append. It is not kept: what is read of one log may be written to another one as it was.
	Once bool
}

// Key names the route and the log together.
func (s *Source) Key() string { return s.Route + "." + s.Log }

// Place returns where the message waits.
func (m *Message) Place() string {
	if m.Queue != "" {
		return m.Queue
	}
	return m.Destination.Place()
}

// Copy returns a message that may be changed in all but the bytes of its body, and the fields of its header: appending to that is safe. It
// has no Offset and no Source of its own.
func (m *Message) Copy() *Message {
	return &Message{
		ID: m.ID, Destination: m.Destination, Also: m.Also, Queue: m.Queue, Header: slices.Clip(m.Header), Body: m.Body, Text: m.Text,
		Persistent: m.Persistent, Priority: m.Priority, Expires: m.Expires, Timestamp: m.Timestamp,
	}
}

// encodings is how many encoded forms of a message doors may share.
const encodings = 4

// Encoded returns the form that a door left in that slot, or nil. Slots belong
// to the doors; core and store ignore them.
func (m *Message) Encoded(slot int) []byte {
	if b := m.encoded[slot].Load(); b != nil {
		return *b
	}
	return nil
}

// SetEncoded shares an encoded form with the other receivers of the message, so
// that a fan-out encodes once. The bytes must not change afterwards.
func (m *Message) SetEncoded(slot int, b []byte) { m.encoded[slot].Store(&b) }

// fieldOverhead is what a field takes in memory beside its bytes.
const fieldOverhead = 32

// Size is what the message counts against limits in bytes: names, values and
// body, and what holds them.
func (m *Message) Size() int {
	n := len(m.Body) + len(m.ID) + len(m.Destination.Name) + 64
	for i := range m.Header {
		n += len(m.Header[i].Name) + len(m.Header[i].Value) + fieldOverhead
	}
	return n
}

// Delivery is a message on its way to one subscription.
type Delivery struct {
	Message *Message
	// Tag names the delivery within its subscription: it is what Subscription.Ack
	// takes. Tags of a subscription grow in order of delivery, except that a
	// message that comes back keeps its own.
	Tag uint64
	// Redeliveries is how often the message may have been handed out before
	// without having been acknowledged. Above 0 the delivery is marked redelivered.
	Redeliveries uint32
	// Seq is the message's sequence in its journal, 0 if it is only in memory. It is core's own.
	Seq uint64
}
