package core

import (
	"context"
	"math"
	"slices"
	"time"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/dispatch"
	"github.com/sluice-mq/sluice/gateway/past"
)

const (
	// sweepEvery is the rhythm of expiry, trimming and moving.
	sweepEvery = 250 * time.Millisecond
	// askSweeps is how often it is asked whether queues that clients made still exist.
	askSweeps = 8
	// retainedSweeps is how many sweeps there are for one of what is kept of topics.
	retainedSweeps = 16
	// idleSweeps is how long an empty queue without subscriptions is remembered.
	idleSweeps = 240
	// moveBeyond is how many dead bytes stragglers may pin, if it is also more than what is alive.
	moveBeyond = 64 << 20
	// unseenBeyond is how many dead bytes may wait for a durable record to come by.
	unseenBeyond = 32 << 20
	// moveMost and moveBytes bound what is moved in one sweep.
	moveMost  = 4096
	moveBytes = 8 << 20
	// moveRoom is enough for a round of each of the usual shards, and some settlements.
	moveRoom = 64 << 20
)

// sweep does what time asks for, in all shards.
func (b *Broker) sweep(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	sweeps := 0
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		b.topics.sweep(b.nowMillis())
		b.facts.Sweep(b.nowMillis())
		b.inspections.sweep(b.nowMillis())
		b.endExpired(b.cfg.Now())
		b.audit.Sweep()
		sweeps++
		b.ledger.Sweep(sweeps%askSweeps == 0)
		b.watchConsumers(b.nowMillis())
		b.attend()
		for _, s := range b.owned() {
			if err := s.repeat(); err != nil {
				b.cfg.Logger.Warn("writing settlements failed and is tried again", "shard", s.index, "error", err)
			}
			s.sweep()
		}
	}
}

// sweep visits every queue of the shard: it expires, forgets idle queues, and
// tells the journal what is not needed any more.
func (s *shard) sweep() {
	now := s.broker.nowMillis()
	s.mu.Lock()
	s.waited(now)
	s.tellUnburied()
	s.tellLost()
	low := s.seen + 1
	for seq := range s.kept {
		low = min(low, seq)
	}
	if s.moving {
		low = min(low, s.movingFrom)
	}
	s.aliases.forget(len(s.orders), s.isMoved)
	s.behaveAnew()
	low, oldest, live := s.visit(now, low)
	low = s.keepWord(low)
	state := s.journal.State()
	var entries []dispatch.Entry
	dead := int64(state.Bytes) - live
	if dead > unseenBeyond && state.Last > s.seen && state.Err == nil && !s.flush {
		s.barrier()
	}
	if oldest != nil && !s.moving && dead > max(moveBeyond, live) && s.broker.movable() {
		entries = atMost(oldest.Oldest(moveMost), moveBytes)
		if state.First < s.movingFrom { // what was moved last may not have given its space back yet: it stays where it is
			entries = slices.DeleteFunc(entries, func(e dispatch.Entry) bool { return e.Seq >= s.movingFrom })
		}
		if s.moving = len(entries) > 0; s.moving {
			s.movingFrom = state.Last + 1
		}
	}
	s.release()
	s.journal.Trim(s.keepKnown(low, state))
	if len(entries) > 0 {
		s.move(oldest, entries)
	}
}

// visit has every queue do what time asks for. It returns down to which record the journal is needed if it is down to low for everything else, the queue that
// needs that one, and the bytes that are alive. What is kept of topics is visited now and then only: there may be very many of those. Until the
// next time nothing is given up that they may need.
func (s *shard) visit(now int64, low uint64) (uint64, *queue, int64) {
	all := s.visits%retainedSweeps == 0
	s.visits++
	if all {
		s.retainedLow, s.retainedLive = math.MaxUint64, 0
	}
	low = min(low, s.retainedLow)
	var oldest *queue
	live := s.retainedLive
	for _, q := range s.queues {
		if q.retain != nil && !all {
			continue
		}
		s.behaveBound(q)
		if s.begun() {
			q.Tick(now, &s.fx)
			s.effects(q)
		}
		live += q.journaled
		seq, ok := q.LowestSeq()
		if q.retain != nil {
			s.retainedLive += q.journaled
			s.retainedLow = min(s.retainedLow, s.seen+1) // where the next one may be
			if ok {
				s.retainedLow = min(s.retainedLow, seq)
			}
		}
		if ok && seq < low {
			low, oldest = seq, q
		}
		s.lose(q)
		s.lapse(q)
		if q.idle++; q.idle > idleSweeps && q.Empty() && len(q.subscriptions) == 0 && q.spilling == 0 && q.coming == 0 && len(q.blocked) == 0 {
			s.forget(q)
			s.adviseRemoved(q.name)
		}
	}
	return low, oldest, live
}

