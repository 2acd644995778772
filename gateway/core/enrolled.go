package core

import (
	"sync"
	"sync/atomic"

	"github.com/sluice-mq/sluice/gateway"
)

// source is a subscription on a queue or a topic.
type source interface {
	gateway.Subscription
	settler
	open()
}

// enrolled is a subscription as its client has it: what the client takes and settles is counted and, if somebody wants that, bounded,
// written down and shown.
type enrolled struct {
	source  source
	session *session
	options gateway.SubscribeOptions

	ended          sync.Once // Ended was called, or there is nobody to tell
	taken, settled atomic.Uint64
	// tracks: there is something in out or queue.
	tracks atomic.Bool

	mu  sync.Mutex
	why error
	// out are deliveries that the client has, by their tags, as far as somebody wanted to know of them when they were handed out.
	// Of a subscription with AutoAck queue has them, in order. It has untold others, which came before.
	out    map[uint64]handed
	queue  []handed
	untold int

	// Guarded by the ledger's lock: what it may have outstanding, whether that may change, the room in flight that it has
	// taken, and what it waits for.
	prefetch int
	open     bool
	tokens   int
	waitsFor *account
}

// handed is a delivery that the client has.
type handed struct {
	id string
	// d is where the message was sent.
	d     gateway.Destination
	token bool // it takes room in flight
	// shown are the taps that have shown it.
	shown []*Tap
}

// announcedTo is an enrolled subscription of which other nodes must hear.
type announcedTo struct {
	*enrolled
	far gateway.Announced
}

// Announced implements gateway.Announced.
func (a announcedTo) Announced(c gateway.Completion, token uint64) { a.far.Announced(c, token) }

// Subscribe implements gateway.Session.
func (s *session) Subscribe(o gateway.SubscribeOptions) (gateway.Subscription, error) {
	if err := o.Destination.Validate(); err != nil {
		return nil, err
	}
	for {
		st := s.standing.Load()
		if err := s.mayOpen(st, o.Destination); err != nil {
			return nil, err
		}
		e := &enrolled{session: s, options: o}
		prefetch, changes, err := s.broker.ledger.enrol(e)
		extend(changes)
		if err != nil {
			return nil, s.limited(err, o.Destination)
		}
		o := o
		o.Prefetch, o.Ended = prefetch, e.tell
		e.make(st, o)
		s.mu.Lock()
		closed, judged := s.closed || s.why != nil, s.standing.Load() == st
		if !closed && judged {
			s.subscriptions[e.source] = e
		}
		s.mu.Unlock()
		if closed || !judged {
			s.broker.ledger.strike(e)
		}
		if closed {
			return nil, errSessionClosed
		}
		if judged {
			e.source.open()
			s.broker.ledger.opened(e)
			s.tellSubscribed(e)
			if far, ok := e.source.(gateway.Announced); ok {
				return announcedTo{e, far}, nil
			}
			return e, nil
		}
	}
}

// make makes the subscription itself.
func (e *enrolled) make(st *standing, o gateway.SubscribeOptions) {
	s := e.session
	seat := s.broker.seatOf(o.Destination.Name)
	switch {
	case o.Destination.Kind == gateway.KindTopic:
		e.source = newTopicSubscription(s, newGuard(st.rights, o.Destination), o)
	case s.broker.cfg.Cluster != nil:
		e.source = newClusterSubscription(s, seat, o)
	default:
		e.source = newQueueSubscription(s, seat.here.Load(), o)
	}
}

// tell has the door know that the broker ends the subscription, once.
func (e *enrolled) tell(err *gateway.Error) {
	e.ended.Do(func() {
		e.mu.Lock()
		e.why = err
		e.mu.Unlock()
		if e.options.Ended != nil {
			e.options.Ended(err)
		}
	})
}

// gone takes the subscription out of the books once it is closed.
func (e *enrolled) gone(withSession bool) {
	e.session.broker.ledger.strike(e)
	e.mu.Lock()
	why := e.why
	e.mu.Unlock()
	if !withSession {
		e.session.tellUnsubscribed(e, why)
	}
}

// inFlight is how many deliveries the client has that it has not settled.
func (e *enrolled) inFlight() int {
	settled := e.settled.Load()
	return int(max(e.taken.Load(), settled) - settled)
}
