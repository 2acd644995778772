package core

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/dispatch"
	"github.com/sluice-mq/sluice/gateway/schedule"
)

// recover reads every journal once and rebuilds the queues. Nothing is delivered
// before all of a journal was read, because what settles a message comes after it.
func (b *Broker) recover(ctx context.Context) error {
	start := time.Now()
	found := make([]*replay, len(b.seats))
	for i, seat := range b.seats {
		s := newShard(b, i, b.cfg.Store.Journal(i))
		seat.here.Store(s)
		found[i] = newReplay()
		if err := s.journal.Replay(ctx, found[i].record); err != nil {
			return fmt.Errorf("reading the queues of shard %d: %w", i, err)
		}
		found[i].restore(s)
	}
	if err := b.repeatTransactions(ctx, found); err != nil {
		return err
	}
	waiting := b.Stats().Waiting
	if waiting > 0 {
		b.cfg.Logger.Info("queues read", "messages", waiting, "took", time.Since(start).Round(time.Millisecond).String())
	}
	return nil
}

// replay collects what a journal says.
type replay struct {
	first uint64
	dead  []uint64 // a bit for every sequence from first on
	names map[string]string
	// deadBefore are sequences before first that were settled from first on.
	deadBefore map[uint64]struct{}
	entries    []replayed
	marks      map[uint64]uint32
	// dues are when messages come that come later, as the last word on them says.
	dues map[uint64]int64
	// handed is how far queues were handed out, saidAt the last record that says so.
	handed, saidAt map[string]uint64
	// moved leads from a sequence to the one that stands for it now.
	moved    map[uint64]uint64
	orders   map[uint64]uint64
	prepared map[string]preparedAt
	last     uint64
	known    *known // in a cluster
	// began is the record with which the last tenure began, prior that of the one before it.
	began, prior uint64
}

type replayed struct {
	queue   string
	seq     uint64
	order   uint64
	expires int64
	sent    int64
	size    uint32
	lane    dispatch.Lane
	due     int64 // of what waits for its time
}

type preparedAt struct {
	seq      uint64
	messages []*gateway.Message
}

func newReplay() *replay {
	return &replay{
		names: make(map[string]string), deadBefore: make(map[uint64]struct{}), marks: make(map[uint64]uint32), dues: make(map[uint64]int64), handed: make(map[string]uint64), saidAt: make(map[string]uint64), moved: make(map[uint64]uint64),
		orders: make(map[uint64]uint64), prepared: make(map[string]preparedAt),
	}
}

// record takes the next record; bodies may be missing.
func (r *replay) record(seq uint64, size int, rec *gateway.Record) error {
	if r.first == 0 {
		r.first = seq
	}
	r.last = seq
	for _, h := range rec.Handed {
		if h.Queue == "" {
			clear(r.handed)
			clear(r.saidAt)
		} else {
			name := r.name(h.Queue)
			r.saidAt[name] = seq
			r.handed[name] = max(r.handed[name], h.Seq) // also by processes before the one that was killed last
		}
	}
	switch rec.Type {
	case gateway.RecordMessage:
		r.message(seq, size, rec)
		if r.known != nil {
			r.known.remember(nameOf(rec.Message, rec.Transaction), replayedCall)
		}
	case gateway.RecordSettle:
		for _, s := range rec.Settled {
			r.kill(s)
		}
	case gateway.RecordMark:
		for _, m := range rec.Marks {
			r.mark(r.now(m.Seq), m)
		}
	case gateway.RecordPrepare:
		r.prepared[rec.Transaction] = preparedAt{seq, rec.Messages}
		if r.known != nil {
			r.known.remember(rec.Transaction, replayedCall)
		}
	case gateway.RecordDone:
		delete(r.prepared, rec.Transaction)
	case gateway.RecordEpoch:
		if rec.Node != "" { // others only take places
			r.began, r.prior = seq, r.began
		}
	}
	return nil
}

// mark takes in what is said of a message. Counts grow; a move may repeat an older one.
func (r *replay) mark(seq uint64, m gateway.Mark) {
	if m.Redeliveries < r.marks[seq] {
		return
	}
	r.marks[seq] = m.Redeliveries
	if m.Due != 0 {
		r.dues[seq] = m.Due
	} else {
		delete(r.dues, seq)
	}
}

func (r *replay) message(seq uint64, size int, rec *gateway.Record) {
	e := replayed{queue: r.name(rec.Message.Place()), lane: dispatch.LaneOf(rec.Message), seq: seq, order: 2 * seq, expires: rec.Message.Expires, sent: rec.Message.Timestamp, size: uint32(size)}
	if rec.Message.Queue == gateway.SchedulePlace {
		e.due = schedule.Due(rec.Message)
	}
	if rec.Order != 0 {
		e.order = rec.Order
		r.orders[seq] = rec.Order
		if old := rec.Replaces; old != 0 {
			if r.isSettled(old) {
				r.kill(seq) // settled before it was moved
			}
			r.moved[old] = seq
			if n, ok := r.marks[old]; ok {
				r.marks[seq] = n
			} else if old <= r.handed[e.queue] {
				r.marks[seq] = 1
			}
			if due, later := r.dues[old]; later {
				r.dues[seq] = due
			}
			r.bury(old)
		}
	}
	r.entries = append(r.entries, e)
}

// name keeps one copy of every queue's name.
func (r *replay) name(name string) string {
	if known, ok := r.names[name]; ok {
		return known
	}
	name = strings.Clone(name)
	r.names[name] = name
	return name
}