const (
	// offeredMost and offeredBytes bound what a journal of a cluster keeps of its newest records although it
	// needs none of them: a node that had no answer offers its messages again, and the next owner has to recognise them.
	offeredMost  = 2 * past.KnownMost // an owner begins with some thousand records that have none
	offeredBytes = 16 << 20
)

// keepKnown returns down to which record the journal is needed if it is down to low for everything else.
func (s *shard) keepKnown(low uint64, state gateway.JournalState) uint64 {
	if s.epoch == 0 || state.Last < state.First {
		return low
	}
	there := state.Last - state.First + 1
	each := max(state.Bytes/there, 1)
	keep := min(offeredMost, offeredBytes/each, there)
	return min(low, state.Last-keep+1)
}

// movable reports whether there is room to move messages. Where sends are refused there
// may be: then it is what gives space back.
func (b *Broker) movable() bool {
	space := b.cfg.Store.Space()
	return space.Sends || space.Free > moveRoom
}

// atMost cuts entries off behind so many bytes; the first always stays.
func atMost(entries []dispatch.Entry, bytes int64) []dispatch.Entry {
	for i := range entries {
		if bytes -= int64(entries[i].Size); bytes <= 0 {
			return entries[:i+1]
		}
	}
	return entries
}

// move appends a queue's oldest messages again, so that the space before them can
// be given back. They keep their place in the queue.
func (s *shard) move(q *queue, entries []dispatch.Entry) {
	seqs := make([]uint64, len(entries))
	for i, e := range entries {
		seqs[i] = e.Seq
	}
	s.journal.Load(q.name, seqs, func(messages []*gateway.Message, err error) {
		m := &mover{shard: s, q: q, left: 1}
		if err != nil {
			s.broker.cfg.Logger.Error("loading messages to move failed", "queue", q.name, "error", err)
			messages = nil
		}
		for i, message := range messages {
			if message == nil {
				continue
			}
			s.mu.Lock()
			order := s.order(seqs[i])
			m.left++
			s.mu.Unlock()
			moved := &move{mover: m, tag: entries[i].Tag, order: order, redeliveries: entries[i].Redeliveries}
			moved.record = gateway.Record{Type: gateway.RecordMessage, Message: message, Order: order, Replaces: seqs[i]}
			s.journal.Append(&moved.record, moved)
		}
		m.done()
	})
}

// mover counts the moves of one round.
type mover struct {
	shard *shard
	q     *queue
	left  int // guarded by the shard's lock
}

func (m *mover) done() {
	m.shard.mu.Lock()
	m.left--
	if m.left == 0 {
		m.shard.moving = false
	}
	m.shard.mu.Unlock()
}

// Complete implements gateway.Completion for settlements of moved messages.
func (m *mover) Complete(uint64, error) { m.done() }

// move is a message on its way to its new place.
type move struct {
	*mover
	record gateway.Record
	tag    uint64
	order  uint64
	// redeliveries are written anew: the record that says so may be trimmed.
	redeliveries uint32
}

// Appended implements gateway.Appended.
func (m *move) Appended(seq uint64, err error) {
	s := m.shard
	s.mu.Lock()
	if err == nil {
		s.saw(seq)
		if m.q.Moved(m.tag, seq) {
			delete(s.orders, m.record.Replaces)
			s.aliases.moved(m.record.Replaces, seq)
			s.setOrder(seq, m.order)
			if m.q.HandedOut(m.tag) { // what says so may be trimmed as well
				m.redeliveries++
			}
			if due, _ := m.q.DueOf(m.tag); m.redeliveries > 0 || due > 0 {
				s.marking = append(s.marking, gateway.Mark{Seq: seq, Redeliveries: m.redeliveries, Due: due})
			}
			s.broker.counts.moved.Add(1)
		} else {
			// Settled meanwhile. What says so is kept until it is said again of the new record.
			s.settling = append(s.settling, seq)
			s.waiters = append(s.waiters, waiter{m.mover, 0})
			m.left++
		}
		s.account(m.q)
	}
	s.release()
	m.done()
}
