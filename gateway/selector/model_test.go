package selector

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// TestSelectorsSayWhatANaiveReadingSays, in all three truth values.
func TestSelectorsSayWhatANaiveReadingSays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := maker{func(k int) int { return rapid.IntRange(0, k-1).Draw(t, "choice") }}
		p := g.condition(3)
		s, err := Parse(p.text)
		require.NoError(t, err, p.text)
		for range 4 {
			m := g.message()
			e := environment{message: m, convert: true}
			var got any
			if v := s.root.eval(&e); v.kind == boolean {
				got = v.isTrue()
			}
			require.Equal(t, p.eval(m), got, "%s with %+v", p.text, m)
			require.Equal(t, got == true, s.MatchMessage(m, 0))
		}
	})
}
