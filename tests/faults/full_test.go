package faults

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/tests/conformance/raw"
	"github.com/sluice-mq/sluice/tests/ledger"
	"github.com/sluice-mq/sluice/tests/node"
)

// isReady asks the readiness probe.
func isReady(n *node.Node) bool { return n.Status("/readyz") == 200 }

// The node fills its own disk. It refuses sends in words, everything else goes on,
// and consuming makes room again.
func TestTheNodeFillsItsDisk(t *testing.T) {
	n, _ := startSmall(t, 100)
	pid := n.PID()
	c := raw.Login(t, n.Addr("stomp"), "1.2")
	body := strings.Repeat("x", 64<<10)
	try := func(i int) raw.Frame {
		c.Send("SEND", fmt.Sprintf("%d %s", i, body), "destination:/queue/full", "persistent:true", fmt.Sprintf("receipt:%d", i))
		f, err := c.Next()
		require.NoError(t, err)
		require.Equal(t, fmt.Sprint(i), f.Get("receipt-id"), f.String())
		return f
	}
	stored := 0
	refusal := try(stored)
	for ; refusal.Command == "RECEIPT"; refusal = try(stored) {
		stored++
	}
	require.Equal(t, "ERROR", refusal.Command)
	require.Contains(t, refusal.Get("message")+refusal.Body, "space")
	require.Greater(t, stored, 500)
	require.Equal(t, 503, n.Status("/readyz"))
	require.Equal(t, 200, n.Status("/livez"))

	// The connection stays, and what needs no disk goes on.
	s := raw.Login(t, n.Addr("stomp"), "1.2")
	s.Ask(subscribe, "", "destination:/queue/light", "id:l")
	for i := range 100 {
		c.Ask("SEND", fmt.Sprint(i), "destination:/queue/light")
		require.Equal(t, fmt.Sprint(i), s.Expect("MESSAGE").Body)
	}

	// Consumers receive and acknowledge, and make room.
	s.Send(subscribe, "", "destination:/queue/full", "id:f", "ack:client-individual", "activemq.prefetchSize:10")
	take := func(i int) {
		m := s.Expect("MESSAGE")
		require.True(t, strings.HasPrefix(m.Body, fmt.Sprintf("%d ", i)), "%.20s instead of %d", m.Body, i)
		s.Send("ACK", "", "id:"+m.Get("ack"))
	}
	for i := range stored / 2 {
		take(i)
	}
	await(t, "readiness", func() bool { return isReady(n) })
	again := stored
	await(t, "a send that is taken", func() bool { return try(again).Command == "RECEIPT" })
	for i := stored / 2; i <= again; i++ {
		take(i)
	}
	s.Send("DISCONNECT", "", "receipt:bye")
	require.Equal(t, "bye", s.Expect("RECEIPT").Get("receipt-id"))
	require.Equal(t, pid, n.PID())
	n.Stop()
	n.Restart()
	s = raw.Login(t, n.Addr("stomp"), "1.2")
	s.Ask(subscribe, "", "destination:/queue/full", "id:f")
	s.Send("SEND", "end", "destination:/queue/full", "persistent:true")
	require.Equal(t, "end", s.Expect("MESSAGE").Body, "acknowledged while the disk was full, and back")
	t.Logf("%d messages of 64 KiB were stored on 100 MiB", stored)
}

// Somebody else takes all the space in the middle of a flood, so that the store's
// writes fail. The node goes on by itself as soon as there is space.
func TestSomebodyElseFillsTheDisk(t *testing.T) {
	rnd := chance(t)
	n, dir := startSmall(t, 160)
	l, pid, alone := ledger.New(), n.PID(), sessions(t, n)
	own := func() *rand.Rand { return rand.New(rand.NewPCG(rnd.Uint64(), 0)) }
	ps := []*ledger.Producer{
		{Name: "p", Window: 200, Persistent: true, Refusable: true, Size: 8 << 10, Rnd: own()},
		{Name: "q", Window: 10, Persistent: true, Refusable: true, Rnd: own()},
	}
	var slowest time.Duration
	for range rounds(t, 2) {
		flood(t, n, l, rnd, dir, ps, func(free func()) {
			free()
			began := time.Now()
			goal := l.Count() + 1000
			await(t, "progress with space", func() bool { return l.Count() >= goal })
			await(t, "readiness", func() bool { return isReady(n) })
			slowest = max(slowest, time.Since(began))
		})
		awaitAlone(t, n, alone)
	}
	require.Equal(t, pid, n.PID())
	flood(t, n, l, rnd, dir, ps, func(free func()) { // and once it is killed meanwhile
		n.Kill()
		free()
	})
	n.Restart()
	ledger.Drain(t, n, l, 0)
	n.Stop()
	n.Restart()
	ledger.Drain(t, n, l, 1)
	l.Close(t)
	t.Logf("%d refusals; the slowest recovery took %v; the store stood still: %v", l.Refusals,
		slowest.Round(time.Millisecond), strings.Contains(n.Log(), "the store does not answer"))
}

