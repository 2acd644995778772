package core

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/facts"
	"github.com/sluice-mq/sluice/gateway/feed"
	"github.com/sluice-mq/sluice/gateway/quota"
	"github.com/sluice-mq/sluice/gateway/selector"
	"github.com/sluice-mq/sluice/gateway/tap"
	"github.com/sluice-mq/sluice/gateway/union"
)

// enrolled is a subscription as its client has it: what the client takes and settles is counted and, if somebody wants that, bounded,
// written down and shown.
type enrolled struct {
	source  union.Source
	session *session
	options gateway.SubscribeOptions

	lasting
	// guard is that of a durable subscription to a pattern of topics.
	guard atomic.Pointer[guard]

	// share is what it has of its session's accounts.
	share *quota.Share

	// number is the subscription's in its session, and unsaid: it is still to be told that it is there.
	number uint64
	unsaid atomic.Bool

	ended          sync.Once // Ended was called, or there is nobody to tell
	taken, settled atomic.Uint64
	// extended is what its door lets be outstanding beyond the prefetch, and slow what was seen of it last.
	extended atomic.Int64
	slow     slowness
	// tracks: there is something in out or queue.
	tracks atomic.Bool

	mu  sync.Mutex
	why error
	// out are deliveries that the client has, by their tags, as far as somebody wanted to know of them when they were handed out.
	// Of a subscription with AutoAck queue has them, in order. It has untold others, which came before.
	out    map[uint64]handed
	queue  []handed
	untold int
}

// handed is a delivery that the client has.
type handed struct {
	id string
	// d is where the message was sent.
	d     gateway.Destination
	token bool // it takes room in flight
	// subject is the message without its body, if somebody wants to know that it was acknowledged, and size how long that is.
	subject *gateway.Message
	size    int
	// shown are the taps that have shown it.
	shown []*tap.Tap
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
	if err := s.valid(&o); err != nil {
		return nil, err
	}
	s.broker.usualPrefetch(&o)
	for {
		st := s.standing.Load()
		for _, d := range o.Destinations() {
			if err := s.mayOpen(st, d, o.Browse); err != nil {
				return nil, err
			}
		}
		e := &enrolled{session: s, options: o, number: s.subscribed.Add(1)}
		if err := e.last(); err != nil {
			return nil, err
		}
		prefetch, err := e.enrol()
		if err != nil {
			e.unhold()
			return nil, s.limited(err, o.Destination)
		}
		o := o
		o.Prefetch, o.Ended = prefetch, e.tell
		e.make(st, o)
		s.mu.Lock()
		closed, judged := s.closed || s.why != nil, s.standing.Load() == st
		if !closed && judged {
			s.subscriptions[e.source] = e
			e.count()
			s.haveTemps(&o)
		}
		s.mu.Unlock()
		if closed || !judged {
			s.broker.ledger.Strike(e.share)
			e.discard()
		}
		if closed {
			return nil, errSessionClosed
		}
		if judged {
			e.source.Open()
			s.broker.ledger.Opened(e.share)
			s.trail.Subscribed(&e.options)
			e.adviseBegun()
			return e.announced(), nil
		}
	}
}

// valid returns why there cannot be such a subscription.
func (s *session) valid(o *gateway.SubscribeOptions) error {
	if len(o.Also) > alsoMost {
		return gateway.Errorf(gateway.Limit, "the subscription has %d destinations, the limit is %d", len(o.Also)+1, alsoMost+1)
	}
	for _, d := range o.Destinations() {
		if err := d.Validate(); err != nil {
			return err
		}
	}
	if o.Durable != "" {
		if err := s.validDurable(o); err != nil {
			return err
		}
	}
	if o.Browse {
		o.AutoAck = true // nothing is to be acknowledged
		if err := validBrowser(o); err != nil {
			return err
		}
	}
	if _, err := s.broker.topics.selectors.Parse(o.Selector); err != nil || !o.NoLocal || o.Durable != "" {
		return err
	}
	if !slices.ContainsFunc(o.Destinations(), func(d gateway.Destination) bool { return d.Kind.IsQueue() }) {
		return nil
	}
	// Ids say whose messages are: in a queue they wait for others, whichever node it is on, and as dead ones, too.
	o.Selector = selector.Both(o.Selector, selector.NotOf(s.ids))
	_, err := s.broker.topics.selectors.Parse(o.Selector)
	return err
}

// announced is the subscription as its door gets it.
func (e *enrolled) announced() gateway.Subscription {
	far, ok := e.source.(gateway.Announced)
	switch known := (facts.Known{Facts: e.session.broker.facts, Revision: e.since}); {
	case e.since != 0 && ok:
		return announcedTo{e, bothKnown{known, far}}
	case e.since != 0:
		return announcedTo{e, known}
	case ok:
		return announcedTo{e, far}
	}
	return e
}

// make makes the subscription itself.
func (e *enrolled) make(st *standing, o gateway.SubscribeOptions) {
	s := e.session
	if e.place != "" { // what is kept for it was selected before
		e.guard.Store(newGuard(st.rights, o.Destination))
		o.Destination, o.Selector, o.NoLocal = feed.Durable(s.login.ClientID, o.Durable), "", false
		o.AutoAck = o.AutoAck && !e.settles
	}
	switch {
	case o.Browse:
		e.source = newBrowser(s, o)
	case union.Joins(&o):
		e.source = union.New(joined{s, e.number}, &s.company, st.rights, o)
	case o.Destination.Kind.IsTopic():
		e.source = newTopicSubscription(s, newGuard(st.rights, o.Destination), o, e.number)
	default:
		e.source = s.newQueueSource(o, false)
	}
}

// discard is for a subscription that was made and will not be opened.
func (e *enrolled) discard() {
	e.unhold()
	switch sub := e.source.(type) {
	case *topicSubscription:
		sub.session.broker.topics.selectors.Leave(sub.selector)
	case *queueSubscription:
		sub.unchoose()
	}
}

// tell has the door know that the broker ends the subscription, once.
func (e *enrolled) tell(err *gateway.Error) {
	e.ended.Do(func() {
		if err != nil { // nil is no error, whatever its type
			e.mu.Lock()
			e.why = err
			e.mu.Unlock()
		}
		if e.options.Ended != nil {
			e.options.Ended(err)
		}
	})
}

// gone takes the subscription out of the books once it is closed.
func (e *enrolled) gone(withSession bool) {
	e.session.broker.ledger.Strike(e.share)
	e.unhold()
	e.adviseEnded()
	e.mu.Lock()
	why := e.why
	e.mu.Unlock()
	if !withSession {
		e.session.trail.Unsubscribed(&e.options, e.taken.Load(), why)
	}
}

// inFlight is how many deliveries the client has that it has not settled.
func (e *enrolled) inFlight() int {
	settled := e.settled.Load()
	return int(max(e.taken.Load(), settled) - settled)
}
