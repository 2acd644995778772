package faults

import (
	"math/rand/v2"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/tests/node"
)

// senders are two that send persistent messages and two that send transactions.
func senders(rnd *rand.Rand) []*producer {
	own := func() *rand.Rand { return rand.New(rand.NewPCG(rnd.Uint64(), 0)) }
	return []*producer{
		{name: "p", window: 100, persistent: true, rnd: own()},
		{name: "q", window: 5, persistent: true, rnd: own()},
		{name: "t", window: 10, parts: 4, rnd: own()},
		{name: "u", window: 3, parts: 2, rnd: own()},
	}
}

// round lets everybody work until some receipts came, and then ends the node.
func round(t *testing.T, n *node.Node, l *ledger, rnd *rand.Rand, ps []*producer, end func()) {
	t.Helper()
	var w traffic
	w.produce(t, n, l, ps...)
	for _, i := range rnd.Perm(len(queues))[:3] {
		w.consume(t, n, l, &consumer{queue: queues[i], lag: 1 + rnd.IntN(30)})
	}
	goal := l.count() + 200 + rnd.IntN(1500)
	await(t, "progress", func() bool { return l.count() >= goal })
	end()
	w.done.Wait()
}

// interrupted starts nodes on the store and kills each while it recovers.
func interrupted(t *testing.T, n *node.Node, rnd *rand.Rand) {
	t.Helper()
	for range rnd.IntN(3) {
		cmd := exec.Command(node.Binary(t), "serve", "--dev", "--data-dir", dataDir(t, n),
			"--listen", "stomp=127.0.0.1:0", "--listen", "nats=127.0.0.1:0", "--listen", "admin=127.0.0.1:0")
		require.NoError(t, cmd.Start())
		kill := time.AfterFunc(time.Duration(rnd.IntN(120))*time.Millisecond, func() { _ = cmd.Process.Kill() })
		_ = cmd.Wait() // it was killed
		require.False(t, kill.Stop(), "it ended by itself: %v", cmd.ProcessState)
	}
}

func TestKill(t *testing.T) {
	rnd, l, n := chance(t), newLedger(), node.Start(t)
	ps := senders(rnd)
	all := rounds(t, 6)
	for range all {
		round(t, n, l, rnd, ps, n.Kill)
		interrupted(t, n, rnd)
		n.Restart()
	}
	drain(t, n, l, 0)
	n.Kill()
	n.Restart()
	drain(t, n, l, 1) // whatever comes now besides the marks was acknowledged before
	l.close(t)
	// What is handed out is announced ahead. Only if a kill comes in the moment when consumers
	// take the first of a backlog are those unmarked: over many kills it is not one in twenty.
	if all >= 50 {
		require.GreaterOrEqual(t, l.flagged*100, l.duplicates*95, "not marked redelivered after a kill: %s", strings.Join(l.unflagged, " "))
	}
	require.GreaterOrEqual(t, 2*l.flagged, l.duplicates, "not marked redelivered after a kill: %s", strings.Join(l.unflagged, " "))
	t.Logf("%d kills", all)
}

func TestTermination(t *testing.T) {
	rnd, l, n := chance(t), newLedger(), node.Start(t)
	ps := append(senders(rnd),
		&producer{name: "n", window: 20, rnd: rand.New(rand.NewPCG(rnd.Uint64(), 0))},
		&producer{name: "m", window: 3, rnd: rand.New(rand.NewPCG(rnd.Uint64(), 0))})
	var slowest time.Duration
	all := rounds(t, 3)
	for range all {
		round(t, n, l, rnd, ps, func() {
			began := time.Now()
			n.Stop()
			slowest = max(slowest, time.Since(began))
		})
		n.Restart()
	}
	require.Less(t, slowest, 10*time.Second)
	drain(t, n, l, 0)
	n.Stop()
	n.Restart()
	drain(t, n, l, 1)
	l.close(t)
	require.Equal(t, l.duplicates, l.flagged, "not marked redelivered after a stop in order: %s", strings.Join(l.unflagged, " "))
	t.Logf("%d stops, the slowest took %v", all, slowest.Round(time.Millisecond))
}
