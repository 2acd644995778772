package dispatch

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
)

// What is acknowledged while another consumer has it comes back in no way that one may end its hold.
func TestWhatIsSettledInFlightDoesNotComeBack(t *testing.T) {
	for name, end := range map[string]func(q *Queue, fx *Effects) error{
		"acked":   func(q *Queue, fx *Effects) error { return q.Ack(1, []uint64{1, 2}, 1, fx) },
		"refused": func(q *Queue, fx *Effects) error { return q.Nack(1, []uint64{1, 2}, 1, fx) },
		"released": func(q *Queue, fx *Effects) error {
			return q.Release(1, []uint64{1, 2}, gateway.Return{Redelivered: true}, 1, fx)
		},
		"closed": func(q *Queue, fx *Effects) error { q.Unsubscribe(1, nil, 1, fx); return nil },
	} {
		q := NewQueue(Config{WindowMessages: 8, WindowBytes: 1 << 20})
		var fx Effects
		q.Subscribe(1, Consumer{Prefetch: 2}, 1, &fx)
		for i := range uint64(3) {
			q.Stored(Entry{Tag: i + 1, Seq: i + 1, Message: &gateway.Message{}, Size: 1}, 1, &fx)
		}
		fx.Reset()
		q.AckSeqs([]uint64{1, 2}, 1, &fx)
		require.Equal(t, []uint64{1, 2}, fx.Settle, "at once, so that a receipt can follow")
		require.Empty(t, fx.Deliver, "its places are taken still")
		fx.Reset()
		require.NoError(t, end(q, &fx), name)
		require.Empty(t, fx.Settle, name)
		require.Empty(t, fx.Mark, name)
		require.Empty(t, fx.Dead, name)
		q.Subscribe(2, Consumer{Prefetch: 10}, 1, &fx)
		require.Equal(t, 1, q.Stats().Waiting+q.Stats().InFlight, name)
	}
}

// What is acknowledged while its burial is under way does not come back if that fails.
func TestWhatIsSettledWhileDyingDoesNotComeBack(t *testing.T) {
	q := NewQueue(Config{WindowMessages: 8, WindowBytes: 1 << 20})
	var fx Effects
	q.Subscribe(1, Consumer{Prefetch: 1}, 1, &fx)
	q.Stored(Entry{Tag: 1, Seq: 1, Message: &gateway.Message{}, Size: 1}, 1, &fx)
	require.NoError(t, q.Nack(1, []uint64{1}, 1, &fx))
	q.AckSeqs([]uint64{1}, 1, &fx)
	require.Equal(t, []uint64{1}, fx.Settle)
	_, there := q.SeqOf(1)
	require.False(t, there, "nothing is left to bury")
	q.Unburied(1, 1, &fx)
	require.True(t, q.Empty())
}

// What is adopted is in flight as if it had been handed out here, and comes back marked when the subscription ends.
func TestAdoptedDeliveriesAreInFlight(t *testing.T) {
	q := backlog(3, 8)
	var fx Effects
	q.Subscribe(7, Consumer{Prefetch: 0}, 1, &fx)
	require.Equal(t, []uint64{1, 3, 0}, q.Adopt(7, []Had{{1, 0}, {3, 2}, {9, 0}}, &fx))
	require.Equal(t, []gateway.Mark{{Seq: 3, Redeliveries: 2}}, fx.Mark, "the journal did not know that")
	q.Subscribe(7, Consumer{Prefetch: 2}, 1, &fx)
	require.Empty(t, fx.Load, "they count against the credit")
	fx.Reset()
	require.NoError(t, q.Ack(7, []uint64{1}, 1, &fx))
	require.Equal(t, []uint64{1}, fx.Settle)
	fx.Reset()
	q.Unsubscribe(7, nil, 1, &fx)
	require.Equal(t, []gateway.Mark{{Seq: 3, Redeliveries: 3}}, fx.Mark)
	require.Equal(t, 2, q.Stats().Waiting)
}

// An acknowledgement of what is at the front does not look at the backlog behind it.
func BenchmarkAckSeqsBeforeABacklog(b *testing.B) {
	q := backlog(1_000_000, 1024)
	var fx Effects
	seq := uint64(1)
	for b.Loop() {
		q.AckSeqs([]uint64{seq}, 1, &fx)
		if seq++; len(fx.Settle) != 1 && seq <= 1_000_000 {
			b.Fatal("not settled")
		}
		fx.Reset()
	}
}
