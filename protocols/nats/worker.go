package nats

import (
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
	// pulls are the requests that wait, the one whose turn it is first.
	pulls []*pull
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
	alarm  alarm
}

func newWorker(c *consumer, conn *connection) *worker {
	return &worker{consumer: c, connection: conn, used: c.home.cfg.Clock()}
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
	n := 0
	for _, p := range w.pulls {
		n += p.wants()
	}
	n = min(n, mostGranted) - w.granted
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
	sub, err := c.home.session.Subscribe(gateway.SubscribeOptions{Destination: c.queue, Prefetch: n, Wake: w.wake})
	if err == nil {
		w.sub = sub
		return
	}
	w.granted -= n
	c.taken -= n
	for len(w.pulls) > 0 {
		w.finish(w.pulls[0], "409 "+oneLine.Replace(gateway.TextOf(err)))
	}
}

// take hands the client what the broker delivers.
func (w *worker) take() {
	if w.closed || w.sub == nil {
		return
	}
	home := w.consumer.home
	w.prune()
	w.fund()
	for {
		n := w.sub.Next(home.batch, takeBytes)
		if n == 0 {
			break
		}
		waits, _ := home.cfg.Queue(w.consumer.queue.Name)
		var back []uint64
		for i := range home.batch[:n] {
			if d := &home.batch[i]; !w.hand(d, uint64(waits+n-1-i)) {
				back = append(back, d.Tag)
			}
		}
		clear(home.batch[:n])
		w.fund() // first, so that what goes back does not come again
		if len(back) > 0 {
			_ = w.sub.Release(back, false) // they are in flight here
		}
	}
	w.endUnwaiting()
}

// hand gives a delivery to the request whose turn it is. It returns false if there is none that it fits.
func (w *worker) hand(d *gateway.Delivery, pending uint64) bool {
	c := w.consumer
	count := uint64(d.Redeliveries) + 1
	if c.cfg.MaxDeliver > 0 && count > uint64(c.cfg.MaxDeliver) {
		w.sub.Nack([]uint64{d.Tag}, nil, 0)
		return true
	}
	own := &delivery{worker: w, tag: d.Tag, number: c.home.base + d.Tag, seq: c.seq + 1, count: count}
	out := leaf.Message{Subject: c.cfg.FilterSubject, Header: c.home.header(d.Message), Body: d.Message.Body}
	if out.Subject == "" {
		out.Subject = c.cfg.FilterSubjects[0]
	}
	out.Ack = string(jsapi.AppendAckSubject(nil, jsapi.Delivery{
		Stream: queueStream, Consumer: c.name, Delivered: count, StreamSeq: own.number, ConsumerSeq: own.seq,
		Timestamp: d.Message.Timestamp * int64(time.Millisecond), Pending: pending,
	}))
	size := len(out.Subject) + len(out.Ack) + len(out.Header) + len(out.Body)
	p := w.choose(size)
	if p == nil {
		return false
	}
	c.seq++
	out.To = p.inbox
	if err := c.home.leaf.Send(out); errors.Is(err, leaf.ErrTooLarge) {
		c.home.cfg.Logger.Warn("a message cannot be handed to native clients and is refused", "queue", c.queue.Name, "error", err)
		w.sub.Nack([]uint64{d.Tag}, nil, 0)
		return true
	} else if err != nil { // the door is at its end: nobody is served any more
		for len(w.pulls) > 0 {
			w.drop(w.pulls[0])
		}
		return false
	}
	c.home.wrote()
	w.keep(own)
	p.got(size)
	return true
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
	w.used, c.used = now, now
	c.held[d.number] = d
	c.last = jsapi.Position{Consumer: d.seq, Stream: d.number, Last: &now}
	d.alarm.ring = func() { d.giveBack() }
	c.home.set(&d.alarm, c.cfg.Wait(d.count))
}

// choose returns the request that a message goes to. Those that it is too large for end.
func (w *worker) choose(size int) *pull {
	for w.granted > 0 && len(w.pulls) > 0 {
		p := w.pulls[0]
		if p.maxBytes == 0 || size <= p.maxBytes {
			return p
		}
		w.finish(p, "409 Message Size Exceeds MaxBytes")
	}
	return nil
}

// prune drops requests nobody listens for any more.
func (w *worker) prune() {
	for _, p := range slices.Clone(w.pulls) {
		if !w.consumer.home.cfg.Listening(p.inbox) {
			w.drop(p)
		}
	}
}

// idle reports whether nothing is under way.
func (w *worker) idle() bool { return len(w.pulls) == 0 && w.held == 0 && w.granted == 0 }

// close gives back at once what the client has, and ends its requests without a word.
func (w *worker) close() {
	if w.closed {
		return
	}
	w.closed = true
	c := w.consumer
	delete(w.connection.workers, c)
	delete(c.workers, w.connection.id)
	for len(w.pulls) > 0 {
		w.drop(w.pulls[0])
	}
	for number, d := range c.held {
		if d.worker == w {
			c.home.alarms.stop(&d.alarm)
			delete(c.held, number)
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
