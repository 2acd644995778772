package jetstream_test

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/gatewaytest"
	"github.com/sluice-mq/sluice/jetstream"
	"github.com/sluice-mq/sluice/jetstream/embed"
)

func TestRegistryKeepsTheContract(t *testing.T) {
	t.Parallel()
	for name, sync := range map[string]bool{"synced": true, "relaxed": false} {
		t.Run(name, func(t *testing.T) {
			gatewaytest.RegistryContract(t, func(t *testing.T, dir string) (gateway.Registry, func()) {
				s, shut := openStore(t, dir, sync, 1)
				return s.Registry(), shut
			})
		})
	}
}

// all are the facts of a registry.
func all(t testing.TB, r gateway.Registry) map[string]string {
	t.Helper()
	got := make(map[string]string)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	require.NoError(t, r.Watch(ctx, func(key string, value []byte, _ uint64) { got[key] = string(value) }))
	return got
}

// factsSpan are the first and the last sequence of the stream of the facts.
func factsSpan(t testing.TB, server *embed.Server) (first, last uint64) {
	t.Helper()
	nc, err := server.Connect(embed.Store, "test")
	require.NoError(t, err)
	defer nc.Close()
	m, err := nc.RequestWithContext(t.Context(), "$JS.API.STREAM.INFO.FACTS", nil)
	require.NoError(t, err)
	var info struct {
		State struct {
			First uint64 `json:"first_seq"`
			Last  uint64 `json:"last_seq"`
		} `json:"state"`
	}
	require.NoError(t, json.Unmarshal(m.Data, &info))
	return info.State.First, info.State.Last
}

// A registry in which much is written stays small, and loses nothing for it.
func TestARegistryIsWrittenAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, shut := openStore(t, dir, false, 1)
	r := s.Registry()
	want := make(map[string]string)
	value := make([]byte, 4<<10)
	for i := range 4600 {
		key := fmt.Sprint("k/", i%30)
		if i%7 == 0 {
			_, err := r.Put(t.Context(), key, nil)
			require.NoError(t, err)
			delete(want, key)
			continue
		}
		copy(value, fmt.Sprintf("%09d", i))
		_, err := r.Put(t.Context(), key, value)
		require.NoError(t, err)
		want[key] = string(value)
	}
	require.Equal(t, want, all(t, r))
	shut()
	ns, err := embed.Start(t.Context(), embed.Config{Name: "n1", Dir: dir, MaxPayload: jetstream.MaxRecord, Logger: quiet()})
	require.NoError(t, err)
	defer ns.Stop()
	s, err = jetstream.Open(t.Context(), jetstream.Config{Dir: dir, Server: ns, Node: "n1", Logger: quiet()})
	require.NoError(t, err)
	defer s.Close(context.Background())
	require.Equal(t, want, all(t, s.Registry()))
	first, last := factsSpan(t, ns)
	require.Greater(t, first, uint64(1), "what is dead has gone from its front")
	require.Greater(t, last, uint64(4600))
}

// Every node of a cluster knows what was written at any, also after the leader's end.
func TestRegistryOfACluster(t *testing.T) {
	t.Parallel()
	nodes := cluster(t, nil)
	want := make(map[string]string)
	for i, m := range nodes {
		for k := range 20 {
			key, value := fmt.Sprintf("k/%d", k), fmt.Sprint("of ", i)
			_, err := m.store.Registry().Put(t.Context(), key, []byte(value))
			require.NoError(t, err)
			want[key] = value
		}
	}
	for _, m := range nodes {
		require.Equal(t, want, all(t, m.store.Registry()), "whole on %s", m.name)
	}
	var mu sync.Mutex
	last, told := "", make(chan string, 100)
	require.NoError(t, nodes[2].store.Registry().Watch(t.Context(), func(key string, value []byte, _ uint64) {
		mu.Lock()
		last = key
		mu.Unlock()
		if key == "late" || value == nil {
			told <- fmt.Sprint(key, "=", string(value))
		}
	}))
	for _, m := range nodes[1:] {
		_ = m.server.StepDown("FACTS")
	}
	_, err := nodes[0].store.Registry().Put(t.Context(), "late", []byte("x"))
	require.NoError(t, err)
	require.Equal(t, "late=x", <-told)
	_, err = nodes[1].store.Registry().Put(t.Context(), "k/3", nil)
	require.NoError(t, err)
	require.Equal(t, "k/3=", <-told)
	delete(want, "k/3")
	want["late"] = "x"

	for i := range 20 {
		key := fmt.Sprint("caught/", i)
		want[key] = "z"
		_, err = nodes[i%2].store.Registry().Put(t.Context(), key, []byte("z"))
		require.NoError(t, err)
		require.NoError(t, nodes[2].store.Registry().CatchUp(t.Context()))
		mu.Lock()
		require.Equal(t, key, last, "it has heard of it")
		mu.Unlock()
	}

	nodes[0].kill()
	_, err = nodes[1].store.Registry().Put(t.Context(), "alone", []byte("y"))
	require.NoError(t, err, "a majority is enough")
	want["alone"] = "y"
	require.NoError(t, nodes[0].start())
	require.Equal(t, want, all(t, nodes[0].store.Registry()))
}
