package past

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
		found := NewReplay(nil)
		if err := j.Replay(ctx, found.Record); err != nil {
			return err
		}
		live := found.Live()
		if look > 0 {
			live = slices.DeleteFunc(live, func(e Message) bool {
				_, wanted := x.gone[spot{e.Queue, e.order}]
				return !wanted
			})
		}
		x.gone = make(map[spot]struct{})
		slices.SortStableFunc(live, func(a, b Message) int { return cmp.Compare(a.Queue, b.Queue) })
		for len(live) > 0 {
			n := 1
			for n < min(len(live), exportBatch) && live[n].Queue == live[0].Queue {
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
func (x *export) some(ctx context.Context, j gateway.Reader, found *Replay, some []Message) error {
	seqs := make([]uint64, len(some))
	for i, e := range some {
		seqs[i] = e.Seq
	}
	slices.Sort(seqs) // messages that were moved are not in their order
	answer := make(chan loaded, 1)
	j.Load(some[0].Queue, seqs, func(m []*gateway.Message, err error) { answer <- loaded{m, err} })
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
		k, _ := slices.BinarySearch(seqs, e.Seq)
		m := got.messages[k]
		if m == nil {
			x.gone[spot{e.Queue, e.order}] = struct{}{}
			continue
		}
		if err := x.fn(Exported{Message: m, Redeliveries: found.Redeliveries(e), Shard: x.shard, Number: x.number + i}); err != nil {
			return err
		}
	}
	return nil
}
