package stomp

import (
	"strconv"
	"strings"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/protocols/stomp/wire"
)

// ack acknowledges one delivery, or all up to it in client mode.
func (c *conn) ack(f *wire.Frame) error { return c.settle(f, verdict{command: "ACK"}) }

// verdict is what becomes of deliveries.
type verdict struct {
	command string
	// nack: they are refused; with back, they come back instead.
	nack, back bool
	how        gateway.Return
}

// settle carries out ACK and NACK.
func (c *conn) settle(f *wire.Frame, v verdict) error {
	tx, err := c.transactionOf(f.Header)
	if err != nil {
		return err
	}
	if tx != nil && tx.failed != nil {
		return tx.failed
	}
	name, s, tags, err := c.acknowledged(f.Header, v, tx)
	if err != nil {
		return err
	}
	if s == nil {
		return gateway.Errorf(gateway.NotFound, "Unexpected %s received for message-id [%s]", v.command, quote(name))
	}
	receipt, _ := f.Header.Get("receipt")
	switch {
	case len(tags) == 0: // the same transaction holds it already
		return c.receipt(f)
	case tx != nil:
		tx.hold(s, tags, v)
		if s.gone == nil {
			s.source.Extend(len(tags))
		}
		if err := c.grow(tx, len(tags)*heldAck); err != nil {
			return err
		}
		return c.receipt(f)
	case v.back:
		if err := s.source.Release(tags, v.how); err != nil {
			return err
		}
		return c.receipt(f)
	case v.nack:
		s.source.Nack(tags, c, c.owe(answer{receipt: receipt}))
	case receipt == "":
		// Nobody waits for it, so the broker need not make it durable by itself.
		s.unwaited = true
		s.source.Ack(tags, nil, 0)
	default:
		s.source.Ack(tags, c, c.owe(answer{receipt: receipt}))
	}
	return nil
}

// flushAcks makes later receipts wait for the acknowledgements that nobody has waited for.
func (c *conn) flushAcks(subs []*subscription) {
	for _, s := range subs {
		if s.unwaited || s.mode == ackAuto {
			s.unwaited = false
			s.source.Ack(nil, c, c.owe(answer{}))
		}
	}
}

// acknowledged finds what an ACK or NACK names and takes it. The subscription
// is nil if there is no such delivery; name is how the client called it.
func (c *conn) acknowledged(h gateway.Header, v verdict, tx *transaction) (
	name string, s *subscription, tags []uint64, err error,
) {
	var candidates []*subscription
	index := -1
	c.acks.Lock()
	defer c.acks.Unlock()
	if c.version == wire.V12 {
		id, ok := h.Get("id")
		if !ok {
			return "", nil, nil, invalid("%s", withoutAckID(v.nack))
		}
		name = id
		if b := c.browsed(id); b != nil {
			return id, b, nil, b.looking(v)
		}
		s, index = c.byAckID(id)
		if s == nil {
			s, index, _ = oldest(c.subs, id)
			if s != nil && c.ambiguous(s, index) {
				s = nil
			}
		}
	} else {
		if name, candidates, err = c.namedBefore12(h, v.command); err != nil {
			return name, nil, nil, err
		}
		if len(candidates) > 0 && candidates[0].browser {
			return name, candidates[0], nil, candidates[0].looking(v)
		}
		s, index, _ = oldest(candidates, name)
	}
	if s == nil {
		return name, nil, nil, nil
	}
	tags, ok := s.unacked.take(index, s.mode == ackClient && (!v.nack || c.addresses.nackAll), tx)
	if !ok {
		return name, nil, nil, nil
	}
	return name, s, tags, nil
}

// withoutAckID are ActiveMQ's words.
func withoutAckID(nack bool) string {
	if nack {
		return "NACK received without an ack header to acknowledge!"
	}
	return "ACK received without a ack id for acknowledge!"
}

// namedBefore12 reads the headers of STOMP 1.0 and 1.1: the message-id and the
// subscriptions in which it may be.
func (c *conn) namedBefore12(h gateway.Header, command string) (id string, in []*subscription, err error) {
	id, ok := h.Get("message-id")
	if !ok || id == "" {
		return "", nil, invalid("%s received without a message-id to acknowledge!", command)
	}
	sub, ok := h.Get("subscription")
	if !ok {
		if !c.mayOmitID() {
			return id, nil, invalid("%s received without a subscription id for acknowledge!", command)
		}
		return id, c.subs, nil
	}
	newest := c.subsByID[sub]
	if newest == nil {
		newest = c.subsByID[unescape(sub)]
	}
	for s := newest; s != nil; s = s.older {
		in = append(in, s)
	}
	return id, in, nil
}

// oldest finds the first unsettled delivery of a message, also for clients that
// send escapes back as they came.
func oldest(subs []*subscription, id string) (*subscription, int, bool) {
	for _, s := range subs {
		if i := s.unacked.byID(id); i >= 0 {
			return s, i, true
		}
	}
	if plain := unescape(id); plain != id {
		return oldest(subs, plain)
	}
	return nil, -1, false
}

// ambiguous reports whether another subscription waits for the same message.
func (c *conn) ambiguous(s *subscription, index int) bool {
	id := s.unacked.open()[index].id
	for _, other := range c.subs {
		if other != s && other.unacked.byID(id) >= 0 {
			return true
		}
	}
	return false
}

// appendAckID appends the ack header's value of a delivery: unique in its
// connection, and free of everything that a client might escape.
func appendAckID(dst []byte, subscription, delivery uint64) []byte {
	dst = strconv.AppendUint(dst, subscription, 10)
	dst = append(dst, '-')
	return strconv.AppendUint(dst, delivery, 10)
}

// browsed finds the browser that an ack header is of.
func (c *conn) browsed(id string) *subscription {
	left, _, _ := strings.Cut(id, "-")
	number, err := strconv.ParseUint(left, 10, 64)
	if err != nil {
		return nil
	}
	if i, ok := c.subscriptionAt(number); ok && c.subs[i].browser {
		return c.subs[i]
	}
	return nil
}

// looking is what becomes of an acknowledgement to a browser, which has nothing to acknowledge: ActiveMQ refuses a NACK.
func (s *subscription) looking(v verdict) error {
	if v.nack {
		return invalid("Cannot Nack a message on a Queue Browser Subscription.")
	}
	return nil
}

// byAckID finds the delivery of an ack header.
func (c *conn) byAckID(id string) (*subscription, int) {
	left, right, ok := strings.Cut(id, "-")
	number, err1 := strconv.ParseUint(left, 10, 64)
	delivery, err2 := strconv.ParseUint(right, 10, 64)
	if !ok || err1 != nil || err2 != nil {
		return nil, -1
	}
	i, ok := c.subscriptionAt(number)
	if !ok {
		return nil, -1
	}
	index := c.subs[i].unacked.byNumber(delivery)
	if index < 0 {
		return nil, -1
	}
	return c.subs[i], index
}
