package cluster

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/tests/ledger"
	"github.com/sluice-mq/sluice/tests/node"
)

// Clients of other nodes send to the queues of a node that stops, as fast as they can and without a moment's rest. It does not wait for
// such a moment, and gives its shards away.
func TestANodeStopsWhileOthersSend(t *testing.T) {
	t.Parallel()
	rnd, c := chance(t), node.StartCluster(t)
	s := begin(t, c, rnd, habits{fast: true})
	for i := range 12 { // so many that something is always under way
		p := &ledger.Sender{
			Name: "more" + string(rune('a'+i)), Home: i % 3, Window: 200, Queues: ledger.Queues[:], Rnd: s.own(), Dialer: s.dialer, Over: s.over,
		}
		s.senders = append(s.senders, p)
		s.sending.Go(func() { p.Run(s.l) })
	}
	s.progress(100)
	n := c.Nodes[busiest(c)]
	began := time.Now()
	n.Stop()
	t.Logf("the node stopped within %v", time.Since(began).Round(time.Millisecond))
	require.Contains(t, n.Log(), "no shards any more", "it has kept its shards")
	n.Restart()
	s.finish(false)
}
