package embed_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/jetstream/embed"
	"github.com/sluice-mq/sluice/tests/ports"
)

// A server of a cluster whose storage was switched off gets what it has missed, and counts again, without a new process.
func TestStorageOfAClusterComesBack(t *testing.T) {
	t.Parallel()
	const patience = 20 * time.Second
	at, secret := ports.Of(t, 3).Addresses(), trust(t, "the secret of the cluster")
	var servers []*embed.Server
	for i := range 3 {
		servers = append(servers, join(t, fmt.Sprintf("n%d", i+1), at[i], at, secret))
	}
	var doors []jetstream.JetStream
	for _, s := range servers {
		nc, err := s.Connect(embed.Store, "test", nats.CustomInboxPrefix("_t"))
		require.NoError(t, err)
		t.Cleanup(nc.Close)
		js, err := jetstream.New(nc)
		require.NoError(t, err)
		doors = append(doors, js)
	}
	within := func() context.Context {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		t.Cleanup(cancel)
		return ctx
	}
	require.Eventually(t, func() bool {
		_, err := doors[0].CreateStream(within(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}, Replicas: 3})
		return err == nil
	}, patience, 50*time.Millisecond)
	leader := -1
	lead := func(but int) {
		require.Eventually(t, func() bool {
			for i, s := range servers {
				if i != but && s.Leads("S") {
					leader = i
					return true
				}
			}
			return false
		}, patience, 10*time.Millisecond)
	}
	put := func(door jetstream.JetStream) {
		require.Eventually(t, func() bool { _, err := door.Publish(within(), "s", []byte("x")); return err == nil }, patience, 10*time.Millisecond)
	}
	lead(-1)
	put(doors[leader])
	require.Empty(t, servers[leader].Stopped())

	off := leader
	require.NoError(t, servers[off].SwitchOff())
	require.NotEmpty(t, servers[off].Stopped())
	require.False(t, servers[off].Storing())
	lead(off)
	for range 100 {
		put(doors[leader])
	}
	require.NoError(t, servers[off].Revive())
	require.True(t, servers[off].Storing())
	require.Eventually(t, func() bool { return servers[off].Stopped() == "" && servers[off].Current("S") }, patience, 10*time.Millisecond)

	other := 3 - off - leader
	servers[other].Stop() // now it has to count
	put(doors[off])
}
