package jetstream

import (
	"bytes"
	"context"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/jetstream/embed"
)

func open(t *testing.T) *Store {
	t.Helper()
	dir, log := t.TempDir(), slog.New(slog.DiscardHandler)
	ns, err := embed.Start(context.Background(), embed.Config{Name: "n1", Dir: dir, MaxPayload: MaxRecord, Logger: log})
	require.NoError(t, err)
	t.Cleanup(ns.Stop)
	s, err := Open(context.Background(), Config{Dir: dir, Server: ns, Node: "n1", Shards: 1, Sync: true, Logger: log})
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close(context.Background()) })
	return s
}

// heard keeps what a record was told.
type heard chan error

func (h heard) Appended(_ uint64, err error) { h <- err }

func settled() *gateway.Record {
	return &gateway.Record{Type: gateway.RecordSettle, Settled: []uint64{1}}
}

// The server's answers are what tells a slow stream from a broken one: an update of
// the server may change their words.
func TestOnlyABrokenStreamIsBroken(t *testing.T) {
	s := open(t)
	j := s.journals[0]
	require.False(t, s.isBroken(context.Background(), j.stream), "an empty stream")
	h := make(heard, 1)
	j.Append(settled(), h)
	require.NoError(t, <-h)
	require.False(t, s.isBroken(context.Background(), j.stream), "a stream with records")
	j.stream = "Q_99"
	require.True(t, s.isBroken(context.Background(), j.stream), "no such stream")
}

// A process that was stopped for long has looked only once since.
func TestStallIsCountedInLooks(t *testing.T) {
	j := &journal{}
	require.Zero(t, j.stalled())
	j.flight.push(request{record: settled()})
	require.Equal(t, 1, j.stalled())
	require.Equal(t, 2, j.stalled())
	j.answers++
	require.Zero(t, j.stalled(), "an answer came")
	require.Equal(t, 1, j.stalled())
	j.flight.pop()
	require.Zero(t, j.stalled(), "nothing is owed")
}

// Whoever waits for a journal that fails is told, whether its record was published or not.
func TestFailedJournalAnswersEverybody(t *testing.T) {
	s := open(t)
	j := s.journals[0]
	j.hold(true)
	h := make(heard, 3)
	j.Append(settled(), h)
	j.mu.Lock()
	j.flight.push(request{settled(), h}) // published, and never answered
	j.mu.Unlock()
	j.fail(context.Canceled)
	for range 2 {
		require.Equal(t, gateway.Unavailable, gateway.KindOf(<-h))
	}
	j.Append(settled(), h)
	require.Equal(t, gateway.Unavailable, gateway.KindOf(<-h))
	require.Error(t, s.Err())
}

// Mending a healthy store, should it ever come to that, loses nothing.
func TestMendResumes(t *testing.T) {
	s := open(t)
	j := s.journals[0]
	h := make(heard, 1)
	for range 10 {
		j.Append(settled(), h)
		require.NoError(t, <-h)
	}
	require.NoError(t, s.quiet(context.Background()))
	require.NoError(t, j.resume(context.Background()))
	j.Append(settled(), h)
	require.NoError(t, <-h)
	require.Equal(t, uint64(11), j.State().Last)
}

// A store that is started again inside the process has its records and takes more.
func TestReviveFindsTheStoreAgain(t *testing.T) {
	s := open(t)
	j := s.journals[0]
	h := make(heard, 1)
	for round := range uint64(3) { // more than once: each must find the same directory
		for range 10 {
			j.Append(settled(), h)
			require.NoError(t, <-h)
		}
		j.hold(true)
		require.NoError(t, s.revive(context.Background()))
		require.Equal(t, 10*(round+1), j.State().Last)
		n := uint64(0)
		require.NoError(t, j.Replay(context.Background(), func(uint64, int, *gateway.Record) error { n++; return nil }))
		require.Equal(t, 10*(round+1), n)
	}
	require.NoError(t, s.Err())
}

// Who looks only at the log learns why sends fail, once and not with each look.
func TestLackOfSpaceIsLoggedOnce(t *testing.T) {
	var log bytes.Buffer
	s := &Store{cfg: Config{Logger: slog.New(slog.NewTextHandler(&log, nil))}, space: space{reserve: 100}}
	said := func(free int64) string {
		log.Reset()
		s.space.free.Store(free)
		s.tellSpace()
		return log.String()
	}
	require.Empty(t, said(101))
	require.Contains(t, said(100), "level=WARN msg=\"no space left")
	require.Empty(t, said(99))
	require.Contains(t, said(101), "space again")
	require.Empty(t, said(101))
}
