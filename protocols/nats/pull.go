package nats

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sluice-mq/sluice/protocols/nats/jsapi"
	"github.com/sluice-mq/sluice/protocols/nats/leaf"
)

// pull is a pull request. Guarded by workers.mu.
type pull struct {
	consumer *consumer
	worker   *worker
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
	recheck      alarm
}

const (
	// recheckEvery is how often it is looked whether a request that does not wait has got
	// all there is, while messages are read from disk for it, and recheckFor for how long.
	recheckEvery = 2 * time.Millisecond
	recheckFor   = 5 * time.Second
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
	w.pulls = append(w.pulls, p)
	w.used = home.cfg.Clock()
	w.consumer.used = w.used
	p.expiry.ring = func() { p.end("408 Request Timeout") }
	p.beat.ring = p.signOfLife
	p.recheck.ring = func() { w.take() }
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
	p.batch--
	if p.maxBytes > 0 {
		if p.maxBytes -= size; p.maxBytes <= 0 && p.batch > 0 {
			p.maxBytes = -1 // nothing fits any more
			w.finish(p, "409 Batch Completed")
			return
		}
	}
	if p.batch == 0 {
		w.drop(p)
		return
	}
	if len(w.pulls) > 1 { // the next one goes to another request
		w.pulls = append(slices.Delete(w.pulls, 0, 1), p)
	}
}

// endUnwaiting ends the requests that do not wait if nothing is left for them.
func (w *worker) endUnwaiting() {
	home := w.consumer.home
	ended := false
	for _, p := range slices.Clone(w.pulls) {
		if !p.noWait {
			continue
		}
		waits, _ := home.cfg.Queue(w.consumer.queue.Name)
		switch late := home.cfg.Clock().Sub(p.since) > recheckFor; {
		case waits > 0 && w.granted > 0 && !late:
			home.set(&p.recheck, recheckEvery)
			continue
		case p.started:
			w.finish(p, "408 Request Timeout")
		case p.lasts > 0: // it waits for the first one
			home.set(&p.recheck, 100*time.Millisecond)
			continue
		case waits > 0 && w.granted == 0:
			w.finish(p, "409 Exceeded MaxAckPending")
		default:
			w.finish(p, "404 No Messages")
		}
		ended = true
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
	w.consumer.home.send(leaf.Message{To: p.inbox, Header: fmt.Appendf(nil, "NATS/1.0 %s\r\nNats-Pending-Messages: %d\r\nNats-Pending-Bytes: %d\r\n\r\n",
		status, p.batch, max(p.maxBytes, 0))})
}

// drop ends a request without a word.
func (w *worker) drop(p *pull) {
	for _, a := range []*alarm{&p.expiry, &p.beat, &p.recheck} {
		w.consumer.home.alarms.stop(a)
	}
	w.pulls = slices.DeleteFunc(w.pulls, func(o *pull) bool { return o == p })
	w.consumer.used = w.consumer.home.cfg.Clock()
}

// tell sends a status, a number and words, that says nothing of messages left.
func (ws *workers) tell(inbox, status string) {
	ws.send(leaf.Message{To: inbox, Header: fmt.Appendf(nil, "NATS/1.0 %s\r\n\r\n", oneLine.Replace(status))})
}

// oneLine keeps what clients wrote from making further header lines.
var oneLine = strings.NewReplacer("\r", " ", "\n", " ")

// send sends a status. A client that does not get it waits for its heartbeat.
func (ws *workers) send(m leaf.Message) {
	if err := ws.leaf.Send(m); err != nil {
		ws.cfg.Logger.Debug("a native client could not be told a status", "error", err)
	}
	ws.wrote()
}

// wrote has run send out what was written.
func (ws *workers) wrote() {
	if !ws.flush {
		ws.flush = true
		tell(ws.rouse)
	}
}
