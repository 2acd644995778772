package core

import (
	"context"
	"time"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/past"
)

// Begin implements gateway.Tenant.
func (b *Broker) Begin(i int, epoch uint64, j gateway.Journal, ready func(sole func())) {
	t := b.seats[i]
	tenure, cancel := context.WithCancel(b.life)
	t.mu.Lock()
	t.reading = cancel
	t.mu.Unlock()
	b.spawn(func() {
		start := time.Now()
		s, found := b.read(tenure, i, epoch, j)
		if s == nil {
			return
		}
		s.restore(found)
		s.mu.Lock()
		s.tag = s.remains.Begin(s.tag, found)
		for p := range found.Prepared() { // who offers it again is told when it was carried out, not before
			s.known.Reopen(p.ID)
		}
		s.mu.Unlock()
		first, last := found.Span()
		b.cfg.Logger.Info("queues of a shard read", "shard", i, "records", last-first+1, "took", time.Since(start).Round(time.Millisecond).String())
		s.await(append(b.guests.nodes(), b.cfg.Node))
		if !t.open(s, tenure) {
			return
		}
		ready(s.sole)
		s.schedule()
		b.repeatAway(s, found)
	})
}

// readAgain is how long a shard rests whose journal could not be read.
const readAgain = time.Second

// read reads a journal until it succeeds or the tenure is over; then there is no shard.
func (b *Broker) read(tenure context.Context, i int, epoch uint64, j gateway.Journal) (*shard, *past.Replay) {
	for {
		s := newShard(b, i, j)
		s.epoch = epoch
		found := past.NewReplay(&s.known)
		err := j.Replay(tenure, found.Record)
		if err == nil {
			return s, found
		}
		if tenure.Err() != nil {
			return nil, nil
		}
		b.cfg.Logger.Error("reading the queues of a shard failed, and is tried again", "shard", i, "error", err)
		select {
		case <-tenure.Done():
		case <-time.After(readAgain):
		}
	}
}

// End implements gateway.Tenant.
func (b *Broker) End(i int) {
	t := b.seats[i]
	t.mu.Lock()
	if t.reading != nil {
		t.reading()
	}
	t.mu.Unlock()
	t.end()
}

// Up implements gateway.Peer.
func (b *Broker) Up(node string) {
	b.topics.up(node)
	b.facts.Up(node)
	b.guests.welcome(node)
	for _, t := range b.seats {
		t.linkTo(node, true)
	}
	b.topics.adviseLinked(node)
}

// Down implements gateway.Peer.
func (b *Broker) Down(node string) {
	for _, t := range b.seats {
		t.linkTo(node, false)
	}
	b.guests.goodbye(node)
	b.inspections.down(node)
	b.topics.down(node)
	b.facts.Down(node)
}

// Owner implements gateway.Peer.
func (b *Broker) Owner(i int, node string, epoch uint64) {
	if i < len(b.seats) {
		b.seats[i].owned(node, epoch, b.guests.linked(node))
	}
}

// Receive implements gateway.Peer.
func (b *Broker) Receive(node string, f *gateway.Frame) {
	if f.Shard >= len(b.seats) {
		return // of a cluster with more shards, which this is not
	}
	switch f.Kind {
	case gateway.FrameDone:
		b.seats[f.Shard].answered(f.Number, f.Err)
	case gateway.FrameDeliver, gateway.FrameAdopted:
		b.seats[f.Shard].delivered(node, f)
	case gateway.FrameStale:
		b.seats[f.Shard].stale(node, f.Epoch)
	case gateway.FrameInterest, gateway.FrameDisinterest, gateway.FramePublish, gateway.FrameHeard, gateway.FrameKnown:
		b.topics.hear(node, f)
	case gateway.FrameApplied:
		b.facts.Hear(node, f.Seq)
	case gateway.FrameFlush:
		b.topics.flushFor(node, f.Number)
	case gateway.FrameFlushed:
		b.topics.flushed(node, f.Number)
	case gateway.FrameBrowsed, gateway.FrameOperated:
		b.browsings.answer(f)
	case gateway.FrameInspect:
		b.inspected(node, f)
	case gateway.FrameInspected:
		b.inspections.answer(node, f)
	case gateway.FrameFound:
		b.seekers.found(f)
	default:
		b.guests.receive(node, f)
	}
}

// repeatAway carries out the transactions that owners before this one have not finished. Parts that are
// in their journals are recognised by their names.
func (b *Broker) repeatAway(s *shard, found *past.Replay) {
	for _, p := range past.InOrder(found) {
		b.cfg.Logger.Info("an interrupted transaction is carried out", "transaction", p.ID)
		t := &commitment{session: b.guests.session(), id: p.ID, coordinator: s, prepared: p.Seq, stored: p.Messages}
		t.c = doneFunc(func(err error) {
			s.mu.Lock()
			waiting := s.known.End(p.ID, nil) // it has happened, whatever became of its parts
			s.mu.Unlock()
			for _, w := range waiting {
				w(err)
			}
		})
		t.session.committing++
		t.carryOut(p.Messages)
	}
}

// inTouch reports whether this node may hand anything out, as far as its contact with others goes. If not, who asks is woken when it may: it may be out of touch for
// so short a time that no sweep sees it.
func (b *Broker) inTouch() bool {
	if b.cfg.Cluster.Current() {
		return true
	}
	b.heldUp.Store(true)
	return false
}

// attend wakes what stood still while this node was out of touch with the cluster. It is the sweep's.
func (b *Broker) attend() {
	if b.cfg.Cluster == nil {
		return
	}
	current := b.cfg.Cluster.Current()
	if current && (b.heldUp.Swap(false) || !b.current) {
		b.guests.again()
		for _, t := range b.seats {
			t.mu.Lock()
			subs := t.following()
			t.mu.Unlock()
			for _, sub := range subs {
				sub.Wake()
			}
		}
	}
	if current != b.current {
		b.cfg.Logger.Info("contact with the cluster changed", "majority", current)
	}
	b.current = current
}
