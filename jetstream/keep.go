package jetstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/sluice-mq/sluice/gateway"
)

const (
	// keepEvery is the rhythm of the housekeeping.
	keepEvery = 50 * time.Millisecond
	// marksEvery is how far behind the marks may be.
	marksEvery = time.Second
	// stalledAfter is how many looks, keepEvery apart, the stream may owe an answer before
	// it is asked whether it is broken. It counts looks, not time, because the process may
	// have been stopped for a while.
	stalledAfter = 20
	// brokenAfter is how many looks make it broken whatever it says.
	brokenAfter = 20 * stalledAfter
	// overdue is how many looks end a tenure.
	overdue = 10 * stalledAfter
)

// keep is the store's housekeeping: free space, marks, trimming, and mending a
// stream that a full disk has stopped.
func (s *Store) keep(ctx context.Context) {
	tick := time.NewTicker(keepEvery)
	defer tick.Stop()
	last := s.cfg.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		s.space.look()
		if s.links != nil {
			s.unhalt(s.cfg.Now())
		}
		for _, j := range s.owned() {
			j.hold(!s.space.usable())
			if j.epoch > 0 {
				if j.stalled() > overdue {
					j.leave() // and find out, by beginning anew, what became of it
				}
			} else if still := j.stalled(); still > brokenAfter || still > stalledAfter && j.broken(ctx) {
				s.mend(ctx)
			}
		}
		if now := s.cfg.Now(); now.Sub(last) >= marksEvery {
			last = now
			s.tellSpace()
			s.trim(ctx)
		}
	}
}

// trim writes the marks and gives back the blocks that nothing needs any more, in that order.
func (s *Store) trim(ctx context.Context) {
	if s.Err() != nil {
		return
	}
	owned := s.owned()
	if err := s.marks.write(owned, s.cfg.durable()); err != nil {
		s.cfg.Logger.Warn("the marks could not be written", "error", err)
		return
	}
	for _, j := range owned {
		if err := j.purge(ctx); err != nil && ctx.Err() == nil {
			s.cfg.Logger.Warn("trimming failed", "stream", j.stream, "error", err)
		}
	}
}

// purge lets go of whole blocks below trimTo. Trimming inside a block would
// rewrite it, and a rewrite can lose data in a power cut.
func (j *journal) purge(ctx context.Context) error {
	below := j.store.marks.low(j.shard) // on disk: the next start will not look below it
	j.mu.Lock()
	first, doubtful := j.first, j.epoch > 0 && !j.compared
	j.mu.Unlock()
	if below <= first || doubtful {
		return nil
	}
	boundary, ok := j.log.Boundary(below)
	if !ok || boundary <= first {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	if err := purgeBelow(ctx, j.store.publish, j.stream, boundary); err != nil {
		return err
	}
	stream, err := j.info(ctx)
	if err != nil {
		return err
	}
	j.mu.Lock()
	j.first = boundary
	j.stored = stream.State.Bytes
	j.mu.Unlock()
	return nil
}

// purgeBelow has a stream let go of what is below a sequence.
func purgeBelow(ctx context.Context, c *nats.Conn, stream string, seq uint64) error {
	body, err := json.Marshal(map[string]uint64{"seq": seq})
	if err != nil {
		return err
	}
	m, err := c.RequestWithContext(ctx, "$JS.API.STREAM.PURGE."+stream, body)
	if err != nil {
		return err
	}
	var answer struct {
		Success bool `json:"success"`
	}
	if err := json.Unmarshal(m.Data, &answer); err != nil || !answer.Success {
		return fmt.Errorf("the stream answered %.200q", m.Data)
	}
	return nil
}

func (j *journal) info(ctx context.Context) (*jetstream.StreamInfo, error) {
	js, err := jetstream.New(j.store.publish)
	if err != nil {
		return nil, err
	}
	stream, err := js.Stream(ctx, j.stream)
	if err != nil {
		return nil, err
	}
	return stream.CachedInfo(), nil
}

// hold stops or restarts the appender.
func (j *journal) hold(held bool) {
	j.mu.Lock()
	if j.held != held {
		j.held = held
		j.work.Broadcast()
	}
	j.mu.Unlock()
}

// stalled returns for how many looks the stream has owed an answer.
func (j *journal) stalled() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.failure != nil || j.flight.len() == 0 || j.answers != j.watched {
		j.watched, j.still = j.answers, 0
	} else {
		j.still++
	}
	return j.still
}

// absent is a sequence that no stream reaches.
const absent = 1 << 53

// broken asks whether the stream has stopped for good: after a write error it answers
// publishes no more, and every deletion with that error. A stream that is only slow says that there is
// no such record, or nothing.
func (j *journal) broken(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	m, err := j.store.publish.RequestWithContext(ctx, "$JS.API.STREAM.MSG.DELETE."+j.stream, fmt.Appendf(nil, `{"seq":%d}`, uint64(absent)))
	if err != nil {
		return errors.Is(err, nats.ErrNoResponders)
	}
	var answer struct {
		Error struct {
			Description string `json:"description"`
		} `json:"error"`
	}
	if err := json.Unmarshal(m.Data, &answer); err != nil {
		return true
	}
	return answer.Error.Description != "stream store EOF" && answer.Error.Description != "no message found"
}

// busy reports whether anything is under way.
func (j *journal) busy() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.failure == nil && len(j.waiting)+j.flight.len()+j.telling+len(j.acked)+len(j.sealed) > 0
}

