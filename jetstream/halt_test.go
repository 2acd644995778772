package jetstream_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway/gatewaytest"
)

// Nobody gives shards to a node that has no space, and it gives away its own.
func TestANodeWithoutSpaceGetsNoShards(t *testing.T) {
	t.Parallel()
	all := cluster(t, nil)
	full := owner(t, all, 0)
	full.kill()
	full.reserve = 1 << 60 // more than there is
	require.NoError(t, full.start())
	var others []*member
	for _, m := range all {
		require.Eventually(t, func() bool {
			nodes := m.store.Nodes()
			return len(nodes) == 3 && nodes[full.index(t)].Leaving
		}, 2*gatewaytest.Wait, 10*time.Millisecond, "%s knows of it", m.name)
		if m != full {
			others = append(others, m)
		}
	}
	require.Empty(t, full.store.Halted())
	require.Eventually(t, func() bool { return others[0].store.CaughtUp() && full.store.CaughtUp() }, 2*gatewaytest.Wait, 10*time.Millisecond)
	others[0].store.Leave()
	require.Eventually(t, func() bool { return others[1].journal(0) != nil && others[1].journal(1) != nil }, 2*gatewaytest.Wait, 10*time.Millisecond)
}
