package dispatch

import (
	"slices"

	"github.com/sluice-mq/sluice/gateway"
)

// Queue is the state of one queue. An entry is in exactly one place: waiting, in
// flight with one subscription, dying (refused, expired or lapsed), or gone.
//
// It is not safe for concurrent use: its owner calls it under the shard's lock.
// now is in Unix milliseconds; should it
// run backwards, nothing worse happens than that something expires later. Effects are appended
// to fx, which the caller carries out before the next event of this queue.
type Queue struct {
	cfg Config

	waiting line
	// refused and expired await their burial. lapsed ones expired and could not be
	// buried: they are tried again at the next Tick, never delivered.
	refused, expired, lapsed line

	subs map[SubID]*subscription
	// ready holds, as a ring in order of turns, the subscriptions with credit.
	ready *subscription
	// credit is the sum over all subscriptions; inFlight as well.
	credit, inFlight int

	window window
	// scratch is for sorting tags.
	scratch []uint64
	// disordered: some Seq may be above that of an entry with a higher tag.
	disordered bool
	// lastSeq is the highest Seq that was stored.
	lastSeq uint64
	// journaled and memory are the bytes of all entries that are not gone.
	journaled, memory int64
}

// NewQueue returns an empty queue without subscriptions. Bounds below 1 count as 1.
func NewQueue(cfg Config) *Queue {
	cfg.WindowMessages = max(cfg.WindowMessages, 1)
	cfg.WindowBytes = max(cfg.WindowBytes, 1)
	return &Queue{cfg: cfg, waiting: newLine(), refused: newLine(), expired: newLine(), lapsed: newLine()}
}

// Stored tells that a message became deliverable. Its tag must be above all
// earlier ones. Its Message may be nil if Seq is not 0: then only the journal has it.
func (q *Queue) Stored(e Entry, now int64, fx *Effects) {
	q.weigh(&e, 1)
	if e.Seq != 0 {
		if q.Empty() {
			q.disordered = false
		} else if e.Seq < q.lastSeq {
			q.disordered = true
		}
		q.lastSeq = max(q.lastSeq, e.Seq)
	}
	if q.waiting.n == 0 && q.ready != nil && e.Message != nil && dueOf(&e) > now {
		q.deliver(e, fx)
		return
	}
	if e.Seq != 0 && e.Message != nil && !q.keeps(&e) {
		e.Message = nil
	}
	q.wait(e)
	q.pump(now, fx)
}

// Subscribe adds a subscription that may have prefetch deliveries outstanding.
// With prefetch 0 it never gets any. For an id that is there already only the
// prefetch changes.
func (q *Queue) Subscribe(id SubID, prefetch int, now int64, fx *Effects) {
	if q.subs == nil {
		q.subs = make(map[SubID]*subscription)
	}
	s := q.subs[id]
	if s == nil {
		s = &subscription{id: id, inFlight: newLine(), unsentMost: q.cfg.SubscriptionBytes}
		q.subs[id] = s
	}
	s.prefetch = clampCredit(prefetch)
	q.recredit(s)
	q.pump(now, fx)
}

// Extend lets n more deliveries be outstanding than the prefetch says; a negative
// n takes that back. Unknown subscriptions are ignored.
func (q *Queue) Extend(id SubID, n int, now int64, fx *Effects) {
	s := q.subs[id]
	if s == nil {
		return
	}
	s.extension = clampCredit(s.extension + clampCredit(n))
	q.recredit(s)
	q.pump(now, fx)
}

// Ack settles deliveries of a subscription. If one of them is not in flight there,
// or is named twice, the Error is NotFound and none is settled.
func (q *Queue) Ack(id SubID, tags []uint64, now int64, fx *Effects) error {
	s, err := q.holder(id, tags)
	if err != nil {
		return err
	}
	for _, tag := range tags {
		e := q.takeBack(s, tag)
		q.settle(&e, fx)
	}
	q.recredit(s)
	q.pump(now, fx)
	return nil
}

// Nack refuses deliveries of a subscription: each becomes Dead, but for those that AckSeqs has settled. Errors as for Ack.
func (q *Queue) Nack(id SubID, tags []uint64, now int64, fx *Effects) error {
	s, err := q.holder(id, tags)
	if err != nil {
		return err
	}
	for _, tag := range tags {
		e := q.takeBack(s, tag)
		if e.hollow() {
			continue
		}
		q.refused.add(e)
		fx.Dead = append(fx.Dead, Death{Entry: e, Cause: Refused})
	}
	q.recredit(s)
	q.pump(now, fx)
	return nil
}

// Release puts single deliveries back in their places while the subscription
// lives; redelivered says that they count as handed out. Errors as for Ack. The
// subscription may get them again at once. Those that were not taken yet must be
// reported by Taken all the same.
func (q *Queue) Release(id SubID, tags []uint64, redelivered bool, now int64, fx *Effects) error {
	s, err := q.holder(id, tags)
	if err != nil {
		return err
	}
	for _, tag := range tags {
		q.comeBack(q.takeBack(s, tag), redelivered, fx)
	}
	q.recredit(s)
	q.pump(now, fx)
	return nil
}

// Unsubscribe ends a subscription. What it had in flight comes back in its old
// order; all but the untaken ones count as handed out once more.
func (q *Queue) Unsubscribe(id SubID, untaken []uint64, now int64, fx *Effects) {
	s := q.subs[id]
	if s == nil {
		return
	}
	q.retire(s)
	q.scratch = append(q.scratch[:0], untaken...)
	slices.Sort(q.scratch)
	fresh := q.scratch
	for s.inFlight.n > 0 {
		e := s.inFlight.pop()
		q.inFlight--
		for len(fresh) > 0 && fresh[0] < e.Tag {
			fresh = fresh[1:]
		}
		q.comeBack(e, len(fresh) == 0 || fresh[0] != e.Tag, fx)
	}
	q.rest()
	q.pump(now, fx)
}

