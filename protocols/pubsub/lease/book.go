package lease

import (
	"container/heap"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/dispatch"
	"github.com/sluice-mq/sluice/gateway/selector"
	"github.com/sluice-mq/sluice/protocols/pubsub/resource"
)

const (
	// windowMessages and windowBytes are what a book holds in memory of messages that wait.
	windowMessages = 1000
	windowBytes    = 8 << 20
	// answerBytes is from where on a pull gets no more.
	answerBytes = 8 << 20
	// retryEvery is how often what failed is tried again, saveAfter how long what nobody waits for is not kept.
	retryEvery = time.Second
	saveAfter  = time.Second
	// growth is how much longer a message rests each time it comes back.
	growth = 2
)

// errMoved ends what a book has under way: somebody else keeps the leases from here on, or this one anew.
var errMoved = gateway.Errorf(gateway.Moved, "the subscription's leases are kept elsewhere now")

// book is the leases of one subscription, on the node that keeps them. A message's tag, and its sequence, is its offset plus 1.
type book struct {
	k   *Keeper
	sub *resource.Subscription // as it was when the book was opened
	of  *resource.Topic
	// generation and tenure are those of the cursor: one that has others is not this book's.
	generation, tenure uint64
	filter             *selector.Selector
	plain              dispatch.Lane
	began              time.Time

	mu       sync.Mutex
	q        *dispatch.Queue
	fx       dispatch.Effects
	progress progress
	out      map[uint64]*lease // by tag
	due      deadlines
	pulls    map[dispatch.SubID]*pull
	waits    []*pull // those without an answer, in the order in which they came
	last     dispatch.SubID
	serial   uint64
	log      logState
	kept     kept
	alarm    *time.Timer
	deaf     func() // ends the listening to arrivals; nil: nobody listens
	unsent   bool   // the last dead letter could not be sent
	used     time.Time
	closed   error
}

// lease is a message that somebody has.
type lease struct {
	tag, serial uint64
	pull        *pull
	lane        dispatch.Lane
	until       time.Time
	size        uint64 // of its data, as clients count it
}

// newBook makes a book of what a cursor says. Messages that are open come with recall.
func newBook(k *Keeper, sub *resource.Subscription, of *resource.Topic, c *resource.Cursor) (*book, error) {
	p, err := decodeProgress(c.Open, max(c.Offset, c.Next))
	if err != nil {
		return nil, fmt.Errorf("reading the place of %s: %w", sub.Name, err)
	}
	b := &book{
		k: k, sub: sub, of: of, generation: c.Generation, tenure: c.Tenure, plain: laneOf(sub.Lease, nil), began: k.cfg.Now(),
		progress: p, out: make(map[uint64]*lease), pulls: make(map[dispatch.SubID]*pull), used: k.cfg.Now(),
	}
	if sub.Lease.Filter != "" {
		if b.filter, err = selector.Parse(sub.Lease.Filter); err != nil {
			return nil, fmt.Errorf("the filter of %s: %w", sub.Name, err)
		}
	}
	b.q = dispatch.NewQueue(dispatch.Config{
		WindowMessages: windowMessages, WindowBytes: windowBytes, SubscriptionBytes: answerBytes, BriefGroups: true, Redelivery: redelivery(sub.Lease),
	})
	return b, nil
}

// redelivery is what becomes of messages that come back.
func redelivery(l *resource.Lease) *gateway.Redelivery {
	r := &gateway.Redelivery{
		Maximum: -1, Delay: time.Duration(l.LeastBackoff) * time.Millisecond, MaxDelay: time.Duration(l.MostBackoff) * time.Millisecond, Backoff: growth,
	}
	if l.DeadLetters != "" {
		r.Maximum = int(l.Attempts) - 1
	}
	return r
}

// KeyField is the header field of a message that names its ordering key, as JMS calls it.
const KeyField = "JMSXGroupID"

