package jetstream

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFactsAreReadAsTheyWereWritten(t *testing.T) {
	for _, want := range []factRecord{{op: factThere, key: "feed/x", value: []byte("v")}, {op: factThere, key: "k", value: []byte{}}, {op: factGone, key: "k", value: []byte{}}} {
		got, err := decodeFact(appendFact(nil, want.op, want.key, want.value))
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	f, err := decodeFact(appendFact(nil, factAll, "", appendSince(300)))
	require.NoError(t, err)
	require.EqualValues(t, 300, f.since)
}

func FuzzFacts(f *testing.F) {
	f.Add(appendFact(nil, factThere, "feed/x", []byte("v")))
	f.Add(appendFact(nil, factAll, "", appendSince(1<<40)))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := decodeFact(b)
		if err != nil || r.op == factAll {
			return
		}
		again, err := decodeFact(appendFact(nil, r.op, r.key, r.value))
		require.NoError(t, err)
		require.Equal(t, r, again)
	})
}

// What a power cut brings back of what was given up is not there again.
func TestWhatWasGivenUpStaysAway(t *testing.T) {
	r := &registry{facts: make(map[string]fact), next: 1}
	for seq, record := range [][]byte{
		appendFact(nil, factThere, "dead", []byte("x")), appendFact(nil, factThere, "alive", []byte("1")),
		appendFact(nil, factThere, "alive", []byte("1")), appendFact(nil, factAll, "", appendSince(3)), appendFact(nil, factThere, "new", []byte("2")),
	} {
		require.NoError(t, r.take(uint64(seq+1), record))
	}
	require.Equal(t, map[string]fact{"alive": {[]byte("1"), 3}, "new": {[]byte("2"), 5}}, r.facts)
	require.Error(t, r.take(6, []byte("nonsense")))
}
