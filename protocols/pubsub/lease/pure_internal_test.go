package lease

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sluice-mq/sluice/gateway"
)

func TestProgressComesBackAsItWas(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := newProgress(rapid.Uint64Range(1, 1<<40).Draw(t, "next"))
		for range rapid.IntRange(0, 100).Draw(t, "open") {
			first := rapid.Uint64Range(0, p.next-1).Draw(t, "offset")
			count := rapid.Uint32Range(0, 3).Draw(t, "count")
			for i := range rapid.Uint64Range(1, 5).Draw(t, "run") {
				if first+i < p.next {
					p.open[first+i] = count
				}
			}
		}
		again, err := decodeProgress(p.encode(), p.next)
		require.NoError(t, err)
		require.Equal(t, p, again)
		low := p.next
		for offset := range p.open {
			low = min(low, offset)
		}
		require.Equal(t, low, p.low())
	})
	none, err := decodeProgress(nil, 7)
	require.NoError(t, err)
	require.Equal(t, newProgress(7), none)
}

// The worst that can be open is a fact that can be kept.
func TestProgressIsAFact(t *testing.T) {
	p := newProgress(1 << 40)
	for len(p.open) < openMost {
		p.open[rand.Uint64N(p.next)] = rand.Uint32N(1 << 14)
	}
	require.Less(t, len(p.encode())*4/3+1000, gateway.MaxFact)
}

func FuzzProgress(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{1})
	f.Add([]byte{1, 2, 3, 0, 1, 1, 2})
	f.Add([]byte{1, 0, 255, 255, 3, 0})
	f.Add([]byte{1, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1, 1, 0})
	f.Add([]byte{2, 10})
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := decodeProgress(b, 1<<40)
		if err != nil {
			return
		}
		require.LessOrEqual(t, len(p.open), openMost)
		again, err := decodeProgress(p.encode(), 1<<40)
		require.NoError(t, err)
		require.Equal(t, p, again)
	})
}

func TestAckIDs(t *testing.T) {
	for _, d := range []delivery{{}, {1, 2, 3, 4}, {math.MaxUint64, math.MaxUint64, math.MaxUint64, math.MaxUint64}} {
		text := d.text("secret", "sub")
		require.Less(t, len(text), mostID)
		got, ok := readDelivery(text, "secret", "sub")
		require.True(t, ok)
		require.Equal(t, d, got)
		for _, of := range [][2]string{{"secret", "another"}, {"another", "sub"}, {"", ""}} {
			_, ok = readDelivery(text, of[0], of[1])
			require.False(t, ok)
		}
		for i := range len(text) {
			wrong := []byte(text)
			wrong[i] ^= 1
			_, ok = readDelivery(string(wrong), "secret", "sub")
			require.False(t, ok, "%s", wrong)
		}
	}
}

func FuzzAckID(f *testing.F) {
	f.Add(delivery{1, 2, 3, 4}.text("secret", "sub"))
	f.Add("")
	f.Add("AAAAAAAAAAAAAAAAAAAAAAAA")
	f.Fuzz(func(t *testing.T, text string) {
		if d, ok := readDelivery(text, "secret", "sub"); ok {
			require.Equal(t, text, d.text("secret", "sub"))
		}
	})
}