// laneOf is the lane of a message, which may be nil: of all that it says of its turn its ordering key counts alone, if the subscription cares for that.
func laneOf(l *resource.Lease, m *gateway.Message) dispatch.Lane {
	turn := &gateway.Message{Priority: gateway.DefaultPriority}
	if m != nil && l.Ordered {
		if key, ok := m.Header.Get(KeyField); ok {
			turn.Header = gateway.Header{{Name: KeyField, Value: key}}
		}
	}
	return dispatch.LaneOf(turn)
}

// millis is the time as the queue counts it.
func (b *book) millis() int64 { return int64(b.k.cfg.Now().Sub(b.began)/time.Millisecond) + 1 }

// entry is a message's place in the queue.
func (b *book) entry(m *gateway.Message) dispatch.Entry {
	return dispatch.Entry{
		Tag: m.Offset + 1, Seq: m.Offset + 1, Message: m, Size: uint32(min(m.Size(), 1<<31)), Redeliveries: b.progress.open[m.Offset], Lane: laneOf(b.sub.Lease, m),
	}
}

// carryOut does what the queue wants done. The lock is held.
func (b *book) carryOut() {
	fx := &b.fx
	for i := range fx.Deliver {
		b.deliver(&fx.Deliver[i])
	}
	if len(fx.Load) > 0 {
		b.load(slices.Clone(fx.Load))
	}
	for _, seq := range fx.Settle {
		b.settled(seq)
	}
	for i := range fx.Mark {
		if m := &fx.Mark[i]; b.isOpen(m.Seq) {
			b.progress.open[m.Seq-1] = m.Redeliveries
			b.kept.version++
		}
	}
	for i := range fx.Dead {
		b.bury(fx.Dead[i])
	}
	fx.Reset()
}

// settled notes that a message is not open any more. The lock is held.
func (b *book) settled(seq uint64) {
	delete(b.progress.open, seq-1)
	b.kept.version++
}

// isOpen reports whether a message was read and is not settled.
func (b *book) isOpen(tag uint64) bool {
	_, open := b.progress.open[tag-1]
	return open
}

// deliver gives a message to a pull. Its time begins with the pull's answer. The lock is held.
func (b *book) deliver(d *dispatch.Delivery) {
	p := b.pulls[d.Sub]
	b.serial++
	l := &lease{tag: d.Entry.Tag, serial: b.serial, pull: p, lane: d.Entry.Lane, size: uint64(len(d.Entry.Message.Body)+2) / 3 * 4}
	b.out[l.tag] = l
	p.leases++
	p.bytes += int64(d.Entry.Size)
	p.got = append(p.got, handed{l, d.Entry.Message, d.Entry.Redeliveries})
}

// end takes a lease out that is over; its message is where it belongs already. The lock is held.
func (b *book) end(l *lease) {
	delete(b.out, l.tag)
	if l.pull.leases--; l.pull.leases == 0 && l.pull.answered {
		b.dismiss(l.pull)
	}
}

// dismiss forgets a pull that has nothing any more. The lock is held.
func (b *book) dismiss(p *pull) {
	delete(b.pulls, p.id)
	b.q.Unsubscribe(p.id, nil, b.millis(), &b.fx)
	b.carryOut()
}

// giveBack has a message come back, and those of its ordering key that the same pull has behind it, so that the order holds: these come back as if they had not been handed out, and
// so does the message itself if it was not taken. The lock is held.
func (b *book) giveBack(l *lease, taken bool) {
	back := []*lease{l}
	if l.lane != b.plain {
		for o := range maps.Values(b.out) {
			if o.pull == l.pull && o.lane == l.lane && o.tag > l.tag {
				back = append(back, o)
			}
		}
	}
	for _, o := range slices.Backward(back) {
		// It cannot fail: the lease is there.
		_ = b.q.Release(o.pull.id, []uint64{o.tag}, gateway.Return{Redelivered: taken && o == l}, b.millis(), &b.fx)
		b.carryOut()
	}
	for _, o := range back {
		b.end(o)
	}
}

