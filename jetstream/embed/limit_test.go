package embed_test

import (
	"context"
	"log/slog"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/jetstream/embed"
)

// The limit is for native clients: our own connections neither count nor are refused.
func TestConnectionLimitIsForNativeClients(t *testing.T) {
	s, err := embed.Start(context.Background(), embed.Config{
		Name: "n1", Dir: t.TempDir(), Address: "127.0.0.1:0", MaxPayload: 1 << 20, MaxConnections: 2, Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	t.Cleanup(s.Stop)
	addr, err := s.Listen()
	require.NoError(t, err)
	for _, account := range []embed.Account{embed.Store, embed.Store, embed.Store, embed.Inbound, embed.Outbound, embed.Users, embed.Users} {
		nc, err := s.Connect(account, "ours")
		require.NoError(t, err)
		t.Cleanup(nc.Close)
	}
	url := "nats://" + addr.String()
	for range 2 {
		nc, err := nats.Connect(url)
		require.NoError(t, err)
		t.Cleanup(nc.Close)
	}
	_, err = nats.Connect(url, nats.NoReconnect())
	require.ErrorIs(t, err, nats.ErrMaxAccountConnectionsExceeded)
}
