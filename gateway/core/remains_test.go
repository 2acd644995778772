package core_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/core"
	"github.com/sluice-mq/sluice/gateway/gatewaytest"
)

// remaining has n2 own a queue and keep messages of two senders, which are at n1, in memory; then n3 owns it, which n2 cannot reach, and one of them
// sends on. The other one is at both.
func remaining(t *testing.T, change ...func(*core.Config)) (r *realm, first, second gateway.Session) {
	r = newRealm(t, change...)
	r.Move(shard("q"), "n2")
	first, second = r.worlds[0].session(), r.worlds[0].session()
	r.worlds[0].send(first, queue("q"), false, numbers(0, 5)...)
	r.worlds[0].send(second, queue("q"), false, "other")
	r.has("n2", "q", 6, 0)
	r.Link("n2", "n3", false)
	r.Move(shard("q"), "n3")
	r.worlds[0].send(first, queue("q"), false, numbers(5, 10)...)
	r.has("n3", "q", 5, 0)
	return r, first, second
}

// short has n3 keep nothing in memory.
func short(c *core.Config) {
	if c.Node == "n3" {
		c.QueueMemory = 1
	}
}

// An owner that was replaced is found again, and has messages in memory. Those of a sender of whom later ones were handed out are dropped: they
// would come late. Another sender's are not.
func TestWhatAnOwnerHadInMemoryDoesNotComeBehindLaterOnes(t *testing.T) {
	for _, change := range []func(*core.Config){func(*core.Config) {}, short} {
		r, first, _ := remaining(t, change)
		c := r.worlds[0].subscribe(r.worlds[0].session(), queue("q"), 3, false)
		for i := 5; i < 9; i++ { // one still waits
			got := c.next(1)
			require.Equal(t, numbers(i, i+1), bodies(got))
			c.ack(got...)
		}
		r.Link("n2", "n3", true)
		r.worlds[0].send(first, queue("q"), false, "10")
		got := c.next(3)
		require.ElementsMatch(t, []string{"other", "9", "10"}, bodies(got))
		c.ack(got...)
		c.nothing()
		r.has("n3", "q", 0, 0)
		// All of its credit is there again.
		r.worlds[0].send(first, queue("q"), false, numbers(11, 14)...)
		require.Equal(t, numbers(11, 14), bodies(c.next(3)))
	}
}

// As long as nothing was handed out, nothing is late: what the owner before this one had in memory comes first.
func TestWhatAnOwnerHadInMemoryComesBeforeWhatWasSentSince(t *testing.T) {
	for _, change := range []func(*core.Config){func(*core.Config) {}, short} {
		r, _, _ := remaining(t, change)
		r.Link("n2", "n3", true)
		r.has("n3", "q", 11, 0)
		c := r.worlds[0].subscribe(r.worlds[0].session(), queue("q"), 100, false)
		require.Equal(t, append(append(numbers(0, 5), "other"), numbers(5, 10)...), bodies(c.next(11)))
	}
}

// When there was another owner in between, nobody knows any more what that one has handed out.
func TestWhatAnOwnerHadInMemoryIsLostIfItIsFoundAgainTooLate(t *testing.T) {
	for _, next := range []string{"n1", "n2"} {
		t.Run(next, func(t *testing.T) {
			r, _, _ := remaining(t)
			c := r.worlds[0].subscribe(r.worlds[0].session(), queue("q"), 100, false)
			got := c.next(5)
			require.Equal(t, numbers(5, 10), bodies(got))
			c.ack(got...)
			r.has("n3", "q", 0, 0)
			r.Move(shard("q"), next)
			r.worlds[1].send(r.worlds[1].session(), queue("q"), false, "from n2") // which n2 offers behind the others
			require.Equal(t, []string{"from n2"}, bodies(c.next(1)))
			c.nothing()
		})
	}
}

