package past_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/past"
)

// moody is an archive of one shard with messages of two queues, whose answers fail every now and then.
type moody struct {
	asked int
	fails func(asked int) bool
}

var errMood = errors.New("nobody leads it")

const ofEach = 300 // more than are read at once

func (m *moody) mood() error {
	if m.asked++; m.fails(m.asked) {
		return errMood
	}
	return nil
}

func (m *moody) Shards() int { return 1 }

func (m *moody) Read(context.Context, int) (gateway.Reader, error) { return m, m.mood() }

func (m *moody) message(seq uint64) *gateway.Message {
	return &gateway.Message{ID: fmt.Sprint(seq), Destination: gateway.Destination{Kind: gateway.KindQueue, Name: fmt.Sprint("q", seq%2)}, Persistent: true}
}

func (m *moody) Replay(_ context.Context, fn func(seq uint64, size int, r *gateway.Record) error) error {
	for seq := uint64(1); seq <= 2*ofEach; seq++ {
		if seq%200 == 0 { // in the midst of it
			if err := m.mood(); err != nil {
				return err
			}
		}
		if err := fn(seq, 1, &gateway.Record{Type: gateway.RecordMessage, Message: m.message(seq)}); err != nil {
			return err
		}
	}
	return nil
}

func (m *moody) Load(_ string, seqs []uint64, done func([]*gateway.Message, error)) {
	all := make([]*gateway.Message, 0, len(seqs))
	for _, seq := range seqs {
		all = append(all, m.message(seq))
	}
	if err := m.mood(); err != nil {
		done(nil, err)
		return
	}
	done(all, nil)
}

// A shard that cannot be read for a while is exported once, whole and in order, wherever in it that happens; and when patience ends, so does the export.
func TestAnExportGoesOnAfterAShardCouldNotBeRead(t *testing.T) {
	var want []string
	for _, first := range []int{2, 1} {
		for i := range ofEach {
			want = append(want, fmt.Sprint(first+2*i))
		}
	}
	for at := 1; at <= 12; at++ {
		for _, long := range []int{1, 3} {
			m := &moody{fails: func(asked int) bool { return asked >= at && asked < at+long }}
			row := 0
			var got []string
			require.NoError(t, past.Export(t.Context(), m, func(_ context.Context, failures int, err error) error {
				require.ErrorIs(t, err, errMood)
				row++
				require.Equal(t, row, failures)
				return nil
			}, func(e past.Exported) error {
				require.Equal(t, len(got), e.Number)
				got = append(got, e.Message.ID)
				return nil
			}))
			require.Equal(t, want, got, "asked %d", at)
		}
	}

	errEnough := errors.New("that was enough")
	m := &moody{fails: func(asked int) bool { return asked > 6 }}
	err := past.Export(t.Context(), m, func(_ context.Context, failures int, _ error) error {
		if failures > 5 {
			return errEnough
		}
		return nil
	}, func(past.Exported) error { return nil })
	require.ErrorIs(t, err, errEnough)
	require.ErrorContains(t, err, "shard 0: ")
	require.ErrorIs(t, past.Export(t.Context(), m, nil, func(past.Exported) error { return nil }), errMood)
}
