package core

import (
	"context"
	"slices"
	"time"

	"github.com/sluice-mq/sluice/gateway"
)

const (
	// settleWithin is for how long settlements that nobody waits for collect. So much a
	// killed process may deliver again.
	settleWithin = 2 * time.Millisecond
	// settleAt is how many of them are written at once.
	settleAt = 512
)

// settlement is a record of settlements and marks on its way through the journal.
// One is under way per shard at a time: while it is, the next one collects.
type settlement struct {
	shard   *shard
	settled []uint64
	marks   []gateway.Mark
	handed  []gateway.Handed
	waiters []waiter
}

// write starts the next record if none is under way. The lock is held.
func (s *shard) write() {
	if s.writing || s.after.record != nil {
		s.sayMeanwhile()
		return
	}
	flush := s.flush && s.loose
	if len(s.settling)+len(s.marking)+len(s.handing) == 0 && !flush { // what they wait for was only in memory
		s.flush, s.rested = false, false
		s.after.done, s.waiters = append(s.after.done, s.waiters...), s.waiters[:0]
		return
	}
	if !flush && !s.rested && !s.behind && len(s.waiters) == 0 && len(s.settling)+len(s.marking)+len(s.handing) < settleAt {
		s.after.rest, s.resting = !s.resting, true
		return
	}
	s.rested, s.resting = false, false
	s.writing = true
	n := min(len(s.settling), settleMost)
	r := &settlement{shard: s, settled: slices.Clone(s.settling[:n])}
	s.settling = append(s.settling[:0], s.settling[n:]...)
	if len(s.settling) == 0 { // the waiters came with, or before, the last of them
		r.waiters, s.waiters = s.waiters, nil
		s.flush = false
	}
	s.loose = len(r.waiters) == 0 && (s.loose || len(r.settled) > 0)
	if len(r.settled) == 0 {
		n := min(len(s.marking), settleMost)
		r.marks = slices.Clone(s.marking[:n])
		s.marking = append(s.marking[:0], s.marking[n:]...)
	}
	r.handed = s.handOver()
	s.after.record = r
}

// settle writes what has collected long enough, whenever there is something.
func (b *Broker) settle(ctx context.Context) {
	rest := time.NewTimer(0)
	defer rest.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-b.resting:
		}
		rest.Reset(settleWithin)
		select {
		case <-ctx.Done():
			return
		case <-rest.C:
		}
		for _, s := range b.owned() {
			s.endRest()
		}
	}
}

// endRest writes the settlements that were collecting.
func (s *shard) endRest() {
	s.mu.Lock()
	if s.resting {
		s.resting, s.rested = false, true
	}
	s.release()
}

// barrier has a durable record written, whether or not anybody waits for one: what is
// stored before it is on disk and may be trimmed once it is dead. The lock is held.
func (s *shard) barrier() {
	s.waiters = append(s.waiters, waiter{})
	s.loose, s.flush = true, true
}

// append hands the record to the journal. Nobody waiting means that a power cut
// may bring these deliveries back, so the record need not be synced by itself.
func (r *settlement) append() {
	rec := &gateway.Record{Type: gateway.RecordSettle, Settled: r.settled, Handed: r.handed, Relaxed: len(r.waiters) == 0}
	if len(r.settled) == 0 {
		rec.Type, rec.Marks = gateway.RecordMark, r.marks
	} else {
		slices.Sort(r.settled)
	}
	r.shard.journal.Append(rec, r)
}

// Appended implements gateway.Appended. What the journal did not take is tried again,
// unless it has failed for good: the messages have left their queues, nobody else settles them.
func (r *settlement) Appended(seq uint64, err error) {
	s := r.shard
	s.mu.Lock()
	if hasMoved(err) {
		r.takeBack()
		return
	}
	if err != nil && s.journal.State().Err == nil {
		s.refused, s.refusedFor = r, err
		s.mu.Unlock()
		return
	}
	if err == nil {
		s.noted(r.handed, seq)
		if len(r.waiters) > 0 {
			s.saw(seq)
		}
	}
	s.writing = false
	s.release()
	if err != nil {
		s.broker.cfg.Logger.Error("writing settlements failed: these messages will be delivered again", "count", len(r.settled), "error", err)
	}
	for _, w := range r.waiters {
		complete(w.c, w.token, err)
	}
}

// takeBack has the shard's next owner settle it. Marks and what was handed out it finds itself, as far as it was
// written down. The shard's lock is held, and released.
func (r *settlement) takeBack() {
	s := r.shard
	s.writing = false
	s.release()
	s.broker.seats[s.index].takeBack(&gateway.Frame{Kind: gateway.FrameSettle, Tags: r.settled}, func(err error) {
		for _, w := range r.waiters {
			complete(w.c, w.token, err)
		}
	})
}

// repeat appends a refused settlement again and returns why it was refused, nil if there is none.
func (s *shard) repeat() error {
	s.mu.Lock()
	r, err := s.refused, s.refusedFor
	s.refused, s.refusedFor = nil, nil
	s.mu.Unlock()
	if r != nil {
		r.append()
	}
	return err
}
