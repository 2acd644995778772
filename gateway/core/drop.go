package core

import (
	"context"
	"time"

	"github.com/sluice-mq/sluice/gateway"
)

// dropWithin is how long somebody waits until what is kept is dropped.
const dropWithin = 5 * time.Second

// unlessUsed is the Count of a FrameDrop that is refused if the queue has consumers.
const unlessUsed = 1

var errDurableInUse = gateway.Errorf(gateway.Conflict, "Durable consumer is in use")

// drop has the owner of a durable subscription's queue drop what waits in it, unless it is bound since a revision above since, and waits
// until that is so.
func (b *Broker) drop(ctx context.Context, place string, since uint64, unused bool) error {
	f := &gateway.Frame{Kind: gateway.FrameDrop, Queue: place, Seq: since}
	if unused {
		f.Count = unlessUsed
	}
	answer := make(chan error, 1)
	b.seatOf(place).call(f, func(err error) { answer <- err })
	ctx, cancel := context.WithTimeout(ctx, dropWithin)
	defer cancel()
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		return gateway.Errorf(gateway.Unavailable, "the node that has the subscription's messages cannot be asked now")
	}
}

// drop carries out FrameDrop.
func (s *shard) drop(f *gateway.Frame, done func(error)) {
	if bound := s.broker.topics.boundTo(f.Queue); bound != nil && bound.Revision > f.Seq {
		done(nil)
		return
	}
	s.mu.Lock()
	q := s.queues[f.Queue]
	switch {
	case q == nil:
		s.mu.Unlock()
		done(nil)
		return
	case f.Count == unlessUsed && len(q.subscriptions) > 0:
		s.mu.Unlock()
		done(errDurableInUse)
		return
	}
	q.Purge(&s.fx)
	s.effects(q)
	if isTempPlace(q.name) && q.Empty() && len(q.subscriptions) == 0 {
		delete(s.queues, q.name)
	}
	s.waiters = append(s.waiters, waiter{doneFunc(done), 0})
	s.flush = true
	s.release()
}

// orphan drops what is kept in a place that nothing feeds any more since a revision, if this node owns it.
func (b *Broker) orphan(place string, revision uint64) {
	s := b.seatOf(place).here.Load()
	if s == nil {
		return
	}
	b.spawn(func() {
		b.facts.Awaited(b.watching, revision) // so that nobody adds to it
		s.drop(&gateway.Frame{Kind: gateway.FrameDrop, Queue: place, Seq: revision}, func(error) {})
	})
}

// disown drops what is kept for durable subscriptions that are not any more. On a single node it is known when the journals are read; in
// a cluster the registry may be behind them.
func (s *shard) disown() {
	b := s.broker
	if b.cfg.Cluster != nil || !b.facts.Kept() {
		return
	}
	s.mu.Lock()
	for name, q := range s.queues {
		if d, _ := gateway.Placed(name); d.Kind == gateway.KindSubscription && b.topics.boundTo(name) == nil {
			q.Purge(&s.fx)
			s.effects(q)
		}
	}
	s.release()
}
