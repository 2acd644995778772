package dispatch

import (
	"container/heap"
	"math"
	"time"

	"github.com/sluice-mq/sluice/gateway"
)

// later are the entries that wait for a time to come.
type later struct {
	line
	// due tells when each comes, by its tag.
	due map[uint64]int64
	// turns are in order of time. Some may be of entries that have gone.
	turns heapOfTurns
}

// turn is when an entry comes.
type turn struct {
	due int64
	tag uint64
}

type heapOfTurns []turn

func (h heapOfTurns) Len() int { return len(h) }
func (h heapOfTurns) Less(i, j int) bool {
	return h[i].due < h[j].due || h[i].due == h[j].due && h[i].tag < h[j].tag
}
func (h heapOfTurns) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *heapOfTurns) Push(x any)   { *h = append(*h, x.(turn)) }
func (h *heapOfTurns) Pop() any {
	last := len(*h) - 1
	t := (*h)[last]
	*h = (*h)[:last]
	return t
}

// next is when the first of them comes, or never.
func (l *later) next() int64 {
	if l == nil {
		return never
	}
	for len(l.turns) > 0 {
		if t := l.turns[0]; l.due[t.tag] == t.due {
			return t.due
		}
		heap.Pop(&l.turns)
	}
	return never
}

// add takes an entry in.
func (l *later) add(e Entry, due int64) {
	l.line.add(e)
	l.due[e.Tag] = due
	heap.Push(&l.turns, turn{due, e.Tag})
}

// removeAt takes out the entry that find found.
func (l *later) removeAt(i, pos int) Entry {
	e := l.line.removeAt(i, pos)
	l.forget(e.Tag)
	return e
}

// forget drops the time of an entry that has gone, and all such times once they are the most.
func (l *later) forget(tag uint64) {
	delete(l.due, tag)
	if len(l.turns) > 64 && len(l.turns) > 2*len(l.due) {
		l.turns = l.turns[:0]
		for tag, due := range l.due {
			l.turns = append(l.turns, turn{due, tag})
		}
		heap.Init(&l.turns)
	}
}

// StoredLater is Stored for a message that is not to be handed out before due, in Unix milliseconds: it comes to its place by its tag then, at
// the next Tick or other event. It may expire before. A due time that is not after now is none. Nothing is marked: the caller knows due from the message, or from a
// Mark. Entries that come back for later are in Mark with their Due.
func (q *Queue) StoredLater(e Entry, due, now int64, fx *Effects) {
	if due <= now {
		q.Stored(e, now, fx)
		return
	}
	q.book(&e)
	q.postpone(e, due)
}

// NextDue returns when the first of those comes that come later, in Unix milliseconds; the caller calls Tick then. false: there is none.
func (q *Queue) NextDue() (due int64, ok bool) {
	due = q.later.next()
	return due, due != never
}

// DueOf returns when an entry comes that comes later; false: it waits already, or is not there. Who appends a message again, or hands it over, marks it with that.
func (q *Queue) DueOf(tag uint64) (due int64, ok bool) {
	if q.later != nil {
		due, ok = q.later.due[tag]
	}
	return due, ok
}

// postpone puts an entry that is in no line among those that come later.
func (q *Queue) postpone(e Entry, due int64) {
	if q.later == nil {
		q.later = &later{line: newLine(), due: make(map[uint64]int64)}
	}
	if e.Seq != 0 {
		e.Message = nil
	}
	q.later.add(e, due)
	q.bar(&e)
}

// takeLater takes an entry out that comes later.
func (q *Queue) takeLater(i, pos int) Entry {
	e := q.later.removeAt(i, pos)
	q.unbar(&e)
	return e
}

// rouse brings those whose time has come to their places.
func (q *Queue) rouse(now int64) {
	l := q.later
	if l == nil {
		return
	}
	for l.next() <= now {
		i, pos, _ := l.find(l.turns[0].tag)
		q.wait(q.takeLater(i, pos))
	}
	if l.n == 0 {
		q.later = nil
	}
}

// expireLater declares those dead that expire before their time comes.
func (q *Queue) expireLater(now int64, fx *Effects) {
	l := q.later
	if l == nil {
		return
	}
	var gone []uint64
	l.takeDue(now, func(e Entry) {
		gone = append(gone, e.Tag)
		q.unbar(&e)
		q.die(e, Expired, fx)
	})
	for _, tag := range gone {
		l.forget(tag)
	}
}

// back says how an entry comes back.
type back struct {
	redelivered bool
	delay       time.Duration
	policy      *gateway.Redelivery
}

// redelivery is the policy for what a subscription gives back.
func (q *Queue) redelivery(s *subscription) *gateway.Redelivery {
	if s.redelivery != nil {
		return s.redelivery
	}
	return q.cfg.Redelivery
}

// comeBack puts an entry that was handed out back in its place, unless it was settled meanwhile: at once or later, or it is dead.
func (q *Queue) comeBack(e Entry, b back, now int64, fx *Effects) {
	if e.hollow() {
		return
	}
	e.Lane = e.Lane.of(0)
	exhausted := false
	if b.redelivered {
		e.Redeliveries++
		if p := b.policy; p != nil {
			exhausted = p.Maximum >= 0 && int64(e.Redeliveries) > int64(p.Maximum)
			b.delay = max(b.delay, delayOf(p, e.Redeliveries))
		}
	}
	due := int64(0)
	if b.delay > 0 && !exhausted {
		due = now + int64((min(b.delay, longest)+time.Millisecond-1)/time.Millisecond)
	}
	if e.Seq != 0 && (b.redelivered || due != 0) {
		fx.Mark = append(fx.Mark, gateway.Mark{Seq: e.Seq, Redeliveries: e.Redeliveries, Due: due})
	}
	switch {
	case exhausted:
		q.die(e, Exhausted, fx)
	case due != 0:
		q.postpone(e, due)
	default:
		q.wait(e)
	}
}

// longest a redelivery may wait: a year, so that no sum overflows.
const longest = 365 * 24 * time.Hour

// delayOf is how long the n-th redelivery waits, n from 1.
func delayOf(p *gateway.Redelivery, n uint32) time.Duration {
	if p.Delay <= 0 {
		return 0
	}
	most := longest
	if p.MaxDelay > 0 {
		most = min(p.MaxDelay, longest)
	}
	if p.Backoff <= 1 || n == 1 {
		return min(p.Delay, most)
	}
	delay := float64(p.Delay) * math.Pow(p.Backoff, float64(n-1))
	if !(delay < float64(most)) {
		return most
	}
	return time.Duration(delay)
}
