package past

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
)

// A shard remembers a bounded number of producers. Of one that it has forgotten it takes no remains: it cannot know.
func TestForgottenProducersHaveNoRemains(t *testing.T) {
	r := Remains{trails: make(map[producer]*uint64)}
	id := func(session, number int) *gateway.Message {
		return &gateway.Message{ID: fmt.Sprintf("ID:n1-1-1-0:%d:-1:1:%d", session, number)}
	}
	remain := func(m *gateway.Message) bool { return !r.Passed("q", m) }
	handOut := func(session, number int) { r.HandOut("q", id(session, number)) }
	handOut(0, 7)
	require.False(t, remain(id(0, 6)))
	require.False(t, remain(id(0, 7)), "it was handed out")
	require.True(t, remain(id(0, 8)))
	require.True(t, remain(id(1, 1)), "nothing of that one was")
	require.False(t, r.Passed("other", id(0, 1)), "in another queue")
	require.True(t, remain(&gateway.Message{ID: "made up"}), "nobody numbers it")
	for i := range trailsMost - 1 {
		handOut(10+i, 1)
	}
	require.True(t, remain(id(0, 9)), "it is still known")
	require.False(t, remain(id(0, 5)))
	for i := range 2 * trailsMost {
		handOut(1_000_000+i, 1)
	}
	require.False(t, remain(id(0, 10)), "that one was forgotten")
	require.LessOrEqual(t, len(r.trails)+len(r.old), 2*trailsMost)
}

func TestIDsThatAreNoNumbersAreInNoOrder(t *testing.T) {
	for id, want := range map[string]uint64{"ID:n1-1-2-0:3:-1:1:25": 25, "": 0, "a": 0, "a:": 0, "a:b": 0, "a:-1": 0} {
		session, number := numbered(id)
		require.Equal(t, want, number, id)
		require.Equal(t, want != 0, session != "", id)
	}
}

// The tenure that follows another one knows all that was handed out since.
func TestWhoFollowsWhom(t *testing.T) {
	found := NewReplay(nil)
	for seq, r := range []gateway.Record{{Type: gateway.RecordEpoch, Node: "n1"}, {Type: gateway.RecordSettle}, {Type: gateway.RecordEpoch}, {Type: gateway.RecordEpoch, Node: "n2"}} {
		require.NoError(t, found.Record(uint64(10+seq), 0, &r))
	}
	r := Remains{}
	r.Begin(0, found)
	require.True(t, r.Follows(10))
	require.True(t, r.Follows(11))
	require.False(t, r.Follows(9), "there was n1 since")
	trimmed := Remains{from: 20}
	require.True(t, trimmed.Follows(19))
	require.False(t, trimmed.Follows(18), "whoever trimmed that was an owner since")
}

// What the order of non-persistent messages costs each of them in a cluster.
func BenchmarkHandOutInOrder(b *testing.B) {
	r := Remains{trails: make(map[producer]*uint64)}
	messages := make([]*gateway.Message, 1000)
	for i := range messages {
		messages[i] = &gateway.Message{ID: fmt.Sprintf("ID:n3-41908-1795288121531-0:%d:-1:1:%d", i%50, i)}
	}
	b.ReportAllocs()
	for i := range b.N {
		r.HandOut("faults.a", messages[i%1000])
	}
}
