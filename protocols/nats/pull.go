package nats

import (
	"container/list"
	"fmt"
	"strings"
	"time"

	"github.com/sluice-mq/sluice/protocols/nats/jsapi"
	"github.com/sluice-mq/sluice/protocols/nats/leaf"
)

// pull is a pull request. Guarded by workers.mu.
type pull struct {
	consumer *consumer
	worker   *worker
	place    *list.Element // in worker.pulls; nil when it is over
	inbox    string
	// batch and maxBytes are what is still to come; maxBytes is 0 without a bound.
	batch, maxBytes int
	// noWait: it ends when nothing waits; unless nothing came yet and it expires later.
	noWait  bool
	lasts   time.Duration // 0 is for ever
	started bool          // something came
	since   time.Time

	heartbeat    time.Duration
	quiet        time.Time // since when the client heard nothing
	expiry, beat alarm
	round        uint64 // when its inbox was listened to for the last time
}

const (
	// recheckEvery is how often it is looked whether requests that do not wait have got
	// all there is, while messages are read from disk for them, and recheckFor for how long.
	recheckEvery = 2 * time.Millisecond
	recheckFor   = 5 * time.Second
	// recheckFirst is how often it is looked again for requests that wait for the first message.
	recheckFirst = 100 * time.Millisecond
	// mostPulls bounds the requests of one connection that wait.
	mostPulls = 8192
	// refuseAfter is when a client is told that its request is one too many, if it would ask again at once.
	refuseAfter = time.Second
	// mostRefusals bounds the clients that wait for that.
	mostRefusals = 4096
)

func (c *consumer) newPull(inbox string, r jsapi.Pull) *pull {
	now := c.home.cfg.Clock()
	return &pull{
		consumer: c, inbox: inbox, batch: r.Batch, maxBytes: r.MaxBytes, noWait: r.NoWait, lasts: r.Expires,
		heartbeat: r.Heartbeat, since: now, quiet: now,
	}
}

// wants is how many messages the broker should allow for it. With a bound of bytes it
// is one at a time: how large the next one is, nobody knows.
func (p *pull) wants() int {
	if p.maxBytes > 0 {
		return min(p.batch, 1)
	}
	return p.batch
}

// enter lets a request wait for its turn.
func (w *worker) enter(p *pull) {
	home := w.consumer.home
	p.worker = w
	p.place = w.pulls.PushBack(p)
	w.count(p, 1)
	w.used = home.cfg.Clock()
	w.consumer.used = w.used
	p.expiry.ring = func() { p.end("408 Request Timeout") }
	p.beat.ring = p.signOfLife
	if p.lasts > 0 {
		home.set(&p.expiry, max(p.lasts-home.cfg.Clock().Sub(p.since), 0))
	}
	if p.heartbeat > 0 {
		home.set(&p.beat, p.heartbeat)
	}
	w.fund()
	if p.noWait {
		w.take()
	}
}

// count keeps the sums when a request comes (1) or goes (-1).
func (w *worker) count(p *pull, n int) {
	w.wanted += n * p.wants()
	w.consumer.waiting += n
	w.connection.pulls += n
	if p.noWait {
		w.unwaiting += n
	}
}

// tooMany answers a request for which there is no room. Who waits for heartbeats asks again as
// soon as it is answered, and is answered later.
func (p *pull) tooMany() {
	home := p.consumer.home
	const status = "409 Exceeded MaxWaiting"
	switch {
	case p.heartbeat == 0:
		home.tell(p.inbox, status)
	case home.refusals < mostRefusals: // the others miss their heartbeats
		home.refusals++
		p.expiry.ring = func() {
			home.refusals--
			home.over(p, status)
		}
		home.set(&p.expiry, min(refuseAfter, p.heartbeat))
	}
}

// end finishes the request and takes back what was granted for it.
func (p *pull) end(status string) {
	p.worker.finish(p, status)
	p.worker.fund()
}

