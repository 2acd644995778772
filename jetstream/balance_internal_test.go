package jetstream

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// Whatever the beginning, moves come to an end: nobody who leaves has a shard if somebody else could have it, and
// nobody has two more than another.
func TestSharesBecomeEven(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var all []Node
		stays := 0
		for i := range rapid.IntRange(1, 5).Draw(t, "nodes") {
			n := Node{Name: fmt.Sprintf("n%d", i), Linked: true, Leaving: rapid.Bool().Draw(t, "leaving")}
			if !n.Leaving {
				stays++
			}
			all = append(all, n)
		}
		shards := rapid.IntRange(0, 12).Draw(t, "shards")
		for i := range shards {
			at := rapid.IntRange(0, len(all)-1).Draw(t, "owner")
			all[at].Owns = append(all[at].Owns, i)
		}
		for moves := 0; ; moves++ {
			require.LessOrEqual(t, moves, shards)
			giver, shard, to := -1, 0, ""
			for i := range all {
				n, who, ok := surplus(all[i].Name, all, false)
				if !ok {
					continue
				}
				if giver >= 0 && !all[i].Leaving && !all[giver].Leaving {
					t.Fatal("two give for balance at once")
				}
				giver, shard, to = i, n, who
			}
			if giver < 0 {
				break
			}
			all[giver].Owns = all[giver].Owns[:len(all[giver].Owns)-1]
			for i := range all {
				if all[i].Name == to {
					all[i].Owns = append(all[i].Owns, shard)
				}
			}
		}
		if stays == 0 {
			return
		}
		for _, n := range all {
			if n.Leaving {
				require.Empty(t, n.Owns, n.Name)
				continue
			}
			require.InDelta(t, float64(shards)/float64(stays), len(n.Owns), 1)
		}
	})
}

func TestNobodyGivesToANodeWithoutALink(t *testing.T) {
	all := []Node{{Name: "a", Linked: true, Owns: []int{0, 1, 2}}, {Name: "b"}}
	_, _, ok := surplus("a", all, false)
	require.False(t, ok)
	all[0].Leaving = true
	_, _, ok = surplus("a", all, false)
	require.False(t, ok, "better here than nowhere")
	all[1].Linked = true
	_, to, ok := surplus("a", all, true)
	require.True(t, ok)
	require.Equal(t, "b", to)
}
