package nats

import (
	"sync"

	natsgo "github.com/nats-io/nats.go"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/protocols/nats/jsapi"
)

// settle takes in what a worker says of a delivery.
func (ws *workers) settle(m *natsgo.Msg) {
	said, understood := jsapi.ParseSettlement(m.Data)
	about, ok := jsapi.ParseAckSubject(m.Subject)
	reply := m.Reply
	if reply != "" && !mayAnswer(reply) {
		reply = ""
	}
	ws.mu.Lock()
	defer ws.mu.Unlock()
	var d *delivery
	if ok {
		d = ws.delivery(about)
	}
	switch {
	case d == nil || !understood:
		ws.deny(reply)
	case said.Word == jsapi.Ack:
		d.done(ws.acks.expect(reply))
	case said.Word == jsapi.Term:
		d.refuse(ws.acks.expect(reply))
	case said.Word == jsapi.AckNext:
		c := d.worker.consumer
		d.done(nil)
		if reply != "" {
			ws.pull(c, reply, said.Next)
		}
	case said.Word == jsapi.Nak && said.Delay > 0:
		d.goBack(gateway.Return{Redelivered: true, Delay: said.Delay}, false)
		ws.acks.confirm(reply)
	case said.Word == jsapi.Nak:
		d.goBack(gateway.Return{Redelivered: true}, false)
		ws.acks.confirm(reply)
	default:
		ws.set(&d.alarm, d.worker.consumer.cfg.Wait(d.count))
		ws.acks.confirm(reply)
	}
}

// delivery finds what a worker speaks of: exactly that delivery of that message, and
// not an earlier one.
func (ws *workers) delivery(about jsapi.Delivery) *delivery {
	if c := ws.consumers[about.Consumer]; c != nil {
		if d := c.held[about.StreamSeq]; d != nil && d.seq == about.ConsumerSeq && d.count == about.Delivered {
			return d
		}
	}
	return nil
}

// deny answers a worker that waits for a confirmation which cannot be given: the
// delivery is unknown, settled already, or another worker's by now. Its library reports that nobody
// responds. The lock is held.
func (ws *workers) deny(reply string) {
	if reply != "" {
		ws.tell(reply, "503 the delivery is unknown or already settled")
	}
}

// leave takes the delivery from its worker. What becomes of it is the caller's to say.
// The allowance goes first: the broker must not hand out another one in its place.
func (d *delivery) leave(overdue bool) {
	w := d.worker
	c := w.consumer
	c.home.alarms.stop(&d.alarm)
	delete(c.held, d.number)
	w.held--
	defer w.connection.relieve(d.size, overdue)
	c.taken--
	w.used = c.home.cfg.Clock()
	c.used = w.used
	w.sub.Extend(-1)
}

// done settles the delivery.
func (d *delivery) done(c gateway.Completion) {
	d.leave(false)
	consumer := d.worker.consumer
	now := d.worker.used
	consumer.acked = &now
	d.worker.sub.Ack([]uint64{d.tag}, c, 0)
	consumer.refill()
}

// refuse has done with the message what the queue's policy says of refused ones: by default it moves to the dead-letter queue.
func (d *delivery) refuse(c gateway.Completion) {
	d.leave(false)
	d.worker.sub.Nack([]uint64{d.tag}, c, 0)
	d.worker.consumer.refill()
}

// overdue has a message go back whose time is over.
func (d *delivery) overdue() { d.goBack(gateway.Return{Redelivered: true}, true) }

// goBack has the message wait in its queue again, counted as handed out; or it is dead, if that was once too often.
func (d *delivery) goBack(r gateway.Return, overdue bool) {
	d.leave(overdue)
	_ = d.worker.sub.Release([]uint64{d.tag}, r) // it is in flight there
	d.worker.consumer.refill()
}

// confirmations are the answers to workers that wait until their acknowledgement is as
// durable as the message was. Safe for concurrent use.
type confirmations struct {
	rouse chan struct{}
	empty chan struct{} // closed when none is under way any more, after leave

	mu      sync.Mutex
	known   []confirmed
	n       int // under way
	leaving bool
}

// confirmed is an answer that is known.
type confirmed struct {
	reply string
	err   error
}

// confirmation awaits one outcome. It implements gateway.Completion.
type confirmation struct {
	*confirmations
	reply string
}

func (s *confirmations) init(rouse chan struct{}) {
	s.rouse, s.empty = rouse, make(chan struct{})
}

// expect returns what is told the outcome, or nil if nobody waits for it.
func (s *confirmations) expect(reply string) gateway.Completion {
	if reply == "" {
		return nil
	}
	s.mu.Lock()
	s.n++
	s.mu.Unlock()
	return &confirmation{s, reply}
}

// confirm answers at once.
func (s *confirmations) confirm(reply string) {
	if c := s.expect(reply); c != nil {
		c.Complete(0, nil)
	}
}

// Complete implements gateway.Completion.
func (c *confirmation) Complete(_ uint64, err error) {
	c.mu.Lock()
	c.known = append(c.known, confirmed{c.reply, err})
	c.mu.Unlock()
	tell(c.rouse)
}

// leave says that no more will be expected.
func (s *confirmations) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leaving = true
	s.tellEmpty()
}

// tellEmpty closes empty, once. The lock is held.
func (s *confirmations) tellEmpty() {
	if s.leaving && s.n == 0 {
		s.leaving = false
		close(s.empty)
	}
}

// confirm sends the answers that are known.
func (ws *workers) confirm() {
	s := &ws.acks
	s.mu.Lock()
	known := s.known
	s.known = nil
	s.mu.Unlock()
	if len(known) == 0 {
		return
	}
	for _, k := range known {
		if k.err != nil {
			ws.cfg.Logger.Debug("an acknowledgement of a native client failed", "error", k.err)
			ws.mu.Lock()
			ws.deny(k.reply)
			ws.mu.Unlock()
		} else if err := ws.conn.Publish(k.reply, nil); err != nil {
			ws.cfg.Logger.Debug("an acknowledgement could not be confirmed to a native client", "error", err)
		}
	}
	s.mu.Lock()
	s.n -= len(known)
	s.tellEmpty()
	s.mu.Unlock()
}
