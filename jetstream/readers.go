package jetstream

import (
	"context"
	"errors"
	"fmt"
)

// readers are connections for many who read at once, each of which has some of them under way. What the server has read waits in its memory until it is written to the
// connection, and it closes for good one for which that is more than 64 MiB: which is more than readsAtOnce of the longest records.
type readers chan reader

// readsAtOnce are the reads of one connection.
const readsAtOnce = 2

func newReaders(all ...reader) readers {
	p := make(readers, readsAtOnce*len(all))
	for range readsAtOnce {
		for _, r := range all {
			p <- r
		}
	}
	return p
}

// batch is that of a reader, in its turn.
func (p readers) batch(ctx context.Context, stream string, q getRequest, fn func(seq uint64, record []byte) error) error {
	var r reader
	select {
	case r = <-p:
	case <-ctx.Done():
		return fmt.Errorf("reading %s from %d: %w", stream, q.Seq, ctx.Err())
	}
	defer func() { p <- r }()
	if r.owes {
		if err := r.settle(ctx); err != nil {
			return fmt.Errorf("reading %s from %d: %w", stream, q.Seq, err)
		}
		r.owes = false
	}
	err := r.batch(ctx, stream, q, fn)
	r.owes = err != nil && !errors.Is(err, errEnd) && (q.Batch > 1 || ctx.Err() != nil)
	return err
}

// settle returns when nothing is on its way any more.
func (r reader) settle(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	return r.nc.FlushWithContext(ctx)
}
