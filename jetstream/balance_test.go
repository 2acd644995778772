package jetstream_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway/gatewaytest"
)

// A node that leaves has no shards soon, and nothing is lost while they go; when it returns, it gets some again.
func TestShardsLeaveWithTheirNodeAndComeBack(t *testing.T) {
	t.Parallel()
	all := cluster(t, nil)
	owner(t, all, 0)
	leaver := owner(t, all, 1)
	ctx, stop := context.WithCancel(context.Background())
	w := writer{unknown: make(map[string]bool)}
	done := make(chan struct{})
	go func() { defer close(done); w.run(ctx, all, 1) }()
	require.Eventually(t, func() bool { return w.count() > 100 }, gatewaytest.Wait, time.Millisecond)
	leaver.store.Leave()
	require.Eventually(t, func() bool { return leaver.journal(0) == nil && leaver.journal(1) == nil }, gatewaytest.Wait, time.Millisecond)
	next := owner(t, all, 1)
	require.NotEqual(t, leaver.name, next.name)
	before := w.count()
	require.Eventually(t, func() bool { return w.count() > before+100 }, gatewaytest.Wait, time.Millisecond)
	stop()
	<-done
	w.verify(t, owner(t, all, 1).journal(1))
	for _, m := range all {
		require.Eventually(t, func() bool {
			nodes := m.store.Nodes()
			return len(nodes) == 3 && nodes[0].Linked && nodes[1].Linked && nodes[2].Linked && nodes[leaver.index(t)].Leaving
		}, gatewaytest.Wait, time.Millisecond, "%s knows who leaves", m.name)
	}

	leaver.store.Return()
	for _, m := range all {
		if m != leaver {
			m.store.Leave()
		}
	}
	require.Eventually(t, func() bool { return leaver.journal(0) != nil && leaver.journal(1) != nil }, gatewaytest.Wait, time.Millisecond)
}

// index is a node's place among all, by name.
func (m *member) index(t *testing.T) int {
	for i, n := range m.store.Nodes() {
		if n.Name == m.name {
			return i
		}
	}
	t.Fatal("a node does not know itself")
	return 0
}

func TestSharesOfAClusterBecomeEvenByThemselves(t *testing.T) {
	t.Parallel()
	all := cluster(t, nil)
	require.Eventually(t, func() bool {
		owned := 0
		for _, m := range all {
			n := 0
			for i := range 2 {
				if m.journal(i) != nil {
					n++
				}
			}
			if n > 1 {
				return false
			}
			owned += n
		}
		return owned == 2
	}, 2*gatewaytest.Wait, 10*time.Millisecond)
}
