package core

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/dispatch"
	"github.com/sluice-mq/sluice/gateway/past"
)

// recover reads every journal once and rebuilds the queues. Nothing is delivered
// before all of a journal was read, because what settles a message comes after it.
func (b *Broker) recover(ctx context.Context) error {
	start := time.Now()
	found := make([]*past.Replay, len(b.seats))
	for i, seat := range b.seats {
		s := newShard(b, i, b.cfg.Store.Journal(i))
		seat.here.Store(s)
		found[i] = past.NewReplay(nil)
		if err := s.journal.Replay(ctx, found[i].Record); err != nil {
			return fmt.Errorf("reading the queues of shard %d: %w", i, err)
		}
		s.restore(found[i])
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

// restore puts the live messages into their queues.
func (s *shard) restore(r *past.Replay) {
	live := r.Live()
	s.mu.Lock()
	now := s.broker.nowMillis()
	for _, e := range live {
		q := s.queue(e.Queue)
		q.announced, q.noted = r.Handed(e.Queue)
		redeliveries, due := r.Fate(e)
		q.StoredLater(dispatch.Entry{Tag: s.nextTag(), Seq: e.Seq, Expires: s.broker.until(e.Queue, e.Sent, e.Expires), Size: e.Size, Lane: e.Lane, Redeliveries: redeliveries}, due, now, &s.fx)
		s.effects(q)
		if order, ok := r.Order(e); ok {
			s.orders[e.Seq] = order
		}
	}
	for p := range r.Prepared() {
		s.kept[p.Seq] = struct{}{}
	}
	s.stand(r)
	_, s.seen = r.Span()
	s.release()
	s.retainAnew()
	s.disown()
}

// repeatTransactions carries out the transactions that a crash interrupted after
// their point of no return: what of their messages is not in a journal is appended now.
func (b *Broker) repeatTransactions(ctx context.Context, found []*past.Replay) error {
	missing := make(map[string]*gateway.Message)
	for _, r := range found {
		for p := range r.Prepared() {
			for i, m := range p.Messages {
				missing[past.PartName(p.ID, i)] = m
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
	for _, t := range past.InOrder(found...) {
		if err := b.repeat(t, missing, stored); err != nil {
			return fmt.Errorf("carrying out an interrupted transaction: %w", err)
		}
		b.cfg.Logger.Info("an interrupted transaction was carried out", "transaction", t.ID)
	}
	return nil
}

// repeat appends the messages of a transaction that are missing, waits for them, and
// writes that it was carried out.
func (b *Broker) repeat(t past.Interrupted, missing map[string]*gateway.Message, stored map[string]place) error {
	var parts sync.WaitGroup
	var mu sync.Mutex
	var failed error
	kept := []place{{b.seats[t.At].here.Load(), t.Seq}}
	for k, m := range t.Messages {
		name := past.PartName(t.ID, k)
		if missing[name] == nil {
			mu.Lock()
			kept = append(kept, stored[name])
			mu.Unlock()
			continue
		}
		parts.Add(1)
		b.appendPart(t.ID, k, m, nil, func(at place, err error) {
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
		b.seats[t.At].here.Load().finish(t.ID, kept, nil)
	}
	return failed
}
