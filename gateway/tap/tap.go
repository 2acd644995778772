// Package tap shows readers what happens to messages on a node, as it happens. It never holds anything up: what a reader does not take in time is dropped.
package tap

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-mq/sluice/gateway"
)

const (
	// tapsMost is how many taps may be open at once.
	tapsMost = 8
	// tapEvents is how many events may wait for a tap's reader, tapBody how much of a body an event holds at most, and tapHeader how much of a header.
	tapEvents = 512
	tapBody   = 64 << 10
	tapHeader = 16 << 10
)

// Options say what a tap shows.
type Options struct {
	// Destination may be a pattern; without a name it is all, and without a kind both kinds.
	Destination gateway.Destination
	// Session is the name of the only session to be shown; empty is all.
	Session string
	// Every shows one message in so many, and all that happens to it; 0 and 1 show all.
	Every int
	// Match, if not nil, leaves out the messages for which it is false. It is called by senders and receivers: it must be quick, and must
	// neither block nor call into the broker.
	Match func(*gateway.Message) bool
	// Bodies shows bodies, MaxBody bytes of each; 0 and what is above 64 KiB are 64 KiB.
	Bodies  bool
	MaxBody int
}

// Kind is what happened to a message.
type Kind string

// The kinds of a Event.
const (
	Sent      Kind = "sent"
	Delivered Kind = "delivered"
	Acked     Kind = "acked"
	Refused   Kind = "refused"
)

// Event is something that happened to a message on this node. It shares no memory with the message.
type Event struct {
	Kind Kind
	Time time.Time
	// Session, User and Remote are the sender's of Sent, else the receiver's.
	Session, User, Remote string
	// Subscription is the name of the receiver's subscription.
	Subscription string
	Destination  gateway.Destination
	MessageID    string
	// Redeliveries as in gateway.Delivery, of Delivered.
	Redeliveries uint32
	// Header, up to 16 KiB of it, and Body are those of Sent and Delivered; BodySize is how long the whole body is.
	Header   gateway.Header
	Body     []byte
	BodySize int
	// Dropped events were lost before this one, because the reader did not keep up.
	Dropped uint64
}

// Tap shows what happens to messages to one reader. It never holds anything up: what its reader does not take in time is dropped.
type Tap struct {
	options Options
	events  chan Event

	mu      sync.Mutex
	closed  bool
	dropped uint64 // since the last event
	total   uint64
}

// Events yields what happens, until the tap is over.
func (t *Tap) Events() <-chan Event { return t.events }

// Dropped is how many events were lost so far.
func (t *Tap) Dropped() uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.total
}

// Set is the taps of a node. The zero value has none and is ready to use.
type Set struct {
	open atomic.Pointer[[]*Tap]
	mu   sync.Mutex // of those who change it
}

// Open are the taps that are open now, nil if there are none. It costs one atomic load; nobody may change what it returns.
func (s *Set) Open() []*Tap {
	if all := s.open.Load(); all != nil {
		return *all
	}
	return nil
}

// Add begins to show what happens to messages. The error is of kind Limit if there are too many taps, and Invalid if the options make no sense.
func (s *Set) Add(o Options) (*Tap, error) {
	if o.Destination.Name != "" && o.Destination.Kind != 0 {
		if err := o.Destination.Validate(); err != nil {
			return nil, err
		}
	}
	if o.Every < 0 || o.MaxBody < 0 {
		return nil, gateway.Errorf(gateway.Invalid, "a tap cannot show every %dth message or %d bytes of a body", o.Every, o.MaxBody)
	}
	if o.MaxBody == 0 || o.MaxBody > tapBody {
		o.MaxBody = tapBody
	}
	t := &Tap{options: o, events: make(chan Event, tapEvents)}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.Open()
	if len(now) >= tapsMost {
		return nil, gateway.Errorf(gateway.Limit, "there are %d taps, the limit is %d", len(now), tapsMost)
	}
	all := append(slices.Clone(now), t)
	s.open.Store(&all)
	return t, nil
}

// End ends a tap.
func (s *Set) End(t *Tap) {
	s.mu.Lock()
	rest := slices.DeleteFunc(slices.Clone(s.Open()), func(other *Tap) bool { return other == t })
	if len(rest) == 0 {
		s.open.Store(nil)
	} else {
		s.open.Store(&rest)
	}
	s.mu.Unlock()
	t.mu.Lock()
	t.closed = true
	close(t.events)
	t.mu.Unlock()
}

// wants reports whether a tap shows what happens to a message of which this is known.
func (t *Tap) wants(session string, d gateway.Destination, id string) bool {
	o := &t.options
	switch {
	case o.Session != "" && o.Session != session,
		o.Destination.Kind != 0 && o.Destination.Kind != d.Kind,
		o.Destination.Name != "" && !gateway.Matches(o.Destination.Name, d.Name):
		return false
	}
	// By its id, so that all that happens to one message is shown, or nothing.
	return o.Every <= 1 || gateway.ShardOf(id, o.Every) == 0
}

// show gives an event to the reader, or drops it.
func (t *Tap) show(e Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return
	}
	e.Dropped = t.dropped
	select {
	case t.events <- e:
		t.dropped = 0
	default:
		t.dropped++
		t.total++
	}
}

// copyTo copies what an event shows of a message.
func (t *Tap) copyTo(e *Event, m *gateway.Message) {
	e.BodySize = len(m.Body)
	if t.options.Bodies {
		e.Body = slices.Clone(m.Body[:min(len(m.Body), t.options.MaxBody)])
	}
	size := 0
	for _, f := range m.Header {
		if size += len(f.Name) + len(f.Value); size > tapHeader {
			break
		}
		e.Header = append(e.Header, gateway.Field{Name: strings.Clone(f.Name), Value: strings.Clone(f.Value)})
	}
}

// Watched is a session as taps show it.
type Watched struct{ Session, User, Remote string }

// event is one of a session.
func (w *Watched) event(kind Kind, at time.Time, d gateway.Destination, id string) Event {
	d.Name = strings.Clone(d.Name)
	return Event{Kind: kind, Time: at, Session: w.Session, User: w.User, Remote: w.Remote, Destination: d, MessageID: id}
}

// shows reports whether a tap shows what happens to a message.
func (t *Tap) shows(session string, m *gateway.Message) bool {
	return t.wants(session, m.Destination, m.ID) && (t.options.Match == nil || t.options.Match(m))
}

// ShowSent shows a message that the session has sent.
func (w *Watched) ShowSent(taps []*Tap, at time.Time, m *gateway.Message) {
	for _, t := range taps {
		if t.shows(w.Session, m) {
			e := w.event(Sent, at, m.Destination, m.ID)
			t.copyTo(&e, m)
			t.show(e)
		}
	}
}

// ShowDelivery shows a delivery to a subscription of the session, and returns the taps that do.
func (w *Watched) ShowDelivery(taps []*Tap, at time.Time, subscription string, d *gateway.Delivery) (shown []*Tap) {
	m := d.Message
	for _, t := range taps {
		if t.shows(w.Session, m) {
			e := w.event(Delivered, at, m.Destination, m.ID)
			e.Subscription, e.Redeliveries = subscription, d.Redeliveries
			t.copyTo(&e, m)
			t.show(e)
			shown = append(shown, t)
		}
	}
	return shown
}

// ShowSettled shows what became of a delivery, on the taps that have shown that.
func (w *Watched) ShowSettled(taps []*Tap, at time.Time, what Kind, subscription string, d gateway.Destination, id string) {
	for _, t := range taps {
		e := w.event(what, at, d, id)
		e.Subscription = subscription
		t.show(e)
	}
}
