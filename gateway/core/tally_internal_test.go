package core

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway/dispatch"
)

// What a queue that is forgotten has counted is there when it comes again; of how many, and of how many topics, is bounded.
func TestCountsOutliveTheirQueue(t *testing.T) {
	s := &shard{queues: make(map[string]*queue)}
	of := func(name string) *queue {
		q := &queue{name: name, Queue: dispatch.NewQueue(dispatch.Config{})}
		s.remember(q)
		return q
	}
	q := of("q")
	for i := range 40 {
		e := dispatch.Entry{Tag: uint64(i + 1), Size: 10, Seq: uint64(i + 1)}
		var fx dispatch.Effects
		q.tally.count(q.Queue, &e, int64(i))
		q.Stored(e, int64(i), &fx)
	}
	require.EqualValues(t, 1, q.tally.watched, "as long as it waits")
	q.tally.handed(100)
	q.Purge(&dispatch.Effects{})
	s.forget(q)
	again := of("q")
	counts := again.counted()
	require.EqualValues(t, []uint64{40, 40, 400}, []uint64{counts.Enqueued, counts.Dequeued, counts.Bytes})
	require.EqualValues(t, 100, counts.Most)
	require.Empty(t, s.tallies)
	s.forget(of("unused"))
	require.Empty(t, s.tallies)
	for i := range 2 * talliesMost {
		q := of(strconv.Itoa(i))
		q.tally.Enqueued = 1
		s.forget(q)
	}
	require.Len(t, s.tallies, talliesMost)
	require.Contains(t, s.tallies, strconv.Itoa(2*talliesMost-1))

	var topics topicTallies
	for i := range topicsRemembered + 10 {
		topics.of(strconv.Itoa(i)).in.Add(1)
	}
	require.Len(t, topics.all, topicsRemembered)
	require.EqualValues(t, 1, topics.of(strconv.Itoa(topicsRemembered)).in.Load())
	require.Zero(t, topics.of("0").in.Load(), "it was the oldest")
	require.Nil(t, topics.of(tempMark+"x"))
}
