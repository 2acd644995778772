package cluster

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/tests/ledger"
	"github.com/sluice-mq/sluice/tests/node"
)

// bound is how long clients wait for an answer before they try another node.
const bound = 15 * time.Second

// scene is a cluster with clients at work: senders and takers on all nodes.
type scene struct {
	t       *testing.T
	c       *node.Cluster
	l       *ledger.Ledger
	rnd     *rand.Rand
	dialer  *ledger.Dialer
	senders []*ledger.Sender
	takers  []*ledger.Taker
	over    chan struct{} // senders send nothing new
	gone    chan struct{} // takers leave
	sending sync.WaitGroup
	taking  sync.WaitGroup
}

// drops says how often clients lose their connections by themselves.
type drops struct{ sender, taker int }

// begin puts clients to work.
func begin(t *testing.T, c *node.Cluster, rnd *rand.Rand, d drops) *scene {
	s := &scene{t: t, c: c, l: ledger.New(), rnd: rnd, over: make(chan struct{}), gone: make(chan struct{})}
	s.dialer = &ledger.Dialer{T: t, Bound: bound, Nodes: s.nodes}
	shapes := []ledger.Sender{
		{Name: "p", Window: 50}, {Name: "q", Window: 5}, {Name: "r", Window: 20},
		{Name: "t", Window: 8, Parts: 4}, {Name: "u", Window: 3, Parts: 2}, {Name: "v", Window: 2, Parts: 3},
	}
	for i := range shapes {
		p := &shapes[i]
		p.Home, p.Drops, p.Queues, p.Rnd, p.Dialer, p.Over = i%3, d.sender, ledger.Queues[:], s.own(), s.dialer, s.over
		s.senders = append(s.senders, p)
		s.sending.Go(func() { p.Run(s.l) })
	}
	for i, q := range ledger.Queues {
		k := &ledger.Taker{Queue: q, Home: i % 3, Lag: 1 + rnd.IntN(30), Drops: d.taker, Rnd: s.own(), Dialer: s.dialer, Stop: s.end("end", i), Over: s.gone}
		s.takers = append(s.takers, k)
		s.taking.Go(func() { k.Run(s.l) })
	}
	t.Cleanup(func() { // whatever happened, they are not left behind
		s.stop()
		_ = within(bound, s.taking.Wait)
	})
	s.progress(50)
	return s
}

func (s *scene) own() *rand.Rand { return rand.New(rand.NewPCG(s.rnd.Uint64(), 0)) }

// nodes are where STOMP is spoken.
func (s *scene) nodes() (all []string) {
	for _, n := range s.c.Nodes {
		all = append(all, n.Where("stomp"))
	}
	return all
}

func (s *scene) end(name string, queue int) string { return fmt.Sprintf("%s%d/1", name, queue) }

func (s *scene) stop() {
	for _, c := range []chan struct{}{s.over, s.gone} {
		select {
		case <-c:
		default:
			close(c)
		}
	}
}

// within reports whether something was over in time.
func within(d time.Duration, what func()) bool {
	done := make(chan struct{})
	go func() { defer close(done); what() }()
	select {
	case <-done:
		return true
	case <-time.After(d):
		return false
	}
}

// mark begins a measurement.
func (s *scene) mark() {
	for _, p := range s.senders {
		p.Mark()
	}
}

// progress waits until every sender got so many windows of receipts, in percent, from now on.
func (s *scene) progress(percent int) {
	s.t.Helper()
	s.progressBut(-1, percent)
}

// progressBut is progress of the senders that are not at a node.
func (s *scene) progressBut(node, percent int) {
	s.t.Helper()
	before := make([]int, len(s.senders))
	for i, p := range s.senders {
		before[i] = p.Pauses().Receipts
	}
	s.await("progress of all senders", func() bool {
		for i, p := range s.senders {
			if w := p.Pauses(); w.Node != node && w.Receipts-before[i] < max(p.Window*percent/100, 1) {
				return false
			}
		}
		return true
	})
}

// await is await with more words.
func (s *scene) await(what string, holds func() bool) {
	s.t.Helper()
	deadline := time.Now().Add(soon)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		if time.Now().After(deadline) {
			s.explain()
			s.t.Fatalf("this did not come to pass within %v: %s", soon, what)
		}
		<-tick.C
	}
}

// explain logs who stands where, and has the nodes write down theirs.
func (s *scene) explain() {
	for _, p := range s.senders {
		s.t.Logf("sender %s: %+v", p.Name, p.Pauses())
	}
	for _, k := range s.takers {
		s.t.Logf("taker of %s: %d deliveries, on node %d, %d connections", k.Queue, k.Deliveries(), k.Node()+1, k.Connections())
	}
	for _, n := range s.c.Nodes {
		if n.Running() {
			n.Signal(syscall.SIGQUIT)
			n.Exit()
		}
	}
}

// finish has everything sent and everything taken, by the clients that were there all the time, has all
// nodes started anew, if asked to, and looks whether something that was acknowledged comes back.
func (s *scene) finish(anew bool) {
	s.t.Helper()
	close(s.over)
	if !within(soon, s.sending.Wait) {
		s.explain()
		s.t.Fatal("senders wait for receipts without end")
	}
	s.marker("end")
	if !within(soon, s.taking.Wait) {
		s.explain()
		s.t.Fatal("takers wait without end for what is in their queues")
	}
	if anew {
		for _, n := range s.c.Nodes {
			n.Signal(syscall.SIGTERM)
		}
		for _, n := range s.c.Nodes {
			n.Exit()
		}
		s.c.Launch()
	}
	s.takers = nil
	for i, q := range ledger.Queues {
		k := &ledger.Taker{Queue: q, Home: i % 3, Dialer: s.dialer, Rnd: s.rnd, Stop: s.end("last", i), Over: s.gone}
		s.takers = append(s.takers, k)
		s.taking.Go(func() { k.Run(s.l) })
	}
	s.marker("last")
	if !within(soon, s.taking.Wait) {
		s.explain()
		s.t.Fatal("takers that came later wait without end for what is in their queues")
	}
	s.l.Close(s.t)
}

// marker sends the message that ends each queue.
func (s *scene) marker(name string) {
	s.t.Helper()
	var sending sync.WaitGroup
	for i, q := range ledger.Queues {
		p := &ledger.Sender{Name: fmt.Sprintf("%s%d", name, i), Window: 1, Most: 1, Queues: []string{q}, Rnd: s.own(), Dialer: s.dialer}
		sending.Go(func() { p.Run(s.l) })
	}
	if !within(soon, sending.Wait) {
		s.explain()
		s.t.Fatal("the last messages are not receipted")
	}
}

// flagged demands that what nodes doubled was marked.
func (s *scene) flagged() {
	s.t.Helper()
	require.GreaterOrEqual(s.t, s.l.Flagged*100, s.l.Duplicates*95, "not marked redelivered: %s", strings.Join(s.l.Unflagged, "\n"))
}
