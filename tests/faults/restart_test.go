package faults

import (
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/tests/ledger"
	"github.com/sluice-mq/sluice/tests/node"
)

// senders are two that send persistent messages and two that send transactions.
func senders(rnd *rand.Rand) []*ledger.Producer {
	own := func() *rand.Rand { return rand.New(rand.NewPCG(rnd.Uint64(), 0)) }
	return []*ledger.Producer{
		{Name: "p", Window: 100, Persistent: true, Rnd: own()},
		{Name: "q", Window: 5, Persistent: true, Rnd: own()},
		{Name: "t", Window: 10, Parts: 4, Rnd: own()},
		{Name: "u", Window: 3, Parts: 2, Rnd: own()},
	}
}

// most is how many receipts a round waits for at most, and some: in the long form so many that a kill meets a thousand messages.
func most() int {
	if os.Getenv("SLUICE_FAULT_ROUNDS") != "" {
		return 4000
	}
	return 1500
}

// round lets everybody work until some receipts came, and then ends the node.
func round(t *testing.T, n *node.Node, l *ledger.Ledger, rnd *rand.Rand, ps []*ledger.Producer, end func()) {
	t.Helper()
	var w ledger.Traffic
	w.Produce(t, n, l, ps...)
	for _, i := range rnd.Perm(len(ledger.Queues))[:3] {
		w.Consume(t, n, l, &ledger.Consumer{Queue: ledger.Queues[i], Lag: 1 + rnd.IntN(30)})
	}
	goal := l.Count() + 200 + rnd.IntN(most())
	await(t, "progress", func() bool { return l.Count() >= goal })
	end()
	w.Wait()
}

// interrupted starts nodes on the store and kills each while it recovers.
func interrupted(t *testing.T, n *node.Node, rnd *rand.Rand) {
	t.Helper()
	for range rnd.IntN(3) {
		cmd := exec.Command(node.Binary(t), "serve", "--dev", "--data-dir", dataDir(t, n),
			"--listen", "stomp=127.0.0.1:0", "--listen", "nats=127.0.0.1:0", "--listen", "admin=127.0.0.1:0", "--listen", "pubsub=127.0.0.1:0")
		require.NoError(t, cmd.Start())
		kill := time.AfterFunc(time.Duration(rnd.IntN(120))*time.Millisecond, func() { _ = cmd.Process.Kill() })
		_ = cmd.Wait() // it was killed
		require.False(t, kill.Stop(), "it ended by itself: %v", cmd.ProcessState)
	}
}

func TestKill(t *testing.T) {
	alongside(t)
	rnd, l, n := chance(t), ledger.New(), node.Start(t)
	ps := senders(rnd)
	all := rounds(t, 6)
	for range all {
		round(t, n, l, rnd, ps, n.Kill)
		interrupted(t, n, rnd)
		n.Restart()
	}
	ledger.Drain(t, n, l, 0)
	n.Kill()
	n.Restart()
	ledger.Drain(t, n, l, 1) // whatever comes now besides the marks was acknowledged before
	l.Close(t)
	// What is handed out is announced ahead. Only if a kill comes in the moment when consumers
	// take the first of a backlog are those unmarked: over many kills it is not one in twenty.
	if all >= 50 {
		require.GreaterOrEqual(t, l.Flagged*100, l.Duplicates*95, "not marked redelivered after a kill: %s", strings.Join(l.Unflagged, "\n"))
	}
	require.GreaterOrEqual(t, 2*l.Flagged, l.Duplicates, "not marked redelivered after a kill: %s", strings.Join(l.Unflagged, "\n"))
	t.Logf("%d kills", all)
}

func TestTermination(t *testing.T) {
	alongside(t)
	rnd, l, n := chance(t), ledger.New(), node.Start(t)
	ps := append(senders(rnd),
		&ledger.Producer{Name: "n", Window: 20, Rnd: rand.New(rand.NewPCG(rnd.Uint64(), 0))},
		&ledger.Producer{Name: "m", Window: 3, Rnd: rand.New(rand.NewPCG(rnd.Uint64(), 0))})
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
	ledger.Drain(t, n, l, 0)
	n.Stop()
	n.Restart()
	ledger.Drain(t, n, l, 1)
	l.Close(t)
	require.Equal(t, l.Duplicates, l.Flagged, "not marked redelivered after a stop in order: %s", strings.Join(l.Unflagged, "\n"))
	t.Logf("%d stops, the slowest took %v", all, slowest.Round(time.Millisecond))
}
