package stomp

import (
	"sync/atomic"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/protocols/stomp/wire"
)

// ackMode is how a subscription's client acknowledges.
type ackMode uint8

const (
	ackAuto       ackMode = iota
	ackClient             // cumulative
	ackIndividual         // one by one
)

// parseAckMode reads the ack header; what is unknown is auto, as in ActiveMQ.
func parseAckMode(s string) ackMode {
	switch s {
	case "client":
		return ackClient
	case "client-individual":
		return ackIndividual
	}
	return ackAuto
}

// subscription is one SUBSCRIBE of a connection.
type subscription struct {
	conn     *conn
	number   uint64 // unique in the connection, growing
	id       string
	hasID    bool
	to       target
	text     string // what destination deliveries show, if not the usual form
	browser  bool
	json     bool // maps are shown in JSON
	xml      bool // advisories come in XML
	mode     ackMode
	source   gateway.Subscription
	older    *subscription // an earlier one with the same id
	gone     chan struct{} // closed by the writer once source is closed
	unwaited bool          // the reader's: something was acknowledged without a receipt

	queued atomic.Bool // in the connection's list of ready ones
	lost   atomic.Bool // the broker ended it alone
	seen   atomic.Bool // a browser has had everything

	// The writer's own.
	started, closed bool
	ended           bool // a browser's client knows that it has had everything
	headFor         gateway.Destination
	head            []byte

	unacked unacked // under conn.acks
}

// wake implements SubscribeOptions.Wake.
func (s *subscription) wake() {
	if !s.queued.CompareAndSwap(false, true) {
		return
	}
	c := s.conn
	c.mu.Lock()
	c.ready = append(c.ready, s)
	c.mu.Unlock()
	c.wakeWriter()
}

// end implements SubscribeOptions.Ended. Who may not read a destination any more loses that subscription and hears
// which it was; whatever else ends a subscription ends its connection. Nil ends what a browser sees.
func (s *subscription) end(err *gateway.Error) {
	c := s.conn
	if err == nil {
		s.seen.Store(true)
		s.wake()
		return
	}
	r := &refusal{err: err, closes: err.Kind != gateway.Denied || c.server.dialect.fatal}
	if s.hasID {
		r.header = gateway.Header{{Name: "subscription", Value: s.id}}
	}
	if r.closes {
		c.endFor(r)
		return
	}
	s.lost.Store(true)
	c.someLost.Store(true)
	c.answer(answer{err: r})
}

// dropLost forgets the subscriptions that the broker ended. Until then their ids can be unsubscribed.
func (c *conn) dropLost() {
	if !c.someLost.Swap(false) {
		return
	}
	lost := c.removeSubscriptions(func(s *subscription) bool { return s.lost.Load() })
	c.mu.Lock()
	for _, s := range lost {
		s.gone = make(chan struct{})
	}
	c.closing = append(c.closing, lost...)
	c.mu.Unlock()
	c.wakeWriter()
}

// appendHead appends a MESSAGE's beginning: command, destination and
// subscription, which are made once as long as the destination stays.
func (s *subscription) appendHead(dst []byte, v wire.Version, d gateway.Destination) []byte {
	if s.head == nil || s.headFor != d {
		s.headFor = d
		s.head = append(s.head[:0], "MESSAGE\n"...)
		s.head = wire.AppendField(s.head, v, "destination", s.shown(d))
		if s.hasID {
			s.head = wire.AppendField(s.head, v, "subscription", s.id)
		}
	}
	return append(dst, s.head...)
}

// shown is a destination as the client sees it.
func (s *subscription) shown(d gateway.Destination) string {
	if s.text != "" && d == s.to.Destination {
		return s.text
	}
	return s.conn.addresses.format(d)
}

// addSubscription makes a subscription findable.
func (c *conn) addSubscription(s *subscription) {
	c.subs = append(c.subs, s)
	if s.hasID {
		if c.subsByID == nil {
			c.subsByID = map[string]*subscription{}
		}
		s.older = c.subsByID[s.id]
		c.subsByID[s.id] = s
	}
}

// removeSubscriptions forgets those that match and returns them.
func (c *conn) removeSubscriptions(match func(*subscription) bool) []*subscription {
	var removed []*subscription
	kept := c.subs[:0]
	for _, s := range c.subs {
		if !match(s) {
			kept = append(kept, s)
			continue
		}
		removed = append(removed, s)
		if s.hasID {
			c.unlink(s)
		}
	}
	clear(c.subs[len(kept):])
	c.subs = kept
	return removed
}

// unlink takes a subscription out of the chain of its id.
func (c *conn) unlink(s *subscription) {
	newest := c.subsByID[s.id]
	if newest != s {
		for newer := newest; newer != nil; newer = newer.older {
			if newer.older == s {
				newer.older = s.older
			}
		}
		return
	}
	if s.older == nil {
		delete(c.subsByID, s.id)
		return
	}
	c.subsByID[s.id] = s.older
}
