package nats

import (
	"container/list"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/protocols/nats/jsapi"
	"github.com/sluice-mq/sluice/protocols/nats/leaf"
)

// worker is one connection consuming by one consumer: a subscription at the broker. Guarded
// by workers.mu, but for woken.
type worker struct {
	consumer   *consumer
	connection *connection
	// sub is nil until something is granted. Its allowance is granted + held, always.
	sub gateway.Subscription
	// pulls are the requests (*pull) that wait, the one whose turn it is first. Wanted is what they ask
	// for, and unwaiting how many of them do not wait.
	pulls             list.List
	wanted, unwaiting int
	swept             int // how many of them the last sweep had looked at
	recheck           alarm
	mean              int // size of its messages, of late
	// granted messages may still come from the broker; held ones are with the client.
	granted, held int
	short         bool // it is in consumer.short
	used          time.Time
	closed        bool
	woken         atomic.Bool
}

// delivery is a message that a worker has.
type delivery struct {
	worker *worker
	tag    uint64
	seq    uint64 // of the delivery
	number uint64 // of the message
	count  uint64 // how often it was handed out, this time included
	size   int
	pull   *pull      // which it answered
	leaf   *leaf.Conn // which it was handed out by, as the place-th
	place  uint64
	alarm  alarm
}

func newWorker(c *consumer, conn *connection) *worker {
	w := &worker{consumer: c, connection: conn, used: c.home.cfg.Clock()}
	w.recheck.ring = w.take
	return w
}

// wake is what the broker calls. It must not take the lock: the broker may be called under it.
func (w *worker) wake() {
	if w.woken.Swap(true) {
		return
	}
	home := w.consumer.home
	home.wakes.Lock()
	home.wakes.list = append(home.wakes.list, w)
	home.wakes.Unlock()
	tell(home.rouse)
}

// mostGranted is how many messages the broker allows at a time for one worker. Who asks
// for more gets the rest as these come.
const mostGranted = 1 << 16

// fund has the broker allow as many messages as the requests ask for, and no more.
func (w *worker) fund() {
	if w.closed {
		return
	}
	c := w.consumer
	n := min(w.wanted, mostGranted, w.fits()) - w.granted
	if room := c.room(); n > room {
		n = room
		if !w.short {
			w.short = true
			c.short = append(c.short, w)
		}
	}
	if n == 0 || n < 0 && w.sub == nil {
		return
	}
	w.granted += n
	c.taken += n
	if w.sub == nil {
		w.subscribe(n)
	} else {
		w.sub.Extend(n)
	}
	if n < 0 {
		c.refill()
	}
}

// subscribe opens the subscription with its first allowance.
func (w *worker) subscribe(n int) {
	c := w.consumer
	sub, err := c.home.session.Subscribe(w.options(n))
	if err == nil {
		w.sub = sub
		return
	}
	w.granted -= n
	c.taken -= n
	w.finishAll("409 " + gateway.TextOf(err))
}

// take hands the client what the broker delivers.
func (w *worker) take() {
	home := w.consumer.home
	if w.closed || w.sub == nil || home.leaf == nil {
		return
	}
	home.round++
	w.fund()
	for {
		n := w.sub.Next(home.batch, takeBytes)
		if n == 0 {
			break
		}
		waits, _ := home.cfg.Queue(w.consumer.queue.Name)
		var back []uint64
		var err error
		for i := range home.batch[:n] {
			d := &home.batch[i]
			taken := false
			if err == nil {
				taken, err = w.hand(d, uint64(waits+n-1-i))
			}
			if !taken {
				back = append(back, d.Tag)
			}
		}
		clear(home.batch[:n])
		w.fund() // first, so that what goes back does not come again
		if len(back) > 0 {
			_ = w.sub.Release(back, gateway.Return{Redelivered: false}) // they are in flight here
		}
		if err != nil { // another connection goes on
			home.cfg.Logger.Debug("a message could not be handed to a native client", "error", err)
			return
		}
	}
	w.endUnwaiting()
}

