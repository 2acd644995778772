package app

import (
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/jetstream/embed"
)

// What native clients have stored on a node alone is not removed with the store that goes into a cluster: a single node can be started with it.
func TestNativeStreamsAreKeptWhenTheStoreGoes(t *testing.T) {
	dir := t.TempDir()
	aside := filepath.Join(dir, "aside")
	quiet := slog.New(slog.DiscardHandler)
	start := func(dir string, streams embed.Streams) (*embed.Server, *nats.Conn) {
		s, err := embed.Start(t.Context(), embed.Config{Name: "n1", Dir: dir, MaxPayload: 1 << 20, Logger: quiet, Streams: streams})
		require.NoError(t, err)
		t.Cleanup(s.Stop)
		system, err := s.Connect(embed.System, "test")
		require.NoError(t, err)
		t.Cleanup(system.Close)
		return s, system
	}
	ask := func(system *nats.Conn, subject, body string) string {
		m, err := system.RequestMsg(&nats.Msg{Subject: subject, Data: []byte(body), Header: nats.Header{"Nats-Request-Info": {`{"acc":"USERS"}`}}}, nats.DefaultTimeout*10)
		require.NoError(t, err)
		return string(m.Data)
	}
	s, system := start(aside, embed.Streams{Storage: 1 << 20})
	require.NotContains(t, ask(system, "$JS.API.STREAM.CREATE.S", `{"name":"S","subjects":["s"],"storage":"file"}`), "error")
	s.Stop()
	s, _ = start(aside, embed.Streams{}) // as the store is read once more
	s.Stop()
	require.NoError(t, keepStreams(dir, aside, quiet))
	require.NoError(t, os.RemoveAll(aside))
	_, system = start(filepath.Join(dir, keptStreams), embed.Streams{Storage: 1 << 20})
	require.NotContains(t, ask(system, "$JS.API.STREAM.INFO.S", ""), "error")
	require.NoError(t, keepStreams(dir, aside, quiet), "there is nothing to keep")
}

// A node may have devices and browsers alone.
func TestANodeWithoutAPlainNatsListener(t *testing.T) {
	for _, protocol := range []string{"mqtt", "nats-websocket"} {
		t.Run(protocol, func(t *testing.T) {
			file := write(t, "data_dir: data\nlisteners: [{protocol: "+protocol+", address: \"127.0.0.1:0\"}]\n")
			p := launch(t, "serve", "--config", file)
			p.await("ready")
			require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
			require.Equal(t, 0, p.exit(), p.rest.String())
		})
	}
}
