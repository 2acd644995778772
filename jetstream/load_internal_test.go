package jetstream

import (
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/gatewaytest"
	"github.com/sluice-mq/sluice/jetstream/embed"
)

// A replica that is behind does not have everything. What it lacks is not gone for that: the queue would
// forget it, and then let the journal trim it.
func TestWhatAReplicaDoesNotHaveIsNotGone(t *testing.T) {
	s := open(t)
	h := make(heard, 1)
	s.journals[0].Append(&gateway.Record{Type: gateway.RecordMessage, Message: gatewaytest.Message("q", "id", "body")}, h)
	require.NoError(t, <-h)

	nc, err := s.cfg.Server.Connect(embed.Users, "a replica that has nothing")
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	_, err = nc.Subscribe("$JS.API.DIRECT.GET.Q_00", func(m *nats.Msg) {
		_ = nc.PublishMsg(&nats.Msg{Subject: m.Reply, Header: nats.Header{"Status": []string{"404"}}})
	})
	require.NoError(t, err)

	for _, epoch := range []uint64{0, 1} {
		j := newJournal(s, 0)
		j.epoch = epoch
		load{j, "q", []uint64{1}, func(m []*gateway.Message, err error) {
			if epoch > 0 {
				require.ErrorContains(t, err, "replica", "in a cluster")
			} else {
				require.NoError(t, err, "on a single node")
				require.Equal(t, []*gateway.Message{nil}, m)
			}
		}}.run(t.Context(), reader{nc: nc})
	}
}
