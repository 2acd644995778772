package jetstream

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
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
			} else if still := j.stalled(); still > brokenAfter || still > stalledAfter && s.isBroken(ctx, j.stream) {
				s.mend(ctx)
			}
		}
		if s.sick.Load() {
			s.mend(ctx)
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

// start begins what goes on until the store is closed.
func (s *Store) start() {
	var background context.Context
	background, s.stop = context.WithCancel(context.Background())
	s.background.Go(func() { s.keep(background) })
	s.background.Go(func() { s.registry.run(background) })
	s.background.Go(func() { s.logs.run(background) })
	s.background.Go(func() { s.logs.chase(background) })
	if s.links != nil {
		s.background.Go(func() { s.balance(background) })
		s.background.Go(func() { s.catchUp(background) })
	}
}
