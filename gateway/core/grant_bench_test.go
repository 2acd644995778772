package core

import (
	"context"
	"log/slog"
	"testing"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/gatewaytest"
)

// BenchmarkGrant is what rights cost a message: that of one that goes where the last one went, and of those that go to two places in turn.
func BenchmarkGrant(b *testing.B) {
	store := gatewaytest.NewMemory(gatewaytest.NewDisk(1))
	rules := gatewaytest.Rules(func(gateway.Principal, gateway.Action, gateway.Destination) error { return nil })
	broker, err := New(context.Background(), Config{Node: "n", Store: store, Authenticator: gatewaytest.Everyone{}, Authorizer: rules, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = broker.Close(context.Background())
		store.Close()
	})
	s := broker.nobody()
	s.standing.Store(&standing{rights: rules})
	to := []gateway.Destination{{Kind: gateway.KindTopic, Name: "some.name.of.a.topic"}, {Kind: gateway.KindTopic, Name: "another.name.of.a.topic"}}
	for name, n := range map[string]int{"same": 1, "alternating": 2} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				_, err := s.granted(to[i%n])
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
