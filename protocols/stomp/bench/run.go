package bench

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-mq/sluice/protocols/internal/measure"
)

// Options are what does not change what is measured.
type Options struct {
	// Patience is how long nothing may arrive before the rest counts as lost.
	Patience time.Duration
	// Settle is how long consumers go on listening when all is there, for what
	// comes twice.
	Settle time.Duration
	// Progress, if set, is called about twice a second with the messages received.
	Progress func(received, expected int)
}

// run is a scenario under way.
type run struct {
	Scenario
	target Target
	opts   Options
	seal   sealer
	start  time.Time
	left   atomic.Int64  // deliveries that are still due
	all    chan struct{} // closed when none is
}

// Run runs a scenario once. An error means that it could not be run to its end;
// what went wrong with messages is in the result's verdict.
func Run(ctx context.Context, t Target, s Scenario, opts Options) (Result, error) {
	if err := s.Validate(); err != nil {
		return Result{}, err
	}
	var id [4]byte
	_, _ = rand.Read(id[:])
	r := &run{Scenario: s, target: t, opts: opts, seal: newSealer(binary.LittleEndian.Uint32(id[:])), start: time.Now(), all: make(chan struct{})}
	r.left.Store(int64(s.Deliveries()))
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	producers, err := open(ctx, s.Producers, r.newProducer)
	defer closeAll(producers)
	if err != nil {
		return Result{}, err
	}
	usage := measure.NewMeter(t.ServerPID)
	return r.do(ctx, producers, usage)
}

func (r *run) now() int64 { return int64(time.Since(r.start)) }

// arrived counts deliveries that were due.
func (r *run) arrived(n int) {
	if n > 0 && r.left.Add(-int64(n)) == 0 {
		close(r.all)
	}
}

// do sends and receives: at once, or a backlog first.
func (r *run) do(ctx context.Context, producers []*producer, usage *measure.Meter) (res Result, err error) {
	var consumers []*consumer
	ended := &sync.WaitGroup{}
	join := func() error {
		consumers, err = r.subscribe(ctx)
		if err == nil {
			ended = r.receive(consumers)
		}
		return err
	}
	defer func() { closeAll(consumers); ended.Wait() }()
	if !r.Backlog {
		if err := join(); err != nil {
			return res, err
		}
	}
	usage.Begin()
	first := r.now()
	if err := r.exchange(ctx, producers); err != nil {
		return res, err
	}
	published := r.now()
	from := first
	if r.Backlog {
		if err := join(); err != nil {
			return res, err
		}
		from = published
	}
	if err := r.await(ctx); err != nil {
		return res, err
	}
	usage.End()
	closeAll(consumers)
	ended.Wait()
	res = r.result(producers, consumers, usage)
	res.Publish = rate(r.Messages, published-first)
	if r.Durable {
		for id := range r.Consumers {
			if err := r.forget(ctx, id); err != nil {
				return res, fmt.Errorf("removing the durable subscription of consumer %d: %w", id, err)
			}
		}
	}
	res.Deliver = rate(res.Verdict.Received, lastOf(consumers, published)-from)
	return res, nil
}

func (r *run) subscribe(ctx context.Context) ([]*consumer, error) {
	consumers, err := open(ctx, r.Consumers, r.newConsumer)
	if err != nil {
		return consumers, err
	}
	for _, c := range consumers {
		if err := c.subscribed(); err != nil {
			return consumers, fmt.Errorf("subscribe: %w", err)
		}
	}
	return consumers, nil
}

// receive lets all consumers read until their connections are closed.
func (r *run) receive(consumers []*consumer) *sync.WaitGroup {
	var wg sync.WaitGroup
	for _, c := range consumers {
		wg.Go(func() {
			err := c.receive()
			if !errors.Is(err, errClosed) && c.ledger.verdict.Problem == "" {
				c.ledger.verdict.Problem = "a consumer stopped: " + err.Error()
			}
		})
	}
	return &wg
}

// exchange has all producers send, and shows progress meanwhile.
func (r *run) exchange(ctx context.Context, producers []*producer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan error, len(producers))
	for _, p := range producers {
		go func() { done <- p.send(ctx) }()
	}
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	var first error
	for left := len(producers); left > 0; {
		select {
		case err := <-done:
			left--
			if err != nil && first == nil {
				first = err
				cancel()
			}
		case <-tick.C:
			r.progress()
		}
	}
	return first
}

// await returns when everything came, and settled, or when patience ends.
func (r *run) await(ctx context.Context) error {
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	left, since := r.left.Load(), time.Now()
	for {
		select {
		case <-r.all:
			return pause(ctx, r.opts.Settle)
		case <-ctx.Done():
			return ctx.Err()
		case now := <-tick.C:
			r.progress()
			if l := r.left.Load(); l != left {
				left, since = l, now
			} else if now.Sub(since) > r.opts.Patience {
				return nil
			}
		}
	}
}

func (r *run) progress() {
	if r.opts.Progress != nil {
		expected := r.Deliveries()
		r.opts.Progress(expected-int(r.left.Load()), expected)
	}
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func lastOf(consumers []*consumer, last int64) int64 {
	for i, c := range consumers {
		if i == 0 || c.last > last {
			last = c.last
		}
	}
	return last
}

func rate(n int, d int64) float64 {
	if d <= 0 {
		return 0
	}
	return float64(n) / time.Duration(d).Seconds()
}
