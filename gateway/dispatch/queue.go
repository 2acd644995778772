package dispatch

import (
	"slices"

	"github.com/sluice-mq/sluice/gateway"
)

// Queue is the state of one queue. An entry is in exactly one place: waiting, in
// flight with one subscription, later, dying (refused, expired or lapsed), or gone.
//
// It is not safe for concurrent use: its owner calls it under the shard's lock.
// now is in Unix milliseconds; should it
// run backwards, nothing worse happens than that something expires later. Effects are appended
// to fx, which the caller carries out before the next event of this queue.
type Queue struct {
	cfg Config

	// waiting is the plain lane; lanes has the others, nil while there is no need of any.
	waiting lane
	lanes   *lanes
	// refused entries await their burial and come back if it fails. So do expired ones, but those lapse then:
	// they are tried again at the next Tick, never delivered.
	refused, expired, lapsed line
	// later is nil while nothing comes later.
	later *later

	subs map[SubID]*subscription
	// rings hold the subscriptions with credit, those of higher priorities first.
	rings []*ring
	// owner is the exclusive subscription that has the queue to itself, or nil; exclusives are those that want it. barrier is none: it has the brief groups of which
	// something comes later.
	owner      *subscription
	exclusives int
	barrier    subscription
	// comings counts subscriptions that ever came; plain are those without a selector.
	comings uint64
	plain   int
	filters []*filter
	// credit is the sum over all subscriptions; inFlight as well.
	credit, inFlight int

	// epoch grows with whatever may give somebody something that had nothing to get; settled is the one in which
	// all was handed out that could be. They matter while it is matching.
	epoch, settled uint64

	window window
	// scratch is for sorting tags, betters for those above a ring.
	scratch []uint64
	betters []*subscription
	// disordered: some Seq may be above that of an entry with a higher tag.
	disordered bool
	// lastSeq is the highest Seq that was stored, lastTag the highest tag of those with one.
	lastSeq, lastTag uint64
	// journaled and memory are the bytes of all entries that are not gone; dying those of the dying ones.
	journaled, memory, dying int64
	groupsMost               int
	counts                   Counts
}

// NewQueue returns an empty queue without subscriptions. Bounds below 1 count as 1.
func NewQueue(cfg Config) *Queue {
	return &Queue{
		cfg: cfg.bounded(), waiting: lane{line: newLine(), priority: plainPriority},
		refused: newLine(), expired: newLine(), lapsed: newLine(), epoch: 1, groupsMost: groupsMost,
	}
}

// Stored tells that a message became deliverable. Its tag must be a new one; unless it is above all
// earlier ones its place is before or between them. Its Message may be nil if Seq is not 0: then only the journal has it.
func (q *Queue) Stored(e Entry, now int64, fx *Effects) {
	q.book(&e)
	if q.lanes != nil || len(q.filters) > 0 || q.special(e.Lane) {
		q.arrive(e, now, fx)
		return
	}
	if q.waiting.n == 0 && e.Message != nil && dueOf(&e) > now && q.later == nil {
		if s := q.turn(); s != nil {
			q.deliver(s, e, fx)
			return
		}
	}
	if e.Seq != 0 && e.Message != nil && !q.keeps(&e) {
		e.Message = nil
	}
	q.wait(e)
	q.pump(now, fx)
}

// book takes a new entry into the queue's books.
func (q *Queue) book(e *Entry) {
	q.weigh(e, 1)
	if e.Seq == 0 {
		return
	}
	if q.Empty() {
		q.disordered = false
	} else if e.Seq < q.lastSeq || e.Tag < q.lastTag {
		q.disordered = true
	}
	q.lastSeq, q.lastTag = max(q.lastSeq, e.Seq), max(q.lastTag, e.Tag)
}

// Subscribe adds a subscription. For an id that is there already only the prefetch changes. An exclusive one with a higher priority than those
// before it takes over; what they have in flight stays theirs.
func (q *Queue) Subscribe(id SubID, c Consumer, now int64, fx *Effects) {
	if q.subs == nil {
		q.subs = make(map[SubID]*subscription)
	}
	s := q.subs[id]
	if s == nil {
		s = q.join(id, &c)
	}
	s.prefetch = clampCredit(c.Prefetch)
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
		q.die(e, Refused, fx)
	}
	q.recredit(s)
	q.pump(now, fx)
	return nil
}

// Release puts single deliveries back in their places while the subscription
// lives, at once or, as the redelivery policy and r.Delay say, later; those that came back too often are Dead with the Cause Exhausted.
// Errors as for Ack. The subscription may get them again. Those that were not taken yet must be
// reported by Taken all the same.
func (q *Queue) Release(id SubID, tags []uint64, r gateway.Return, now int64, fx *Effects) error {
	s, err := q.holder(id, tags)
	if err != nil {
		return err
	}
	for _, tag := range tags {
		q.comeBack(q.takeBack(s, tag), back{r.Redelivered, r.Delay, q.redelivery(s)}, now, fx)
	}
	q.recredit(s)
	q.pump(now, fx)
	return nil
}

// Unsubscribe ends a subscription. What it had in flight comes back in its old
// order, or as the redelivery policy says; all but the untaken ones count as handed out once more.
func (q *Queue) Unsubscribe(id SubID, untaken []uint64, now int64, fx *Effects) {
	s := q.subs[id]
	if s == nil {
		return
	}
	q.retire(s)
	q.scratch = append(q.scratch[:0], untaken...)
	slices.Sort(q.scratch)
	fresh := q.scratch
	policy := q.redelivery(s)
	for s.inFlight.n > 0 {
		e := q.takeBack(s, s.inFlight.first().Tag)
		for len(fresh) > 0 && fresh[0] < e.Tag {
			fresh = fresh[1:]
		}
		q.comeBack(e, back{redelivered: len(fresh) == 0 || fresh[0] != e.Tag, policy: policy}, now, fx)
	}
	q.disown(s)
	q.rest()
	q.pump(now, fx)
}

