package core

import (
	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/advising"
	"github.com/sluice-mq/sluice/gateway/advisory"
	"github.com/sluice-mq/sluice/gateway/tap"
)

// Next implements gateway.Subscription.
func (e *enrolled) Next(dst []gateway.Delivery, maxBytes int) int {
	s := e.session
	gated := s.standing.Load().terms.Gated
	room := len(dst)
	if gated && room > 0 {
		if room = s.broker.ledger.Take(e.share, room, s.tellLimit); room == 0 {
			return 0
		}
	}
	var n int
	if e.sifts {
		n = e.nextSifted(dst[:room], maxBytes)
	} else {
		n = e.source.Next(dst[:room], maxBytes)
	}
	if gated {
		s.broker.ledger.GiveBack(e.share, room-n)
	}
	if n == 0 {
		return 0
	}
	taps := s.broker.taps.Open()
	if gated || taps != nil || s.broker.audit.Commands() || s.broker.advisor.Heeds(advisory.Consumed) || e.options.AutoAck && e.tracks.Load() {
		e.track(dst[:n], gated, taps)
	}
	e.taken.Add(uint64(n))
	s.delivered.Add(uint64(n))
	return n
}

// track remembers deliveries that the client is about to get.
func (e *enrolled) track(ds []gateway.Delivery, gated bool, taps []*tap.Tap) {
	e.mu.Lock()
	defer e.mu.Unlock()
	consumed := e.session.broker.advisor.Heeds(advisory.Consumed)
	if !e.tracks.Load() {
		e.untold = e.inFlight()
		e.tracks.Store(true)
	}
	if !e.options.AutoAck && e.out == nil {
		e.out = make(map[uint64]handed)
	}
	for i := range ds {
		h := handed{id: ds[i].Message.ID, d: ds[i].Message.Destination, token: gated}
		if consumed && e.session.broker.advisesConsumed(h.d) {
			h.subject, h.size = advising.Subject(ds[i].Message), ds[i].Message.Size()
		}
		if taps != nil {
			h.shown = e.session.watched().ShowDelivery(taps, e.session.broker.cfg.Now(), e.options.Name, &ds[i])
		}
		if e.options.AutoAck {
			e.queue = append(e.queue, h)
		} else {
			e.out[ds[i].Tag] = h
		}
	}
}

// Written implements gateway.Subscription.
func (e *enrolled) Written(n int) {
	e.source.Written(n)
	if e.settles {
		e.settleWritten(n)
	}
	if n = min(n, e.inFlight()); !e.options.AutoAck || n <= 0 {
		return
	}
	e.settled.Add(uint64(n))
	if !e.tracks.Load() {
		return
	}
	e.mu.Lock()
	before := min(n, e.untold)
	e.untold -= before
	n = min(n-before, len(e.queue))
	done := e.queue[:n:n]
	if e.queue = e.queue[n:]; len(e.queue) == 0 {
		e.queue = nil
		e.tracks.Store(false)
	}
	e.mu.Unlock()
	e.rid(gateway.Acknowledged, done)
}

// settle takes deliveries from those that the client has, and returns what is known of them. If strict, and one of them is
// not there or is named twice, none is taken.
func (e *enrolled) settle(tags []uint64, strict bool) (done []handed) {
	if e.options.AutoAck || len(tags) == 0 {
		return nil
	}
	if !e.tracks.Load() {
		e.settled.Add(uint64(len(tags)))
		return nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	var known []uint64
	for _, tag := range tags {
		if h, has := e.out[tag]; has {
			delete(e.out, tag)
			known, done = append(known, tag), append(done, h)
		}
	}
	missing := len(tags) - len(known)
	if strict && missing > e.untold {
		for i, tag := range known {
			e.out[tag] = done[i]
		}
		return nil
	}
	missing = min(missing, e.untold)
	e.untold -= missing
	e.settled.Add(uint64(len(known) + missing))
	if len(e.out) == 0 {
		e.out = nil
		e.tracks.Store(false)
	}
	return done
}

// rid gives back the room in flight that deliveries took, and tells what became of them; an empty kind tells nothing.
func (e *enrolled) rid(kind gateway.EventKind, done []handed) {
	tokens := 0
	for i := range done {
		if done[i].token {
			tokens++
		}
	}
	e.session.broker.ledger.GiveBack(e.share, tokens)
	if kind == "" || len(done) == 0 {
		return
	}
	e.tellSettled(kind, done)
	if kind == gateway.Acknowledged {
		e.session.broker.adviseConsumed(done)
	}
}

// Ack implements gateway.Subscription.
func (e *enrolled) Ack(tags []uint64, c gateway.Completion, token uint64) {
	done := e.settle(tags, true)
	e.source.Ack(tags, c, token)
	e.rid(gateway.Acknowledged, done)
}

// Nack implements gateway.Subscription.
func (e *enrolled) Nack(tags []uint64, c gateway.Completion, token uint64) {
	done := e.settle(tags, true)
	e.source.Nack(tags, c, token)
	e.rid(gateway.Refused, done)
}

// SettleNow carries out a committed transaction's acknowledgements.
func (e *enrolled) SettleNow(tags []uint64, nack bool, c gateway.Completion, token uint64) {
	done := e.settle(tags, false)
	e.source.SettleNow(tags, nack, c, token)
	if nack {
		e.rid(gateway.Refused, done)
	} else {
		e.rid(gateway.Acknowledged, done)
	}
}

// Release implements gateway.Subscription.
func (e *enrolled) Release(tags []uint64, r gateway.Return) error {
	done := e.settle(tags, true)
	err := e.source.Release(tags, r)
	e.rid("", done)
	return err
}

// Extend implements gateway.Subscription.
func (e *enrolled) Extend(n int) {
	e.extended.Add(int64(n))
	e.source.Extend(n)
}

// Close implements gateway.Subscription.
func (e *enrolled) Close() { e.source.Close() }

// Retire implements gateway.Retirable.
func (e *enrolled) Retire(tags []uint64) {
	r, ok := e.source.(gateway.Retirable)
	if !ok {
		return
	}
	done := e.settle(tags, false)
	r.Retire(tags)
	e.rid("", done)
}
