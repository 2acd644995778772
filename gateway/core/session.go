package core

import (
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/sluice-mq/sluice/gateway"
)

// session implements gateway.Session.
type session struct {
	broker    *Broker
	principal gateway.Principal
	rights    gateway.Rights
	login     gateway.Login
	ids       string // what the ids of its messages begin with
	sent      atomic.Uint64

	mu            sync.Mutex
	closed        bool
	subscriptions map[closer]struct{}
	// committing is how many transactions are not in their journals yet; what is
	// sent meanwhile is held, so that it stays behind them.
	committing int
	held       []func()
	flushing   bool // held is being worked off
	left       bool // closed, and its subscriptions are
}

// closer is a subscription as its session sees it.
type closer interface{ Close() }

var errSessionClosed = gateway.Errorf(gateway.Unavailable, "the session is closed")

// Principal implements gateway.Session.
func (s *session) Principal() gateway.Principal { return s.principal }

// Send implements gateway.Session.
func (s *session) Send(m *gateway.Message, c gateway.Completion, token uint64) {
	if err := s.admit(m); err != nil {
		complete(c, token, err)
		return
	}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		complete(c, token, errSessionClosed)
		return
	}
	if s.committing > 0 || s.flushing {
		s.held = append(s.held, func() { s.route(m, c, token) })
		s.mu.Unlock()
		return
	}
	s.mu.Unlock()
	s.route(m, c, token)
}

// admit checks and stamps a message.
func (s *session) admit(m *gateway.Message) error {
	if err := m.Destination.Validate(); err != nil {
		return err
	}
	if m.Destination.IsPattern() {
		return gateway.Errorf(gateway.Invalid, "cannot send to the wildcard destination %s", m.Destination)
	}
	if size := m.Size(); size > s.broker.cfg.MaxMessage {
		return gateway.Errorf(gateway.Limit, "the message is %d bytes long, the limit is %d", size, s.broker.cfg.MaxMessage)
	}
	if err := s.rights.May(gateway.Write, m.Destination); err != nil {
		return err
	}
	var id [96]byte
	m.ID = string(strconv.AppendUint(append(id[:0], s.ids...), s.sent.Add(1), 10))
	if m.Timestamp == 0 {
		m.Timestamp = s.broker.nowMillis()
	}
	return nil
}

// route sends a message on its road.
func (s *session) route(m *gateway.Message, c gateway.Completion, token uint64) {
	b := s.broker
	switch {
	case m.Destination.Kind == gateway.KindTopic:
		b.counts.topicIn.Add(1)
		b.topics.publish(m, s, waiter{c, token})
	default:
		b.counts.queueIn.Add(1)
		b.seatOf(m.Destination.Name).send(m, c, token)
	}
}

// Subscribe implements gateway.Session.
func (s *session) Subscribe(o gateway.SubscribeOptions) (gateway.Subscription, error) {
	if err := o.Destination.Validate(); err != nil {
		return nil, err
	}
	if err := s.rights.May(gateway.Read, o.Destination); err != nil {
		return nil, err
	}
	var sub interface {
		gateway.Subscription
		open()
	}
	if o.Destination.Kind == gateway.KindTopic {
		sub = newTopicSubscription(s, o)
	} else if o.Destination.IsPattern() {
		return nil, gateway.Errorf(gateway.Invalid, "wildcards on queues are not supported by this version: %s", o.Destination)
	} else if seat := s.broker.seatOf(o.Destination.Name); s.broker.cfg.Cluster != nil {
		sub = newClusterSubscription(s, seat, o)
	} else {
		sub = newQueueSubscription(s, seat.here.Load(), o)
	}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil, errSessionClosed
	}
	s.subscriptions[sub] = struct{}{}
	s.mu.Unlock()
	sub.open()
	return sub, nil
}

func (s *session) ended(sub closer) {
	s.mu.Lock()
	delete(s.subscriptions, sub)
	s.mu.Unlock()
}

// Close implements gateway.Session. The session counts among the open ones until what it
// committed is on its way to its queues: whoever sees it gone is behind all it sent.
func (s *session) Close() {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return
	}
	s.closed = true
	open := make([]closer, 0, len(s.subscriptions))
	for sub := range s.subscriptions {
		open = append(open, sub)
	}
	s.mu.Unlock()
	for _, sub := range open {
		sub.Close()
	}
	s.broker.release(s)
	s.mu.Lock()
	s.left = true
	idle := s.idle()
	s.mu.Unlock()
	if idle {
		s.broker.forget(s)
	}
}

// idle reports whether nothing is held behind a transaction. Its caller holds the lock.
func (s *session) idle() bool { return s.committing == 0 && !s.flushing && len(s.held) == 0 }

func complete(c gateway.Completion, token uint64, err error) {
	if c != nil {
		c.Complete(token, err)
	}
}