// AckClosed settles those of the tags that are waiting again. They were in flight
// with a subscription that has gone; the rest, handed to others by now, is ignored.
func (q *Queue) AckClosed(tags []uint64, now int64, fx *Effects) {
	for _, tag := range tags {
		if e, ok := q.takeResting(tag); ok {
			q.settle(&e, fx)
		} else if i, pos, ok := q.lapsed.find(tag); ok {
			e := q.lapsed.removeAt(i, pos)
			q.dying -= int64(e.Size)
			q.settle(&e, fx)
		}
	}
	q.epoch++
	q.pump(now, fx)
}

// takeResting takes an entry out that waits, or comes later.
func (q *Queue) takeResting(tag uint64) (Entry, bool) {
	if l, i, pos := q.findWaiting(tag); l != nil {
		return q.takeWaiting(l, i, pos), true
	}
	if q.later != nil {
		if i, pos, ok := q.later.find(tag); ok {
			return q.takeLater(i, pos), true
		}
	}
	return Entry{}, false
}

// Tick declares waiting entries Dead whose time has come, tries failed burials
// and loads again, brings those to their places that come now, and gives back the memory of an idle queue. Without anything
// due its cost does not depend on the backlog.
func (q *Queue) Tick(now int64, fx *Effects) {
	for q.lapsed.n > 0 {
		e := q.lapsed.pop()
		q.dying -= int64(e.Size)
		q.die(e, e.Lane.cause(), fx)
	}
	q.expireLanes(now, fx)
	q.expireLater(now, fx)
	q.window.failed = false
	q.epoch++
	q.pump(now, fx)
	if q.Empty() {
		q.shrink()
	}
	q.unlay()
}

// Empty reports whether no entry is left.
func (q *Queue) Empty() bool {
	return q.waits()+q.inFlight+q.refused.n+q.expired.n+q.lapsed.n+q.laters() == 0
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
	q.scratch, q.betters = nil, nil
	if len(q.subs) == 0 {
		q.subs = nil
	}
	if q.window.open == 0 {
		q.window.asked = nil
	}
}

// pump hands out what can be handed out, in order, and sees that the rest gets loaded.
func (q *Queue) pump(now int64, fx *Effects) {
	if q.waiting.n == 0 && q.later == nil && !q.matching() {
		return
	}
	want := q.want()
	q.distribute(now, fx)
	q.fetch(want, now, fx)
}

// want is how many bodies would be of use.
func (q *Queue) want() int {
	if q.credit <= 0 {
		return 0
	}
	// Not the credit of this moment: who acknowledges one by one has little of
	// it at a time, but empties a batch as quickly.
	return q.credit + q.inFlight
}

// distribute hands out what can be handed out.
func (q *Queue) distribute(now int64, fx *Effects) {
	if q.later != nil {
		q.rouse(now)
	}
	if q.matching() {
		q.match(now, fx)
		return
	}
	for q.waiting.n > 0 {
		s := q.turn()
		if s == nil {
			return
		}
		e := q.waiting.first()
		if dueOf(e) <= now {
			q.die(q.takeWaiting(&q.waiting, 0, 0), Expired, fx)
			continue
		}
		if e.Message == nil {
			return
		}
		q.deliver(s, q.takeWaiting(&q.waiting, 0, 0), fx)
	}
}

// fetch asks for bodies.
func (q *Queue) fetch(want int, now int64, fx *Effects) {
	switch {
	case want == 0:
	case q.matching():
		q.read(want, now, fx)
	default:
		q.load(want, now, fx)
	}
}

// deliver hands an entry that is in no line to a subscription with credit, which has had its turn then.
func (q *Queue) deliver(s *subscription, e Entry, fx *Effects) {
	fx.Deliver = append(fx.Deliver, Delivery{Sub: s.id, Entry: e})
	if e.Seq != 0 { // the journal has it too, should it come back
		e.Message = nil
	}
	if e.Lane.group() != 0 {
		q.handOut(&e, s)
	}
	q.counts.Delivered++
	s.inFlight.add(e)
	s.unsent += int64(e.Size)
	q.inFlight++
	if e.Lane.closes() {
		q.handedOut(&e, s)
	}
	s.ring.served(s)
	q.recredit(s)
}

// wait puts an entry among the waiting ones and keeps the window's books.
func (q *Queue) wait(e Entry) {
	l := q.openLane(e.Lane)
	q.window.came(l, &e, l.n, l.n > 0 && e.Tag < l.last().Tag)
	l.add(e)
	if q.matching() {
		for _, f := range q.filters {
			f.cut(l, e.Tag)
		}
		q.epoch++
		q.changed(l, 1)
	}
}

// takeWaiting takes a waiting entry out.
func (q *Queue) takeWaiting(l *lane, i, pos int) Entry {
	e := l.removeAt(i, pos)
	q.window.went(l, &e)
	if q.matching() {
		q.changed(l, -1)
	}
	return e
}

// settle tells the journal that an entry is gone for good.
func (q *Queue) settle(e *Entry, fx *Effects) {
	q.weigh(e, -1)
	if !e.hollow() { // else it was gone before
		q.counts.Gone++
	}
	if e.Seq != 0 {
		fx.Settle = append(fx.Settle, e.Seq)
	}
}
