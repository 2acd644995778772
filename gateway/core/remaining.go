package core

import (
	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/dispatch"
)

// follows reports whether remains of a tenure whose last record was that may be taken in. If not they are lost.
func (s *shard) follows(last uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	follows := s.remains.Follows(last)
	if !follows {
		s.remains.Lose()
	}
	return follows
}

// passOver takes in that a message of an owner before this one is lost.
func (s *shard) passOver() {
	s.mu.Lock()
	s.remains.Lose()
	s.mu.Unlock()
}

// tellLost says what was lost since the last time. The lock is held.
func (s *shard) tellLost() {
	if n := s.remains.Lost(); n > 0 {
		s.broker.cfg.Logger.Info("non-persistent messages that an owner before this one had in memory came too late, and are lost", "shard", s.index, "messages", n)
	}
}

// remain adds what a queue has only in memory to what the next owner is to get. last is the tenure's last record. The lock is held.
func (s *shard) remain(memory []*gateway.Frame, q *queue, last uint64) []*gateway.Frame {
	ordered := q.name != gateway.SchedulePlace && !isTempPlace(q.name)
	q.Memory(func(e dispatch.Entry, _ uint64) {
		f := &gateway.Frame{Kind: gateway.FrameSend, Message: e.Message, Redeliveries: e.Redeliveries, Tag: uint64(free)}
		due, later := q.DueOf(e.Tag)
		f.Delay = s.broker.delayUntil(due)
		if ordered && !later { // the others come when their time comes, whatever came before
			f.Seq = last
		}
		memory = append(memory, f)
	})
	return memory
}
