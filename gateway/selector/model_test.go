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

// texts are all texts over an alphabet, up to a length.
func texts(alphabet string, longest int) (all []string) {
	all = []string{""}
	last := all
	for range longest {
		var next []string
		for _, s := range last {
			for _, r := range alphabet {
				next = append(next, s+string(r))
			}
		}
		all, last = append(all, next...), next
	}
	return all
}

// TestLikeIsWhatItSays for every short pattern and text.
func TestLikeIsWhatItSays(t *testing.T) {
	values := texts("aé%", 4)
	for _, pattern := range texts("aé%_!", 4) {
		for _, escape := range []rune{-1, '!', 'a'} {
			l := parseLike(pattern, escape)
			for _, s := range values {
				if want := modelLike([]rune(pattern), []rune(s), escape); want != l.matches(&environment{}, s) {
					t.Fatalf("%q LIKE %q ESCAPE %q: want %v", s, pattern, escape, want)
				}
			}
		}
	}
}

// TestNumbersAreReadAsJavaReadsThem, for every short text.
func TestNumbersAreReadAsJavaReadsThem(t *testing.T) {
	for _, s := range append(texts("+-01.eD \n", 5), "NaN", "-NaN", "+Infinity", "-Infinity", "--NaN", "nan", "Inf", "inf", "Infinityd", "0x1p3", "1_0", "1e999", "٣",
		"2147483647", "2147483648", "-2147483648", "-2147483649", "9223372036854775807", "9223372036854775808", "-9223372036854775808", "-9223372036854775809",
		"9223372036854775800", "92233720368547758070", "00000000000000000000000000000001") {
		for _, like := range []any{int32(0), int64(0), 0.0} {
			as, kind := as(s, like), map[any]kind{int32(0): integer, int64(0): long, 0.0: double}[like]
			v, ok := Text(s).parse(kind)
			if ok != (as != nil) {
				t.Fatalf("%q is read as %T: %v", s, like, ok)
			}
			if f, isFloat := as.(float64); isFloat {
				require.Zero(t, compare(Double(f), v), "%q", s)
			} else if ok {
				require.Equal(t, toInt(as), v.n, "%q", s)
			}
		}
	}
}
