package core

import (
	"context"
	"slices"
	"strings"
	"sync"
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

// TapOptions say what a tap shows.
type TapOptions struct {
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

// TapKind is what happened to a message.
type TapKind string

// The kinds of a TapEvent.
const (
	TapSent      TapKind = "sent"
	TapDelivered TapKind = "delivered"
	TapAcked     TapKind = "acked"
	TapRefused   TapKind = "refused"
)

// TapEvent is something that happened to a message on this node. It shares no memory with the message.
type TapEvent struct {
	Kind TapKind
	Time time.Time
	// Session, User and Remote are the sender's of TapSent, else the receiver's.
	Session, User, Remote string
	// Subscription is the name of the receiver's subscription.
	Subscription string
	Destination  gateway.Destination
	MessageID    string
	// Redeliveries as in gateway.Delivery, of TapDelivered.
	Redeliveries uint32
	// Header, up to 16 KiB of it, and Body are those of TapSent and TapDelivered; BodySize is how long the whole body is.
	Header   gateway.Header
	Body     []byte
	BodySize int
	// Dropped events were lost before this one, because the reader did not keep up.
	Dropped uint64
}

// Tap shows what happens to messages to one reader. It never holds anything up: what its reader does not take in time is dropped.
type Tap struct {
	options TapOptions
	events  chan TapEvent

	mu      sync.Mutex
	closed  bool
	dropped uint64 // since the last event
	total   uint64
}

// Events yields what happens, until the tap is over.
func (t *Tap) Events() <-chan TapEvent { return t.events }

// Dropped is how many events were lost so far.
func (t *Tap) Dropped() uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.total
}

// Tap begins to show what happens to messages on this node, until ctx or the broker ends. Deliveries that were handed out before are not
// shown when they are settled. The error is of kind Limit if there are too many taps, and Invalid if the options make no sense.
func (b *Broker) Tap(ctx context.Context, o TapOptions) (*Tap, error) {
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
	t := &Tap{options: o, events: make(chan TapEvent, tapEvents)}
	b.mu.Lock()
	defer b.mu.Unlock()
	var all []*Tap
	if now := b.taps.Load(); now != nil {
		all = *now
	}
	if len(all) >= tapsMost {
		return nil, gateway.Errorf(gateway.Limit, "there are %d taps, the limit is %d", len(all), tapsMost)
	}
	if !b.spawn(func() {
		select {
		case <-ctx.Done():
		case <-b.watching.Done():
		}
		b.untap(t)
	}) {
		return nil, gateway.Errorf(gateway.Unavailable, "the broker is stopping")
	}
	all = append(slices.Clone(all), t)
	b.taps.Store(&all)
	return t, nil
}

// untap ends a tap.
func (b *Broker) untap(t *Tap) {
	b.mu.Lock()
	rest := slices.DeleteFunc(slices.Clone(*b.taps.Load()), func(other *Tap) bool { return other == t })
	if len(rest) == 0 {
		b.taps.Store(nil)
	} else {
		b.taps.Store(&rest)
	}
	b.mu.Unlock()
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
func (t *Tap) show(e TapEvent) {
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
func (t *Tap) copyTo(e *TapEvent, m *gateway.Message) {
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

// event is one of the session.
func (s *session) event(kind TapKind, d gateway.Destination, id string) TapEvent {
	d.Name = strings.Clone(d.Name)
	return TapEvent{Kind: kind, Time: s.broker.cfg.Now(), Session: s.id, User: s.who().Name, Remote: s.login.From(), Destination: d, MessageID: id}
}

func (s *session) showSent(taps []*Tap, m *gateway.Message) {
	for _, t := range taps {
		if t.wants(s.id, m.Destination, m.ID) && (t.options.Match == nil || t.options.Match(m)) {
			e := s.event(TapSent, m.Destination, m.ID)
			t.copyTo(&e, m)
			t.show(e)
		}
	}
}

// showDelivery returns the taps that show it.
func (s *session) showDelivery(taps []*Tap, to *enrolled, d *gateway.Delivery) (shown []*Tap) {
	m := d.Message
	for _, t := range taps {
		if t.wants(s.id, m.Destination, m.ID) && (t.options.Match == nil || t.options.Match(m)) {
			e := s.event(TapDelivered, m.Destination, m.ID)
			e.Subscription, e.Redeliveries = to.options.Name, d.Redeliveries
			t.copyTo(&e, m)
			t.show(e)
			shown = append(shown, t)
		}
	}
	return shown
}

// showSettled shows what became of deliveries that taps have shown.
func (s *session) showSettled(kind gateway.EventKind, of *enrolled, done []handed) {
	what := TapAcked
	if kind == gateway.Refused {
		what = TapRefused
	}
	for _, h := range done {
		for _, t := range h.shown {
			e := s.event(what, h.d, h.id)
			e.Subscription = of.options.Name
			t.show(e)
		}
	}
}
