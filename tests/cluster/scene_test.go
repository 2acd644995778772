package cluster

import (
	"fmt"
	"math/rand/v2"
	"slices"
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
	// native are the clients that speak NATS.
	native struct {
		dialer *ledger.Dialer
		sender *ledger.NativeSender
		taker  *ledger.NativeTaker
	}
	over    chan struct{} // senders send nothing new
	gone    chan struct{} // takers leave
	sending sync.WaitGroup
	taking  sync.WaitGroup
	takes   bool
	patient time.Duration // how long anything may take
}

// habits are what clients of a scene do.
type habits struct {
	sender, taker int           // a client drops its connection once in so many receipts, or deliveries; 0 never
	refusable     bool          // senders take no for an answer
	fast          bool          // senders send as fast as they can also in the short form
	late          bool          // takers come when finish begins
	lives         time.Duration // messages of half of the senders expire after that; 0 is never
}

// begin puts clients to work.
func begin(t *testing.T, c *node.Cluster, rnd *rand.Rand, h habits) *scene {
	s := &scene{t: t, c: c, l: ledger.New(), rnd: rnd, over: make(chan struct{}), gone: make(chan struct{}), patient: soon}
	s.dialer = &ledger.Dialer{T: t, Bound: bound, Nodes: s.nodes}
	shapes := []ledger.Sender{
		{Name: "p", Window: 50}, {Name: "q", Window: 5}, {Name: "r", Window: 20},
		{Name: "t", Window: 8, Parts: 4}, {Name: "u", Window: 3, Parts: 2}, {Name: "v", Window: 2, Parts: 3},
		{Name: "l", Window: 10, Light: true, Pace: 3 * time.Millisecond}, // else it would be far ahead of the others
	}
	for i := range shapes {
		p := &shapes[i]
		p.Home, p.Drops, p.Queues, p.Rnd, p.Dialer, p.Over, p.Refusable = i%3, h.sender, ledger.Queues[:], s.own(), s.dialer, s.over, h.refusable
		if i%2 == 0 {
			p.Lives = h.lives
		}
		if p.Name == "q" {
			p.Queues = queues
		}
		if short() && !h.fast && p.Pace == 0 {
			p.Pace = 2 * time.Millisecond // leave something to the tests beside this one
		}
		if !h.fast {
			p.Pace = max(p.Pace, paced(t))
		}
		s.senders = append(s.senders, p)
		s.sending.Go(func() { p.Run(s.l) })
	}
	s.speakNative()
	for i, q := range ledger.Queues {
		s.takers = append(s.takers, &ledger.Taker{Queue: q, Home: i % 3, Lag: 1 + rnd.IntN(30), Drops: h.taker, Rnd: s.own(), Dialer: s.dialer, Stop: s.end("end", i), Over: s.gone})
	}
	t.Cleanup(func() { // whatever happened, they are not left behind
		s.stop()
		_ = within(bound, s.taking.Wait)
	})
	if !h.late {
		s.take()
	}
	s.progress(50)
	return s
}

// queues are all that are in use, that of the native worker the last one.
var queues = append(slices.Clone(ledger.Queues[:]), ledger.Native)

// speakNative puts native clients beside the others.
func (s *scene) speakNative() {
	n := &s.native
	n.dialer = &ledger.Dialer{T: s.t, Bound: bound, Nodes: func() []string { return s.listeners("nats") }}
	n.sender = &ledger.NativeSender{Name: "n", Home: s.rnd.IntN(3), Queues: queues, Pace: 2 * time.Millisecond, Dialer: n.dialer, Over: s.over}
	n.taker = &ledger.NativeTaker{Home: s.rnd.IntN(3), Dialer: n.dialer, Stop: s.end("end", len(queues)-1), Over: s.gone}
	s.sending.Go(func() { n.sender.Run(s.l) })
}

// take has the takers begin, if they have not.
func (s *scene) take() {
	if !s.takes {
		s.takes = true
		s.taking.Go(func() { s.native.taker.Run(s.l) })
		for _, k := range s.takers {
			s.taking.Go(func() { k.Run(s.l) })
		}
	}
}

func (s *scene) own() *rand.Rand { return rand.New(rand.NewPCG(s.rnd.Uint64(), 0)) }

// nodes are where STOMP is spoken.
func (s *scene) nodes() []string { return s.listeners("stomp") }

func (s *scene) listeners(protocol string) (all []string) {
	for _, n := range s.c.Nodes {
		all = append(all, n.Where(protocol))
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

// ready waits until a node that was started counts again. Before that, the end of another one may leave no majority
// that has everything.
func (s *scene) ready(n *node.Node) {
	s.t.Helper()
	s.await("readiness", func() bool { return n.Status("/readyz") == 200 })
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
	s.t.Logf("native clients: %d PubAcks, %d deliveries", s.native.sender.Acked(), s.native.taker.Deliveries())
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
	for _, w := range s.verdict(anew) {
		s.t.Error(w)
	}
}

// verdict is finish for tests that want to know what is wrong.
func (s *scene) verdict(anew bool) []string {
	s.t.Helper()
	close(s.over)
	s.take()
	switch {
	case !within(s.patient, s.sending.Wait):
		return s.stuck("senders wait for receipts without end")
	case !s.marker("end"):
		return s.stuck("the last messages are not receipted")
	case !within(s.patient, s.taking.Wait):
		return s.stuck("takers wait without end for what is in their queues")
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
	for i, q := range queues {
		k := &ledger.Taker{Queue: q, Home: i % 3, Dialer: s.dialer, Rnd: s.rnd, Stop: s.end("last", i), Over: s.gone}
		s.takers = append(s.takers, k)
		s.taking.Go(func() { k.Run(s.l) })
	}
	if !s.marker("last") || !within(s.patient, s.taking.Wait) {
		return s.stuck("takers that came later wait without end for what is in their queues")
	}
	s.t.Logf("native clients: %d PubAcks, %d deliveries", s.native.sender.Acked(), s.native.taker.Deliveries())
	return s.l.Verdict(s.t.Logf)
}

// stuck explains why there is nothing more to be seen, and what is.
func (s *scene) stuck(why string) []string {
	s.explain()
	return append([]string{why}, s.l.Verdict(s.t.Logf)...)
}

// marker sends the message that ends each queue, and reports whether that was done in time.
func (s *scene) marker(name string) bool {
	var sending sync.WaitGroup
	for i, q := range queues {
		p := &ledger.Sender{Name: fmt.Sprintf("%s%d", name, i), Window: 1, Most: 1, Queues: []string{q}, Rnd: s.own(), Dialer: s.dialer}
		sending.Go(func() { p.Run(s.l) })
	}
	return within(s.patient, sending.Wait)
}

// fewDuplicates say nothing of a share: an owner that is cut off in one moment may hand out some dozens of which the others hear nothing.
const fewDuplicates = 400

// flagged demands that what nodes doubled was marked.
func (s *scene) flagged() {
	s.t.Helper()
	if s.l.Duplicates < fewDuplicates {
		s.t.Logf("%d of %d duplicates are not marked redelivered", s.l.Duplicates-s.l.Flagged, s.l.Duplicates)
		return
	}
	require.GreaterOrEqual(s.t, s.l.Flagged*100, s.l.Duplicates*95, "not marked redelivered: %s", strings.Join(s.l.Unflagged, "\n"))
}

// inOrder demands that not even a non-persistent message came late, where no owner was replaced that lived on.
func (s *scene) inOrder() {
	s.t.Helper()
	require.Zero(s.t, s.l.Late, "non-persistent messages came late")
}
