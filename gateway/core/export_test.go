package core_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/gatewaytest"
	"github.com/sluice-mq/sluice/gateway/past"
)

// archive is a store in memory as one that copies it sees it.
type archive struct{ *gatewaytest.Memory }

// Read implements gateway.Archive.
func (a archive) Read(_ context.Context, i int) (gateway.Reader, error) { return a.Journal(i), nil }

// What is exported of one broker and taken by another is there in the same order with the same marks, also when that one has
// more shards and starts anew; what was acknowledged is not.
func TestExportAndTake(t *testing.T) {
	from := newWorld(t)
	s := from.session()
	var want []string
	for i := range 600 {
		from.send(s, queue(fmt.Sprintf("q%d", i%3)), true, fmt.Sprint(i))
		if i%3 == 1 && i > 31 {
			want = append(want, fmt.Sprint(i))
		}
	}
	c := from.subscribe(s, queue("q1"), 20, false)
	c.ack(c.next(11)...)
	c.next(5)
	c.Close()
	from.send(s, queue("light"), false, "only in memory")
	require.NoError(t, from.broker.Settle(t.Context()))

	to := &world{T: t, disk: gatewaytest.NewDisk(7)}
	to.start()
	t.Cleanup(to.stop)
	var o outcome
	ids := map[string]string{}
	places := map[[2]int]bool{}
	n := 0
	require.NoError(t, past.Export(t.Context(), archive{from.store}, nil, func(e past.Exported) error {
		require.False(t, places[[2]int{e.Shard, e.Number}])
		places[[2]int{e.Shard, e.Number}] = true
		ids[string(e.Message.Body)] = e.Message.ID
		n++
		to.broker.Take("", e.Message, e.Redeliveries, &o, uint64(n))
		return nil
	}))
	require.Equal(t, 589, n)
	for _, err := range o.wait(t, n) {
		require.NoError(t, err)
	}
	d := to.subscribe(to.session(), queue("q1"), 1000, false).next(189)
	require.Equal(t, want, bodies(d))
	for i, x := range d {
		require.Equal(t, ids[string(x.Message.Body)], x.Message.ID)
		if i < 5 { // those behind them may be marked: the journal was told of them ahead
			require.NotZero(t, x.Redeliveries, "message %d", i)
		}
	}
	require.Zero(t, d[188].Redeliveries)
	to.restart()
	d = to.subscribe(to.session(), queue("q1"), 1000, false).next(189)
	require.Equal(t, want, bodies(d))
	require.Greater(t, d[0].Redeliveries, uint32(1))
}
