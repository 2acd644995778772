package core_test

import (
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/gatewaytest"
)

// ear is a subscription that hears in a goroutine of its own. Message 3n+k is the nth of node k.
type ear struct {
	gateway.Subscription
	node  int
	got   []int        // the goroutine's, until it is over
	own   atomic.Int64 // how many of its own node
	leave chan struct{}
}

// listen has an ear hear until it shall leave and nothing waits for it.
func (r *realm) listen(s gateway.Session, node int, o gateway.SubscribeOptions, over *sync.WaitGroup) *ear {
	e := &ear{node: node, leave: make(chan struct{})}
	wake := make(chan struct{}, 1)
	o.AutoAck, o.Prefetch, o.Wake = true, 1000, func() {
		select {
		case wake <- struct{}{}:
		default:
		}
	}
	var err error
	e.Subscription, err = s.Subscribe(o)
	require.NoError(r, err)
	over.Go(func() {
		defer e.Close()
		for {
			e.take()
			select {
			case <-wake:
			case <-e.leave:
				e.take()
				return
			}
		}
	})
	return e
}

func (e *ear) take() {
	buf := make([]gateway.Delivery, 64)
	for {
		n := e.Next(buf, 1<<20)
		e.Written(n)
		if n == 0 {
			return
		}
		for _, b := range bodies(buf[:n]) {
			number, _ := strconv.Atoi(b) // it is one
			e.got = append(e.got, number)
			if number%3 == e.node {
				e.own.Add(1)
			}
		}
	}
}

// inOrder verifies that nothing came twice, and what each node sent in its order.
func (e *ear) inOrder(t *testing.T) {
	t.Helper()
	last := [3]int{-1, -1, -1}
	for _, n := range e.got {
		require.Greater(t, n, last[n%3])
		last[n%3] = n
	}
}

// Three nodes publish at once while a client comes and goes on all of them and links break: who stays hears all of its own node, and
// everything in order; the client hears nothing on two nodes.
func TestTopicsWhileClientsComeAndGo(t *testing.T) {
	t.Parallel()
	r := newRealm(t)
	var ears, senders sync.WaitGroup
	var stayed, moved []*ear
	for node := range 3 {
		stayed = append(stayed, r.listen(r.worlds[node].session(), node, named("", "t.*"), &ears))
	}
	r.Settle()
	enough := make(chan struct{})
	var sent [3]int64
	for node := range 3 {
		s := r.worlds[node].session()
		senders.Go(func() {
			for i := 0; ; i++ {
				s.Send(message(topic("t."+strconv.Itoa(i%3)), strconv.Itoa(3*i+node), false), nil, 0)
				sent[node]++
				if i%50 < 49 {
					continue
				}
				gatewaytest.Eventually(t, func() bool { return stayed[node].own.Load() > int64(i) }, "message %d at %s", i, name(node))
				select {
				case <-enough:
					return
				default:
				}
			}
		})
	}
	plain := client{user: "alice", host: "192.0.2.1"}
	for round := range 300 {
		moved = append(moved, r.listen(r.open(plain, round%3), round%3, named("s", "t.1"), &ears))
		if round >= 2 {
			close(moved[round-2].leave)
		}
		goal := stayed[2].own.Load() + 20
		gatewaytest.Eventually(t, func() bool { return stayed[2].own.Load() > goal }, "traffic")
		if round%50 == 25 {
			r.Link("n1", name(1+round/50%2), false)
			r.Link("n1", name(1+round/50%2), true)
		}
	}
	close(enough)
	senders.Wait()
	r.Settle()
	for _, e := range append(stayed, moved[len(moved)-2:]...) {
		close(e.leave)
	}
	ears.Wait()
	for _, e := range stayed {
		e.inOrder(t)
		require.Equal(t, sent[e.node], e.own.Load())
	}
	at := make(map[int]int)
	away := 0
	for _, e := range moved {
		e.inOrder(t)
		for _, n := range e.got {
			node, ok := at[n]
			require.True(t, !ok || node == e.node, "%d was heard on two nodes", n)
			at[n] = e.node
			if n%3 != e.node {
				away++
			}
		}
	}
	require.Greater(t, away, 100, "hardly anything of another node was heard: this shows nothing")
	t.Logf("the client heard %d messages, %d of them of other nodes", len(at), away)
}
