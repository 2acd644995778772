package core

import (
	"sync"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/past"
)

// maxTransaction bounds the persistent messages of one transaction in bytes: they
// go into one record first.
const maxTransaction = 24 << 20

// settler is a subscription that can acknowledge for a transaction.
type settler interface {
	SettleNow(tags []uint64, nack bool, c gateway.Completion, token uint64)
}

// commitment is a transaction being carried out: first the point of no return,
// then everything else. Its point is one durable record: the message itself if
// there is only one persistent one, else a record of all of them, which is
// carried out again after a crash.
type commitment struct {
	session *session
	id      string
	stored  []*gateway.Message // persistent, to queues
	rest    []remainder        // the others, and what is shown, in their order
	slow    bool               // it is told when those are not far behind any more
	light   int64              // bytes of those of them that go to queues
	heavy   int                // and of the persistent ones
	copies  amount             // of a message to several destinations, on their way
	asks    map[string]amount  // what it wants to have room for, by place
	acks    []gateway.TransactionAck
	c       gateway.Completion
	token   uint64

	logged      bool   // what it has for topics with logs is there, or on its way
	coordinator *shard // chosen by the first message, unless it is given
	record      gateway.Record
	prepared    uint64 // sequence of the record
	// ahead: the record is written before the transactions in front of it are carried out. Guarded by the session's lock, as soon as that knows it.
	ahead bool

	mu sync.Mutex
	// turn: what is in front of one that goes ahead is where it belongs. written: what became of its record is known, which is unwritten if it is not there.
	turn, written bool
	unwritten     error
	pending       int
	err           error
	// journaled counts the messages of the record that are not in their journals yet;
	// places are where the others are.
	journaled int
	places    []place
	// unordered counts what must be handed over, and in a cluster be where it belongs, before the session goes on.
	unordered int
}

// remainder is what follows the point of no return: a message that is not persistent, or one to a topic that is for whoever subscribes to it now, because what is kept
// of it is among the others.
type remainder struct {
	*gateway.Message
	live bool
}

// start is the turn of a commit that was held back.
func (t *commitment) start() {
	t.session.mu.Lock()
	t.session.committing++
	t.session.mu.Unlock()
	if !t.ahead {
		t.begin()
		return
	}
	t.mu.Lock()
	t.turn = true
	written := t.written
	t.mu.Unlock()
	if written {
		t.decide()
	}
}

// fits reports whether there is room for the messages to queues: for persistent ones in
// the store, for others in memory or else there. If another node coordinates the transaction it looks itself.
func (t *commitment) fits() bool {
	b := t.session.broker
	if len(t.stored) > 0 && t.coordinator == nil {
		return true
	}
	return b.cfg.Store.Space().Sends || len(t.stored) == 0 && (t.light == 0 || b.memory.Load()+t.light <= b.cfg.QueueMemory)
}

// begin goes to the point of no return.
func (t *commitment) begin() {
	b := t.session.broker
	if t.room() {
		return
	}
	if len(t.stored) > 0 && t.coordinator == nil {
		t.coordinator = b.seatOf(t.stored[0].Place()).here.Load()
	}
	if !t.fits() {
		t.fail(errNoSpace)
		return
	}
	if t.logging() {
		return
	}
	if len(t.stored) == 0 {
		t.carryOut(nil)
		return
	}
	seat := b.seatOf(t.stored[0].Place())
	if len(t.stored) == 1 {
		m := t.stored[0]
		if t.coordinator == nil {
			seat.call(&gateway.Frame{Kind: gateway.FrameSend, Message: m}, t.happened)
			return
		}
		a := &arrival{shard: t.coordinator, record: gateway.Record{Type: gateway.RecordMessage, Message: m}}
		a.then = func(_ uint64, err error) { t.happened(err) }
		a.append()
		return
	}
	if t.coordinator == nil {
		seat.call(t.frame(), t.happened)
		return
	}
	t.prepare()
}

// prepare writes the record of all messages.
func (t *commitment) prepare() {
	t.record = gateway.Record{Type: gateway.RecordPrepare, Transaction: t.id, Messages: t.stored}
	t.session.broker.arriving.Add(1)
	t.coordinator.journal.Append(&t.record, t)
}

