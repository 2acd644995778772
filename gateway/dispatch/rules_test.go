package dispatch

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
)

// One exclusive subscription has everything while it lives, also without credit; then the next one, in order.
func TestExclusive(t *testing.T) {
	s := newStore(Config{WindowMessages: 64, WindowBytes: 1 << 20})
	s.subscribe(1, Consumer{Prefetch: 10})
	s.subscribe(2, Consumer{Prefetch: 2, Exclusive: true})
	s.subscribe(3, Consumer{Prefetch: 10, Exclusive: true})
	for range 4 {
		s.put(colored("x"), true)
	}
	require.Equal(t, []uint64{1, 2}, s.got[2])
	require.Empty(t, s.got[1])
	require.Empty(t, s.got[3])
	s.q.Unsubscribe(2, nil, 1, &s.fx)
	s.settle()
	require.Equal(t, []uint64{1, 2, 3, 4}, s.got[3])
	s.subscribe(4, Consumer{Prefetch: 10, Exclusive: true, Priority: 1})
	s.put(colored("x"), true)
	require.Equal(t, []uint64{5}, s.got[4], "a higher priority takes over")
	s.q.Unsubscribe(4, nil, 1, &s.fx)
	s.q.Unsubscribe(3, nil, 1, &s.fx)
	s.settle()
	require.Equal(t, []uint64{1, 2, 3, 4, 5}, s.got[1])
}

// An exclusive consumer has the groups, too, as soon as nothing of them is in flight elsewhere.
func TestExclusiveHasTheGroups(t *testing.T) {
	s := newStore(Config{WindowMessages: 64, WindowBytes: 1 << 20})
	s.subscribe(1, Consumer{Prefetch: 10})
	s.put(grouped("a", ""), true)
	s.subscribe(2, Consumer{Prefetch: 10, Exclusive: true})
	s.put(grouped("a", ""), true)
	require.Empty(t, s.got[2], "the first one is in flight")
	require.NoError(t, s.q.Ack(1, []uint64{1}, 1, &s.fx))
	s.settle()
	require.Equal(t, []uint64{2}, s.got[2])
}

// Lower priorities get nothing while a higher one that could take it has credit, and everything that no higher one may have.
func TestConsumerPriority(t *testing.T) {
	s := newStore(Config{WindowMessages: 64, WindowBytes: 1 << 20})
	high := selecting(t, "color = 'red'")
	high.Prefetch, high.Priority = 2, 7
	s.subscribe(1, Consumer{Prefetch: 10})
	s.subscribe(2, high)
	for range 3 {
		s.put(colored("red"), true)
		s.put(colored("blue"), false)
	}
	require.Equal(t, []uint64{1, 3}, s.got[2])
	require.Equal(t, []uint64{2, 4, 5, 6}, s.got[1])
}

// With a prefetch of 1 everybody gets the same.
func TestTurnsAreFair(t *testing.T) {
	s := newStore(Config{WindowMessages: 64, WindowBytes: 1 << 20})
	for id := range SubID(4) {
		s.subscribe(id+1, Consumer{Prefetch: 1})
	}
	for range 4000 {
		s.put(colored("x"), true)
		for id, sub := range s.q.subs {
			if sub.inFlight.n > 0 {
				require.NoError(t, s.q.Ack(id, []uint64{sub.inFlight.first().Tag}, 1, &s.fx))
			}
		}
		s.settle()
	}
	for id := range SubID(4) {
		require.Len(t, s.got[id+1], 1000)
	}
}

