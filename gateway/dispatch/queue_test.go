package dispatch

import (
	"slices"
	"testing"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/stretchr/testify/require"
)

// backlog returns a queue with n messages that only the journal has, tags and seqs from 1.
func backlog(n, window int) *Queue {
	q := NewQueue(Config{WindowMessages: window, WindowBytes: 1 << 20})
	var fx Effects
	for i := range uint64(n) {
		q.Stored(Entry{Tag: i + 1, Seq: i + 1, Size: 10}, 1, &fx)
	}
	return q
}

func bodies(n int) []*gateway.Message {
	msgs := make([]*gateway.Message, n)
	for i := range msgs {
		msgs[i] = &gateway.Message{}
	}
	return msgs
}

// A backlog must drain without waiting for the journal after each batch, also for
// those who acknowledge one by one.
func TestBacklogIsLoadedAhead(t *testing.T) {
	const n, latency = 5000, 25 // of the journal, in acknowledgements
	for _, prefetch := range []int{1, 10, 1000} {
		q := backlog(n, 1024)
		var fx Effects
		q.Subscribe(1, Consumer{Prefetch: prefetch}, 1, &fx)
		var asked, held []uint64
		got, askedAt, starved := 0, 0, 0
		for step := 0; got < n; step++ {
			if len(fx.Load) > 0 {
				require.Empty(t, asked, "two loads under way")
				asked, askedAt = slices.Clone(fx.Load), step
			}
			fx.Reset()
			switch {
			case len(asked) > 0 && step >= askedAt+latency:
				q.Loaded(asked, bodies(len(asked)), 1, &fx)
				asked = nil
			case len(held) > 0:
				require.NoError(t, q.Ack(1, held[:1], 1, &fx))
				held = held[1:]
			default:
				starved++
				require.NotEmpty(t, asked, "nothing to do and nothing under way")
			}
			for _, d := range fx.Deliver {
				held = append(held, d.Entry.Tag)
				got++
				require.EqualValues(t, got, d.Entry.Tag)
			}
		}
		require.LessOrEqual(t, starved, latency, "prefetch %d waited for the journal", prefetch)
	}
}

// What comes back without bodies, in front of a full window, is loaded by the
// batch and not one by one.
func TestReturnsAreLoadedByTheBatch(t *testing.T) {
	const prefetch, window = 1000, 512
	q := NewQueue(Config{WindowMessages: window, WindowBytes: 1 << 20})
	var fx Effects
	q.Subscribe(1, Consumer{Prefetch: prefetch}, 1, &fx)
	for i, m := range bodies(prefetch + 2*window) {
		q.Stored(Entry{Tag: uint64(i + 1), Seq: uint64(i + 1), Size: 10, Message: m}, 1, &fx)
	}
	require.Len(t, fx.Deliver, prefetch)
	require.Equal(t, window, q.Stats().Loaded)
	q.subs[1].inFlight.all(func(e *Entry) bool {
		require.Nil(t, e.Message, "in flight no body is kept that the journal has")
		return true
	})
	q.Unsubscribe(1, nil, 1, &fx)
	fx.Reset()
	q.Subscribe(2, Consumer{Prefetch: 10 * prefetch}, 1, &fx)
	got, loads := len(fx.Deliver), 0
	for ; len(fx.Load) > 0; loads++ {
		load := slices.Clone(fx.Load)
		fx.Reset()
		q.Loaded(load, bodies(len(load)), 1, &fx)
		got += len(fx.Deliver)
	}
	require.Equal(t, prefetch+2*window, got)
	require.LessOrEqual(t, loads, 2+got/(window/4))

	// The same while another subscription keeps the window full.
	q = NewQueue(Config{WindowMessages: window, WindowBytes: 1 << 20})
	fx.Reset()
	q.Subscribe(1, Consumer{Prefetch: prefetch}, 1, &fx)
	q.Subscribe(2, Consumer{Prefetch: 1}, 1, &fx)
	for i, m := range bodies(prefetch + 1 + 2*window) {
		q.Stored(Entry{Tag: uint64(i + 1), Seq: uint64(i + 1), Size: 10, Message: m}, 1, &fx)
	}
	q.Unsubscribe(1, nil, 1, &fx)
	require.Equal(t, window, q.Stats().Loaded)
	fx.Reset()
	q.Subscribe(3, Consumer{Prefetch: prefetch}, 1, &fx)
	require.GreaterOrEqual(t, len(fx.Load), window/8)
}

