package core_test

import (
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
)

// A settlement that the journal does not take at once is repeated: its messages have
// left their queues, and nobody else would write it.
func TestRefusedSettlementsAreRepeated(t *testing.T) {
	w, store := tap(t)
	var refused atomic.Int32
	store.append = func(j gateway.Journal, r *gateway.Record, a gateway.Appended) {
		if r.Type == gateway.RecordSettle && refused.Add(1) <= 2 {
			a.Appended(0, gateway.Errorf(gateway.Unavailable, "not now"))
			return
		}
		j.Append(r, a)
	}
	s := w.session()
	w.send(s, queue("q"), true, "1", "2")
	c := w.subscribe(s, queue("q"), 10, false)
	got := c.next(2)
	c.ack(got[0])
	c.ack(got[1])
	w.crash()
	require.Zero(t, w.waiting())
}
