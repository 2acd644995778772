package core

import (
	"time"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/dispatch"
)

// send takes a message to a queue: a persistent one through the journal, another
// by memory while there is room.
func (s *shard) send(m *gateway.Message, w way, c gateway.Completion, token uint64) {
	if isTemp(m) {
		s.sendTemp(m, 0, c, token)
		return
	}
	limited := s.broker.policies.Load().limits
	if limited && !s.admit(consignment{m, m.Place(), w, 1, int64(m.Size()), c, token}) {
		return
	}
	s.put(m, limited, c, token)
}

// put takes a message to a queue that lets it in. counted: admit did so.
func (s *shard) put(m *gateway.Message, counted bool, c gateway.Completion, token uint64) {
	p := parcel{message: m, counted: counted}
	if !m.Persistent && s.keep(&p) {
		complete(c, token, nil)
		return
	}
	s.spill(s.arrival(&p, c, token))
}

// arrival is that of a parcel.
func (s *shard) arrival(p *parcel, c gateway.Completion, token uint64) *arrival {
	a := &arrival{
		shard: s, c: c, token: token, redeliveries: p.redeliveries, due: p.due, counted: p.counted, remains: p.remains,
		record: gateway.Record{Type: gateway.RecordMessage, Message: p.message, Relaxed: !p.message.Persistent},
	}
	if p.remains { // whoever reads it has them in their places, too
		a.record.Order = s.remains.Order()
	}
	return a
}

// spill takes a message to its queue through the journal, if there is space.
func (s *shard) spill(a *arrival) {
	if s.broker.cfg.Store.Space().Sends {
		a.append()
		return
	}
	s.mu.Lock()
	q := s.queue(a.record.Message.Place())
	if a.record.Relaxed {
		q.spilling--
	}
	a.arrived(q)
	s.mu.Unlock()
	complete(a.c, a.token, errNoSpace)
}

// parcel is a message with what it cannot say itself.
type parcel struct {
	message      *gateway.Message
	redeliveries uint32
	// due is when it comes, in Unix milliseconds, or 0.
	due     int64
	counted bool
	// remains: an owner before this one had it in memory.
	remains bool
}

// keep puts a message into its queue's memory and reports true, or announces that
// it goes to the journal. Once one goes there all later ones follow, until none
// is under way any more: so they keep their order. Of remains it drops what would come too late.
func (s *shard) keep(p *parcel) bool {
	m := p.message
	s.mu.Lock()
	q := s.queue(m.Place())
	if p.remains && s.remains.Passed(q.name, m) {
		s.remains.Lose()
		s.mu.Unlock()
		return true
	}
	if s.down || q.spilling > 0 || s.broker.memory.Load()+int64(m.Size()) > s.broker.cfg.QueueMemory {
		q.spilling++
		s.mu.Unlock()
		s.broker.counts.spilled.Add(1)
		return false
	}
	e := s.entry(m, 0, p.remains)
	e.Redeliveries, p.due = later(m, p.redeliveries, p.due)
	if p.counted {
		q.came(m)
	}
	now := s.broker.nowMillis()
	if !p.remains {
		q.tally.count(q.Queue, &e, now)
	}
	q.StoredLater(e, p.due, now, &s.fx)
	s.effects(q)
	s.bound(q)
	s.crowd(q)
	if !p.remains {
		s.adviseArrival(q, m)
	}
	s.release()
	return true
}

// arrival is a message on its way through the journal to its queue.
type arrival struct {
	shard  *shard
	record gateway.Record
	c      gateway.Completion
	token  uint64
	// then, if not nil, runs instead of the completion.
	then func(seq uint64, err error)
	// shown, if not nil, runs when the message is in its queue and outlives this process, before the rest.
	shown func()
	// kept: the record is a part of a transaction.
	kept bool
	// memory, if not 0, is the tag of the entry that is written down.
	memory uint64
	// redeliveries and due are what the message cannot say.
	redeliveries uint32
	due          int64
	// counted: its queue counts it as coming. Guarded by the shard's lock, as is visible: the message is in its queue.
	counted, visible bool
	// remains: an owner before this one had it in memory.
	remains bool
}

func (a *arrival) append() {
	a.shard.broker.arriving.Add(1)
	a.shard.arriving.Add(1)
	a.shard.journal.Append(&a.record, a)
}

