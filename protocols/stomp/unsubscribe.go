package stomp

import "github.com/sluice-mq/sluice/protocols/stomp/wire"

// unsubscribe ends the subscriptions of an id, or in STOMP 1.0 of a destination.
// After its receipt nothing of them is delivered. With the name of a durable subscription it ends that for good: what waits for
// it is gone.
func (c *conn) unsubscribe(f *wire.Frame) error {
	match, to, err := c.unsubscribed(f)
	if err != nil {
		return err
	}
	id, hasID := f.Header.Get("id")
	durable, err := c.durableName(f.Header, id, hasID, &to)
	if err != nil {
		return err
	}
	if !c.returns() {
		durable = ""
	}
	if durable == "" || c.addresses.forgetEnds {
		removed := c.removeSubscriptions(match)
		if len(removed) == 0 && durable == "" {
			return invalid("No subscription matched.")
		}
		c.conclude(removed)
	}
	if durable == "" {
		return c.receipt(f)
	}
	receipt, _ := f.Header.Get("receipt")
	c.session.Forget(durable, c, c.owe(answer{receipt: receipt}))
	return nil
}

// conclude has the writer close subscriptions and returns when it has.
func (c *conn) conclude(removed []*subscription) {
	c.flushAcks(removed)
	c.mu.Lock()
	for _, s := range removed {
		s.gone = make(chan struct{})
	}
	c.closing = append(c.closing, removed...)
	c.mu.Unlock()
	c.wakeWriter()
	for _, s := range removed {
		select {
		case <-s.gone:
		case <-c.written:
		}
	}
}

// unsubscribed tells which subscriptions an UNSUBSCRIBE means, and to what they are.
func (c *conn) unsubscribed(f *wire.Frame) (match func(*subscription) bool, to target, err error) {
	id, hasID := f.Header.Get("id")
	text, hasText := f.Header.Get("destination")
	switch {
	case hasID:
	case !c.mayOmitID():
		return nil, to, invalid("UNSUBSCRIBE received without a subscription id!")
	case !hasText:
		return nil, to, invalid("Must specify the subscriptionId or the destination you are unsubscribing from")
	}
	if hasText && (!hasID || len(c.addresses.durableFlags) > 0) {
		if to, err = c.addresses.target(f.Header, text, toSubscribe); err != nil {
			return nil, to, err
		}
	}
	if !hasID {
		return func(s *subscription) bool { return s.to.equal(&to) }, to, nil
	}
	if s := c.subsByID[id]; s != nil && !hasText {
		to = s.to
	}
	return func(s *subscription) bool { return s.hasID && s.id == id }, to, nil
}
