package jetstream

import (
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/jetstream/embed"
)

// A replica that is behind knows of no record that is young enough. There is one all the same: a reader who was told that all is too old would pass it over.
func TestAReplicaThatIsBehindDoesNotMakeALogOld(t *testing.T) {
	ns := open(t).cfg.Server
	nc, err := ns.Connect(embed.Users, "a replica that is behind")
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	var asked atomic.Int64
	_, err = nc.Subscribe("$JS.API.DIRECT.GET.L_one", func(m *nats.Msg) {
		if asked.Add(1) < 3 {
			_ = nc.PublishMsg(&nats.Msg{Subject: m.Reply, Header: nats.Header{"Status": {"404"}}})
			return
		}
		_ = nc.PublishMsg(&nats.Msg{Subject: m.Reply, Header: nats.Header{"Nats-Sequence": {strconv.Itoa(7)}}})
		_ = nc.PublishMsg(&nats.Msg{Subject: m.Reply, Header: nats.Header{"Status": {"204"}}})
	})
	require.NoError(t, err)
	s := &Store{cfg: Config{Cluster: &Cluster{Nodes: 3, Replicas: 3}}}
	l := newTopicLog(&logs{store: s, read: newReaders(reader{nc: nc}), following: t.Context()}, "P.T", gateway.LogFact{ID: "one"})
	now := time.Now()
	first, err := l.since(t.Context(), now.Add(-time.Hour), logState{last: 7, newest: now})
	require.NoError(t, err)
	require.EqualValues(t, 7, first)
	asked.Store(0)
	first, err = l.since(t.Context(), now, logState{last: 7, newest: now.Add(-time.Hour)})
	require.NoError(t, err)
	require.EqualValues(t, 8, first, "none is so young")
	require.EqualValues(t, 1, asked.Load())
}
