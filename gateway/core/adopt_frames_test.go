package core_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/gatewaytest"
)

// A client has more than one frame can name.
func TestLargeClaimsAreSplit(t *testing.T) {
	t.Parallel()
	const n = 20_000
	r := newRealm(t)
	r.Move(shard("q"), "n1")
	c := r.worlds[1].subscribe(r.worlds[1].session(), queue("q"), n, false)
	r.worlds[0].send(r.worlds[0].session(), queue("q"), true, numbers(0, n)...)
	got := c.next(n)
	r.Move(shard("q"), "n3")
	r.has("n3", "q", 0, n)
	r.Settle()
	c.nothing()
	require.NoError(t, c.acked(got...))
	r.has("n3", "q", 0, 0)
}

// What is adopted counts against the credit once: not when it is adopted, not when it is settled in the moment in which its node does not
// know of the adoption yet, and not when it is let go for that.
func TestAdoptedDeliveriesCountAgainstTheCreditOnce(t *testing.T) {
	r := newRealm(t)
	n4 := r.strange("n4")
	r.Move(shard("q"), "n1")
	gatewaytest.Eventually(t, func() bool { return n4.epoch(shard("q")) > 0 }, "an owner")
	r.worlds[0].send(r.worlds[0].session(), queue("q"), true, "a", "b", "c", "d")
	c := r.worlds[0].subscribe(r.worlds[0].session(), queue("q"), 4, false)
	got := c.next(4)
	c.Close()
	say := func(f gateway.Frame) []*gateway.Frame {
		f.Shard, f.Epoch, f.Subscription = shard("q"), n4.epoch(shard("q")), 7
		n4.Send("n1", &f)
		r.Settle()
		return n4.heard()
	}
	n4.heard()
	// It has a and b, of 2 that it may have.
	require.Empty(t, say(gateway.Frame{Kind: gateway.FrameAdopt, Seqs: []uint64{got[0].Seq, got[1].Seq, 1 << 40}, Counts: []uint32{0, 3}}))
	require.Empty(t, say(gateway.Frame{Kind: gateway.FrameSubscribe, Queue: "q", Count: 2}))
	r.has("n1", "q", 4, 0)
	answer := say(gateway.Frame{Kind: gateway.FrameExtend, Count: -2})
	require.Len(t, answer, 1)
	require.Equal(t, gateway.FrameAdopted, answer[0].Kind)
	require.Equal(t, []uint64{got[0].Seq, got[1].Seq}, answer[0].Seqs)
	r.has("n1", "q", 2, 2)
	// It had acknowledged a before it heard that, and so has room for one.
	n4.Send("n1", &gateway.Frame{Kind: gateway.FrameSettle, Shard: shard("q"), Epoch: n4.epoch(shard("q")), Number: 1, Queue: "q", Tags: []uint64{got[0].Seq}})
	say(gateway.Frame{Kind: gateway.FrameExtend, Count: 1})
	r.has("n1", "q", 1, 3) // a's place is not free yet
	say(gateway.Frame{Kind: gateway.FrameExtend, Count: -1})
	say(gateway.Frame{Kind: gateway.FrameGiveBack, Count: 1, Tags: answer[0].Tags[:1]})
	r.has("n1", "q", 1, 2)
	say(gateway.Frame{Kind: gateway.FrameGiveBack, Count: 1, Tags: answer[0].Tags[1:]})
	r.has("n1", "q", 1, 2) // b again
	r.Link("n1", "n4", false)
	r.has("n1", "q", 3, 0)
	last := r.worlds[0].subscribe(r.worlds[0].session(), queue("q"), 4, false).next(3)
	require.Equal(t, []string{"b", "c", "d"}, bodies(last))
	require.GreaterOrEqual(t, last[0].Redeliveries, uint32(4), "what it was told before, and since")
}

// A message is moved in its journal while a client has it, by one owner and by the next one: it is still the same.
func TestMovedDeliveriesStayWithTheirClients(t *testing.T) {
	t.Parallel()
	r := newRealm(t)
	through := ""
	for i := 0; through == "" || shard(through) != shard("q"); i++ {
		through = fmt.Sprint("through", i)
	}
	r.Move(shard("q"), "n1")
	s := r.worlds[1].session()
	r.worlds[1].send(s, queue("q"), true, "a", "b", "c")
	c := r.worlds[1].subscribe(s, queue("q"), 10, false)
	got := c.next(3)
	d := r.worlds[2].subscribe(r.worlds[2].session(), queue(through), 10, false)
	body := strings.Repeat("x", 8<<20)
	for i, to := range []string{"n3", "n1"} {
		for range 10 { // more than may be pinned
			r.worlds[1].send(s, queue(through), true, body)
			require.NoError(t, d.acked(d.next(1)...))
		}
		owner := r.worlds[[]int{0, 2}[i]].broker
		gatewaytest.Eventually(t, func() bool { return owner.Stats().Moved >= 3 }, "moved")
		r.Move(shard("q"), to)
		r.has(to, "q", 0, 3)
		r.Settle()
		c.nothing()
	}
	require.NoError(t, c.acked(got[0]))
	r.has("n1", "q", 0, 2)
	r.Move(shard("q"), "")
	var o outcome
	c.Ack(tags(got[1:2]), &o, 0) // by the sequence that it had at first
	r.Move(shard("q"), "n2")
	require.NoError(t, o.wait(t, 1)[0])
	r.has("n2", "q", 0, 1)
	c.Close()
	r.has("n2", "q", 1, 0)
}

// What is in no journal cannot be claimed: when an owner gives the queue to another one, what clients have of it comes again, and is marked.
func TestNonPersistentDeliveriesComeAgainMarked(t *testing.T) {
	r := newRealm(t)
	r.Move(shard("q"), "n1")
	s := r.worlds[1].session()
	r.worlds[1].send(s, queue("q"), false, "a", "b", "c")
	c := r.worlds[1].subscribe(s, queue("q"), 2, false)
	got := c.next(2)
	r.Move(shard("q"), "n3")
	r.has("n3", "q", 3, 0) // of 2 that it may have, it has 2
	require.NoError(t, c.acked(got...))
	again := c.next(2)
	require.Equal(t, []string{"a", "b"}, bodies(again))
	require.Equal(t, []uint32{1, 1}, []uint32{again[0].Redeliveries, again[1].Redeliveries})
	require.NoError(t, c.acked(again...))
	require.Zero(t, c.next(1)[0].Redeliveries)
}
