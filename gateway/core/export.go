package core

import (
	"cmp"
	"context"
	"errors"
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
// Messages that are acknowledged meanwhile may be left out or not; what was sent meanwhile is left out from the moment on at which its shard is begun. Messages
// that the store moves meanwhile, to free space, come at the end of their shard.
func Export(ctx context.Context, from gateway.Archive, fn func(Exported) error) error {
	for i := range from.Shards() {
		e := export{shard: i, fn: fn}
		if err := e.run(ctx, from); err != nil {
			return fmt.Errorf("shard %d: %w", i, err)
		}
	}
	return nil
}

// export is that of a shard.
type export struct {
	shard, number int
	fn            func(Exported) error
	// gone were in the journal and are not: they were acknowledged, or moved.
	gone map[spot]struct{}
}

// spot is a message's place, which it keeps when it is moved.
type spot struct {
	queue string
	order uint64
}

// looks is how often moved messages are looked for.
const looks = 10

func (x *export) run(ctx context.Context, from gateway.Archive) error {
	for look := 0; look == 0 || len(x.gone) > 0; look++ {
		if look > looks {
			return errors.New("messages are moved faster than they can be read")
		}
		j, err := from.Read(ctx, x.shard)
		if err != nil {
			return err
		}
		found := newReplay()
		if err := j.Replay(ctx, found.record); err != nil {
			return err
		}
		live := found.live()
		if look > 0 {
			live = slices.DeleteFunc(live, func(e replayed) bool {
				_, wanted := x.gone[spot{e.queue, e.order}]
				return !wanted
			})
		}
		x.gone = make(map[spot]struct{})
		slices.SortStableFunc(live, func(a, b replayed) int { return cmp.Compare(a.queue, b.queue) })
		for len(live) > 0 {
			n := 1
			for n < min(len(live), exportBatch) && live[n].queue == live[0].queue {
				n++
			}
			if err := x.some(ctx, j, found, live[:n]); err != nil {
				return err
			}
			live, x.number = live[n:], x.number+n
		}
	}
	return nil
}

// loaded is what a journal answered.
type loaded struct {
	messages []*gateway.Message
	err      error
}

// some exports messages of one queue.
func (x *export) some(ctx context.Context, j gateway.Reader, found *replay, some []replayed) error {
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
		return fmt.Errorf("reading messages: %w", got.err)
	}
	for i, e := range some {
		k, _ := slices.BinarySearch(seqs, e.seq)
		m := got.messages[k]
		if m == nil {
			x.gone[spot{e.queue, e.order}] = struct{}{}
			continue
		}
		if err := x.fn(Exported{Message: m, Redeliveries: found.redeliveries(e), Shard: x.shard, Number: x.number + i}); err != nil {
			return err
		}
	}
	return nil
}

// Take takes a message that another broker had, with the identity and the redeliveries that it had there. Completion as
// in gateway.Session.Send. A message that was taken or sent a short time before is recognised by its id and not taken twice, unless
// this is another run: an empty one is the senders' own.
func (b *Broker) Take(run string, m *gateway.Message, redeliveries uint32, c gateway.Completion, token uint64) {
	f := &gateway.Frame{Kind: gateway.FrameSend, Message: m, Redeliveries: redeliveries, Queue: run}
	b.seatOf(m.Place()).call(f, func(err error) { complete(c, token, err) })
}
