package core_test

import (
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/gatewaytest"
)

var untouched = gateway.Return{Redelivered: false}

// A door gives a delivery back untouched, since the request that it was for is over. The owner, at another node, has sent the next one before it
// hears of that, and the door has a new request by the time when that one comes.
func TestWhatGoesBackUntouchedComesBeforeWhatWasOnItsWay(t *testing.T) {
	r := newRealm(t)
	r.Move(shard("q"), "n1")
	s := r.worlds[0].session()
	c := r.worlds[1].subscribe(r.worlds[1].session(), queue("q"), 50, false)
	r.worlds[0].send(s, queue("q"), true, "a")
	got := c.next(1)
	owner, node := r.stores[0].Deafen(), r.stores[1].Deafen()
	r.worlds[0].send(s, queue("q"), true, "b", "c")
	r.has("n1", "q", 0, 3)
	c.Extend(-49) // the request is over
	require.NoError(t, c.Release(tags(got), untouched))
	c.Extend(49) // and there is another one
	node()
	owner()
	again := c.next(3)
	require.Equal(t, []string{"a", "b", "c"}, bodies(again))
	for _, d := range again {
		require.Zero(t, d.Redeliveries, "no client has seen it")
	}
	require.NoError(t, c.acked(again...))
	r.worlds[0].send(s, queue("q"), true, numbers(0, 50)...)
	all := c.next(50)
	require.Equal(t, numbers(0, 50), bodies(all), "all of its credit is there")
	r.worlds[0].send(s, queue("q"), true, "later")
	r.has("n1", "q", 1, 50)
	c.nothing()
}

// The same of what waits at the subscription's own node, and the owner is there or not.
func TestWhatGoesBackUntouchedComesBeforeWhatWaits(t *testing.T) {
	r := newRealm(t)
	r.Move(shard("q"), "n1")
	for i := range 2 {
		c := r.worlds[i].subscribe(r.worlds[i].session(), queue("q"), 10, false)
		r.worlds[0].send(r.worlds[0].session(), queue("q"), true, numbers(0, 5)...)
		got := c.next(2)
		r.has("n1", "q", 0, 5)
		r.Settle()
		require.NoError(t, c.Release(tags(got), untouched))
		again := c.next(5)
		require.Equal(t, numbers(0, 5), bodies(again), "at node %d", i)
		require.NoError(t, c.acked(again...))
		c.Close()
	}
}

// What large messages took of the room on the way to a node is free again, however often they go back.
func TestWhatGoesBackUntouchedLeavesItsRoom(t *testing.T) {
	r := newRealm(t)
	r.Move(shard("q"), "n1")
	c := r.worlds[1].subscribe(r.worlds[1].session(), queue("q"), 10, false)
	large := string(make([]byte, 300<<10))
	r.worlds[0].send(r.worlds[0].session(), queue("q"), true, large, large, large)
	for range 10 {
		require.NoError(t, c.Release(tags(c.next(1)), untouched))
	}
	require.NoError(t, c.acked(c.next(3)...))
}

// The owner changes while it is asked what is on its way.
func TestTheOwnerChangesWhileSomethingGoesBackUntouched(t *testing.T) {
	r := newRealm(t)
	for _, to := range []string{"n2", "n3"} {
		r.Move(shard("q"), "n1")
		c := r.worlds[1].subscribe(r.worlds[1].session(), queue("q"), 5, false)
		r.worlds[2].send(r.worlds[2].session(), queue("q"), true, numbers(0, 5)...)
		got := c.next(1)
		owner := r.stores[0].Deafen()
		require.NoError(t, c.Release(tags(got), untouched))
		r.Move(shard("q"), to)
		owner()
		again := c.next(5)
		require.Equal(t, numbers(0, 5), bodies(again), "it went to %s", to)
		require.NoError(t, c.acked(again...))
		c.Close()
	}
}

// choosy takes as doors do: it gives back, untouched, what it has no request for, and acknowledges the rest. last is the highest number that it had.
type choosy struct {
	*consumer
	rnd  *rand.Rand
	last int
	had  map[int]bool
}

// take takes some, and reports whether there were any. What it has not had and is behind a later one must be marked, and if the owner
// stays nothing comes twice or marked.
func (p *choosy) take(moves bool) bool {
	buf := make([]gateway.Delivery, 1+p.rnd.IntN(8))
	n := p.Next(buf, 1<<20)
	kept := n
	if p.rnd.IntN(3) == 0 {
		kept = p.rnd.IntN(n + 1)
	}
	if kept < n {
		p.Extend(-20)
		require.NoError(p, p.Release(tags(buf[kept:n]), untouched))
		p.Extend(20)
	}
	for _, d := range buf[:kept] {
		number, err := strconv.Atoi(string(d.Message.Body))
		require.NoError(p, err)
		require.True(p, moves || d.Redeliveries == 0, "%d is marked", number)
		require.True(p, number > p.last || d.Redeliveries > 0 || moves && p.had[number], "%d came behind %d, and is not marked", number, p.last)
		p.last, p.had[number] = max(p.last, number), true
	}
	if kept > 0 {
		p.Ack(tags(buf[:kept]), nil, 0)
	}
	return n > 0
}

