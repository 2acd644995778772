package nats

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// Alarms ring once, in order, at the time they were last put to, unless they were stopped.
func TestAlarms(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var set alarms
		all := make([]*alarm, 8)
		want := map[*alarm]int64{}
		for i := range all {
			all[i] = &alarm{}
		}
		for range rapid.IntRange(1, 60).Draw(t, "events") {
			a := rapid.SampledFrom(all).Draw(t, "alarm")
			switch at := rapid.Int64Range(0, 100).Draw(t, "at"); rapid.IntRange(0, 3).Draw(t, "event") {
			case 0:
				set.stop(a)
				delete(want, a)
			case 1:
				var due []int64
				for a := set.due(at); a != nil; a = set.due(at) {
					require.Equal(t, want[a], a.at)
					due = append(due, a.at)
					delete(want, a)
				}
				require.True(t, slices.IsSorted(due))
				for _, left := range want {
					require.Greater(t, left, at)
				}
			default:
				next := set.put(a, at)
				want[a] = at
				require.Equal(t, next, set[0] == a)
			}
			require.Len(t, set, len(want))
		}
	})
}
