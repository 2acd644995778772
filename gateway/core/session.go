package core

import (
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/audit"
	"github.com/sluice-mq/sluice/gateway/completion"
	"github.com/sluice-mq/sluice/gateway/quota"
	"github.com/sluice-mq/sluice/gateway/schedule"
	"github.com/sluice-mq/sluice/gateway/union"
)

// session implements gateway.Session.
type session struct {
	broker *Broker
	id     string // names it on all nodes
	login  gateway.Login
	ids    string // what the ids of its messages begin with
	since  time.Time
	sent   atomic.Uint64
	// delivered messages left for the client.
	delivered atomic.Uint64
	// standing is who it acts for and what it may; nil in sessions that no client has.
	standing atomic.Pointer[standing]
	// last is the grant that was used last.
	last atomic.Pointer[grant]
	// accounts are those that its use of the broker is counted in. They never change.
	accounts quota.Accounts
	trail    *audit.Trail
	// company are its subscriptions to several destinations and to patterns.
	company union.Company
	// underway are copies of what it sent to topics.
	underway underway
	// subscribed counts its subscriptions, and untold: it is still to be told that it is there.
	subscribed atomic.Uint64
	untold     atomic.Bool

	mu            sync.Mutex
	closed        bool
	why           error // the broker ended it
	subscriptions map[closer]*enrolled
	grants        map[gateway.Destination]*grant
	// committing is how many transactions are not in their journals yet; what is
	// sent meanwhile is held, so that it stays behind them.
	committing int
	held       []func()
	flushing   bool                             // held is being worked off
	questions  []func()                         // that are not answered yet
	temps      map[gateway.Destination]struct{} // its temporary destinations, as far as it has subscribed to them
	left       bool                             // closed, and its subscriptions are
}

// nobody makes a session that no client has.
func (b *Broker) nobody() *session {
	s := &session{broker: b, subscriptions: make(map[closer]*enrolled)}
	s.trail = b.audit.Trail(&s.login, "", s.who)
	return s
}

// closer is a subscription as its session sees it.
type closer interface{ Close() }

var errSessionClosed = gateway.Errorf(gateway.Unavailable, "the session is closed")

// ID implements gateway.Session.
func (s *session) ID() string { return s.id }

// Principal implements gateway.Session.
func (s *session) Principal() gateway.Principal { return s.who() }

// Send implements gateway.Session.
func (s *session) Send(m *gateway.Message, c gateway.Completion, token uint64) {
	g, err := s.admit(m)
	if err == nil {
		err = s.broker.conforms(0, m)
	}
	if err != nil {
		complete(c, token, err)
		return
	}
	if g.asks != noQuestion && s.answers(m, g, c, token) {
		return
	}
	if schedule.Is(m.Header) {
		unmade, err := s.admitAlso(m, needed(nil, m.Destination, g))
		if err != nil {
			complete(c, token, err)
			return
		}
		s.sendLater(m, unmade, c, token)
		return
	}
	if s.broker.spreads(m) {
		unmade, err := s.admitAlso(m, needed(nil, m.Destination, g))
		if err != nil {
			complete(c, token, err)
			return
		}
		s.sendSpread(m, unmade, c, token)
		return
	}
	c = s.witness(m, c)
	s.mu.Lock()
	if s.closed || s.why != nil {
		s.mu.Unlock()
		complete(c, token, errSessionClosed)
		return
	}
	if s.committing > 0 || s.flushing {
		s.held = append(s.held, func() { s.route(m, g, c, token) })
		s.mu.Unlock()
		return
	}
	s.mu.Unlock()
	s.route(m, g, c, token)
}

// admit checks and stamps a message.
func (s *session) admit(m *gateway.Message) (*grant, error) {
	g, err := s.granted(m.Destination)
	if err != nil {
		return nil, err
	}
	size := m.Size()
	if size > s.broker.cfg.MaxMessage {
		return nil, gateway.Errorf(gateway.Limit, "the message is %d bytes long, the limit is %d", size, s.broker.cfg.MaxMessage)
	}
	if g.standing.terms.Paced() {
		s.broker.ledger.Charge(&g.standing.terms, size, s.tellLimit)
	}
	var id [96]byte
	m.ID = string(strconv.AppendUint(append(id[:0], s.ids...), s.sent.Add(1), 10))
	if m.Timestamp == 0 {
		m.Timestamp = s.broker.nowMillis()
	}
	if !s.broker.spreads(m) { // else each copy for itself
		s.broker.live(m, m.Destination)
	}
	return g, nil
}

// route sends a message on its road.
func (s *session) route(m *gateway.Message, g *grant, c gateway.Completion, token uint64) {
	s.routeBy(m, g, asked, c, token)
}

// routeBy is route for a message that comes to its queue by a way. g may be nil if it was asked for before.
func (s *session) routeBy(m *gateway.Message, g *grant, w way, c gateway.Completion, token uint64) {
	b := s.broker
	switch {
	case m.Destination.Kind.IsTemp() && m.Queue == "":
		s.sendTemp(m, c, token)
	case m.Destination.Kind == gateway.KindTopic && m.Queue == "":
		b.counts.topicIn.Add(1)
		b.topics.publish(m, s, waiter{c, token})
	case g != nil && g.unmade != nil:
		s.sendKnown(m, g.unmade, c, token)
	default:
		b.counts.queueIn.Add(1)
		place := m.Place()
		if w == asked {
			w = s.wayOf(place, false)
		}
		b.seatOf(place).send(m, w, c, token)
	}
}

// ended forgets a subscription that is closed.
func (s *session) ended(sub closer) {
	s.mu.Lock()
	e := s.subscriptions[sub]
	delete(s.subscriptions, sub)
	closed := s.closed
	s.mu.Unlock()
	if e != nil {
		e.gone(closed)
	}
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
	s.dropTemps()
	s.broker.ledger.Leave(s.accounts)
	s.tellDisconnected()
	s.adviseDisconnected()
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

func complete(c gateway.Completion, token uint64, err error) { completion.Complete(c, token, err) }
