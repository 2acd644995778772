package bench

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/sluice-mq/sluice/protocols/stomp/wire"
)

// ackEvery is how many messages one cumulative acknowledgement covers at most.
const ackEvery = 100

// consumer receives until its connection is closed.
type consumer struct {
	*conn
	run    *run
	ledger *ledger
	// subscriptions whose receipt is due.
	subscriptions int
	latency       *hdrhistogram.Histogram
	last          int64 // when the last new message came
	acks          []byte
	pending       int               // messages that the next cumulative acknowledgements cover
	newest        map[string]string // the message-id of the newest of them, by subscription
}

func (r *run) newConsumer(ctx context.Context, id int) (*consumer, error) {
	c, err := dial(ctx, r.target, r.Size)
	if err != nil {
		return nil, err
	}
	d := r.target.Dialect
	me := &consumer{conn: c, run: r, ledger: newLedger(r.Scenario), latency: newHistogram(), newest: make(map[string]string)}
	var frames strings.Builder
	if r.Wildcard {
		frames.WriteString(d.subscribe(r.Scenario, 0, d.everything(r.seal.run)))
		me.subscriptions = 1
	} else {
		for i, n := range r.subscriptionsOf(id) {
			frames.WriteString(d.subscribe(r.Scenario, i, d.destination(r.Scenario, r.seal.run, n)))
			me.subscriptions++
		}
	}
	_ = c.SetDeadline(time.Now().Add(loginTime))
	if _, err := c.Write([]byte(frames.String())); err != nil {
		return nil, fmt.Errorf("subscribe: %w", err)
	}
	c.flush = me.flushAcks
	return me, nil
}

// subscribed waits for the receipts. Of a backlog, messages may come before them.
func (c *consumer) subscribed() error {
	var f wire.Frame
	for c.subscriptions > 0 {
		if err := c.frames.Next(&f); err != nil {
			return err
		}
		switch f.Command {
		case "RECEIPT":
			c.subscriptions--
		case "MESSAGE":
			if err := c.take(&f); err != nil {
				return err
			}
		default:
			return fmt.Errorf("%s %q where a receipt was due", f.Command, field(&f, "message"))
		}
	}
	return c.SetDeadline(time.Time{})
}

// receive ends with an error always: that of the closed connection when all is well.
func (c *consumer) receive() error {
	var f wire.Frame
	for {
		if err := c.next(&f, "MESSAGE"); err != nil {
			return err
		}
		if err := c.take(&f); err != nil {
			return err
		}
	}
}

func (c *consumer) take(f *wire.Frame) error {
	now := c.run.now()
	s, err := c.run.seal.open(f.Body, c.run.Size)
	if err != nil {
		c.ledger.verdict.Damaged++
		if c.ledger.verdict.Problem == "" {
			c.ledger.verdict.Problem = err.Error()
		}
	} else if c.ledger.enter(s, field(f, "redelivered") == "true") {
		c.last = now
		note(c.latency, now-s.due)
		c.run.arrived()
	}
	return c.acknowledge(f)
}

func (c *consumer) acknowledge(f *wire.Frame) error {
	switch c.run.Ack {
	case "auto":
		return nil
	case "client-individual":
		c.appendAck(field(f, "subscription"), field(f, "message-id"))
	default:
		c.newest[field(f, "subscription")] = field(f, "message-id")
		if c.pending++; c.pending >= ackEvery {
			return c.flushAcks()
		}
	}
	if len(c.acks) >= batchSize {
		return c.flushAcks()
	}
	return nil
}

func (c *consumer) appendAck(subscription, id string) {
	c.acks = append(c.acks, "ACK\n"...)
	c.acks = wire.AppendField(c.acks, wire.V11, "message-id", id)
	c.acks = wire.AppendField(c.acks, wire.V11, "subscription", subscription)
	c.acks = append(c.acks, "\n\x00"...)
}

func (c *consumer) flushAcks() error {
	if c.pending > 0 {
		for subscription, id := range c.newest {
			c.appendAck(subscription, id)
		}
		clear(c.newest)
		c.pending = 0
	}
	if len(c.acks) == 0 {
		return nil
	}
	_, err := c.Write(c.acks)
	c.acks = c.acks[:0]
	return err
}
