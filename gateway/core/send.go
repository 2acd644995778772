package core

import (
	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/dispatch"
)

// send takes a message to a queue: a persistent one through the journal, another
// by memory while there is room.
func (s *shard) send(m *gateway.Message, c gateway.Completion, token uint64) {
	if !m.Persistent && s.keep(m, 0) {
		complete(c, token, nil)
		return
	}
	if !s.broker.cfg.Store.Space().Sends {
		if !m.Persistent {
			s.mu.Lock()
			s.queue(m.Destination.Name).spilling--
			s.mu.Unlock()
		}
		complete(c, token, gateway.Errorf(gateway.NoSpace, "the store has no space left"))
		return
	}
	a := &arrival{shard: s, c: c, token: token, record: gateway.Record{Type: gateway.RecordMessage, Message: m, Relaxed: !m.Persistent}}
	a.append()
}

// keep puts a message into its queue's memory and reports true, or announces that
// it goes to the journal. Once one goes there all later ones follow, until none
// is under way any more: so they keep their order.
func (s *shard) keep(m *gateway.Message, redeliveries uint32) bool {
	s.mu.Lock()
	q := s.queue(m.Destination.Name)
	if s.down || q.spilling > 0 || s.broker.memory.Load()+int64(m.Size()) > s.broker.cfg.QueueMemory {
		q.spilling++
		s.mu.Unlock()
		s.broker.counts.spilled.Add(1)
		return false
	}
	e := s.entry(m, 0)
	e.Redeliveries = redeliveries
	q.Stored(e, s.broker.nowMillis(), &s.fx)
	s.effects(q)
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
	// kept: the record is a part of a transaction.
	kept bool
	// memory, if not 0, is the tag of the entry that is written down.
	memory uint64
	// redeliveries are what the message cannot say.
	redeliveries uint32
	// visible: the message is in its queue. Guarded by the shard's lock.
	visible bool
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
}

// show puts the message into its queue, once. The shard's lock is held.
func (a *arrival) show(seq uint64) {
	if !a.visible {
		a.visible = true
		m := a.record.Message
		a.shard.store(a.shard.queue(m.Destination.Name), m, seq, a.redeliveries)
	}
}

// Appended implements gateway.Appended: the message is as durable as it was promised to be.
func (a *arrival) Appended(seq uint64, err error) {
	s, m := a.shard, a.record.Message
	s.mu.Lock()
	q := s.queue(m.Destination.Name)
	if a.record.Relaxed {
		q.spilling--
	} else {
		s.saw(seq)
	}
	if err == nil && a.memory != 0 {
		q.Moved(a.memory, seq)
		s.setOrder(seq, a.record.Order)
		s.account(q)
	} else if err == nil {
		a.show(seq)
	}
	if err == nil && a.redeliveries > 0 {
		s.marking = append(s.marking, gateway.Mark{Seq: seq, Redeliveries: a.redeliveries})
	}
	if err == nil && a.kept {
		s.kept[seq] = struct{}{}
	}
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

// takeBack gives the message to the shard's next owner.
func (a *arrival) takeBack() {
	f := &gateway.Frame{Kind: gateway.FrameSend, Message: a.record.Message, Transaction: a.record.Transaction, Redeliveries: a.redeliveries}
	a.shard.broker.seats[a.shard.index].takeBack(f, func(err error) {
		if a.then != nil {
			a.then(0, err)
			return
		}
		complete(a.c, a.token, err)
	})
}

// deadLetter stores a copy in the dead-letter queue, with ActiveMQ's headers.
func (b *Broker) deadLetter(m *gateway.Message, cause dispatch.Cause, then func(uint64, error)) {
	dead := deadCopy(m, b.cfg.DeadLetterQueue, cause)
	seat := b.seatOf(b.cfg.DeadLetterQueue)
	s := seat.here.Load()
	if s == nil {
		seat.call(&gateway.Frame{Kind: gateway.FrameSend, Message: dead}, func(err error) { then(0, err) })
		return
	}
	if !b.cfg.Store.Space().Sends {
		then(0, gateway.Errorf(gateway.NoSpace, "the store has no space left"))
		return
	}
	a := &arrival{shard: s, then: then, record: gateway.Record{Type: gateway.RecordMessage, Message: dead}}
	a.append()
}

// writeDown appends the messages that are only in memory, so that a stop in order
// loses none of them. On the next start they have their places in the queue again.
func (s *shard) writeDown() {
	var all []*arrival
	s.mu.Lock()
	s.down = true
	s.lastWord()
	for _, q := range s.queues {
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
