package embed_test

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/jetstream/embed"
	"github.com/sluice-mq/sluice/tests/ports"
)

// A server that cannot read what its cluster has agreed on refuses to start, at once.
func TestDamageOfWhatTheClusterAgreedOnIsToldAtOnce(t *testing.T) {
	dir, at := t.TempDir(), ports.Of(t, 2).Addresses()
	config := embed.Config{
		Name: "n1", Dir: dir, MaxPayload: 1 << 20, Logger: slog.New(slog.DiscardHandler),
		Cluster: &embed.Cluster{Name: "c", Address: at[0], Routes: at[1:]},
	}
	s, err := embed.Start(t.Context(), config)
	require.NoError(t, err)
	s.Stop()
	snapshots := filepath.Join(dir, "jetstream", "$SYS", "_js_", "_meta_", "snapshots")
	require.NoError(t, os.MkdirAll(snapshots, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(snapshots, "snap.1.1"), []byte("this is none, as everybody who reads it sees at once"), 0o600))
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	_, err = embed.Start(ctx, config)
	require.ErrorContains(t, err, "snapshot corrupt")
}
