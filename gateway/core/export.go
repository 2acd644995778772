package core

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/sluice-mq/sluice/gateway"
)

// Exported is a message that waits in a queue.
type Exported struct {
	Message *gateway.Message
	// Redeliveries is how often it was handed out without being acknowledged.
	Redeliveries uint32
	// Shard, and Number within it, are its place in the order of the export.
	Shard, Number int
}

// exportBatch is how many messages are read at once.
const exportBatch = 256

// Export calls fn with every message that the journals of a store hold and that nobody has acknowledged: shard by
// shard, queue by queue by name, each queue in its order. The order is the same again if the store is. What is only in memory is not among
// them, nor what a transaction that is under way will send. The error of fn ends it.
//
// Messages that are acknowledged meanwhile may be left out or not; what was sent meanwhile is left out from the moment on at which its shard is begun.
func Export(ctx context.Context, from gateway.Archive, fn func(Exported) error) error {
	for i := range from.Shards() {
		j, err := from.Read(ctx, i)
		if err != nil {
			return fmt.Errorf("reading shard %d: %w", i, err)
		}
		found := newReplay()
		if err := j.Replay(ctx, found.record); err != nil {
			return fmt.Errorf("reading shard %d: %w", i, err)
		}
		live := found.live()
		slices.SortStableFunc(live, func(a, b replayed) int { return cmp.Compare(a.queue, b.queue) })
		number := 0
		for len(live) > 0 {
			n := 1
			for n < min(len(live), exportBatch) && live[n].queue == live[0].queue {
				n++
			}
			if err := exportSome(ctx, j, found, live[:n], Exported{Shard: i, Number: number}, fn); err != nil {
				return err
			}
			live, number = live[n:], number+n
		}
	}
	return nil
}

// loaded is what a journal answered.
type loaded struct {
	messages []*gateway.Message
	err      error
}

// exportSome exports messages of one queue; the first of them has the place at.
func exportSome(ctx context.Context, j gateway.Reader, found *replay, some []replayed, at Exported, fn func(Exported) error) error {
	seqs := make([]uint64, len(some))
	for i, e := range some {
		seqs[i] = e.seq
	}
	slices.Sort(seqs) // messages that were moved are not in their order
	answer := make(chan loaded, 1)
	j.Load(some[0].queue, seqs, func(m []*gateway.Message, err error) { answer <- loaded{m, err} })
	var got loaded
	select {
	case got = <-answer:
	case <-ctx.Done():
		return ctx.Err()
	}
	if got.err != nil {
		return fmt.Errorf("reading messages of shard %d: %w", at.Shard, got.err)
	}
	for i, e := range some {
		k, _ := slices.BinarySearch(seqs, e.seq)
		if m := got.messages[k]; m != nil { // else it was acknowledged and trimmed meanwhile
			if err := fn(Exported{Message: m, Redeliveries: found.redeliveries(e), Shard: at.Shard, Number: at.Number + i}); err != nil {
				return err
			}
		}
	}
	return nil
}

// Take takes a message that another broker had, with the identity and the redeliveries that it had there. Completion as
// in gateway.Session.Send. In a cluster, a message that was taken a short time before is recognised by its id and not taken twice.
func (b *Broker) Take(m *gateway.Message, redeliveries uint32, c gateway.Completion, token uint64) {
	f := &gateway.Frame{Kind: gateway.FrameSend, Message: m, Redeliveries: redeliveries}
	b.seatOf(m.Destination.Name).call(f, func(err error) { complete(c, token, err) })
}