// AckClosed settles those of the tags that are waiting again. They were in flight
// with a subscription that has gone; the rest, handed to others by now, is ignored.
func (q *Queue) AckClosed(tags []uint64, now int64, fx *Effects) {
	for _, tag := range tags {
		if i, pos, ok := q.waiting.find(tag); ok {
			e := q.takeWaiting(i, pos)
			q.settle(&e, fx)
		} else if i, pos, ok := q.lapsed.find(tag); ok {
			e := q.lapsed.removeAt(i, pos)
			q.settle(&e, fx)
		}
	}
	q.pump(now, fx)
}

// Buried tells that a Dead entry was dead-lettered or dropped: it is gone. A tag
// that is not dying is ignored.
func (q *Queue) Buried(tag uint64, fx *Effects) {
	for _, l := range [...]*line{&q.refused, &q.expired, &q.lapsed} {
		if i, pos, ok := l.find(tag); ok {
			e := l.removeAt(i, pos)
			q.settle(&e, fx)
			return
		}
	}
}

// Unburied tells that a burial failed. A refused entry goes back in its place,
// handed out once more; an expired one is declared Dead again at the next Tick.
func (q *Queue) Unburied(tag uint64, now int64, fx *Effects) {
	if i, pos, ok := q.refused.find(tag); ok {
		q.comeBack(q.refused.removeAt(i, pos), true, fx)
		q.rest()
		q.pump(now, fx)
	} else if i, pos, ok := q.expired.find(tag); ok {
		if e := q.expired.removeAt(i, pos); !e.hollow() {
			q.lapsed.add(e)
		}
	}
}

// Tick declares waiting entries Dead whose time has come, tries failed burials
// and loads again, and gives back the memory of an idle queue. Without anything
// due its cost does not depend on the backlog.
func (q *Queue) Tick(now int64, fx *Effects) {
	for q.lapsed.n > 0 {
		q.expire(q.lapsed.pop(), fx)
	}
	q.waiting.takeDue(now, func(e Entry) {
		q.window.went(&e)
		q.expire(e, fx)
	})
	q.window.failed = false
	q.pump(now, fx)
	if q.Empty() {
		q.shrink()
	}
}

// Empty reports whether no entry is left.
func (q *Queue) Empty() bool {
	return q.waiting.n+q.inFlight+q.refused.n+q.expired.n+q.lapsed.n == 0
}

// shrink gives back the memory of an empty queue.
func (q *Queue) shrink() {
	q.waiting.release()
	q.refused.release()
	q.expired.release()
	q.lapsed.release()
	for _, s := range q.subs {
		s.inFlight.release()
	}
	q.scratch = nil
	if len(q.subs) == 0 {
		q.subs = nil
	}
	if q.window.open == 0 {
		q.window.asked = nil
	}
}

// pump hands out what can be handed out, in order, and sees that the rest gets loaded.
func (q *Queue) pump(now int64, fx *Effects) {
	want := 0
	if q.credit > 0 {
		// Not the credit of this moment: who acknowledges one by one has little of
		// it at a time, but empties a batch as quickly.
		want = q.credit + q.inFlight
	}
	for q.ready != nil && q.waiting.n > 0 {
		e := q.waiting.first()
		if dueOf(e) <= now {
			q.expire(q.takeWaiting(0, 0), fx)
			continue
		}
		if e.Message == nil {
			break
		}
		q.deliver(q.takeWaiting(0, 0), fx)
	}
	if want > 0 {
		q.load(want, now, fx)
	}
}

// deliver hands an entry that is in no line to the subscription whose turn it is.
// There must be one.
func (q *Queue) deliver(e Entry, fx *Effects) {
	s := q.ready
	fx.Deliver = append(fx.Deliver, Delivery{Sub: s.id, Entry: e})
	if e.Seq != 0 { // the journal has it too, should it come back
		e.Message = nil
	}
	s.inFlight.add(e)
	s.unsent += int64(e.Size)
	q.inFlight++
	q.ready = s.next
	q.recredit(s)
}

// wait puts an entry among the waiting ones and keeps the window's books.
func (q *Queue) wait(e Entry) {
	q.window.came(&e, q.waiting.n, q.waiting.n > 0 && e.Tag < q.waiting.last().Tag)
	q.waiting.add(e)
}

// takeWaiting takes a waiting entry out.
func (q *Queue) takeWaiting(i, pos int) Entry {
	e := q.waiting.removeAt(i, pos)
	q.window.went(&e)
	return e
}

// expire makes a dying entry of one that is in no line.
func (q *Queue) expire(e Entry, fx *Effects) {
	q.expired.add(e)
	fx.Dead = append(fx.Dead, Death{Entry: e, Cause: Expired})
}

// comeBack puts an entry that was handed out back in its place, unless it was settled meanwhile.
func (q *Queue) comeBack(e Entry, redelivered bool, fx *Effects) {
	if e.hollow() {
		return
	}
	if redelivered {
		e.Redeliveries++
		if e.Seq != 0 {
			fx.Mark = append(fx.Mark, gateway.Mark{Seq: e.Seq, Redeliveries: e.Redeliveries})
		}
	}
	q.wait(e)
}

// settle tells the journal that an entry is gone for good.
func (q *Queue) settle(e *Entry, fx *Effects) {
	q.weigh(e, -1)
	if e.Seq != 0 {
		fx.Settle = append(fx.Settle, e.Seq)
	}
}