// abandon gives up what has not reached the stream.
func (j *journal) abandon() {
	j.mu.Lock()
	rest := j.waiting
	j.waiting = nil
	j.mu.Unlock()
	for _, r := range rest {
		r.to.Appended(0, errClosed)
	}
}

// mend revives JetStream after a write error (a full disk) and finds out, record
// by record, what of the records in flight was stored.
func (s *Store) mend(ctx context.Context) {
	s.cfg.Logger.Error("the store does not answer; it is started again as soon as there is space", "free", s.space.now().Free)
	for _, j := range s.journals {
		j.hold(true)
		j.refuse()
	}
	for !s.space.usable() {
		select {
		case <-ctx.Done():
			return
		case <-time.After(keepEvery):
			s.space.look()
		}
	}
	if err := s.revive(ctx); err != nil && ctx.Err() != nil {
		return // the store closes
	} else if err != nil {
		for _, j := range s.journals {
			j.fail(err)
		}
		return
	}
	s.cfg.Logger.Info("the store takes messages again")
}

func (s *Store) revive(ctx context.Context) error {
	if err := s.quiet(ctx); err != nil {
		return err
	}
	if err := s.cfg.Server.Revive(); err != nil {
		return fmt.Errorf("reviving the store: %w", err)
	}
	for _, j := range s.journals {
		if err := j.resume(ctx); err != nil {
			return fmt.Errorf("reviving %s: %w", j.stream, err)
		}
	}
	return nil
}

// quiet waits until the server has taken, or dropped, all that the appenders published:
// what came later would be stored behind our back. The appenders are held.
func (s *Store) quiet(ctx context.Context) error {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for _, j := range s.journals {
		for j.inHand() {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-tick.C:
			}
		}
	}
	if err := s.publish.FlushTimeout(readTimeout); err != nil {
		return fmt.Errorf("flushing what was published: %w", err)
	}
	return nil
}

func (j *journal) inHand() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.publishing
}

// refusable reports whether a client may be told that there is no space, and send again.
// Our own records are repeated: settlements, and the messages of a transaction whose
// record is stored already, because it will be carried out.
func refusable(r *gateway.Record) bool {
	return r.Type == gateway.RecordMessage && r.Transaction == "" || r.Type == gateway.RecordPrepare
}

// refuse answers the messages that wait, so that no client waits in silence. Our own records keep waiting.
func (j *journal) refuse() {
	j.mu.Lock()
	var refused, rest []request
	for _, r := range j.waiting {
		if refusable(r.record) {
			refused = append(refused, r)
		} else {
			rest = append(rest, r)
		}
	}
	j.waiting = rest
	j.mu.Unlock()
	for _, r := range refused {
		r.to.Appended(0, gateway.Errorf(gateway.NoSpace, "the store has no space left"))
	}
}

// resume compares what was in flight with what the stream holds, answers the
// one and repeats or refuses the other.
func (j *journal) resume(ctx context.Context) error {
	if err := j.listen(); err != nil {
		return err
	}
	info, err := j.info(ctx)
	if err != nil {
		return err
	}
	j.mu.Lock()
	if info.State.LastSeq+1 < j.next {
		defer j.mu.Unlock()
		return &DamageError{Stream: j.stream, What: fmt.Sprintf("it ends at record %d, but record %d was acknowledged", info.State.LastSeq, j.next-1)}
	}
	flight := append([]request(nil), j.flight.items[j.flight.head:]...)
	j.flight, j.bytes = fifo{}, 0
	at := j.next
	j.mu.Unlock()
	ours, err := j.reconcile(at, info.State.LastSeq, flight)
	j.mu.Lock()
	j.waiting = append(ours, j.waiting...) // in their old order; if the journal fails now, they are told
	j.mu.Unlock()
	if err != nil {
		return err
	}
	j.hold(false)
	return nil
}

// reconcile answers what was in flight by what the stream holds from at to last, and
// returns what is to be repeated; after an error, all that has no answer yet.
func (j *journal) reconcile(at, last uint64, flight []request) (unanswered []request, err error) {
	var repeat []request
	lost := func(r request) {
		if refusable(r.record) {
			r.to.Appended(0, gateway.Errorf(gateway.NoSpace, "the store has no space left"))
		} else {
			repeat = append(repeat, r)
		}
	}
	var buf []byte
	for at <= last {
		err := j.store.reader.batch(j.stream, getRequest{Seq: at, Batch: readBatch, Bytes: readBytes}, func(seq uint64, b []byte) error {
			if seq != at {
				return fmt.Errorf("record %d is missing", at)
			}
			at++
			for len(flight) > 0 {
				r := flight[0]
				flight = flight[1:]
				if buf = appendRecord(buf[:0], r.record); string(buf) == string(b) {
					j.confirm(seq, r)
					return nil
				}
				lost(r)
			}
			return fmt.Errorf("record %d is not ours", seq)
		})
		if err != nil && !errors.Is(err, errEnd) {
			return append(repeat, flight...), err
		}
	}
	for _, r := range flight {
		lost(r)
	}
	return repeat, nil
}

// start begins what goes on until the store is closed.
func (s *Store) start() {
	var background context.Context
	background, s.stop = context.WithCancel(context.Background())
	s.background.Go(func() { s.keep(background) })
	s.background.Go(func() { s.registry.run(background) })
	s.background.Go(func() { s.logs.run(background) })
	if s.links != nil {
		s.background.Go(func() { s.balance(background) })
		s.background.Go(func() { s.catchUp(background) })
	}
}