// A node starts on a full disk: what it has can be consumed, and it says why it takes nothing.
func TestStartOnAFullDisk(t *testing.T) {
	const count = 200
	n, dir := startSmall(t, 64, "shutdown_timeout=2s")
	c := raw.Login(t, n.Addr("stomp"), "1.2")
	for i := range count {
		c.Send("SEND", fmt.Sprint(i), "destination:/queue/q", "persistent:true", "receipt:r")
	}
	for range count {
		c.Expect("RECEIPT")
	}
	stop := func() { // it cannot write down what it should, and must not hang over it
		n.Signal(syscall.SIGTERM)
		n.Exit()
	}
	for _, end := range []func(){n.Kill, stop} {
		free := node.Hog(t, dir)
		end()
		n.Restart()
		require.Equal(t, 503, n.Status("/readyz"))
		c = raw.Login(t, n.Addr("stomp"), "1.2")
		c.Send("SEND", "", "destination:/queue/q", "persistent:true", "receipt:r")
		require.Contains(t, c.Expect("ERROR").String(), "space")
		c.Send(subscribe, "", "destination:/queue/q", "id:1", "ack:client-individual", "activemq.prefetchSize:1000")
		for i := range count {
			require.Equal(t, fmt.Sprint(i), c.Expect("MESSAGE").Body)
		}
		free()
		await(t, "readiness", func() bool { return isReady(n) })
		_ = c.Conn().Close()
	}
}

// flood lets clients work until somebody takes all the space, sees that the node says
// so, and what happens then.
func flood(t *testing.T, n *node.Node, l *ledger.Ledger, rnd *rand.Rand, dir string, ps []*ledger.Producer, then func(free func())) {
	t.Helper()
	var w ledger.Traffic
	var cs []*raw.Client
	join := func() *raw.Client {
		c := raw.Login(t, n.Addr("stomp"), "1.2")
		cs = append(cs, c)
		return c
	}
	for _, p := range ps {
		c := join()
		w.Go(func() { p.Run(c, l) })
	}
	for _, q := range ledger.Queues {
		c := join()
		w.Go(func() { (&ledger.Consumer{Queue: q, Lag: 3}).Run(c, l) })
	}
	goal := l.Count() + 1000 + rnd.IntN(2000)
	await(t, "progress", func() bool { return l.Count() >= goal })
	free := node.Hog(t, dir)
	await(t, "that it says so", func() bool { return !isReady(n) })
	// What is under way waits until it is known what became of it; what comes is refused.
	probe := join()
	probe.Send("SEND", "", "destination:/queue/probe", "persistent:true", "receipt:1")
	require.Contains(t, probe.Expect("ERROR").String(), "space")
	require.True(t, n.Running())
	then(free)
	for _, c := range cs {
		_ = c.Conn().Close()
	}
	w.Wait()
}

// startSmall starts a node whose store has a file system of its own of so many MiB, and returns that one's directory.
func startSmall(t *testing.T, mib int64, settings ...string) (*node.Node, string) {
	t.Helper()
	dir := node.Volume(t, mib)
	t.Setenv("TMPDIR", dir) // where the node's directory will be
	n := node.Start(t, settings...)
	var fs, root syscall.Statfs_t
	require.NoError(t, syscall.Statfs(dataDir(t, n), &fs))
	require.NoError(t, syscall.Statfs(dir, &root))
	require.Equal(t, root.Fsid, fs.Fsid, "the store is not on the small file system")
	return n, dir
}
