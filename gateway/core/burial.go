package core

import (
	"fmt"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/deadletter"
	"github.com/sluice-mq/sluice/gateway/dispatch"
)

// readMost bounds the expired messages of a shard that are read for their burial at
// once: a backlog may expire in one moment, and be larger than memory.
const readMost = 256

// pendingDeath is a message that is to be buried.
type pendingDeath struct {
	q *queue
	dispatch.Death
	// unread: one of those whose number at a time is bounded.
	unread bool
}

// die takes in what a queue has declared dead. The lock is held.
func (s *shard) die(q *queue, d dispatch.Death) {
	p := pendingDeath{q: q, Death: d, unread: d.Cause == dispatch.Expired && d.Entry.Message == nil && q.retain == nil}
	if p.unread {
		s.expired = append(s.expired, p)
		return
	}
	s.dying++
	s.after.deaths = append(s.after.deaths, p)
}

// inter begins the next burials of expired messages that must be read, when all before
// them have ended; after a failure not before the next sweep. The lock is held.
func (s *shard) inter() {
	if s.reading > 0 || len(s.expired) == 0 || s.unburied > 0 {
		return
	}
	n := min(len(s.expired), readMost)
	s.after.deaths = append(s.after.deaths, s.expired[:n]...)
	s.dying += n
	s.reading = n
	if s.expired = s.expired[n:]; len(s.expired) == 0 {
		s.expired = nil
	}
}

// tellUnburied logs once what failed since the last time, and lets it be tried again.
// The lock is held.
func (s *shard) tellUnburied() {
	if s.unburied > 0 {
		s.broker.cfg.Logger.Error("messages could not be moved to the dead-letter queue", "shard", s.index, "count", s.unburied, "error", s.unburiedFor)
		s.unburied, s.unburiedFor = 0, nil
	}
}

// leaveExpired forgets the burials that have not begun: the next start finds them again.
func (s *shard) leaveExpired() {
	s.mu.Lock()
	s.expired = nil
	s.mu.Unlock()
}

// bury deals with a message that is dead: it moves to a dead-letter queue or is dropped, as the policy says; or it is what an operation took out.
func (s *shard) bury(d pendingDeath) {
	b := s.broker
	var by *taking
	if d.Cause == dispatch.Taken {
		by = s.takenBy(&d.Death)
	}
	m := d.Entry.Message
	switch {
	case d.q.leaves(&d.Death), d.Cause == dispatch.Taken && by == nil, by != nil && by.removes():
		s.buried(d, nil)
		return
	case by == nil && s.wantsUnread(&d):
		s.exhume(d)
		return
	case by == nil && s.grave(d.q, m, d.Cause) == "":
		s.adviseDeath(&d, false)
		b.counts.dropped.Add(1)
		b.counts.dead[d.Cause].Add(1)
		s.buried(d, nil)
		return
	case m == nil: // only the journal has it
		s.exhume(d)
		return
	case by != nil:
		s.carryOff(d, by)
		return
	}
	b.carry(deadletter.Copy(m, d.q.name, s.grave(d.q, m, d.Cause), &d.Death), s.errand(d.Entry.Tag), func(err error) {
		if err == nil {
			s.adviseDeath(&d, true)
			b.counts.deadLettered.Add(1)
			b.counts.dead[d.Cause].Add(1)
		}
		s.buried(d, err)
	})
}

// exhume reads the body of a message that is to be buried. If the record is gone, the
// message was moved meanwhile; only where it was not there is nothing left to bury.
func (s *shard) exhume(d pendingDeath) {
	s.journal.Load(d.q.name, []uint64{d.Entry.Seq}, func(m []*gateway.Message, err error) {
		if err != nil {
			s.buried(d, err)
			return
		}
		if d.Entry.Message = m[0]; d.Entry.Message != nil {
			s.bury(d)
			return
		}
		s.mu.Lock()
		seq, ok := d.q.SeqOf(d.Entry.Tag)
		s.mu.Unlock()
		if !ok || seq == d.Entry.Seq {
			s.buried(d, nil)
			return
		}
		d.Entry.Seq = seq
		s.exhume(d)
	})
}

// buried tells the queue how a burial ended.
func (s *shard) buried(d pendingDeath, err error) {
	s.mu.Lock()
	s.dying--
	if d.unread {
		s.reading--
	}
	if err == nil {
		d.q.Buried(d.Entry.Tag, &s.fx)
	} else {
		if d.Cause != dispatch.Taken {
			s.unburied++
			s.unburiedFor = err
		}
		d.q.Unburied(d.Entry.Tag, s.broker.nowMillis(), &s.fx)
	}
	s.effects(d.q)
	failed := s.laidToRest(d.Entry.Tag, err)
	if t := s.takings[d.Entry.Tag]; t != nil && d.Cause == dispatch.Taken {
		delete(s.takings, d.Entry.Tag)
		t.over(err)
	}
	s.release()
	if failed != nil {
		complete(failed.c, failed.token, failed.err)
	}
}

// grave says where a dead message goes: the name of a queue, or "" if it is dropped.
func (s *shard) grave(q *queue, m *gateway.Message, cause dispatch.Cause) string {
	rule := &q.policy.DeadLetter
	switch {
	case rule.Off, cause == dispatch.Expired && rule.DropExpired, cause == dispatch.Crowded && !rule.Dropped:
		return ""
	case m == nil: // it depends on the message
		return q.name
	case !m.Persistent && !rule.KeepNonPersistent, s.broker.holdsDead(q.name):
		return ""
	}
	if queue := q.policy.DeadLetterQueue(m.Destination, s.broker.cfg.DeadLetterQueue); queue != q.name {
		return queue
	}
	return ""
}

// holdsDead reports whether a queue is one for dead messages: what dies there is gone.
func (b *Broker) holdsDead(queue string) bool {
	return queue == b.cfg.DeadLetterQueue || b.policies.Load().HoldsDead(queue)
}

// errand names the moving of a message to another queue, so that its owner recognises it if it is asked again.
func (s *shard) errand(tag uint64) string {
	return fmt.Sprintf("%smoved/%d.%d.%d", s.broker.ids, s.index, s.epoch, tag)
}

// carry takes a message to another queue, whatever its limits, on an errand, and says when it is safe there.
func (b *Broker) carry(m *gateway.Message, errand string, then func(error)) {
	seat := b.seatOf(m.Place())
	s := seat.here.Load()
	switch {
	case s == nil:
		seat.call(&gateway.Frame{Kind: gateway.FrameSend, Queue: errand, Message: m, Tag: uint64(free)}, then)
	case !m.Persistent || isTemp(m): // a temporary queue is in memory, whatever its messages are
		s.send(m, free, doneFunc(then), 0)
	case !b.cfg.Store.Space().Sends:
		then(errNoSpace)
	default:
		a := &arrival{shard: s, then: func(_ uint64, err error) { then(err) }, record: gateway.Record{Type: gateway.RecordMessage, Message: m}}
		a.append()
	}
}

// revived makes the message that a dead one was, for where it is to go again.
func (b *Broker) revived(dead *gateway.Message) (*gateway.Message, error) {
	return deadletter.Revived(dead, b.nowMillis(), func(place string) bool { return b.topics.boundTo(place) != nil })
}