// Stored implements gateway.Stored: a message that is sent by itself may be delivered, while the
// disk still works on it. So may a part of a transaction whose record is on disk; what is
// itself the point of no return may not before it is safe.
func (a *arrival) Stored(seq uint64) {
	if a.then != nil && !a.kept || a.memory != 0 {
		return
	}
	s := a.shard
	s.mu.Lock()
	a.show(seq)
	s.release()
	if a.shown != nil {
		a.shown()
	}
}

// show puts the message into its queue, once. The shard's lock is held.
func (a *arrival) show(seq uint64) {
	if !a.visible {
		a.visible = true
		q := a.shard.queue(a.record.Message.Place())
		a.arrived(q)
		a.shard.store(q, a, seq)
	}
}

// arrived has the queue count the message no more as coming. The shard's lock is held.
func (a *arrival) arrived(q *queue) {
	if a.counted {
		a.counted = false
		q.came(a.record.Message)
	}
}

// Appended implements gateway.Appended: the message is as durable as it was promised to be.
func (a *arrival) Appended(seq uint64, err error) {
	s, m := a.shard, a.record.Message
	s.mu.Lock()
	q := s.queue(m.Place())
	if a.record.Relaxed {
		q.spilling--
	} else {
		s.saw(seq)
	}
	if err == nil && a.memory != 0 {
		a.due, _ = q.DueOf(a.memory)
		q.Moved(a.memory, seq)
		s.setOrder(seq, a.record.Order)
		s.account(q)
	} else if err == nil {
		a.show(seq)
	}
	a.arrived(q)
	if err == nil && (a.redeliveries > 0 || a.due > 0) {
		s.marking = append(s.marking, gateway.Mark{Seq: seq, Redeliveries: a.redeliveries, Due: a.due})
	}
	if err == nil && a.kept {
		s.kept[seq] = struct{}{}
	}
	s.rouse(q)
	s.release()
	defer s.broker.arriving.Add(-1)
	defer s.arriving.Add(-1)
	if hasMoved(err) && a.memory == 0 {
		a.takeBack()
		return
	}
	if a.then != nil {
		a.then(seq, err)
		return
	}
	complete(a.c, a.token, err)
}

// takeBack gives the message to the shard's next owner. Of remains nobody knows there how late they would be.
func (a *arrival) takeBack() {
	if a.remains {
		a.shard.passOver()
		complete(a.c, a.token, nil)
		return
	}
	f := &gateway.Frame{
		Kind: gateway.FrameSend, Message: a.record.Message, Transaction: a.record.Transaction, Redeliveries: a.redeliveries, Delay: a.shard.broker.delayUntil(a.due),
		Tag: uint64(free),
	}
	a.shard.broker.seats[a.shard.index].takeBack(f, func(err error) {
		if a.then != nil {
			a.then(0, err)
			return
		}
		complete(a.c, a.token, err)
	})
}

// delayUntil is how long it is until a message comes, in milliseconds, as other nodes are told, and dueIn when it comes that comes so much later.
func (b *Broker) delayUntil(due int64) int64 {
	if due == 0 {
		return 0
	}
	return max(due-b.nowMillis(), 0)
}

func (b *Broker) dueIn(delay int64) int64 {
	if delay <= 0 {
		return 0
	}
	return b.nowMillis() + min(delay, int64(longestDelay/time.Millisecond))
}

// longestDelay that another node may ask for.
const longestDelay = 10 * 365 * 24 * time.Hour

// writeDown appends the messages that are only in memory, so that a stop in order
// loses none of them. On the next start they have their places in the queue again.
func (s *shard) writeDown() {
	var all []*arrival
	s.mu.Lock()
	s.down = true
	s.lastWord()
	for _, q := range s.queues {
		if isTempPlace(q.name) {
			continue // its session is gone
		}
		q.Memory(func(e dispatch.Entry, before uint64) {
			a := &arrival{shard: s, memory: e.Tag, redeliveries: e.Redeliveries, record: gateway.Record{Type: gateway.RecordMessage, Message: e.Message, Relaxed: true}}
			if before != 0 { // just before the next message that the journal has
				a.record.Order = s.order(before) - 1
			}
			q.spilling++
			all = append(all, a)
		})
	}
	s.mu.Unlock()
	for _, a := range all {
		if s.broker.cfg.Store.Space().Sends {
			a.append()
		}
	}
}
