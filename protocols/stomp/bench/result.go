package bench

import (
	"context"
	"io"
	"net"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// errClosed is what a consumer ends with when all is well.
var errClosed = net.ErrClosed

// Result is what one run of a scenario showed.
type Result struct {
	Target   string   `json:"target"`
	Scenario Scenario `json:"scenario"`
	Verdict  Verdict  `json:"verdict"`
	// Publish and Deliver are messages per second: from the first send to the
	// last receipt, and to the last delivery (of a backlog, from the moment that
	// it is complete).
	Publish float64 `json:"publish_per_second"`
	Deliver float64 `json:"deliver_per_second"`
	// Latency is from when a message was due to be sent to when a consumer had it.
	Latency Quantiles `json:"latency"`
	// Receipt is from a send to its receipt, where there is one for each.
	Receipt Quantiles `json:"receipt"`
	Usage   Usage     `json:"usage"`
}

// Quantiles of a distribution of times.
type Quantiles struct {
	Count int64         `json:"count"`
	P50   time.Duration `json:"p50_ns"`
	P90   time.Duration `json:"p90_ns"`
	P99   time.Duration `json:"p99_ns"`
	P999  time.Duration `json:"p999_ns"`
	Max   time.Duration `json:"max_ns"`
}

func quantiles(h *hdrhistogram.Histogram) Quantiles {
	if h.TotalCount() == 0 {
		return Quantiles{}
	}
	at := func(q float64) time.Duration { return time.Duration(h.ValueAtQuantile(q)) }
	return Quantiles{Count: h.TotalCount(), P50: at(50), P90: at(90), P99: at(99), P999: at(99.9), Max: time.Duration(h.Max())}
}

func (r *run) result(producers []*producer, consumers []*consumer, u *usage) Result {
	latency, receipts := newHistogram(), newHistogram()
	ledgers := make([]*ledger, len(consumers))
	for i, c := range consumers {
		ledgers[i] = c.ledger
		latency.Merge(c.latency)
	}
	for _, p := range producers {
		receipts.Merge(p.receipts)
	}
	return Result{Target: r.target.Name, Scenario: r.Scenario, Verdict: judge(r.Scenario, ledgers),
		Latency: quantiles(latency), Receipt: quantiles(receipts), Usage: u.usage}
}

// open makes n of something, a few at a time.
func open[T any](ctx context.Context, n int, one func(context.Context, int) (T, error)) ([]T, error) {
	all := make([]T, 0, n)
	for i := range n {
		x, err := one(ctx, i)
		if err != nil {
			return all, err
		}
		all = append(all, x)
	}
	return all, nil
}

func closeAll[T io.Closer](all []T) {
	for _, x := range all {
		_ = x.Close()
	}
}
