package jetstream_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/gatewaytest"
)

// A node whose copy of a journal has a hole finds that out when it owns it, says so, and leaves it to those that have everything.
func TestANodeWithADamagedCopyLeavesItsShardToOthers(t *testing.T) {
	t.Parallel()
	t.Run("a hole", func(t *testing.T) {
		leavesIt(t, func(t *testing.T, block string) {
			b, err := os.ReadFile(block)
			require.NoError(t, err)
			for i := range 300 {
				b[len(b)/2+i] ^= 0x41
			}
			require.NoError(t, os.WriteFile(block, b, 0o600))
		})
	})
	// Nothing is missing between what is there: only the others know that there is something before it.
	t.Run("the first block gone", func(t *testing.T) {
		leavesIt(t, func(t *testing.T, block string) { require.NoError(t, os.Remove(block)) })
	})
}

func leavesIt(t *testing.T, harm func(t *testing.T, block string)) {
	const patience = 3 * gatewaytest.Wait
	all := cluster(t, nil)
	victim := owner(t, all, 0)
	var a gatewaytest.Answer
	body := strings.Repeat("x", 100<<10)
	const count = 200 // over several blocks
	for range count {
		victim.journal(0).Append(&gateway.Record{Type: gateway.RecordMessage, Message: gatewaytest.Message("q", "id", body)}, &a)
	}
	a.Await(t, count)
	victim.kill()
	harm(t, filepath.Join(victim.dir, "jetstream", "SLUICE", "streams", "Q_00", "msgs", "1.blk"))
	require.NoError(t, victim.start())
	require.Eventually(t, victim.store.CaughtUp, patience, 10*time.Millisecond)
	for _, m := range all {
		if m != victim {
			m.store.Leave()
		}
	}
	require.Eventually(t, func() bool { return victim.journal(0) != nil }, patience, 10*time.Millisecond, "it owns the shard")
	read := func(m *member) (n int, err error) {
		j := m.journal(0)
		if j == nil {
			return 0, context.Canceled
		}
		err = j.Replay(t.Context(), func(_ uint64, _ int, r *gateway.Record) error {
			if r.Type == gateway.RecordMessage {
				n++
			}
			return nil
		})
		return n, err
	}
	require.NoError(t, victim.store.Damage())
	require.Eventually(t, func() bool { _, _ = read(victim); return victim.store.Damage() != nil }, patience, 10*time.Millisecond)
	require.ErrorContains(t, victim.store.Damage(), "Q_00")
	require.Eventually(t, func() bool {
		for _, m := range all {
			if n, err := read(m); m != victim && err == nil && n == count {
				return true
			}
		}
		return false
	}, patience, 10*time.Millisecond, "another node has everything")
	require.Nil(t, victim.journal(0))
}
