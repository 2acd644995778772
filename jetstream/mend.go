package jetstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/sluice-mq/sluice/gateway"
)

// absent is a sequence that no stream reaches.
const absent = 1 << 53

// isBroken asks whether a stream of a single node has stopped for good: after a write error it answers
// publishes no more, and every deletion with that error. A stream that is only slow says that there is
// no such record, or nothing.
func (s *Store) isBroken(ctx context.Context, stream string) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	m, err := s.publish.RequestWithContext(ctx, "$JS.API.STREAM.MSG.DELETE."+stream, fmt.Appendf(nil, `{"seq":%d}`, uint64(absent)))
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

// suspect has the storage started again if a stream that owes an answer is broken. The journals' own are looked at by the housekeeping.
func (s *Store) suspect(ctx context.Context, stream string) {
	if s.cfg.Cluster == nil && s.isBroken(ctx, stream) {
		s.sick.Store(true)
	}
}

// mend revives JetStream after a write error (a full disk) and finds out, record
// by record, what of the records in flight was stored, of journals and of logs.
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
	s.logs.mending.Lock()
	defer s.logs.mending.Unlock()
	s.registry.writing.Lock()
	defer s.registry.writing.Unlock()
	if err := s.logs.write.FlushTimeout(readTimeout); err != nil {
		return fmt.Errorf("flushing what was published to logs: %w", err)
	}
	if err := s.cfg.Server.Revive(); err != nil {
		return fmt.Errorf("reviving the store: %w", err)
	}
	s.sick.Store(false)
	for _, j := range s.journals {
		if err := j.resume(ctx); err != nil {
			return fmt.Errorf("reviving %s: %w", j.stream, err)
		}
	}
	if err := s.registry.resume(ctx); err != nil {
		return fmt.Errorf("reviving the registry: %w", err)
	}
	return s.logs.resume(ctx)
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
	ours, err := j.reconcile(ctx, at, info.State.LastSeq, flight)
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
func (j *journal) reconcile(ctx context.Context, at, last uint64, flight []request) (unanswered []request, err error) {
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
		err := j.store.reader.batch(ctx, j.stream, getRequest{Seq: at, Batch: readBatch, Bytes: readBytes}, func(seq uint64, b []byte) error {
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
