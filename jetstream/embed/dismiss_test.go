package embed_test

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/jetstream/embed"
)

// Clients are warned and sent away; our own connections to the same account are not theirs.
func TestDismissIsForClientsAlone(t *testing.T) {
	s := startServer(t)
	ours := connect(t, s, embed.Users)
	warned := make(chan struct{}, 1)
	var clients []*nats.Conn
	for range 3 {
		nc, err := nats.Connect("nats://"+s.Addr().String(), nats.NoReconnect(), nats.LameDuckModeHandler(func(*nats.Conn) { warned <- struct{}{} }))
		require.NoError(t, err)
		t.Cleanup(nc.Close)
		clients = append(clients, nc)
	}
	require.NoError(t, s.Warn())
	for range clients {
		select {
		case <-warned:
		case <-time.After(patience):
			t.Fatal("a client was not warned")
		}
	}
	n, err := s.Dismiss()
	require.NoError(t, err)
	require.Equal(t, 3, n)
	for _, nc := range clients {
		require.Eventually(t, nc.IsClosed, patience, time.Millisecond)
	}
	require.NoError(t, ours.Flush())
	n, err = s.Dismiss()
	require.NoError(t, err)
	require.Zero(t, n)
}
