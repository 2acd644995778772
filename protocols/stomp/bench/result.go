package bench

import (
	"context"
	"io"
	"net"

	"github.com/sluice-mq/sluice/protocols/internal/measure"
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

// Usage and Quantiles are what all measurements have.
type (
	Usage     = measure.Usage
	Quantiles = measure.Quantiles
)

func (r *run) result(producers []*producer, consumers []*consumer, u *measure.Meter) Result {
	latency, receipts := measure.NewHistogram(), measure.NewHistogram()
	ledgers := make([]*ledger, len(consumers))
	for i, c := range consumers {
		ledgers[i] = c.ledger
		latency.Merge(c.latency)
	}
	for _, p := range producers {
		receipts.Merge(p.receipts)
	}
	return Result{Target: r.target.Name, Scenario: r.Scenario, Verdict: judge(r.Scenario, ledgers),
		Latency: measure.QuantilesOf(latency), Receipt: measure.QuantilesOf(receipts), Usage: u.Usage()}
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
