package core_test

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/core"
	"github.com/sluice-mq/sluice/gateway/gatewaytest"
)

// Messages that are not persistent and were spilled, and acknowledgements that nobody
// waits for, make no durable record; their space must come back all the same, but for the last 32 MiB.
func TestSpaceComesBackWithoutAnyDurableRecord(t *testing.T) {
	w := newWorld(t, func(c *core.Config) { c.QueueMemory = 1 })
	s := w.session()
	c := w.subscribe(s, queue("q"), 10, true)
	body := strings.Repeat("x", 8<<20)
	for range 6 {
		w.send(s, queue("q"), false, body)
		c.next(1)
	}
	j := w.store.Journal(gateway.ShardOf("q", 3))
	gatewaytest.Eventually(t, func() bool { return j.State().Bytes <= 32<<20 }, "the trim of the first that makes more")
}

// A client that leaves many deliveries behind must not make a record too large for the store.
func TestRedeliveryCountsAreWrittenInSeveralRecords(t *testing.T) {
	w := newWorld(t)
	s := w.session()
	const n = 10_000
	w.send(s, queue("q"), true, numbers(0, n)...)
	c := w.subscribe(s, queue("q"), n, false)
	c.next(n)
	c.Close()
	gatewaytest.Eventually(t, func() bool {
		marks := 0
		require.NoError(t, w.store.Journal(gateway.ShardOf("q", 3)).Replay(context.Background(), func(_ uint64, _ int, r *gateway.Record) error {
			require.LessOrEqual(t, len(r.Marks), 4096)
			marks += len(r.Marks)
			return nil
		}))
		return marks == n
	}, "all counts written")
}