// What waits goes from owner to owner and keeps its place; what somebody had before comes again in its own, marked.
func TestWhatOwnersHadInMemoryGoesFromOneToTheNext(t *testing.T) {
	r, _, _ := remaining(t)
	r.Link("n2", "n3", true)
	r.has("n3", "q", 11, 0)
	for _, next := range []string{"n1", "n2"} {
		r.Move(shard("q"), next)
		r.has(next, "q", 11, 0)
	}
	s := r.worlds[0].session()
	c := r.worlds[0].subscribe(s, queue("q"), 4, false)
	got := c.next(4)
	require.Equal(t, numbers(0, 4), bodies(got))
	c.ack(got...)
	require.Equal(t, []string{"4", "other", "5", "6"}, bodies(c.next(4)))
	r.Move(shard("q"), "n3")
	r.has("n3", "q", 7, 0)
	c.Close()
	again := r.worlds[0].subscribe(s, queue("q"), 10, false).next(7)
	require.Equal(t, []string{"4", "other", "5", "6", "7", "8", "9"}, bodies(again))
	for i, d := range again {
		require.Equal(t, i < 4, d.Redeliveries > 0, i)
	}
}

// Their places are in the journal too, if they are.
func TestPlacesOfWhatOwnersHadInMemoryOutliveTheirOwner(t *testing.T) {
	r, _, _ := remaining(t, short)
	r.Link("n2", "n3", true)
	r.has("n3", "q", 11, 0)
	r.Move(shard("q"), "n1")
	r.has("n1", "q", 11, 0)
	c := r.worlds[0].subscribe(r.worlds[0].session(), queue("q"), 100, false)
	require.Equal(t, append(append(numbers(0, 5), "other"), numbers(5, 10)...), bodies(c.next(11)))
}

// What was taken in may go behind later ones if its queue's rules say so: it is not lost for that, and not at the next owners' either.
func TestWhatSelectorsLeaveBehindGoesFromOwnerToOwner(t *testing.T) {
	for _, change := range []func(*core.Config){func(*core.Config) {}, short} {
		r := newRealm(t, change)
		r.Move(shard("q"), "n2")
		s := r.worlds[0].session()
		post := func(n int) {
			m := numbered(queue("q"), n)
			m.Persistent = false
			require.NoError(t, r.worlds[0].post(s, m))
		}
		post(1)
		post(2)
		c := r.worlds[0].consume(r.worlds[0].session(), gateway.SubscribeOptions{Destination: queue("q"), Prefetch: 10, Selector: "n > 2"})
		for i, next := range []string{"n3", "n1", "n2"} {
			r.Move(shard("q"), next)
			r.has(next, "q", 2, 0)
			post(3 + i)
			got := c.next(1)
			require.Equal(t, numbers(3+i, 4+i), bodies(got))
			c.ack(got...)
			r.has(next, "q", 2, 0)
		}
		require.Equal(t, numbers(1, 3), bodies(r.worlds[0].subscribe(s, queue("q"), 10, false).next(2)))
	}
}

// What comes later is in no order with what was sent since.
func TestWhatComesLaterIsNotLostBehindLaterOnes(t *testing.T) {
	at := newWallClock()
	r := newRealm(t, func(c *core.Config) { c.Now = at.now })
	r.Move(shard("q"), "n2")
	s := r.worlds[0].session()
	r.worlds[0].send(s, queue("q"), false, "0")
	c := r.worlds[0].subscribe(r.worlds[0].session(), queue("q"), 10, false)
	got := c.next(1)
	require.NoError(t, c.Release([]uint64{got[0].Tag}, gateway.Return{Delay: time.Hour}))
	r.has("n2", "q", 0, 0)
	r.Link("n2", "n3", false)
	r.Move(shard("q"), "n3")
	r.worlds[0].send(s, queue("q"), false, "1")
	got = c.next(1)
	require.Equal(t, numbers(1, 2), bodies(got))
	c.ack(got...)
	r.has("n3", "q", 0, 0)
	r.Link("n2", "n3", true)
	gatewaytest.Eventually(t, func() bool { return r.worlds[2].broker.Stats().Delayed == 1 }, "one that comes later at n3")
	at.advance(2 * time.Hour)
	require.Equal(t, numbers(0, 1), bodies(c.next(1)))
}
