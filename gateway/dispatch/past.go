package dispatch

import (
	"slices"

	"github.com/sluice-mq/sluice/gateway"
)

// Had is a delivery that a client has had since before the queue had this owner.
type Had struct {
	Seq uint64
	// Redeliveries is what the client was told with it.
	Redeliveries uint32
}

// Adopt takes deliveries that the client of a subscription has, from an owner of the queue before this one, for
// handed out: those of them that wait are in flight with the subscription from here on, with the count that the client
// knows. They count against its credit like others. had ascends by Seq; the answer
// has the tag of each, or 0 if it does not wait: it is gone, dying, or somebody else has it. It costs no more than AckSeqs.
func (q *Queue) Adopt(id SubID, had []Had, fx *Effects) []uint64 {
	tags := make([]uint64, len(had))
	s := q.subs[id]
	if s == nil {
		return tags
	}
	seqs := make([]uint64, len(had))
	for i := range had {
		seqs[i] = had[i].Seq
	}
	q.eachLane(func(l *lane) bool {
		l.seek(seqs, q.disordered, func(_ *chunk, e *Entry, at int) { tags[at] = e.Tag })
		return true
	})
	for i, tag := range tags {
		if tag == 0 {
			continue
		}
		l, at, pos := q.findWaiting(tag)
		e := q.takeWaiting(l, at, pos)
		e.Message = nil
		if had[i].Redeliveries > e.Redeliveries { // who wrote that down did not live to do it
			fx.Mark = append(fx.Mark, gateway.Mark{Seq: e.Seq, Redeliveries: had[i].Redeliveries})
		}
		e.Redeliveries = had[i].Redeliveries
		if e.Lane.group() != 0 {
			q.adoptGroup(&e, s)
		}
		s.inFlight.add(e)
		q.inFlight++
		if e.Lane.closes() {
			q.handedOut(&e, s)
		}
	}
	q.epoch++
	q.recredit(s)
	return tags
}

// AckSeqs settles those of the sequences, which ascend, that are not gone: a client acknowledges what an owner of the queue before
// this one handed to it. Who has one of them in flight by now keeps its place, and may settle, refuse or give it back as
// if nothing had happened; but it does not come back. Where sequences are in the queue's order it costs a look at the front of
// it, up to the last of them, else at every chunk of 256 entries.
func (q *Queue) AckSeqs(seqs []uint64, now int64, fx *Effects) {
	q.scratch = q.scratch[:0]
	q.lines(func(l *line, in whereabouts) bool {
		l.seek(seqs, q.disordered, func(c *chunk, e *Entry, _ int) {
			switch in {
			case inWaiting, inLater, inLapsed:
				q.scratch = append(q.scratch, e.Tag)
				return
			case inDying:
				q.dying -= int64(e.Size)
			}
			q.settle(e, fx)
			e.Seq, e.Size, e.Message = 0, 0, nil
			c.stale = true
		})
		return true
	})
	q.AckClosed(q.scratch, now, fx)
}

// seek calls fn for every entry with one of the sequences, which ascend, and the index of that. fn may change the entry's
// fields but for its tag, and must not add or remove any.
func (l *line) seek(seqs []uint64, disordered bool, fn func(c *chunk, e *Entry, at int)) {
	for _, c := range l.chunks {
		low := c.lowest()
		if low == 0 {
			continue
		}
		first, _ := slices.BinarySearch(seqs, low)
		if first == len(seqs) {
			if disordered {
				continue
			}
			return
		}
		if seqs[first] > c.high {
			continue
		}
		for pos := range c.n {
			e := c.at(pos)
			if at, found := slices.BinarySearch(seqs[first:], e.Seq); found && e.Seq != 0 {
				fn(c, e, first+at)
			}
		}
	}
}
