package bench

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Storm is what happened to clients that connect again and again.
type Storm struct {
	Target string `json:"target"`
	Count  int    `json:"count"`
	// Failed connects; First says why the first one did.
	Failed int    `json:"failed"`
	First  string `json:"first_failure,omitempty"`
	// PerSecond is what was reached.
	PerSecond float64 `json:"connects_per_second"`
	// P50, P99 and Max are from the moment that a connect was due until CONNECTED was there.
	P50, P99, Max time.Duration
}

// Reconnect connects n times, so many a second whatever becomes of the others, and leaves each time with DISCONNECT. With users above 0 the
// target's Login has a %d for a number below that.
func Reconnect(ctx context.Context, t Target, n, perSecond, users int) Storm {
	var (
		mu    sync.Mutex
		all   sync.WaitGroup
		times = hdrhistogram.New(1, int64(time.Minute/time.Microsecond), 3)
		s     = Storm{Target: t.Name, Count: n}
	)
	start := time.Now()
	for i := range n {
		due := start.Add(time.Duration(i) * time.Second / time.Duration(perSecond))
		select {
		case <-ctx.Done():
		case <-time.After(time.Until(due)):
		}
		all.Go(func() {
			err := visit(ctx, t.as(i, users), i)
			took := time.Since(due)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				if s.Failed++; s.First == "" {
					s.First = err.Error()
				}
				return
			}
			_ = times.RecordValue(min(took.Microseconds(), int64(time.Minute/time.Microsecond)))
		})
	}
	all.Wait()
	s.PerSecond = rate(n, int64(time.Since(start)))
	at := func(q float64) time.Duration { return time.Duration(times.ValueAtQuantile(q)) * time.Microsecond }
	s.P50, s.P99, s.Max = at(50), at(99), time.Duration(times.Max())*time.Microsecond
	return s
}

// as is the target for one of its users.
func (t Target) as(i, users int) Target {
	if users > 0 {
		t.Login = fmt.Sprintf(t.Login, i%users)
	}
	return t
}

// visit connects and leaves.
func visit(ctx context.Context, t Target, n int) error {
	c, err := dial(ctx, t, n, MinSize)
	if err != nil {
		return err
	}
	defer c.Close()
	return c.ask("DISCONNECT\nreceipt:bye\n\n\x00", "RECEIPT")
}