// got notes a message that was sent.
func (p *pull) got(size int) {
	w := p.worker
	p.started = true
	p.quiet = p.consumer.home.cfg.Clock()
	w.wanted -= p.wants()
	p.batch--
	full := false
	if p.maxBytes > 0 {
		if p.maxBytes -= size; p.maxBytes <= 0 {
			p.maxBytes, full = -1, true // nothing fits any more
		}
	}
	w.wanted += p.wants()
	switch {
	case p.batch == 0:
		w.drop(p)
	case full:
		w.finish(p, "409 Batch Completed")
	default: // the next one goes to another request
		w.pulls.MoveToBack(p.place)
	}
}

// again asks again for a message that was sent and perhaps did not arrive.
func (p *pull) again(size int) {
	w := p.worker
	over := p.place == nil
	if w.closed || over && (p.batch != 0 || p.maxBytes < 0) {
		return // it ended for another reason
	}
	if !over {
		w.wanted -= p.wants()
	}
	p.batch++
	if p.maxBytes > 0 {
		p.maxBytes += size
	}
	if over {
		w.enter(p)
	} else {
		w.wanted += p.wants()
	}
}

// first is the request whose turn it is, or nil.
func (w *worker) first() *pull {
	if e := w.pulls.Front(); e != nil {
		return e.Value.(*pull)
	}
	return nil
}

// endUnwaiting ends the requests that do not wait if nothing is left for them.
func (w *worker) endUnwaiting() {
	if w.unwaiting == 0 {
		return
	}
	home := w.consumer.home
	waits, _ := home.cfg.Queue(w.consumer.queue.Name)
	now := home.cfg.Clock()
	ended, again := false, time.Duration(0)
	for e := w.pulls.Front(); e != nil; {
		p := e.Value.(*pull)
		e = e.Next()
		if !p.noWait {
			continue
		}
		switch late := now.Sub(p.since) > recheckFor; {
		case waits > 0 && w.granted > 0 && !late:
			again = recheckEvery
			continue
		case p.started:
			w.finish(p, "408 Request Timeout")
		case p.lasts > 0: // it waits for the first one
			if again == 0 {
				again = recheckFirst
			}
			continue
		case waits > 0 && w.granted == 0:
			w.finish(p, "409 Exceeded MaxAckPending")
		default:
			w.finish(p, "404 No Messages")
		}
		ended = true
	}
	if again > 0 {
		home.set(&w.recheck, again)
	}
	if ended {
		w.fund()
	}
}

// signOfLife tells a client that its request is still here.
func (p *pull) signOfLife() {
	home := p.consumer.home
	silent := home.cfg.Clock().Sub(p.quiet)
	if silent >= p.heartbeat {
		home.tell(p.inbox, "100 Idle Heartbeat")
		p.quiet, silent = home.cfg.Clock(), 0
	}
	home.set(&p.beat, p.heartbeat-silent)
}

// finish ends a request with a status, and says how much of it was left.
func (w *worker) finish(p *pull, status string) {
	w.drop(p)
	w.consumer.home.over(p, status)
}

// finishAll ends all requests with a status.
func (w *worker) finishAll(status string) {
	for p := w.first(); p != nil; p = w.first() {
		w.finish(p, status)
	}
}

// drop ends a request without a word.
func (w *worker) drop(p *pull) {
	for _, a := range []*alarm{&p.expiry, &p.beat} {
		w.consumer.home.alarms.stop(a)
	}
	if p.place != nil {
		w.pulls.Remove(p.place)
		p.place = nil
		w.count(p, -1)
	}
	w.consumer.used = w.consumer.home.cfg.Clock()
}

// over tells that a request is over, and how much of it was left.
func (ws *workers) over(p *pull, status string) {
	ws.send(leaf.Message{To: p.inbox, Header: fmt.Appendf(nil, "NATS/1.0 %s\r\nNats-Pending-Messages: %d\r\nNats-Pending-Bytes: %d\r\n\r\n",
		oneLine.Replace(status), p.batch, max(p.maxBytes, 0))})
}

// tell sends a status, a number and words, that says nothing of messages left.
func (ws *workers) tell(inbox, status string) {
	ws.send(leaf.Message{To: inbox, Header: fmt.Appendf(nil, "NATS/1.0 %s\r\n\r\n", oneLine.Replace(status))})
}

// oneLine keeps what clients wrote from making further header lines.
var oneLine = strings.NewReplacer("\r", " ", "\n", " ")
