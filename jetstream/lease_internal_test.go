package jetstream

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// realm is nodes that greet one another over links which are slow and are cut, and shards' leads that go to whoever reaches a majority. It
// has one shard.
type leaseRealm struct {
	t     *rapid.T
	now   int64
	nodes []*leaseNode
	cut   map[[2]int]bool
	epoch uint64
}

// leaseNode is one of them.
type leaseNode struct {
	*lease
	index int
	asked map[int]int64 // the latest time of each other node that it has heard
	until int64
	owns  uint64 // since when, 0 if it does not
	sole  bool
	inbox []leaseSheet
}

type leaseSheet struct {
	from       int
	sent, echo int64
	words      []word
}

func newLeaseRealm(t *rapid.T, n int) *leaseRealm {
	r := &leaseRealm{t: t, now: 1, cut: map[[2]int]bool{}}
	for i := range n {
		r.nodes = append(r.nodes, &leaseNode{lease: newLease(fmt.Sprint(i), n), index: i, asked: map[int]int64{}})
	}
	return r
}

func (r *leaseRealm) linked(a, b int) bool { return !r.cut[[2]int{min(a, b), max(a, b)}] }

// greet has a node greet all that it reaches.
func (r *leaseRealm) greet(n *leaseNode) {
	for i, to := range r.nodes {
		if i != n.index && r.linked(i, n.index) {
			to.inbox = append(to.inbox, leaseSheet{n.index, r.now, n.asked[i], n.words(r.now)})
		}
	}
}

// round has all nodes but one greet, and read what they were sent.
func (r *leaseRealm) round(paused *leaseNode) {
	r.now += int64(greetEvery)
	for _, n := range r.nodes {
		if n != paused {
			r.greet(n)
		}
	}
	for _, n := range r.nodes {
		for n != paused && len(n.inbox) > 0 {
			r.read(n)
		}
	}
}

// read has a node read what it was sent first.
func (r *leaseRealm) read(n *leaseNode) {
	s := n.inbox[0]
	n.inbox = n.inbox[1:]
	var claims []claim
	for _, w := range s.words {
		claims = append(claims, w.claim)
	}
	for _, c := range n.unknown(claims) {
		n.act(c, r.now)
	}
	n.asked[s.from] = max(n.asked[s.from], s.sent)
	n.hear(fmt.Sprint(s.from), s.echo, s.words, false, r.now)
	n.until = max(n.until, n.lease.until())
}

// elect has a node own the shard, if a majority hears it. The owner before does not notice.
func (r *leaseRealm) elect(n *leaseNode) {
	reached := 0
	for i := range r.nodes {
		if i == n.index || r.linked(i, n.index) {
			reached++
		}
	}
	if reached <= len(r.nodes)/2 || r.now >= n.until {
		return
	}
	r.epoch++
	n.owns, n.sole = r.epoch, false
	n.act(claim{tenure{0, r.epoch}, n.node}, r.now)
}

// handsOut reports whether a node would hand something out now.
func (r *leaseRealm) handsOut(n *leaseNode) bool {
	if n.owns == 0 || n.epoch(0) != n.owns {
		return false
	}
	n.sole = n.sole || n.lease.sole(tenure{0, n.owns}, r.now)
	return n.sole && r.now < n.until
}

func (r *leaseRealm) owners() (who []int) {
	for _, n := range r.nodes {
		if r.handsOut(n) {
			who = append(who, n.index)
		}
	}
	return who
}

