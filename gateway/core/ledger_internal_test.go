package core

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/gatewaytest"
	"github.com/sluice-mq/sluice/gateway/quota"
)

// guestOf connects, subscribes, sends, takes, acknowledges some of it, and leaves in one way or another.
func guestOf(b *Broker, r *rand.Rand) {
	s, err := b.Open(context.Background(), gateway.Login{
		Remote: fmt.Sprintf("192.0.2.%d:1", r.IntN(3)), Credentials: gateway.Credentials{Login: fmt.Sprint("user", r.IntN(3))},
	})
	if err != nil {
		return
	}
	var subs []gateway.Subscription
	for range r.IntN(4) {
		d := gateway.Destination{Kind: gateway.Kind(1 + r.IntN(2)), Name: fmt.Sprint(r.IntN(3))}
		if sub, err := s.Subscribe(gateway.SubscribeOptions{Destination: d, Prefetch: 1 + r.IntN(20), AutoAck: r.IntN(2) == 0, Wake: func() {}}); err == nil {
			subs = append(subs, sub)
		}
	}
	buf := make([]gateway.Delivery, 16)
	for range r.IntN(30) {
		d := gateway.Destination{Kind: gateway.Kind(1 + r.IntN(2)), Name: fmt.Sprint(r.IntN(6))}
		s.Send(&gateway.Message{Destination: d, Body: []byte("x")}, nil, 0)
		for _, sub := range subs {
			n := sub.Next(buf[:1+r.IntN(16)], 1<<20)
			sub.Written(n)
			for _, x := range buf[:n] {
				switch r.IntN(5) {
				case 0:
					sub.Nack([]uint64{x.Tag, x.Tag}, nil, 0)
				case 1:
					_ = sub.Release([]uint64{x.Tag}, gateway.Return{Redelivered: true})
				case 2:
				default:
					sub.Ack([]uint64{x.Tag}, nil, 0)
				}
			}
		}
		_ = s.(gateway.Paced).Pause()
	}
	if len(subs) > 0 && r.IntN(2) == 0 {
		subs[0].Close()
	}
	if r.IntN(3) == 0 {
		_ = b.Disconnect(s.(*session).id, "")
	}
	s.Close()
}

// Whatever clients do and however quotas change: when they are gone, the books are empty.
func TestTheLedgerIsEmptyWhenEverybodyHasGone(t *testing.T) {
	store := gatewaytest.NewMemory(gatewaytest.NewDisk(2))
	b, err := New(context.Background(), Config{
		Node: "n1", Store: store, Authenticator: gatewaytest.Everyone{}, Authorizer: gatewaytest.Rules(func(gateway.Principal, gateway.Action, gateway.Destination) error { return nil }),
		Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	var everybody sync.WaitGroup
	for i := range 6 {
		everybody.Go(func() {
			r := rand.New(rand.NewPCG(uint64(i), 7))
			for range 150 {
				guestOf(b, r)
			}
		})
	}
	everybody.Go(func() {
		r := rand.New(rand.NewPCG(99, 7))
		some := func() quota.Quota {
			return quota.Quota{Connections: r.IntN(5), Subscriptions: r.IntN(9), InFlight: r.IntN(9), PublishMessages: r.IntN(2) * 1_000_000}
		}
		for range 300 {
			b.SetQuotas(quota.Quotas{Total: some(), PerUser: some(), PerAddress: some(), Overrides: []quota.For{{Users: []string{"user1"}, Quota: some()}}})
			b.Reauthorize()
			b.Connections()
		}
		b.SetQuotas(quota.Quotas{})
	})
	everybody.Wait()
	accounts, uses := b.ledger.InUse()
	require.Zero(t, accounts)
	require.Zero(t, uses)
	require.Empty(t, b.Connections())
	require.Zero(t, b.Stats().Subscriptions)
	require.Zero(t, b.Stats().InFlight)
	require.NoError(t, b.Close(context.Background()))
	store.Close()
}