// What comes back too often is dead; until then each time it waits longer.
func TestRedelivery(t *testing.T) {
	q := NewQueue(Config{WindowMessages: 64, WindowBytes: 1 << 20, Redelivery: &gateway.Redelivery{Maximum: 5, Delay: time.Second}})
	var fx Effects
	now := int64(1000)
	q.Subscribe(1, Consumer{Prefetch: 1, Redelivery: &gateway.Redelivery{Maximum: 3, Delay: 100 * time.Millisecond, Backoff: 3, MaxDelay: 500 * time.Millisecond}}, now, &fx)
	q.Stored(Entry{Tag: 1, Seq: 1, Message: &gateway.Message{}, Size: 10}, now, &fx)
	for i, wait := range []int64{100, 300, 500} {
		require.Len(t, fx.Deliver, 1)
		fx.Reset()
		require.NoError(t, q.Release(1, []uint64{1}, gateway.Return{Redelivered: true}, now, &fx))
		require.Equal(t, []gateway.Mark{{Seq: 1, Redeliveries: uint32(i + 1), Due: now + wait}}, fx.Mark)
		require.Empty(t, fx.Deliver)
		due, ok := q.NextDue()
		require.True(t, ok)
		require.Equal(t, now+wait, due)
		fx.Reset()
		q.Tick(due-1, &fx)
		require.Empty(t, fx.Load)
		now = due
		q.Tick(now, &fx)
		require.Equal(t, []uint64{1}, fx.Load)
		fx.Reset()
		q.Loaded([]uint64{1}, bodies(1), now, &fx)
	}
	fx.Reset()
	require.NoError(t, q.Release(1, []uint64{1}, gateway.Return{Redelivered: true}, now, &fx))
	require.Equal(t, Exhausted, fx.Dead[0].Cause)
	require.Equal(t, []gateway.Mark{{Seq: 1, Redeliveries: 4}}, fx.Mark)
	fx.Reset()
	q.Unburied(1, now, &fx)
	require.Empty(t, fx.Deliver, "it does not come back if it cannot be buried")
	q.Tick(now, &fx)
	require.Equal(t, Exhausted, fx.Dead[0].Cause)
	q.Buried(1, &fx)
	require.True(t, q.Empty())
}

func TestDelaysDoNotOverflow(t *testing.T) {
	for _, p := range []gateway.Redelivery{
		{Delay: math.MaxInt64}, {Delay: 1, Backoff: math.Inf(1)}, {Delay: math.MaxInt64, MaxDelay: math.MaxInt64, Backoff: 1e300},
		{Delay: time.Hour, Backoff: math.NaN()},
	} {
		for _, n := range []uint32{1, 2, 1000, math.MaxUint32} {
			d := delayOf(&p, n)
			require.True(t, d > 0 && d <= longest, "%v %v", p, d)
		}
	}
	require.Zero(t, delayOf(&gateway.Redelivery{Delay: -1}, 3))
}

// What comes later expires before, survives being moved, is acknowledged by its sequence, and comes to its old place.
func TestLater(t *testing.T) {
	q := NewQueue(Config{WindowMessages: 64, WindowBytes: 1 << 20})
	var fx Effects
	body := &gateway.Message{}
	q.StoredLater(Entry{Tag: 1, Seq: 1, Size: 1}, 50, 10, &fx)
	q.StoredLater(Entry{Tag: 2, Seq: 2, Size: 1, Expires: 20}, 50, 10, &fx)
	q.StoredLater(Entry{Tag: 3, Seq: 3, Size: 1}, 40, 10, &fx)
	q.StoredLater(Entry{Tag: 4, Message: body, Size: 1}, 50, 10, &fx)
	q.Stored(Entry{Tag: 5, Message: body, Size: 1}, 10, &fx)
	require.True(t, q.Moved(1, 9))
	due, ok := q.DueOf(1)
	require.True(t, ok)
	require.EqualValues(t, 50, due)
	q.Tick(20, &fx)
	require.Len(t, fx.Dead, 1)
	require.Equal(t, Expired, fx.Dead[0].Cause)
	q.AckSeqs([]uint64{3}, 20, &fx)
	require.Equal(t, []uint64{3}, fx.Settle)
	due, _ = q.NextDue()
	require.EqualValues(t, 50, due)
	fx.Reset()
	q.Subscribe(1, Consumer{Prefetch: 9}, 49, &fx)
	require.Len(t, fx.Deliver, 1)
	fx.Reset()
	q.Tick(50, &fx)
	require.Equal(t, []uint64{9}, fx.Load, "its old place is before the other")
	require.Empty(t, fx.Deliver)
}