// tick ends the leases whose time is over, and lets come what is to come now; what failed is tried again if retry. The lock is held.
func (b *book) tick(retry bool) {
	now := b.k.cfg.Now()
	for len(b.due) > 0 && !b.due[0].at.After(now) {
		d := heap.Pop(&b.due).(deadline)
		if l := b.out[d.tag]; l != nil && l.serial == d.serial && l.until.Equal(d.at) {
			b.giveBack(l, true)
		}
	}
	if next, ok := b.q.NextDue(); ok && next <= b.millis() || retry {
		b.q.Tick(b.millis(), &b.fx)
		b.carryOut()
	}
}

// after answers the pulls that can be answered, looks for more if others want it, and sees to it that somebody looks again in time. The lock is held.
func (b *book) after() {
	if b.closed != nil {
		return
	}
	b.feed()
	for _, p := range slices.Clone(b.waits) {
		if b.full(p) || !b.busy() && (len(p.got) > 0 || !p.patient) {
			b.answer(p, nil)
		}
	}
	b.feed()
	b.arm()
}

// arm sets the alarm for what comes first. The lock is held.
func (b *book) arm() {
	wait := time.Duration(-1)
	sooner := func(d time.Duration) {
		if d = max(d, time.Millisecond); wait < 0 || d < wait {
			wait = d
		}
	}
	if len(b.due) > 0 {
		sooner(b.due[0].at.Sub(b.k.cfg.Now()))
	}
	if next, ok := b.q.NextDue(); ok {
		sooner(time.Duration(next-b.millis()) * time.Millisecond)
	}
	if b.log.failed || b.q.Stats().Dying > 0 {
		sooner(retryEvery)
	}
	if b.kept.version != b.kept.saved {
		sooner(saveAfter)
	}
	if len(b.waits) > 0 && (b.k.cfg.Arrivals == nil || b.log.behind) {
		sooner(b.k.cfg.Look)
	}
	switch {
	case wait < 0 && b.alarm != nil:
		b.alarm.Stop()
	case wait < 0:
	case b.alarm == nil:
		b.alarm = time.AfterFunc(wait, b.ring)
	default:
		b.alarm.Reset(wait)
	}
}

// ring is the alarm.
func (b *book) ring() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed != nil {
		return
	}
	retry := b.log.failed || b.q.Stats().Dying > 0
	b.log.news, b.log.behind, b.log.failed = true, false, false
	b.tick(retry)
	b.save()
	b.after()
}

// wake says that there may be something new.
func (b *book) wake() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.log.news = true; len(b.waits) > 0 {
		b.after()
	}
}

// idle reports whether nobody has, wants or waits for anything since a time.
func (b *book) idle(since time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.q.Stats()
	return b.closed == nil && len(b.out) == 0 && len(b.waits) == 0 && s.Later == 0 && s.Dying == 0 && b.used.Before(since)
}

// expire has a lease end at a time. What is in the heap for leases that are over, or end at another time by now, goes once it is the most. The lock is held.
func (b *book) expire(l *lease, at time.Time) {
	l.until = at
	heap.Push(&b.due, deadline{at, l.tag, l.serial})
	if len(b.due) <= 64+2*len(b.out) {
		return
	}
	b.due = b.due[:0]
	for o := range maps.Values(b.out) {
		if !o.until.IsZero() {
			b.due = append(b.due, deadline{o.until, o.tag, o.serial})
		}
	}
	heap.Init(&b.due)
}

// deadline is when a lease is over, unless it was extended or ended meanwhile.
type deadline struct {
	at          time.Time
	tag, serial uint64
}

// deadlines is a heap by time.
type deadlines []deadline

func (d deadlines) Len() int { return len(d) }
func (d deadlines) Less(i, j int) bool {
	return d[i].at.Before(d[j].at) || d[i].at.Equal(d[j].at) && d[i].tag < d[j].tag
}
func (d deadlines) Swap(i, j int) { d[i], d[j] = d[j], d[i] }
func (d *deadlines) Push(x any)   { *d = append(*d, x.(deadline)) }
func (d *deadlines) Pop() any {
	last := len(*d) - 1
	x := (*d)[last]
	*d = (*d)[:last]
	return x
}
