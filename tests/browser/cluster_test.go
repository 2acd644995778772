package browser

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/tests/node"
)

// Three nodes, one of which is killed with a page on it. What was promised is there, what was not is sent again, and
// the work that the page had is not forgotten.
func TestAPageGoesOnWhenItsNodeIsKilled(t *testing.T) {
	origin := site(t)
	c := node.NewCluster(t)
	c.Configure(configuration(origin))
	c.Launch()
	n1, n2, n3 := c.Nodes[0], c.Nodes[1], c.Nodes[2]
	b := browser(t)
	alice, bob := open(t, b, origin), open(t, b, origin)
	alice.connect(n1, n2, n3)
	bob.connect(n2, n3, n1)
	// Both are guests on one host and subscribe alike: their client-ids tell them apart. A node learns of what others
	// want to hear a moment after they were told that it is known.
	heard := 0
	alice.await("the nodes know both pages", func() bool {
		heard++
		alice.say(fmt.Sprint("probe ", heard))
		alice.stored()
		return len(bob.lines("chat")) > 0
	})
	bob.say("hello from bob")
	alice.await("bob is heard", func() bool { return slices.Contains(alice.lines("chat"), "hello from bob") })

	var promised, risked []string
	for i := range 8 {
		promised, risked = append(promised, fmt.Sprint("promised-", i)), append(risked, fmt.Sprint("risked-", i))
	}
	alice.give(promised...)
	alice.stored()
	alice.await("all work is given out", func() bool { return len(alice.work())+len(bob.work()) == len(promised) })
	done := map[string]int{}
	for _, p := range []*page{alice, bob} { // what is settled with a receipt stays so
		if work := p.work(); len(work) > 0 {
			p.settle(plain(work[0]), "Done")
			done[plain(work[0])]++
		}
	}
	alice.give(risked...)
	n1.Kill()
	alice.say("still here")
	alice.connected(n2, n3)
	alice.stored()
	for _, p := range []*page{alice, bob} {
		p.await("the chat goes on", func() bool { return slices.Contains(p.lines("chat"), "still here") })
	}
	bob.say("so am I")
	for _, p := range []*page{alice, bob} {
		p.await("the chat goes on both ways", func() bool { return slices.Contains(p.lines("chat"), "so am I") })
		require.Len(t, slices.DeleteFunc(p.lines("chat"), func(s string) bool { return s != "still here" }), 1, "what was sent again is shown once")
	}

	alice.await("all work is done", func() bool {
		for _, p := range []*page{alice, bob} {
			for _, piece := range p.work() {
				p.settle(plain(piece), "Done")
				done[plain(piece)]++
			}
		}
		return len(done) == len(promised)+len(risked)
	})
	for _, piece := range promised {
		require.Equal(t, 1, done[piece], "%s was done once and for good", piece)
	}
	for _, piece := range risked {
		require.Contains(t, done, piece)
	}
	require.Empty(t, append(alice.lines("errors"), bob.lines("errors")...))
	for _, p := range []*page{alice, bob} {
		p.click("#disconnect")
	}
	for _, m := range left(t, n2, "/queue/work") {
		require.Contains(t, risked, string(m.Body), "only what was sent again may be there twice")
	}
}

// plain is the body of a piece of work without the mark.
func plain(piece string) string { return strings.TrimSuffix(piece, " (again)") }