// frame is the transaction as another node carries it out.
func (t *commitment) frame() *gateway.Frame {
	return &gateway.Frame{Kind: gateway.FrameCommit, Transaction: t.id, Messages: t.stored}
}

// happened goes on when all persistent messages are where they belong, or nothing has happened.
func (t *commitment) happened(err error) {
	if err != nil {
		t.fail(err)
		return
	}
	t.session.broker.counts.queueIn.Add(uint64(len(t.stored)))
	t.carryOut(nil)
}

// Appended implements gateway.Appended for the record of the transaction.
func (t *commitment) Appended(seq uint64, err error) {
	if err == nil {
		s := t.coordinator
		s.mu.Lock()
		s.saw(seq)
		s.kept[seq] = struct{}{}
		s.mu.Unlock()
		t.prepared = seq
	}
	t.know(err)
}

// know takes in what became of the record. What goes ahead waits for its turn.
func (t *commitment) know(err error) {
	t.mu.Lock()
	t.written, t.unwritten = true, err
	turn := t.turn || !t.ahead
	t.mu.Unlock()
	if turn {
		t.decide()
	}
}

// decide goes on when it is known what became of the record.
func (t *commitment) decide() {
	defer t.session.broker.arriving.Add(-1)
	switch {
	case hasMoved(t.unwritten):
		t.session.broker.seats[t.coordinator.index].takeBack(t.frame(), t.happened)
	case t.unwritten != nil:
		t.fail(t.unwritten)
	default:
		t.carryOut(t.stored)
	}
}

// carryOut does everything that follows the point of no return.
func (t *commitment) carryOut(stored []*gateway.Message) {
	b := t.session.broker
	t.pending = 1 + len(stored) + len(t.acks)
	for _, m := range t.rest {
		if m.live && t.slow {
			t.pending++
		}
	}
	t.journaled = len(stored)
	t.unordered = 1
	if b.cfg.Cluster != nil { // the next transaction may be another node's, which knows nothing of the order of these
		t.unordered += len(stored)
	}
	for i, m := range stored {
		b.counts.queueIn.Add(1)
		t.appendPart(i, m)
	}
	for _, m := range t.rest {
		if m.live {
			t.show(m.Message)
		} else {
			t.session.routeBy(m.Message, nil, free, nil, 0)
		}
	}
	for _, a := range t.acks {
		if sub, ok := a.Subscription.(settler); ok {
			sub.SettleNow(a.Tags, a.Nack, t, 0)
		} else {
			t.Complete(0, nil)
		}
	}
	t.order()
	t.Complete(0, nil)
}

// show hands a message to a topic to whoever subscribes to it now.
func (t *commitment) show(m *gateway.Message) {
	b := t.session.broker
	b.counts.topicIn.Add(1)
	w := waiter{}
	if t.slow {
		w = waiter{t, 0}
	}
	r := b.topics.route(m.Destination.Name)
	r.sent(m)
	b.topics.show(r, m, t.session, w)
}

// order lets the session go on when nothing can overtake the transaction any more.
func (t *commitment) order() {
	t.mu.Lock()
	t.unordered--
	last := t.unordered == 0
	t.mu.Unlock()
	if last {
		t.session.committed()
	}
}

// place is a record that must be kept until a transaction's end is on disk.
type place struct {
	shard *shard
	seq   uint64
}

// appendPart appends message i to its queue. On a single node the sender does not wait for the disk: its record is there already,
// and a message that a power cut takes is sent again.
func (t *commitment) appendPart(i int, m *gateway.Message) {
	told, cluster := false, t.session.broker.cfg.Cluster != nil
	shown := func() {
		told = true
		t.Complete(0, nil)
	}
	if cluster {
		shown = nil
	}
	t.session.broker.appendPart(t.id, i, m, shown, func(at place, err error) {
		t.partStored(at, err)
		if cluster {
			t.order()
		}
		if !told {
			t.Complete(0, err)
		}
	})
}