// Whatever is cut and however late greetings come, two nodes never hand out of one shard at the same time; and when everything is whole again, the last owner does.
func TestTwoOwnersNeverHandOutAtOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := newLeaseRealm(t, rapid.SampledFrom([]int{3, 5}).Draw(t, "nodes"))
		any := func(what string) int { return rapid.IntRange(0, len(r.nodes)-1).Draw(t, what) }
		r.round(nil)
		r.round(nil)
		r.elect(r.nodes[0])
		r.round(nil)
		for range rapid.IntRange(0, 100).Draw(t, "steps") {
			switch rapid.SampledFrom([]string{"round", "round", "round", "wait", "greet", "read", "elect", "cut", "heal", "lose"}).Draw(t, "what") {
			case "round": // one of them stands still
				r.round(r.nodes[any("paused")])
			case "wait":
				r.now += int64(rapid.IntRange(1, 300).Draw(t, "time")) * int64(time.Millisecond)
			case "greet":
				r.greet(r.nodes[any("who")])
			case "read":
				if n := r.nodes[any("who")]; len(n.inbox) > 0 {
					r.read(n)
				}
			case "elect":
				r.elect(r.nodes[any("who")])
			case "cut":
				a, b := any("a"), any("b")
				r.cut[[2]int{min(a, b), max(a, b)}] = true
			case "heal":
				clear(r.cut)
			case "lose":
				n := r.nodes[any("who")]
				n.inbox = nil
			}
			if who := r.owners(); len(who) > 1 {
				t.Fatalf("at %v nodes %v hand out", time.Duration(r.now), who)
			}
		}
		r.heal()
	})
}

// heal links all nodes and has them greet one another until there is one that hands out.
func (r *leaseRealm) heal() {
	clear(r.cut)
	for round := range 30 {
		r.round(nil)
		if round == 2 {
			r.elect(r.nodes[0])
		}
		if who := r.owners(); len(who) > 1 {
			r.t.Fatalf("nodes %v hand out", who)
		} else if round > 2+int(contactFor/greetEvery)+3 && !slices.Equal(who, []int{0}) {
			r.t.Fatalf("%v hand out, and not the owner", who)
		}
	}
}

// Where all nodes are there, the next owner does not wait for any time to pass.
func TestAnOwnerThatAllKnowHandsOutAtOnce(t *testing.T) {
	l := newLease("a", 3)
	own := tenure{4, 9}
	l.act(claim{own, "a"}, 100)
	for i, node := range []string{"b", "c"} {
		require.False(t, l.sole(own, 100))
		l.hear(node, 50, []word{{claim{own, "a"}, false}}, false, int64(100+i))
	}
	require.True(t, l.sole(own, 101))
	require.False(t, l.sole(tenure{4, 8}, 101), "an owner of before")
}

// An owner that is dead has been silent for long enough when the next one is elected: nobody waits for it again.
func TestAnOwnerAfterADeadOneHandsOutAtOnce(t *testing.T) {
	a, c := newLease("a", 3), newLease("c", 3)
	long, own := int64(contactFor), tenure{0, 2}
	for _, l := range []*lease{a, c} {
		l.hear("b", 1, nil, false, 1)
	}
	a.act(claim{own, "a"}, 2*long)
	c.hear("a", 1, a.words(2*long), false, 2*long)
	require.False(t, a.sole(own, 2*long))
	for _, n := range c.unknown([]claim{{own, "a"}}) {
		c.act(n, 2*long+1)
	}
	a.hear("c", 1, c.words(2*long+1), false, 2*long+2)
	require.True(t, a.sole(own, 2*long+2))
}

// Nodes of an older build say nothing of owners. The next one waits for as long as any lease lasts.
func TestAnOwnerAmongOlderBuildsWaits(t *testing.T) {
	l, own := newLease("a", 3), tenure{0, 2}
	l.act(claim{own, "a"}, 0)
	l.hear("b", 1, nil, true, int64(contactFor))
	require.False(t, l.sole(own, int64(contactFor)))
	require.True(t, l.sole(own, int64(contactFor)+1))
}

func TestWordsComeBackAsTheyWere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		words := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) word {
			return word{claim{
				tenure{rapid.IntRange(0, MaxShards-1).Draw(t, "shard"), rapid.Uint64().Draw(t, "epoch")}, rapid.StringN(0, 5, -1).Draw(t, "node"),
			}, rapid.Bool().Draw(t, "barred")}
		}), 0, MaxShards).Draw(t, "words")
		s, err := readSheet(appendSheet(nil, &sheet{from: 1, speaks: language, words: words, frames: []byte("x")}))
		require.NoError(t, err)
		require.ElementsMatch(t, words, s.words)
		require.Equal(t, []byte("x"), s.frames)
	})
}
