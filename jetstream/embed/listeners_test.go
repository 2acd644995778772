package embed_test

import (
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/jetstream/embed"
)

// The listeners that the server opens when it starts keep clients waiting until somebody can answer them, and serve them then, on a server that asks nobody who it is.
func TestWhoComesBeforeListenWaits(t *testing.T) {
	s, err := embed.Start(t.Context(), embed.Config{
		Name: "n1", Dir: t.TempDir(), Address: "127.0.0.1:0", MaxPayload: 1 << 20, Logger: slog.New(slog.DiscardHandler), Streams: embed.Streams{Storage: 1 << 20, Memory: 1 << 20},
		WebSocket: &embed.WebSocket{Address: "127.0.0.1:0"}, MQTT: &embed.MQTT{Address: "127.0.0.1:0"},
	})
	require.NoError(t, err)
	t.Cleanup(s.Stop)
	require.NotEqual(t, s.WebSocketAddr().String(), s.MQTTAddr().String())
	came := make(chan *nats.Conn, 1)
	go func() {
		nc, err := nats.Connect("ws://"+s.WebSocketAddr().String(), nats.Timeout(patience))
		if err != nil {
			t.Error(err)
		}
		came <- nc
	}()
	in, err := s.Connect(embed.Inbound, "test")
	require.NoError(t, err)
	t.Cleanup(in.Close)
	heard, err := in.SubscribeSync("queue.>")
	require.NoError(t, err)
	require.NoError(t, in.Flush())
	select {
	case <-came:
		t.Fatal("a client came in before the node listened")
	case <-time.After(100 * time.Millisecond): // in which it would have
	}
	addr, err := s.Listen()
	require.NoError(t, err)
	web := <-came
	require.NotNil(t, web)
	t.Cleanup(web.Close)
	plain, err := nats.Connect("nats://" + addr.String())
	require.NoError(t, err)
	t.Cleanup(plain.Close)
	for _, nc := range []*nats.Conn{web, plain} {
		require.NoError(t, nc.Publish("queue.a", nil))
		require.NoError(t, nc.Flush())
		require.Equal(t, "queue.a", next(t, heard)[0])
	}
	n, err := s.Dismiss()
	require.NoError(t, err)
	require.Equal(t, 2, n)
	_, user, password, err := s.Leaf()
	require.NoError(t, err)
	_, err = nats.Connect("nats://"+addr.String(), nats.UserInfo(user, password))
	require.Error(t, err, "a leaf's name is nobody's account")
}

func TestListenersThatCannotBe(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	for name, change := range map[string]func(*embed.Config){
		"MQTT needs streams":           func(c *embed.Config) { c.MQTT, c.Streams = &embed.MQTT{Address: "127.0.0.1:0"}, embed.Streams{} },
		"websocket":                    func(c *embed.Config) { c.WebSocket = &embed.WebSocket{Address: "127.0.0.1:x"} },
		"address already in use":       func(c *embed.Config) { c.WebSocket = &embed.WebSocket{Address: taken.Addr().String()} },
		"address already in use again": func(c *embed.Config) { c.MQTT = &embed.MQTT{Address: taken.Addr().String()} },
		"list of native users": func(c *embed.Config) {
			c.Guarded = true
			require.NoError(t, os.WriteFile(filepath.Join(c.Dir, "native-users.json"), []byte("["), 0o600))
		},
	} {
		cfg := embed.Config{Name: "n1", Dir: t.TempDir(), Address: "127.0.0.1:0", MaxPayload: 1 << 20, Logger: slog.New(slog.DiscardHandler), Streams: embed.Streams{Storage: 1 << 20, Memory: 1 << 20}}
		change(&cfg)
		s, err := embed.Start(t.Context(), cfg)
		if err == nil {
			s.Stop()
		}
		require.ErrorContains(t, err, strings.TrimSuffix(name, " again"))
	}
}

// Native clients need not have a plain listener: the door for them finds its way in without.
func TestTheDoorFindsItsWayInWithoutAPlainListener(t *testing.T) {
	for name, change := range map[string]func(*embed.Config){
		"websocket": func(c *embed.Config) { c.WebSocket = &embed.WebSocket{Address: "127.0.0.1:0"} },
		"mqtt":      func(c *embed.Config) { c.MQTT = &embed.MQTT{Address: "127.0.0.1:0"} },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := embed.Config{Name: "n1", Dir: t.TempDir(), MaxPayload: 1 << 20, Logger: slog.New(slog.DiscardHandler), Streams: embed.Streams{Storage: 1 << 20, Memory: 1 << 20}}
			change(&cfg)
			s, err := embed.Start(t.Context(), cfg)
			require.NoError(t, err)
			defer s.Stop()
			addr, _, _, err := s.Leaf()
			require.NoError(t, err)
			way, err := net.Dial("tcp", addr)
			require.NoError(t, err)
			require.NoError(t, way.Close())
		})
	}
}
