package faults

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/tests/conformance/raw"
	"github.com/sluice-mq/sluice/tests/ledger"
	"github.com/sluice-mq/sluice/tests/node"
)

// A node that stands still for longer than it waits for its own store goes on where it
// was: nobody is thrown out, nothing is refused, lost or repeated.
func TestPausedNode(t *testing.T) {
	alongside(t)
	rnd, l, n := chance(t), ledger.New(), node.Start(t)
	alone := sessions(t, n)
	var w ledger.Traffic
	var cs []*raw.Client
	join := func() *raw.Client {
		c := raw.Login(t, n.Addr("stomp"), "1.2")
		cs = append(cs, c)
		return c
	}
	var left atomic.Int32 // clients whose connection ended
	for _, p := range senders(rnd) {
		c := join()
		w.Go(func() { p.Run(c, l); left.Add(1) })
	}
	for _, q := range ledger.Queues {
		c := join()
		w.Go(func() { (&ledger.Consumer{Queue: q, Lag: 5}).Run(c, l); left.Add(1) })
	}
	for range rounds(t, 1) {
		goal := l.Count() + 500 + rnd.IntN(500)
		await(t, "progress", func() bool { return l.Count() >= goal })
		n.Signal(syscall.SIGSTOP)
		<-time.After(5 * time.Second) // the fault itself
		n.Signal(syscall.SIGCONT)
		goal = l.Count() + 1000
		await(t, "progress after the pause", func() bool { return l.Count() >= goal })
		require.Zero(t, left.Load(), "connections ended")
	}
	for _, c := range cs {
		_ = c.Conn().Close()
	}
	w.Wait()
	awaitAlone(t, n, alone)
	ledger.Drain(t, n, l, 0)
	l.Close(t)
	require.NotContains(t, n.Log(), "does not answer")
}

// Clients that never read take neither the others' time nor the node's memory.
func TestClientsThatNeverRead(t *testing.T) {
	alongside(t)
	const size = 1 << 20
	flood := 80 * rounds(t, 1)
	n := node.Start(t)
	before, _ := n.Resident()
	var deaf []*raw.Client
	for i := range 4 {
		c := raw.Login(t, n.Addr("stomp"), "1.2")
		require.NoError(t, c.Conn().(interface{ SetReadBuffer(int) error }).SetReadBuffer(4096))
		c.Send(subscribe, "", fmt.Sprintf("destination:/queue/deaf.%d", i%2), "id:q", "activemq.prefetchSize:30000")
		c.Send(subscribe, "", "destination:/topic/deaf", "id:t")
		deaf = append(deaf, c)
	}
	p, s := raw.Login(t, n.Addr("stomp"), "1.2"), raw.Login(t, n.Addr("stomp"), "1.2")
	s.Ask(subscribe, "", "destination:/queue/others", "id:1")
	body := strings.Repeat("x", size)
	var slowest time.Duration
	for i := range flood {
		p.Ask("SEND", body, fmt.Sprintf("destination:/queue/deaf.%d", i%2), fmt.Sprintf("persistent:%v", i%3 == 0))
		p.Ask("SEND", body, "destination:/topic/deaf")
		began := time.Now()
		p.Ask("SEND", fmt.Sprint(i), "destination:/queue/others", "persistent:true")
		require.Equal(t, fmt.Sprint(i), s.Expect("MESSAGE").Body)
		slowest = max(slowest, time.Since(began))
	}
	_, top := n.Resident()
	require.Less(t, top-before, int64(400<<20), "resident memory grew")
	require.Less(t, slowest, 10*time.Second)
	for _, c := range deaf {
		_ = c.Conn().Close()
	}
	t.Logf("%d MiB to clients that never read: %d MiB more memory, the slowest message of others took %v", 2*flood, (top-before)>>20, slowest.Round(time.Millisecond))
}

// A consumer stands still with messages in its hands: when it goes
// they come to the next one, marked.
func TestStoppedConsumer(t *testing.T) {
	const count = 200
	rnd := rand.New(rand.NewPCG(1, 2))
	n := node.Start(t)
	stopped, p := raw.Login(t, n.Addr("stomp"), "1.2"), raw.Login(t, n.Addr("stomp"), "1.2")
	stopped.Send(subscribe, "", "destination:/queue/held", "id:1", "ack:client-individual", "activemq.prefetchSize:50")
	for i := range count {
		p.Ask("SEND", fmt.Sprintf("%d %s", i, strings.Repeat("x", rnd.IntN(100))), "destination:/queue/held", "persistent:true")
	}
	for range 50 {
		stopped.Expect("MESSAGE")
	}
	live := raw.Login(t, n.Addr("stomp"), "1.2")
	live.Send(subscribe, "", "destination:/queue/held", "id:1", "ack:client-individual", "activemq.prefetchSize:1000")
	for i := 50; i < count; i++ {
		require.True(t, strings.HasPrefix(live.Expect("MESSAGE").Body, fmt.Sprintf("%d ", i)))
	}
	_ = stopped.Conn().Close()
	for i := range 50 {
		m := live.Expect("MESSAGE")
		require.True(t, strings.HasPrefix(m.Body, fmt.Sprintf("%d ", i)), m.Body)
		require.Equal(t, "true", m.Get("redelivered"))
	}
}
