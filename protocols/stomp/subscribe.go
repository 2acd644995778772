package stomp

import (
	"slices"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/protocols/stomp/wire"
)

// subscribe opens a subscription.
func (c *conn) subscribe(f *wire.Frame) error {
	s, options, err := c.wanted(f.Header)
	if err != nil {
		return err
	}
	return c.open(s, options, f)
}

// open opens a subscription and answers the frame that asked for it.
func (c *conn) open(s *subscription, options gateway.SubscribeOptions, f *wire.Frame) (err error) {
	c.dropLost()
	if limit := c.server.cfg.Limits.Subscriptions; len(c.subs) >= limit {
		return gateway.Errorf(gateway.Limit, "The connection has %d subscriptions, the limit", limit)
	}
	if rule := c.server.dialect.sameID; s.hasID && rule != anotherConsumer && c.subsByID[s.id] != nil {
		err := gateway.Errorf(gateway.Conflict, "The subscription id %s is in use", quote(s.id))
		if rule == sameIDCloses {
			return closing(err)
		}
		return err
	}
	c.lastSub++
	s.number = c.lastSub
	if s.source, err = c.session.Subscribe(options); err != nil {
		return err
	}
	c.addSubscription(s)
	receipt, _ := f.Header.Get("receipt")
	a := answer{receipt: receipt, more: &more{starts: s}}
	if others, ok := s.source.(gateway.Announced); ok && receipt != "" {
		others.Announced(c, c.owe(a))
		return nil
	}
	c.answer(a)
	return nil
}

// wanted reads the header of a SUBSCRIBE.
func (c *conn) wanted(h gateway.Header) (*subscription, gateway.SubscribeOptions, error) {
	var none gateway.SubscribeOptions
	id, hasID := h.Get("id")
	if !hasID && !c.mayOmitID() {
		return nil, none, invalid("SUBSCRIBE received without a subscription id!")
	}
	if err := bounded("id", id); err != nil {
		return nil, none, err
	}
	text, _ := h.Get("destination")
	to, err := c.addresses.target(h, text, toSubscribe)
	if err != nil {
		return nil, none, err
	}
	mode, _ := h.Get("ack")
	s := &subscription{conn: c, id: id, hasID: hasID, to: to, mode: parseAckMode(mode), json: wantsJSON(h), xml: wantsXML(h)}
	if c.addresses.asWritten && len(to.also) == 0 {
		s.text = text
	}
	options, err := c.wishes(h, s)
	return s, options, err
}

// mayOmitID reports whether subscriptions may be without an id.
func (c *conn) mayOmitID() bool { return c.version == wire.V10 || c.addresses.idless }

// subscriptionAt finds a subscription by its number.
func (c *conn) subscriptionAt(number uint64) (int, bool) {
	return slices.BinarySearchFunc(c.subs, number, func(s *subscription, n uint64) int {
		switch {
		case s.number < n:
			return -1
		case s.number > n:
			return 1
		}
		return 0
	})
}
