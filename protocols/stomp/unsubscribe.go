package stomp

import "github.com/sluice-mq/sluice/protocols/stomp/wire"

// unsubscribe ends the subscriptions of an id, or in STOMP 1.0 of a destination.
// After its receipt nothing of them is delivered.
func (c *conn) unsubscribe(f *wire.Frame) error {
	match, err := c.unsubscribed(f)
	if err != nil {
		return err
	}
	removed := c.removeSubscriptions(match)
	if len(removed) == 0 {
		return invalid("No subscription matched.")
	}
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
	return c.receipt(f)
}

// unsubscribed tells which subscriptions an UNSUBSCRIBE means.
func (c *conn) unsubscribed(f *wire.Frame) (func(*subscription) bool, error) {
	if id, ok := f.Header.Get("id"); ok {
		return func(s *subscription) bool { return s.hasID && s.id == id }, nil
	}
	to, ok := f.Header.Get("destination")
	switch {
	case c.version != wire.V10:
		return nil, invalid("UNSUBSCRIBE received without a subscription id!")
	case !ok:
		return nil, invalid("Must specify the subscriptionId or the destination you are unsubscribing from")
	}
	d, _, err := parseDestination(to)
	if err != nil {
		return nil, err
	}
	return func(s *subscription) bool { return s.destination == d }, nil
}
