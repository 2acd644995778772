package core_test

import (
	"context"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/core"
	"github.com/sluice-mq/sluice/gateway/gatewaytest"
)

// benchBroker is a broker whose rules are looked at, and say yes.
func benchBroker(b *testing.B, change ...func(*core.Config)) gateway.Session {
	b.Helper()
	store := gatewaytest.NewMemory(gatewaytest.NewDisk(1))
	cfg := core.Config{
		Node: "n1", Store: store, Authenticator: gatewaytest.Everyone{}, Logger: slog.New(slog.DiscardHandler),
		Authorizer: gatewaytest.Rules(func(gateway.Principal, gateway.Action, gateway.Destination) error { return nil }),
	}
	for _, c := range change {
		c(&cfg)
	}
	broker, err := core.New(context.Background(), cfg)
	require.NoError(b, err)
	b.Cleanup(func() {
		require.NoError(b, broker.Close(context.Background()))
		store.Close()
	})
	s, err := broker.Open(context.Background(), gateway.Login{Remote: "192.0.2.1:1", Credentials: gateway.Credentials{Login: "alice"}})
	require.NoError(b, err)
	return s
}

// BenchmarkQueue is the way of a message in memory to its consumer, and of its acknowledgement.
func BenchmarkQueue(b *testing.B) {
	s := benchBroker(b)
	sub, err := s.Subscribe(gateway.SubscribeOptions{Destination: queue("some.queue.name"), Prefetch: 1000, AutoAck: true, Wake: func() {}})
	require.NoError(b, err)
	buf := make([]gateway.Delivery, 256)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		s.Send(message(queue("some.queue.name"), "body", false), nil, 0)
		if i%256 == 255 {
			sub.Written(sub.Next(buf, 1<<30))
		}
	}
}

// BenchmarkPatterns is the way of a message of a topic to subscribers of patterns, of which not everything may be read.
func BenchmarkPatterns(b *testing.B) {
	s := benchBroker(b)
	subs := make([]gateway.Subscription, 100)
	var err error
	for i := range subs {
		subs[i], err = s.Subscribe(gateway.SubscribeOptions{Destination: topic("some.>"), Prefetch: 1000, AutoAck: true, Wake: func() {}})
		require.NoError(b, err)
	}
	buf := make([]gateway.Delivery, 256)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		s.Send(message(topic("some.topic"), "body", false), nil, 0)
		if i%256 == 255 {
			for _, sub := range subs {
				sub.Written(sub.Next(buf, 1<<30))
			}
		}
	}
}
