package jetstream_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/core"
	"github.com/sluice-mq/sluice/gateway/gatewaytest"
	"github.com/sluice-mq/sluice/gateway/past"
)

// ch is a gateway.Completion that one waits for.
type ch chan error

// Complete implements gateway.Completion.
func (c ch) Complete(_ uint64, err error) { c <- err }

// Somebody who takes a backup slowly gets all that waits, also what the journal moves to free space.
func TestABackupHasWhatIsMovedMeanwhile(t *testing.T) {
	t.Parallel()
	store, closeStore := openStore(t, t.TempDir(), true, 1)
	defer closeStore()
	b, err := core.New(t.Context(), core.Config{Node: "n", Store: store, Authenticator: gatewaytest.Everyone{}, Authorizer: gatewaytest.Everyone{}, Logger: quiet()})
	require.NoError(t, err)
	defer b.Close(context.Background())
	s, err := b.Open(t.Context(), gateway.Login{Remote: "127.0.0.1:1"})
	require.NoError(t, err)
	q := func(n string) gateway.Destination { return gateway.Destination{Kind: gateway.KindQueue, Name: n} }
	send := func(n, body string) {
		c := make(ch, 1)
		s.Send(&gateway.Message{Destination: q(n), Persistent: true, Body: []byte(body)}, c, 0)
		require.NoError(t, <-c)
	}
	for i := range 5 {
		send("zzz", fmt.Sprint("old ", i))
	}
	send("aaa", "first")
	wake := make(chan struct{}, 1)
	sub, err := s.Subscribe(gateway.SubscribeOptions{Destination: q("busy"), Prefetch: 100, Wake: func() {
		select {
		case wake <- struct{}{}:
		default:
		}
	}})
	require.NoError(t, err)
	churn := func(n int) {
		body := string(make([]byte, 1<<20))
		batch := make([]gateway.Delivery, 1)
		for range n {
			send("busy", body)
			for sub.Next(batch, 1<<30) == 0 {
				<-wake
			}
			sub.Written(1)
			c := make(ch, 1)
			sub.Ack([]uint64{batch[0].Tag}, c, 0)
			require.NoError(t, <-c)
		}
	}
	got := map[string]int{}
	require.NoError(t, past.Export(t.Context(), store, nil, func(e past.Exported) error {
		got[string(e.Message.Body)]++
		if e.Message.Destination.Name == "aaa" { // the one who takes the backup is slow
			churn(100)
			gatewaytest.Eventually(t, func() bool { return store.Journal(0).State().First > 6 }, "what was exported first was moved")
		}
		return nil
	}))
	require.Equal(t, map[string]int{"first": 1, "old 0": 1, "old 1": 1, "old 2": 1, "old 3": 1, "old 4": 1}, got)
}
