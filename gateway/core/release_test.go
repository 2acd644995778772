package core_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
)

// What a subscription gives back takes its old place and goes to whoever has the turn; it counts as
// handed out if its holder says so, also after a restart.
func TestGivenBackMessagesTakeTheirOldPlaces(t *testing.T) {
	w := newWorld(t)
	s := w.session()
	w.send(s, queue("a"), true, numbers(0, 6)...)
	first := w.subscribe(s, queue("a"), 3, false)
	got := first.next(3)
	first.Extend(-3)
	require.NoError(t, first.Release(tags(got[:1]), gateway.Return{Redelivered: false}))
	require.NoError(t, first.Release(tags(got[1:]), gateway.Return{Redelivered: true}))
	require.Equal(t, gateway.NotFound, gateway.KindOf(first.Release(tags(got[:1]), gateway.Return{Redelivered: true})), "it has it no more")

	second := w.subscribe(s, queue("a"), 6, false)
	again := second.next(6)
	require.Equal(t, numbers(0, 6), bodies(again))
	for i, want := range []uint32{0, 1, 1, 0, 0, 0} {
		require.Equal(t, want, again[i].Redeliveries, "message %d", i)
	}
	second.ack(again[3:]...)
	require.NoError(t, second.Release(tags(again[:3]), gateway.Return{Redelivered: true}))
	second.Close()
	w.restart()
	last := w.subscribe(w.session(), queue("a"), 6, false).next(3)
	require.Equal(t, numbers(0, 3), bodies(last))
	for i, least := range []uint32{1, 2, 2} {
		require.GreaterOrEqual(t, last[i].Redeliveries, least, "message %d", i)
	}
}

func TestReleasedTopicMessagesAreForgotten(t *testing.T) {
	w := newWorld(t)
	s := w.session()
	c := w.subscribe(s, topic("t"), 2, false)
	w.send(s, topic("t"), false, "x", "y", "z")
	got := c.next(2)
	require.NoError(t, c.Release(tags(got), gateway.Return{Redelivered: true}))
	require.Equal(t, gateway.NotFound, gateway.KindOf(c.Release(tags(got), gateway.Return{Redelivered: true})))
	require.Equal(t, []string{"z"}, bodies(c.next(1)), "there is room for the next")
}

func TestQueueSnapshot(t *testing.T) {
	w := newWorld(t)
	_, known := w.broker.Queue("a")
	require.False(t, known)
	s := w.session()
	w.send(s, queue("a"), true, "x", "y")
	w.subscribe(s, queue("a"), 1, false).next(1)
	state, known := w.broker.Queue("a")
	require.True(t, known)
	require.Equal(t, 1, state.Waiting)
	require.Equal(t, 1, state.InFlight)
}
