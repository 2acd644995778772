package dispatch

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
)

// putAt stores a message at a place.
func (s *store) putAt(tag uint64, m *gateway.Message) {
	s.msgs = append(s.msgs, m)
	s.q.Stored(Entry{Tag: tag, Seq: uint64(len(s.msgs)), Size: 100, Lane: LaneOf(m), Message: m}, 1, &s.fx)
	s.settle()
}

// What is known of the last one is not said of one that comes before it.
func TestWhatComesBeforeOthersIsNotTakenForTheLast(t *testing.T) {
	s := newStore(Config{WindowMessages: 64, WindowBytes: 1 << 20})
	reds := selecting(t, "color = 'red'")
	reds.Prefetch = 1
	s.subscribe(1, reds)
	s.putAt(1000, colored("red"))
	s.putAt(1001, colored("red"))
	s.putAt(10, colored("blue"))
	s.putAt(11, colored("red"))
	for _, tag := range []uint64{1000, 11} {
		require.NoError(t, s.q.Ack(1, []uint64{tag}, 1, &s.fx))
		s.settle()
	}
	require.Equal(t, []uint64{1000, 11, 1001}, s.got[1])
	s.subscribe(2, Consumer{Prefetch: 10})
	require.Equal(t, []uint64{10}, s.got[2])
}

// Records of what comes before others are behind theirs: what the journal is needed for, and what acknowledgements name, is found all the same.
func TestWhatComesBeforeOthersHasLaterRecords(t *testing.T) {
	s := newStore(Config{WindowMessages: 64, WindowBytes: 1 << 20})
	const each = 2 * chunkFull
	for i := range uint64(each) {
		s.putAt(10_000+i, colored("red"))
	}
	for i := range uint64(each) {
		s.putAt(10+i, colored("red"))
	}
	low, ok := s.q.LowestSeq()
	require.True(t, ok)
	require.EqualValues(t, 1, low)
	s.q.AckSeqs([]uint64{1, 2}, 1, &s.fx)
	require.Equal(t, 2*each-2, s.q.Stats().Waiting)
	oldest := s.q.Oldest(1)
	require.EqualValues(t, 3, oldest[0].Seq)
}
