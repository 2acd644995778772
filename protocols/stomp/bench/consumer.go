package bench

import (
	"context"
	"fmt"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/sluice-mq/sluice/protocols/stomp/wire"
)

// ackEvery is how many messages one cumulative acknowledgement covers at most.
const ackEvery = 100

// consumer receives until its connection is closed.
type consumer struct {
	*conn
	run     *run
	ledger  *ledger
	latency *hdrhistogram.Histogram
	last    int64 // when the last new message came
	acks    []byte
	pending int    // messages that the next cumulative acknowledgement covers
	newest  string // the message-id of the newest of them
}

func (r *run) newConsumer(ctx context.Context, id int) (*consumer, error) {
	c, err := dial(ctx, r.target, r.Size)
	if err != nil {
		return nil, err
	}
	d := r.target.Dialect
	destination := d.destination(r.Scenario, r.seal.run, id%r.Destinations)
	if r.Wildcard {
		destination = d.everything(r.seal.run)
	}
	_ = c.SetDeadline(time.Now().Add(loginTime))
	if _, err := c.Write([]byte(d.subscribe(r.Scenario, destination))); err != nil {
		return nil, fmt.Errorf("subscribe to %s: %w", destination, err)
	}
	me := &consumer{conn: c, run: r, ledger: newLedger(r.Scenario), latency: newHistogram()}
	c.flush = me.flushAcks
	return me, nil
}

// subscribed waits for the receipt. Of a backlog, messages may come before it.
func (c *consumer) subscribed() error {
	var f wire.Frame
	for {
		if err := c.frames.Next(&f); err != nil {
			return err
		}
		switch f.Command {
		case "RECEIPT":
			_ = c.SetDeadline(time.Time{})
			return nil
		case "MESSAGE":
			if err := c.take(&f); err != nil {
				return err
			}
		default:
			return fmt.Errorf("%s %q where a receipt was due", f.Command, field(&f, "message"))
		}
	}
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
		c.appendAck(field(f, "message-id"))
	default:
		c.newest = field(f, "message-id")
		if c.pending++; c.pending >= ackEvery {
			return c.flushAcks()
		}
	}
	if len(c.acks) >= batchSize {
		return c.flushAcks()
	}
	return nil
}

func (c *consumer) appendAck(id string) {
	c.acks = append(c.acks, "ACK\n"...)
	c.acks = wire.AppendField(c.acks, wire.V11, "message-id", id)
	c.acks = append(c.acks, "subscription:0\n\n\x00"...)
}

func (c *consumer) flushAcks() error {
	if c.pending > 0 {
		c.appendAck(c.newest)
		c.pending = 0
	}
	if len(c.acks) == 0 {
		return nil
	}
	_, err := c.Write(c.acks)
	c.acks = c.acks[:0]
	return err
}
