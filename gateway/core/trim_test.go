package core_test

import (
	"strings"
	"testing"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/core"
	"github.com/sluice-mq/sluice/gateway/gatewaytest"
)

// Messages that are not persistent and were spilled, and acknowledgements that nobody
// waits for, make no durable record; their space must come back all the same.
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
	gatewaytest.Eventually(t, func() bool { return j.State().Bytes == 0 }, "the trim")
}
