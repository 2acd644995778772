package lead_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sluice-mq/sluice/protocols/pubsub/lead"
	"github.com/sluice-mq/sluice/protocols/pubsub/resource"
)

// All nodes choose the same leader whatever the order they know the nodes in, and when one goes, only what it led changes hands.
func TestLeader(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		nodes := rapid.SliceOfNDistinct(rapid.StringMatching(`n[0-9]{1,3}`), 1, 7, rapid.ID[string]).Draw(t, "nodes")
		other := rapid.Permutation(nodes).Draw(t, "in another order")
		gone := rapid.IntRange(0, len(nodes)-1).Draw(t, "gone")
		rest := append(append([]string{}, nodes[:gone]...), nodes[gone+1:]...)
		for i := range 20 {
			sub := fmt.Sprintf("%d-%s", i, rapid.String().Draw(t, "subscription"))
			leader := lead.Leader(sub, nodes)
			if lead.Leader(sub, other) != leader {
				t.Fatal("two nodes choose another leader")
			}
			if len(rest) > 0 && leader != nodes[gone] && lead.Leader(sub, rest) != leader {
				t.Fatal("a subscription was taken from a node that lives")
			}
		}
	})
	require.Empty(t, lead.Leader("s", nil))
	led := map[string]int{}
	for i := range 3000 {
		led[lead.Leader(resource.NewID()+fmt.Sprint(i), []string{"n1", "n2", "n3"})]++
	}
	for node, n := range led {
		require.InDelta(t, 1000, n, 200, node)
	}
}
