package jetstream

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go"

	"github.com/sluice-mq/sluice/gateway"
)

const (
	// factsNews tells the nodes of a cluster that there is something new.
	factsNews = "n.facts"
	// rewriteBeyond is how many records may be dead, if it is also more than rewriteShare times as many as are alive, before those are written again.
	rewriteBeyond = 4096
	rewriteShare  = 4
)

// Put implements gateway.Registry.
func (r *registry) Put(ctx context.Context, key string, value []byte) (uint64, error) {
	if err := gateway.ValidFact(key, value); err != nil {
		return 0, err
	}
	if value == nil {
		return r.change(ctx, key, appendFact(nil, factGone, key, nil), true)
	}
	return r.change(ctx, key, appendFact(nil, factThere, key, value), false)
}

func (r *registry) change(ctx context.Context, key string, record []byte, gone bool) (revision uint64, err error) {
	return r.carryOut(ctx, r.message(key, record, gone), func(m *nats.Msg) (uint64, error) { return r.write(ctx, m) })
}

// message is a record of a key on its way to the stream.
func (r *registry) message(key string, record []byte, gone bool) *nats.Msg {
	m := nats.NewMsg(factsPrefix + key)
	m.Data = record
	if gone && r.store.cfg.Cluster != nil {
		m.Header.Set("Nats-TTL", goneFor)
	}
	return m
}

// carryOut has a record written, and lets everybody know.
func (r *registry) carryOut(ctx context.Context, m *nats.Msg, write func(m *nats.Msg) (uint64, error)) (revision uint64, err error) {
	if !r.store.space.now().Sends {
		return 0, gateway.Errorf(gateway.NoSpace, "the store has no space left")
	}
	r.writing.RLock()
	revision, err = write(m)
	r.writing.RUnlock()
	if gateway.KindOf(err) == gateway.Conflict {
		return 0, err
	}
	if err != nil {
		r.store.suspect(context.WithoutCancel(ctx), factsStream)
		return 0, gateway.WrapError(gateway.Unavailable, fmt.Errorf("writing a fact: %w", err), "the registry cannot be written now")
	}
	if r.store.cfg.Cluster != nil {
		_ = r.store.publish.Publish(factsNews, nil) // who does not hear of it looks by itself
	}
	r.tell(newFact{revision, m.Data})
	if r.isOld() {
		if err := r.rewrite(ctx); err != nil {
			r.store.cfg.Logger.Warn("writing the registry again failed, and is tried again", "error", err)
		}
	}
	return revision, nil
}

// newFact is a record that this node has written.
type newFact struct {
	seq    uint64
	record []byte
}

// writtenMost is how many of them may wait to be taken in; beyond that they are read like any others.
const writtenMost = 64

// tell has a record taken in that need not be read for that.
func (r *registry) tell(w newFact) {
	select {
	case r.written <- w:
	default:
		r.look()
	}
}

// follows takes in what was written here, unless something is missing before it.
func (r *registry) follows(w newFact) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return w.seq < r.next || w.seq == r.next && r.take(w.seq, w.record) == nil
}

// write stores a record, and returns when it is as durable as records of messages. In a cluster it is tried as long as ctx lasts: who writes the same twice
// has written it once.
func (r *registry) write(ctx context.Context, m *nats.Msg) (seq uint64, err error) {
	for {
		seq, err = r.publish(ctx, m)
		if err == nil || r.store.cfg.Cluster == nil {
			break
		}
		if pause(ctx, lookAgain) != nil {
			return 0, err
		}
	}
	if err != nil {
		return 0, err
	}
	return r.onDisk(ctx, seq)
}

// onDisk waits until what was stored is on disk, and returns its sequence.
func (r *registry) onDisk(ctx context.Context, seq uint64) (uint64, error) {
	if r.log == nil {
		return seq, nil
	}
	done := make(chan error, 1)
	r.commits.Lock()
	r.acked = append(r.acked, done)
	r.commits.Unlock()
	r.log.Dirty()
	select {
	case err := <-done:
		return seq, err
	case <-ctx.Done():
		return seq, ctx.Err()
	}
}

func (r *registry) publish(ctx context.Context, m *nats.Msg) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	answer, err := r.store.publish.RequestMsgWithContext(ctx, m)
	if err != nil {
		return 0, err
	}
	return parseAck(answer.Data)
}

// Seal implements commit.Source.
func (r *registry) Seal() {
	r.commits.Lock()
	r.sealed, r.acked = append(r.sealed, r.acked...), nil
	r.commits.Unlock()
}

// Committed implements commit.Source.
func (r *registry) Committed(err error) {
	r.commits.Lock()
	sealed := r.sealed
	r.sealed = nil
	r.commits.Unlock()
	for _, done := range sealed {
		done <- err
	}
}

// isOld reports whether a single node's stream holds much more than there is.
func (r *registry) isOld() bool {
	if r.log == nil {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.next-r.first > uint64(rewriteBeyond+rewriteShare*len(r.facts))
}

// rewrite writes all facts again, and lets go of what is before them, as far as it fills whole blocks.
func (r *registry) rewrite(ctx context.Context) error {
	r.writing.Lock()
	defer r.writing.Unlock()
	if err := r.catchUp(ctx); err != nil {
		return err
	}
	r.mu.Lock()
	since, keys := r.next, r.inOrder()
	r.mu.Unlock()
	for _, key := range keys {
		r.mu.Lock()
		value := r.facts[key].value
		r.mu.Unlock()
		m := nats.NewMsg(factsPrefix + key)
		m.Data = appendFact(nil, factThere, key, value)
		if _, err := r.publish(ctx, m); err != nil {
			return err
		}
	}
	m := nats.NewMsg(factsPrefix + "all")
	m.Data = appendFact(nil, factAll, "", appendSince(since))
	if _, err := r.write(ctx, m); err != nil { // with all before it
		return err
	}
	r.mu.Lock()
	r.first = since // also if nothing is given up yet: it will be after the next round
	r.mu.Unlock()
	r.look()
	boundary, ok := r.log.Boundary(since)
	if !ok {
		return nil
	}
	return purgeBelow(ctx, r.store.publish, factsStream, boundary)
}

// resume goes on after the storage of a single node was started again. What was under way may be there or not: nobody was told. Nobody writes.
func (r *registry) resume(ctx context.Context) error {
	last, err := r.store.lastOf(ctx, factsStream)
	if err != nil {
		return err
	}
	r.mu.Lock()
	known := r.next - 1
	r.mu.Unlock()
	if last < known {
		return &DamageError{Stream: factsStream, What: fmt.Sprintf("it ends at record %d, but record %d was read", last, known)}
	}
	r.look()
	return nil
}