// stream sends numbered messages, from 1 on.
type stream struct {
	session gateway.Session
	sent    int
	outcome outcome
}

// send sends some, if there are not that many already.
func (s *stream) send(n, all int) {
	for range min(n, all-s.sent) {
		s.sent++
		s.session.Send(message(queue("q"), strconv.Itoa(s.sent), true), &s.outcome, uint64(s.sent))
	}
}

// A door gives back what it has no request for, while messages come: none of them is late, whoever owns the queue, and none is marked.
func TestNothingIsLateForWhatGoesBackUntouched(t *testing.T) {
	const all = 2000
	for _, owner := range []string{"n1", "n2"} {
		r := newRealm(t)
		r.Move(shard("q"), owner)
		p := &choosy{r.worlds[1].subscribe(r.worlds[1].session(), queue("q"), 20, false), rand.New(rand.NewPCG(1, 2)), 0, map[int]bool{}}
		s := &stream{session: r.worlds[2].session()}
		for len(p.had) < all {
			s.send(p.rnd.IntN(20), all)
			gatewaytest.Eventually(t, func() bool { return p.take(false) || len(p.had) == s.sent }, "more than %d messages", len(p.had))
		}
	}
}

// The same while the owner changes: what is late then is marked.
func TestWhatIsLateIsMarkedWhenTheOwnerChanges(t *testing.T) {
	const all = 3000
	r := newRealm(t)
	r.Move(shard("q"), "n1")
	p := &choosy{r.worlds[1].subscribe(r.worlds[1].session(), queue("q"), 20, false), rand.New(rand.NewPCG(3, 4)), 0, map[int]bool{}}
	s := &stream{session: r.worlds[2].session()}
	for moved := 0; len(p.had) < all; {
		s.send(p.rnd.IntN(20), all)
		gatewaytest.Eventually(t, func() bool { return p.take(true) || len(p.had) == s.sent }, "more than %d messages", len(p.had))
		if len(p.had)/100 > moved {
			moved = len(p.had) / 100
			r.Move(shard("q"), name(p.rnd.IntN(3)))
		}
	}
}

// Another node asks when nothing is on its way to it any more: what it has not been sent yet is back in the queue then.
func TestTheOwnerSaysWhenNothingIsOnItsWay(t *testing.T) {
	r := newRealm(t)
	n4 := r.strange("n4")
	r.Move(shard("q"), "n1")
	gatewaytest.Eventually(t, func() bool { return n4.epoch(shard("q")) > 0 }, "an owner")
	say := func(f gateway.Frame) {
		f.Shard, f.Epoch, f.Subscription = shard("q"), n4.epoch(shard("q")), 7
		n4.Send("n1", &f)
	}
	n4.heard()
	say(gateway.Frame{Kind: gateway.FrameSubscribe, Queue: "q", Count: 10})
	large := string(make([]byte, 700<<10)) // two of them fill the way to a node
	r.worlds[0].send(r.worlds[0].session(), queue("q"), true, large, large, large)
	r.has("n1", "q", 0, 3)
	var heard []*gateway.Frame
	hears := func(n int) {
		t.Helper()
		gatewaytest.Eventually(t, func() bool {
			heard = append(heard, n4.heard()...)
			return len(heard) == n
		}, "%d frames", n)
	}
	hears(2)
	say(gateway.Frame{Kind: gateway.FrameExtend, Count: -100})
	say(gateway.Frame{Kind: gateway.FrameAck, Number: 5})
	hears(3)
	require.Equal(t, gateway.FrameDone, heard[2].Kind)
	r.has("n1", "q", 1, 2)
	say(gateway.Frame{Kind: gateway.FrameExtend, Count: 100})
	r.has("n1", "q", 0, 3)
	say(gateway.Frame{Kind: gateway.FrameTaken, Count: 1400 << 10})
	hears(4)
	for _, i := range []int{0, 1, 3} {
		require.Equal(t, gateway.FrameDeliver, heard[i].Kind)
		require.Zero(t, heard[i].Redeliveries)
	}
	require.Greater(t, heard[3].Seq, heard[1].Seq)
}
