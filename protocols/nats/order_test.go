package nats_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/core"
	"github.com/sluice-mq/sluice/gateway/gatewaytest"
)

// The owner of a queue is another node, and hears late that a worker's request is over: what it hands out for that one finds none and goes back. The
// worker asks again. What comes to the queue then comes to the worker behind it, and nothing of that is marked.
func TestTheOrderOutlivesTheEndOfARequest(t *testing.T) {
	cluster := gatewaytest.NewCluster(1)
	t.Cleanup(cluster.Close)
	member, owning := cluster.Node("n1"), cluster.Node("n2")
	b, err := core.New(t.Context(), core.Config{Node: "n2", Store: owning, Cluster: owning, Authenticator: gatewaytest.Everyone{}, Authorizer: gatewaytest.Everyone{}, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	t.Cleanup(func() { _ = b.Close(context.Background()) })
	owner, h := &house{t: t, broker: b}, newHouse(t, options{member: member})
	cluster.Link("n1", "n2", true)
	cluster.Move(0, "n2")

	c := h.consumer(h.jetStream(), "w", "q")
	batch, err := c.Fetch(50, jetstream.FetchMaxWait(time.Second))
	require.NoError(t, err)
	owner.fill("q", 1)
	first := <-batch.Messages()
	require.NotNil(t, first)
	require.NoError(t, first.DoubleAck(ctx(t)))
	taken := h.broker.Stats().QueueOut
	hear := owning.Deafen()
	require.Nil(t, <-batch.Messages(), "the request is over")
	owner.fill("q", 1)
	require.Eventually(t, func() bool { return h.broker.Stats().QueueOut == taken+1 }, patience, time.Millisecond)
	batch, err = c.Fetch(5, jetstream.FetchMaxWait(patience))
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		info, err := c.Info(ctx(t))
		return err == nil && info.NumWaiting == 1
	}, patience, time.Millisecond)
	s := owner.session()
	for _, body := range []string{"1", "2", "3", "4"} {
		require.NoError(t, owner.send(s, &gateway.Message{Destination: queue("q"), Body: []byte(body), Persistent: true}))
	}
	owner.settled("q", 0, 5)
	hear()
	for _, body := range []string{"0", "1", "2", "3", "4"} {
		m := <-batch.Messages()
		require.NotNil(t, m)
		require.Equal(t, body, string(m.Data()))
		about, err := m.Metadata()
		require.NoError(t, err)
		require.EqualValues(t, 1, about.NumDelivered)
		require.NoError(t, m.DoubleAck(ctx(t)))
	}
}