// appendPart appends message i of a prepared transaction to its queue. The record is
// kept, whatever becomes of the message, until finish lets it go: if a crash comes first, it
// tells the next start that this part was carried out. Unless shown is nil, it is told first that the message is in its queue, and nobody waits for then.
func (b *Broker) appendPart(id string, i int, m *gateway.Message, shown func(), then func(place, error)) {
	seat := b.seatOf(m.Place())
	if b.cfg.Cluster != nil { // whoever owns it recognises what was carried out before
		f := &gateway.Frame{Kind: gateway.FrameSend, Message: m, Transaction: past.PartName(id, i)}
		seat.call(f, func(err error) { then(place{}, err) })
		return
	}
	a := &arrival{shard: seat.here.Load(), kept: true, shown: shown}
	a.record = gateway.Record{Type: gateway.RecordMessage, Message: m, Transaction: past.PartName(id, i), Patient: shown != nil}
	a.then = func(seq uint64, err error) { then(place{a.shard, seq}, err) }
	a.append()
}

// partStored counts the messages of the record into their journals. When all are
// there, the record has done its duty. If one failed, the record stays and the next start repeats it.
func (t *commitment) partStored(at place, err error) {
	t.mu.Lock()
	if err == nil {
		t.journaled--
		t.places = append(t.places, at)
	}
	done := t.journaled == 0
	t.mu.Unlock()
	if done {
		t.coordinator.finish(t.id, append(t.places, place{t.coordinator, t.prepared}), t.stored)
	}
}

// finish writes that a prepared transaction was carried out, and then lets its records go. The
// record is durable like others, although nobody waits for it: without it the next start would miss the
// messages that were acknowledged and trimmed meanwhile, and send them again.
func (s *shard) finish(id string, kept []place, messages []*gateway.Message) {
	s.broker.arriving.Add(1)
	s.journal.Append(&gateway.Record{Type: gateway.RecordDone, Transaction: id, Patient: true}, finished{s, kept, id, messages})
}

type finished struct {
	shard    *shard
	kept     []place
	id       string
	messages []*gateway.Message
}

// Appended implements gateway.Appended.
func (f finished) Appended(seq uint64, err error) {
	defer f.shard.broker.arriving.Add(-1)
	if err != nil {
		return
	}
	f.shard.mu.Lock()
	f.shard.saw(seq)
	f.shard.mu.Unlock()
	if b := f.shard.broker; b.cfg.Cluster != nil {
		for i, m := range f.messages {
			b.seatOf(m.Place()).letGo(past.PartName(f.id, i))
		}
	}
	for _, p := range f.kept {
		if p.shard == nil {
			continue // another node's
		}
		p.shard.mu.Lock()
		delete(p.shard.kept, p.seq)
		p.shard.mu.Unlock()
	}
}

// Hold implements gateway.Holder for the messages to topics.
func (t *commitment) Hold(uint64) { hold(t.c, t.token) }

// Complete implements gateway.Completion for the parts of the transaction.
func (t *commitment) Complete(_ uint64, err error) {
	t.mu.Lock()
	if err != nil && t.err == nil {
		t.err = err
	}
	t.pending--
	last := t.pending == 0
	err = t.err
	t.mu.Unlock()
	if last {
		t.session.underway.take(t.copies)
		complete(t.c, t.token, err)
	}
}

// fail ends a transaction before its point of no return.
func (t *commitment) fail(err error) {
	t.session.committed()
	t.session.underway.take(t.copies)
	complete(t.c, t.token, err)
}

// committed lets what was held back behind a transaction go on, in order.
func (s *session) committed() {
	s.mu.Lock()
	s.committing--
	if s.flushing { // whoever works it off goes on: two at once would overtake one another
		s.mu.Unlock()
		return
	}
	s.flushing = true // so that nothing new overtakes what was held
	for s.committing == 0 && len(s.held) > 0 {
		next := s.held[0]
		s.held = s.held[1:]
		s.mu.Unlock()
		next()
		s.mu.Lock()
	}
	s.flushing = false
	gone := s.left && s.idle()
	s.mu.Unlock()
	if gone {
		s.broker.forget(s)
	}
}
