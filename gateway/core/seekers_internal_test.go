package core

import (
	"context"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/gatewaytest"
)

// A queue that only subscriptions to patterns use goes like any other that nobody uses, and is found again when somebody does.
func TestWildcardsKeepNoQueueAlive(t *testing.T) {
	store := gatewaytest.NewMemory(gatewaytest.NewDisk(1))
	b, err := New(context.Background(), Config{Node: "n", Store: store, Authenticator: gatewaytest.Everyone{}, Authorizer: gatewaytest.Everyone{}, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	defer func() { require.NoError(t, b.Close(context.Background())) }()
	s, err := b.Open(context.Background(), gateway.Login{})
	require.NoError(t, err)
	sub, err := s.Subscribe(gateway.SubscribeOptions{Destination: gateway.Destination{Kind: gateway.KindQueue, Name: "l.>"}, Prefetch: 10, Wake: func() {}})
	require.NoError(t, err)
	here := b.seats[0].here.Load()
	known := func() bool {
		here.mu.Lock()
		defer here.mu.Unlock()
		return here.queues["l.a"] != nil
	}
	for range 3 {
		s.Send(&gateway.Message{Destination: gateway.Destination{Kind: gateway.KindQueue, Name: "l.a"}}, nil, 0)
		ds := make([]gateway.Delivery, 10)
		require.Equal(t, 1, sub.Next(ds, 1<<20))
		sub.Ack([]uint64{ds[0].Tag}, nil, 0)
		for range idleSweeps + 2 {
			require.True(t, known())
			here.sweep()
		}
		s.Send(&gateway.Message{Destination: gateway.Destination{Kind: gateway.KindQueue, Name: "l.a"}}, nil, 0)
		require.Equal(t, 1, sub.Next(ds, 1<<20), "found before it was gone")
		sub.Ack([]uint64{ds[0].Tag}, nil, 0)
		for range 2*idleSweeps + 4 {
			here.sweep()
		}
		require.False(t, known())
	}
}
