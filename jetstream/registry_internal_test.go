package jetstream

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway/gatewaytest"
	"github.com/sluice-mq/sluice/jetstream/embed"
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

// Who wants to know whether anything is missing asks one question, however many facts there are.
func TestNothingMissingIsOneQuestion(t *testing.T) {
	s := open(t)
	r := s.Registry()
	for i := range 600 {
		_, err := r.Put(t.Context(), fmt.Sprint("k/", i), []byte("v"))
		require.NoError(t, err)
	}
	nc, err := s.cfg.Server.Connect(embed.Store, "who counts")
	require.NoError(t, err)
	defer nc.Close()
	var asked atomic.Int64
	for _, subject := range []string{"$JS.API.DIRECT.GET.FACTS", "$JS.API.STREAM.MSG.GET.FACTS"} {
		_, err := nc.Subscribe(subject, func(*nats.Msg) { asked.Add(1) })
		require.NoError(t, err)
	}
	require.NoError(t, nc.Flush())
	const times = 40
	for range times {
		require.NoError(t, r.CatchUp(t.Context()))
	}
	require.NoError(t, nc.Flush())
	gatewaytest.Eventually(t, func() bool { return asked.Load() >= times }, "it asks")
	require.LessOrEqual(t, asked.Load(), int64(times+4), "beside what followed the last facts")
}
