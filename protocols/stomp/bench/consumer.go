package bench

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/sluice-mq/sluice/protocols/internal/measure"
)

// ackEvery is how many messages one cumulative acknowledgement covers at most.
const ackEvery = 100

// consumer receives until its connection is closed.
type consumer struct {
	*conn
	run          *run
	ledger       *ledger
	destinations []int // of the subscriptions, in the order of their ids; none with a wildcard
	// subscriptions whose receipt is due.
	subscriptions int
	latency       *hdrhistogram.Histogram
	arrivals      int   // new messages that the run was not told of
	last          int64 // when the last of them came
	acks          []byte
	pending       int      // messages that the next cumulative acknowledgements cover
	newest        [][]byte // the message-id of the newest of them, by subscription
	covered       []int    // the subscriptions that have one
}

func (r *run) newConsumer(ctx context.Context, id int) (*consumer, error) {
	c, err := r.dialConsumer(ctx, id)
	if err != nil {
		return nil, err
	}
	d := r.target.Dialect
	me := &consumer{conn: c, run: r, ledger: newLedger(r.Scenario), latency: measure.NewHistogram()}
	var frames strings.Builder
	if r.Wildcard {
		frames.WriteString(d.subscribe(r.Scenario, 0, d.everything(r.seal.run)))
		me.subscriptions = 1
	} else {
		me.destinations = r.subscriptionsOf(id)
		for i, n := range me.destinations {
			frames.WriteString(d.subscribe(r.Scenario, i, d.destination(r.Scenario, r.seal.run, n)))
			me.subscriptions++
		}
	}
	_ = c.SetDeadline(time.Now().Add(loginTime))
	if _, err := c.Write([]byte(frames.String())); err != nil {
		return nil, fmt.Errorf("subscribe: %w", err)
	}
	me.newest = make([][]byte, me.subscriptions)
	c.flush = me.settle
	return me, nil
}

// dialConsumer connects a consumer, by the same client-id each time where subscriptions outlive connections.
func (r *run) dialConsumer(ctx context.Context, id int) (*conn, error) {
	if !r.Durable {
		return dial(ctx, r.target, id, r.Size)
	}
	return dialAs(ctx, r.target, id, r.Size, fmt.Sprintf("bench-%08x-%d", r.seal.run, id))
}

// forget removes the durable subscription of a consumer whose connection is closed.
func (r *run) forget(ctx context.Context, id int) error {
	c, err := r.dialConsumer(ctx, id)
	for began := time.Now(); err != nil && time.Since(began) < loginTime; c, err = r.dialConsumer(ctx, id) {
		if pause(ctx, 20*time.Millisecond) != nil { // the broker has not seen yet that the consumer has gone
			return err
		}
	}
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(loginTime))
	d := r.target.Dialect
	for i, n := range r.subscriptionsOf(id) {
		if _, err := c.Write([]byte(d.unsubscribe(r.Scenario, i, d.destination(r.Scenario, r.seal.run, n)))); err != nil {
			return err
		}
		for f := (frame{}); string(f.field(lineReceiptID)) != "gone"; {
			if err := c.frames.next(&f); err != nil {
				return err
			}
			if string(f.command) == "ERROR" {
				return fmt.Errorf("%s", f.field(lineMessage))
			}
		}
	}
	return nil
}

// subscribed waits for the receipts. Of a backlog, messages may come before them.
func (c *consumer) subscribed() error {
	var f frame
	for c.subscriptions > 0 {
		if err := c.frames.next(&f); err != nil {
			return err
		}
		switch string(f.command) {
		case "RECEIPT":
			c.subscriptions--
		case "MESSAGE":
			if err := c.take(&f); err != nil {
				return err
			}
		default:
			return fmt.Errorf("%s %q where a receipt was due", f.command, f.field(lineMessage))
		}
	}
	return c.SetDeadline(time.Time{})
}

// receive ends with an error always: that of the closed connection when all is well.
func (c *consumer) receive() error {
	var f frame
	for {
		if err := c.next(&f, "MESSAGE"); err != nil {
			return err
		}
		if err := c.take(&f); err != nil {
			return err
		}
	}
}

func (c *consumer) take(f *frame) error {
	s, err := c.run.seal.open(f.body, c.run.Size)
	if err != nil {
		c.ledger.verdict.Damaged++
		if c.ledger.verdict.Problem == "" {
			c.ledger.verdict.Problem = err.Error()
		}
	} else if !c.due(s, f) {
		c.ledger.verdict.Misrouted++
	} else if c.ledger.enter(s, bytes.Contains(f.head, []byte(lineRedelivered))) {
		c.last = int64(c.read.Sub(c.run.start))
		measure.Note(c.latency, c.last-s.due)
		c.arrivals++
	}
	return c.acknowledge(f)
}

// due reports whether a message came by a subscription to where it was sent.
func (c *consumer) due(s stamp, f *frame) bool {
	if c.run.Wildcard {
		return true
	}
	n, ok := number(f.field(lineSubscription))
	return ok && n < uint64(len(c.destinations)) && c.destinations[n] == int(s.flow)%c.run.Destinations
}

// acknowledge answers with the values as they came: escaped.
func (c *consumer) acknowledge(f *frame) error {
	if c.run.Ack == "auto" {
		return nil
	}
	n, ok := number(f.field(lineSubscription))
	id := f.field(lineMessageID)
	if !ok || n >= uint64(len(c.newest)) || id == nil {
		return fmt.Errorf("a message %q of subscription %q", id, f.field(lineSubscription))
	}
	if c.run.Ack == "client-individual" {
		c.appendAck(int(n), id)
		if len(c.acks) >= batchSize {
			return c.flushAcks()
		}
		return nil
	}
	if len(c.newest[n]) == 0 {
		c.covered = append(c.covered, int(n))
	}
	c.newest[n] = append(c.newest[n][:0], id...)
	if c.pending++; c.pending >= ackEvery {
		return c.flushAcks()
	}
	return nil
}

func (c *consumer) appendAck(subscription int, id []byte) {
	c.acks = append(c.acks, "ACK\nmessage-id:"...)
	c.acks = append(c.acks, id...)
	c.acks = append(c.acks, "\nsubscription:"...)
	c.acks = strconv.AppendInt(c.acks, int64(subscription), 10)
	c.acks = append(c.acks, "\n\n\x00"...)
}

// settle is done before waiting for more.
func (c *consumer) settle() error {
	err := c.flushAcks()
	c.run.arrived(c.arrivals)
	c.arrivals = 0
	return err
}

func (c *consumer) flushAcks() error {
	for _, n := range c.covered {
		c.appendAck(n, c.newest[n])
		c.newest[n] = c.newest[n][:0]
	}
	c.covered, c.pending = c.covered[:0], 0
	if len(c.acks) == 0 {
		return nil
	}
	_, err := c.Write(c.acks)
	c.acks = c.acks[:0]
	return err
}