// hand gives a delivery to the request whose turn it is. It returns false if there is none that it fits, or if
// it cannot be sent now: then there is an error.
func (w *worker) hand(d *gateway.Delivery, pending uint64) (taken bool, err error) {
	c := w.consumer
	count := uint64(d.Redeliveries) + 1
	if c.cfg.MaxDeliver > 0 && count > uint64(c.cfg.MaxDeliver) {
		_ = w.sub.Release([]uint64{d.Tag}, gateway.Return{Redelivered: true}) // that is once too often: it is dead
		return true, nil
	}
	own := &delivery{worker: w, tag: d.Tag, number: c.home.base + d.Tag, seq: c.seq + 1, count: count}
	out := leaf.Message{Subject: subjectOf(c.queue), Header: c.home.header(d.Message), Body: d.Message.Body}
	out.Ack = string(jsapi.AppendAckSubject(nil, jsapi.Delivery{
		Stream: queueStream, Consumer: c.name, Delivered: count, StreamSeq: own.number, ConsumerSeq: own.seq,
		Timestamp: d.Message.Timestamp * int64(time.Millisecond), Pending: pending,
	}))
	own.size = len(out.Subject) + len(out.Ack) + len(out.Header) + len(out.Body)
	p := w.choose(own.size)
	if p == nil {
		return false, nil
	}
	out.To = p.inbox
	switch err := c.home.handOut(out); {
	case errors.Is(err, leaf.ErrTooLarge):
		c.home.cfg.Logger.Warn("a message cannot be handed to native clients and is refused", "queue", c.queue.Name, "error", err)
		w.sub.Nack([]uint64{d.Tag}, nil, 0)
		return true, nil
	case err != nil:
		return false, err
	}
	c.seq++
	own.pull = p
	own.leaf, own.place = c.home.leaf, c.home.leaf.Sent()
	w.keep(own)
	p.got(own.size)
	return true, nil
}

// replyHeader is the native subject of reply-to: the reply subject of a delivery is
// taken by its acknowledgement.
const replyHeader = "Sluice-Reply"

// header writes the header of a message as the server's protocol has it.
func (ws *workers) header(m *gateway.Message) []byte {
	h := headerOf(m)
	if v, ok := m.Header.Get("reply-to"); ok {
		if subject := ws.inboxes.subject(v); subject != "" {
			h[replyHeader] = []string{subject}
		}
	}
	text := append(make([]byte, 0, 256), "NATS/1.0\r\n"...)
	for name, values := range h {
		for _, v := range values {
			text = append(append(append(append(text, name...), ": "...), oneLine.Replace(v)...), "\r\n"...)
		}
	}
	return append(text, "\r\n"...)
}

// keep notes that the client has a delivery.
func (w *worker) keep(d *delivery) {
	c := w.consumer
	now := c.home.cfg.Clock()
	c.home.handed.Add(1)
	w.granted--
	w.held++
	w.weigh(d)
	w.used, c.used = now, now
	c.held[d.number] = d
	c.last = jsapi.Position{Consumer: d.seq, Stream: d.number, Last: &now}
	d.alarm.ring = d.overdue
	c.home.set(&d.alarm, c.cfg.Wait(d.count))
}

// choose returns the request that a message goes to. Those that it is too large for end, and those
// nobody listens for any more.
func (w *worker) choose(size int) *pull {
	home := w.consumer.home
	for w.granted > 0 && !w.connection.load.full() {
		p := w.first()
		switch {
		case p == nil:
			return nil
		case p.round != home.round && !home.cfg.Listening(p.inbox):
			w.drop(p)
		case p.maxBytes == 0 || size <= p.maxBytes:
			p.round = home.round
			return p
		default:
			w.finish(p, "409 Message Size Exceeds MaxBytes")
		}
	}
	return nil
}

// sweepMost is how many requests of a worker are looked at in one sweep.
const sweepMost = 512

// prune drops requests nobody listens for any more: of many some each time.
func (w *worker) prune() {
	n, i := w.pulls.Len(), 0
	if w.swept >= n {
		w.swept = 0
	}
	for e := w.pulls.Front(); e != nil && i < w.swept+sweepMost; i++ {
		p := e.Value.(*pull)
		e = e.Next()
		if i >= w.swept && !w.consumer.home.cfg.Listening(p.inbox) {
			w.drop(p)
		}
	}
	w.swept += sweepMost
}

// idle reports whether nothing is under way.
func (w *worker) idle() bool { return w.pulls.Len() == 0 && w.held == 0 && w.granted == 0 }

// close gives back at once what the client has, and ends its requests without a word.
func (w *worker) close() {
	if w.closed {
		return
	}
	w.closed = true
	c := w.consumer
	delete(w.connection.workers, c)
	delete(c.workers, w.connection.id)
	for p := w.first(); p != nil; p = w.first() {
		w.drop(p)
	}
	c.home.alarms.stop(&w.recheck)
	for number, d := range c.held {
		if d.worker == w {
			c.home.alarms.stop(&d.alarm)
			delete(c.held, number)
			w.connection.relieve(d.size, true)
		}
	}
	c.taken -= w.granted + w.held
	w.granted, w.held = 0, 0
	if w.short {
		w.short = false
		c.short = slices.DeleteFunc(c.short, func(o *worker) bool { return o == w })
	}
	c.used = c.home.cfg.Clock()
	if w.sub != nil {
		w.sub.Close()
	}
	c.refill()
}
