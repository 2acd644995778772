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

// Patience is asked after something could not be read, and for how many times in a row that was so. It waits a moment and returns nil if it is to be read again, else why not.
type Patience func(ctx context.Context, failures int, err error) error

// exportBatch is how many messages are read at once.
const exportBatch = 256

// Export calls fn with every message that the journals of a store hold and that nobody has acknowledged: shard by
// shard, queue by queue by name, each queue in its order. The order is the same again if the store is. What is only in memory is not among
// them, nor what a transaction that is under way will send. The error of fn ends it.
//
// Messages that are acknowledged meanwhile may be left out or not; what was sent meanwhile is left out from the moment on at which its shard is begun. Messages
// that the store moves meanwhile, to free space, come at the end of their shard.
//
// What cannot be read, as while a shard gets another owner, is read again for as long as patient says: no message comes twice for that. If patient is nil the first error ends it.
func Export(ctx context.Context, from gateway.Archive, patient Patience, fn func(Exported) error) error {
	for i := range from.Shards() {
		e := export{shard: i, patient: patient, fn: fn}
		if err := e.run(ctx, from); err != nil {
			return fmt.Errorf("shard %d: %w", i, err)
		}
	}
	return nil
}

// export is that of a shard.
type export struct {
	shard, number int
	patient       Patience
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
		var j gateway.Reader
		var found *Replay
		if err := x.read(ctx, func() (err error) {
			if j, err = from.Read(ctx, x.shard); err != nil {
				return err
			}
			found = NewReplay(nil)
			return j.Replay(ctx, found.Record)
		}); err != nil {
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

// read does one thing that can be done again from its beginning, until it is done or patience has ended.
func (x *export) read(ctx context.Context, once func() error) error {
	for failures := 1; ; failures++ {
		err := once()
		if err == nil || x.patient == nil || ctx.Err() != nil {
			return err
		}
		if err := x.patient(ctx, failures, err); err != nil {
			return err
		}
	}
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
	var messages []*gateway.Message
	if err := x.read(ctx, func() (err error) {
		messages, err = load(ctx, j, some[0].Queue, seqs)
		return err
	}); err != nil {
		return fmt.Errorf("reading messages: %w", err)
	}
	for i, e := range some {
		k, _ := slices.BinarySearch(seqs, e.Seq)
		m := messages[k]
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

// load reads messages of one queue.
func load(ctx context.Context, j gateway.Reader, queue string, seqs []uint64) ([]*gateway.Message, error) {
	answer := make(chan loaded, 1)
	j.Load(queue, seqs, func(m []*gateway.Message, err error) { answer <- loaded{m, err} })
	select {
	case got := <-answer:
		return got.messages, got.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