// now is the sequence that stands for seq at this point of the journal.
func (r *replay) now(seq uint64) uint64 {
	for len(r.moved) > 0 {
		next, ok := r.moved[seq]
		if !ok {
			break
		}
		seq = next
	}
	return seq
}

func (r *replay) kill(seq uint64) { r.bury(r.now(seq)) }

func (r *replay) bury(seq uint64) {
	if seq < r.first { // trimmed already, but it may have been moved before
		r.deadBefore[seq] = struct{}{}
		return
	}
	at := seq - r.first
	for uint64(len(r.dead)) <= at/64 {
		r.dead = append(r.dead, 0)
	}
	r.dead[at/64] |= 1 << (at % 64)
}

// isSettled reports whether the journal said so. That a record was trimmed says
// nothing: it may have been moved, and the next record says where to.
func (r *replay) isSettled(seq uint64) bool {
	if seq < r.first {
		_, dead := r.deadBefore[seq]
		return dead
	}
	return r.isDead(seq)
}

func (r *replay) isDead(seq uint64) bool {
	if seq < r.first {
		return true
	}
	at := seq - r.first
	return at/64 < uint64(len(r.dead)) && r.dead[at/64]&(1<<(at%64)) != 0
}

// live returns the live messages, each queue's in its order, and forgets them.
func (r *replay) live() []replayed {
	live := slices.DeleteFunc(r.entries, func(e replayed) bool { return r.isDead(e.seq) })
	r.entries = nil
	if len(r.orders) > 0 {
		slices.SortStableFunc(live, func(a, b replayed) int { return cmp.Compare(a.order, b.order) })
	}
	return live
}

// redeliveries is how often a message was handed out, as far as the journal tells.
func (r *replay) redeliveries(e replayed) uint32 {
	n := r.marks[e.seq]
	if e.seq <= r.handed[e.queue] {
		n = max(n, 1) // by a process that did not live to tell
	}
	return n
}

// restore puts the live messages into their queues.
func (r *replay) restore(s *shard) {
	live := r.live()
	s.mu.Lock()
	now := s.broker.nowMillis()
	for _, e := range live {
		q := s.queue(e.queue)
		q.announced, q.noted = r.handed[e.queue], r.saidAt[e.queue]
		redeliveries, due := r.redeliveries(e), r.dues[e.seq]
		if e.due != 0 {
			redeliveries, due = max(redeliveries, 1), max(due, e.due)
		}
		q.StoredLater(dispatch.Entry{Tag: s.nextTag(), Seq: e.seq, Expires: s.broker.until(e.queue, e.sent, e.expires), Size: e.size, Lane: e.lane, Redeliveries: redeliveries}, due, now, &s.fx)
		s.effects(q)
		if order, ok := r.orders[e.seq]; ok {
			s.orders[e.seq] = order
		}
	}
	for _, p := range r.prepared {
		s.kept[p.seq] = struct{}{}
	}
	s.stand(r)
	s.seen = r.last
	s.release()
	s.retainAnew()
	s.disown()
}

// repeatTransactions carries out the transactions that a crash interrupted after
// their point of no return: what of their messages is not in a journal is appended now.
func (b *Broker) repeatTransactions(ctx context.Context, found []*replay) error {
	missing := make(map[string]*gateway.Message)
	for _, r := range found {
		for id, p := range r.prepared {
			for i, m := range p.messages {
				missing[partName(id, i)] = m
			}
		}
	}
	if len(missing) == 0 {
		return nil
	}
	stored := make(map[string]place)
	for _, s := range b.owned() {
		err := s.journal.Replay(ctx, func(seq uint64, _ int, rec *gateway.Record) error {
			if missing[rec.Transaction] != nil {
				delete(missing, rec.Transaction)
				stored[rec.Transaction] = place{s, seq}
				s.keepRecord(seq)
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("looking for interrupted transactions in shard %d: %w", s.index, err)
		}
	}
	for _, t := range inOrder(found) {
		if err := b.repeat(t, missing, stored); err != nil {
			return fmt.Errorf("carrying out an interrupted transaction: %w", err)
		}
		b.cfg.Logger.Info("an interrupted transaction was carried out", "transaction", t.id)
	}
	return nil
}

// repeat appends the messages of a transaction that are missing, waits for them, and
// writes that it was carried out.
func (b *Broker) repeat(t interrupted, missing map[string]*gateway.Message, stored map[string]place) error {
	var parts sync.WaitGroup
	var mu sync.Mutex
	var failed error
	kept := []place{{b.seats[t.shard].here.Load(), t.seq}}
	for k, m := range t.messages {
		name := partName(t.id, k)
		if missing[name] == nil {
			mu.Lock()
			kept = append(kept, stored[name])
			mu.Unlock()
			continue
		}
		parts.Add(1)
		b.appendPart(t.id, k, m, func(at place, err error) {
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failed = err
			}
			kept = append(kept, at)
			parts.Done()
		})
	}
	parts.Wait()
	if failed == nil {
		b.seats[t.shard].here.Load().finish(t.id, kept, nil)
	}
	return failed
}

// interrupted is a transaction that is to be carried out again.
type interrupted struct {
	preparedAt
	id    string
	shard int
}

// inOrder lists interrupted transactions, those of one session as it committed
// them: each may have been prepared in another journal, so that only the number in the id tells.
func inOrder(found []*replay) (all []interrupted) {
	for i, r := range found {
		for id, p := range r.prepared {
			all = append(all, interrupted{p, id, i})
		}
	}
	slices.SortFunc(all, func(a, b interrupted) int {
		return cmp.Or(cmp.Compare(transactionNumber(a.id), transactionNumber(b.id)), cmp.Compare(a.id, b.id))
	})
	return all
}
