package jetstream_test

import (
	"context"
	"log/slog"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/gatewaytest"
	"github.com/sluice-mq/sluice/jetstream"
	"github.com/sluice-mq/sluice/jetstream/embed"
)

func quiet() *slog.Logger {
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

func openStore(t testing.TB, dir string, sync bool, shards int) (*jetstream.Store, func()) {
	t.Helper()
	ns, err := embed.Start(context.Background(), embed.Config{Name: "n1", Dir: dir, MaxPayload: jetstream.MaxRecord, Logger: quiet()})
	require.NoError(t, err)
	s, err := jetstream.Open(context.Background(), jetstream.Config{Dir: dir, Server: ns, Node: "n1", Shards: shards, Sync: sync, Logger: quiet()})
	if err != nil {
		ns.Stop()
	}
	require.NoError(t, err)
	return s, func() {
		require.NoError(t, s.Close(context.Background()))
		ns.Stop()
	}
}

func TestStoreKeepsTheContract(t *testing.T) {
	for name, sync := range map[string]bool{"synced": true, "relaxed": false} {
		t.Run(name, func(t *testing.T) {
			gatewaytest.StoreContract(t, func(t *testing.T, dir string) (gateway.Store, func()) {
				return openStore(t, dir, sync, 2)
			})
		})
	}
}

type counter struct {
	n    atomic.Int64
	free chan struct{}
}

func (c *counter) Appended(_ uint64, err error) {
	if err != nil {
		panic(err)
	}
	c.n.Add(1)
	<-c.free
}

func benchmarkAppend(b *testing.B, sync bool, window int) {
	s, shut := openStore(b, b.TempDir(), sync, 1)
	defer shut()
	c := &counter{free: make(chan struct{}, window)}
	m := gatewaytest.Message("bench", "ID:n1-61613-1700000000000-1:42:-1:1:123456", "")
	m.Body = make([]byte, 1024)
	r := &gateway.Record{Type: gateway.RecordMessage, Message: m}
	b.ReportAllocs()
	b.ResetTimer()
	start := time.Now()
	for range b.N {
		c.free <- struct{}{}
		s.Journal(0).Append(r, c)
	}
	for c.n.Load() < int64(b.N) {
		time.Sleep(time.Millisecond)
	}
	b.ReportMetric(float64(b.N)/time.Since(start).Seconds(), "msg/s")
}

func BenchmarkAppend(b *testing.B) {
	b.Run("synced/1", func(b *testing.B) { benchmarkAppend(b, true, 1) })
	b.Run("synced/256", func(b *testing.B) { benchmarkAppend(b, true, 256) })
	b.Run("synced/4096", func(b *testing.B) { benchmarkAppend(b, true, 4096) })
	b.Run("relaxed/4096", func(b *testing.B) { benchmarkAppend(b, false, 4096) })
}