// Limits take the oldest; what is in flight counts.
func TestCrowdOut(t *testing.T) {
	s := newStore(Config{WindowMessages: 64, WindowBytes: 1 << 20})
	s.subscribe(1, Consumer{Prefetch: 2})
	for range 10 {
		s.put(colored("x"), true)
	}
	n, bytes := s.q.Depth()
	require.Equal(t, 10, n)
	require.EqualValues(t, 1000, bytes)
	s.q.CrowdOut(9, 0, 1, &s.fx)
	s.q.CrowdOut(0, 700, 1, &s.fx)
	var tags []uint64
	for _, d := range s.fx.Dead {
		require.Equal(t, Crowded, d.Cause)
		tags = append(tags, d.Entry.Tag)
	}
	require.Equal(t, []uint64{3, 4, 5}, tags)
	s.q.CrowdOut(1, 0, 1, &s.fx)
	n, _ = s.q.Depth()
	require.Equal(t, 2, n, "what is in flight does not die")
}

// Who moves messages takes them, stores them elsewhere and says Buried; if that fails they are back as they were.
func TestTake(t *testing.T) {
	s := newStore(Config{WindowMessages: 64, WindowBytes: 1 << 20})
	for range 3 {
		s.put(colored("x"), true)
	}
	require.Equal(t, 2, s.q.Take([]uint64{1, 2, 7}, 1, &s.fx))
	require.Equal(t, Taken, s.fx.Dead[0].Cause)
	s.fx.Reset()
	s.q.Buried(1, &s.fx)
	require.Equal(t, []uint64{1}, s.fx.Settle)
	s.q.Unburied(2, 1, &s.fx)
	require.Empty(t, s.fx.Mark)
	s.subscribe(1, Consumer{Prefetch: 9})
	require.Equal(t, []uint64{2, 3}, s.got[1])
}

// Browsing sees what waits, is in flight or comes later, page by page, and changes nothing.
func TestBrowse(t *testing.T) {
	s := newStore(Config{WindowMessages: 64, WindowBytes: 1 << 20, Priorities: true})
	s.subscribe(1, Consumer{Prefetch: 1})
	for i := range 6 {
		m := grouped([]string{"a", "b", ""}[i%3], "")
		m.Priority = uint8(i)
		s.put(m, true)
	}
	s.q.StoredLater(Entry{Tag: 7, Seq: 7, Size: 1}, 99, 1, &s.fx)
	before := s.q.Stats()
	var tags []uint64
	for page := s.q.Browse(0, 2); len(page) > 0; page = s.q.Browse(tags[len(tags)-1], 2) {
		require.LessOrEqual(t, len(page), 2)
		for _, e := range page {
			tags = append(tags, e.Tag)
		}
	}
	require.Equal(t, []uint64{1, 2, 3, 4, 5, 6, 7}, tags)
	require.EqualValues(t, 7, s.q.LastTag())
	require.Equal(t, before, s.q.Stats())
	require.Equal(t, 6, s.q.Purge(&s.fx))
	require.Equal(t, 1, s.q.Stats().InFlight)
}

func TestLaneOf(t *testing.T) {
	plain := LaneOf(&gateway.Message{Priority: 200})
	require.EqualValues(t, 9, plain.priority())
	require.Zero(t, plain.group())
	require.Zero(t, LaneOf(grouped(" ", "-1")).group())
	for seq, closes := range map[string]bool{"-1": true, " -7 ": true, "0": false, "1": false, "": false, "-x": false} {
		l := LaneOf(grouped("g", seq))
		require.Equal(t, closes, l.closes(), seq)
		require.Equal(t, LaneOf(grouped("g", "")).group(), l.group())
	}
}