// The front of the journal is found among any number of moved and memory-only entries.
func TestLowestAndOldestAmongMoved(t *testing.T) {
	const n, memory = 10 * chunkFull, 3 * chunkFull
	q := NewQueue(Config{WindowMessages: 10, WindowBytes: 1000})
	var fx Effects
	for tag := range uint64(memory) {
		q.Stored(Entry{Tag: tag + 1, Message: &gateway.Message{}}, 1, &fx)
	}
	_, ok := q.LowestSeq()
	require.False(t, ok)
	require.Empty(t, q.Oldest(5))
	_, ok = q.SeqOf(memory + 1)
	require.False(t, ok, "not there yet")
	for i := range uint64(n) {
		q.Stored(Entry{Tag: memory + i + 1, Seq: i + 1}, 1, &fx)
	}
	for next := uint64(1); next < n; next += 50 {
		low, ok := q.LowestSeq()
		require.True(t, ok)
		require.Equal(t, next, low)
		oldest := q.Oldest(50)
		require.Len(t, oldest, 50)
		for i, e := range oldest {
			require.Equal(t, next+uint64(i), e.Seq)
			if next+50 < n {
				require.True(t, q.Moved(e.Tag, n+e.Seq))
				seq, ok := q.SeqOf(e.Tag)
				require.True(t, ok)
				require.Equal(t, n+e.Seq, seq)
			}
		}
	}

	// A new owner meets them in the old order, with the new sequences.
	owner := NewQueue(Config{WindowMessages: 10, WindowBytes: 1000})
	q.waiting.all(func(e *Entry) bool {
		if e.Seq != 0 {
			owner.Stored(*e, 1, &fx)
		}
		return true
	})
	want, _ := q.LowestSeq()
	low, ok := owner.LowestSeq()
	require.True(t, ok)
	require.Equal(t, want, low)
	require.Equal(t, seqsOf(q.Oldest(100)), seqsOf(owner.Oldest(100)))
}

// An acknowledgement that comes late finds its message also where it expired in
// between and could not be buried.
func TestLateAckOfLapsed(t *testing.T) {
	q := NewQueue(Config{WindowMessages: 10, WindowBytes: 1000})
	var fx Effects
	q.Subscribe(1, Consumer{Prefetch: 1}, 1, &fx)
	q.Stored(Entry{Tag: 1, Seq: 7, Expires: 5, Message: &gateway.Message{}}, 1, &fx)
	q.Unsubscribe(1, nil, 2, &fx)
	q.Tick(5, &fx)
	require.Len(t, fx.Dead, 1)
	q.Unburied(1, 5, &fx)
	fx.Reset()
	q.AckClosed([]uint64{1}, 6, &fx)
	require.Equal(t, []uint64{7}, fx.Settle)
	require.True(t, q.Empty())
}

// Extending a subscription that takes nothing does not make it take something.
func TestPrefetchZeroGetsNothing(t *testing.T) {
	q := backlog(3, 10)
	var fx Effects
	q.Subscribe(1, Consumer{Prefetch: 0}, 1, &fx)
	q.Extend(1, 5, 1, &fx)
	q.Stored(Entry{Tag: 9, Message: &gateway.Message{}}, 1, &fx)
	require.Empty(t, fx.Load)
	require.Empty(t, fx.Deliver)
}

// Numbers that a client chose must not wrap around.
func TestCreditDoesNotOverflow(t *testing.T) {
	const most = int(^uint(0) >> 1)
	q := backlog(3, 10)
	var fx Effects
	for id := range SubID(4) {
		q.Subscribe(id, Consumer{Prefetch: most}, 1, &fx)
		q.Extend(id, most, 1, &fx)
		q.Extend(id, most, 1, &fx)
	}
	require.Positive(t, q.credit)
	require.Len(t, fx.Load, 3)
	q.Extend(0, -most-1, 1, &fx)
	q.Extend(0, -most-1, 1, &fx)
	require.Positive(t, q.credit)
}

// A buffer that once held a million effects does not keep them for ever.
func TestResetGivesBack(t *testing.T) {
	fx := Effects{Dead: make([]Death, resetKeeps+1), Deliver: []Delivery{{Entry: Entry{Message: &gateway.Message{}}}}}
	fx.Reset()
	require.Zero(t, cap(fx.Dead))
	fx.Deliver = append(fx.Deliver, Delivery{Entry: Entry{Message: &gateway.Message{}}})
	fx.Reset()
	require.Positive(t, cap(fx.Deliver))
	require.Nil(t, fx.Deliver[:1][0].Entry.Message, "an empty buffer pins a message")
}
