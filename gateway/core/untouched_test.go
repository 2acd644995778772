package core_test

import (
	"math/rand/v2"
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

// A door takes, gives back what it has no request for, and hands the rest to one client, while messages come: none of them is late, whoever
// owns the queue, and none is marked while the owner stays.
func TestNothingIsLateForWhatGoesBackUntouched(t *testing.T) {
	const all = 2000
	for _, owner := range []string{"n1", "n2"} {
		r := newRealm(t)
		r.Move(shard("q"), owner)
		rnd := rand.New(rand.NewPCG(1, uint64(len(owner))))
		c := r.worlds[1].subscribe(r.worlds[1].session(), queue("q"), 20, false)
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			s := r.worlds[2].session()
			for i := range all {
				var o outcome
				s.Send(message(queue("q"), numbers(i, i+1)[0], true), &o, 0)
				if i%7 == 0 {
					o.wait(t, 1)
				}
			}
		}()
		at, buf := 0, make([]gateway.Delivery, 8)
		gatewaytest.Eventually(t, func() bool {
			n := c.Next(buf[:1+rnd.IntN(len(buf))], 1<<20)
			kept := n
			if rnd.IntN(3) == 0 {
				kept = rnd.IntN(n + 1)
			}
			if kept < n {
				c.Extend(-20)
				require.NoError(t, c.Release(tags(buf[kept:n]), untouched))
				c.Extend(20)
			}
			if kept > 0 {
				require.Equal(t, numbers(at, at+kept), bodies(buf[:kept]), "owned by %s", owner)
				for _, d := range buf[:kept] {
					require.Zero(t, d.Redeliveries)
				}
				c.Ack(tags(buf[:kept]), nil, 0)
				at += kept
			}
			return at == all
		}, "all messages")
		<-sent
	}
}
