package bench

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"
)

// Another's server understands our messages and has its pings answered, and we understand its messages however they are cut.
func TestWebSocketAgainstAnotherServer(t *testing.T) {
	pinged := make(chan error, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"v11.stomp"}})
		if err != nil {
			return
		}
		defer c.CloseNow()
		ctx := r.Context()
		c.SetReadLimit(-1)
		_, first, err := c.Read(ctx)
		if err != nil {
			return
		}
		out, err := c.Writer(ctx, websocket.MessageText)
		if err != nil {
			return
		}
		for i := range first { // in the pieces of which ours is made
			_, _ = out.Write(first[i : i+1])
		}
		_ = out.Close()
		go func() { pinged <- c.Ping(ctx) }()
		for {
			kind, all, err := c.Read(ctx)
			if err != nil {
				return
			}
			_ = c.Write(ctx, kind, all)
		}
	}))
	defer server.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	nc, err := Target{}.open(ctx, strings.Replace(server.URL, "http", "ws", 1)+"/stomp")
	require.NoError(t, err)
	defer nc.Close()
	require.NoError(t, nc.SetDeadline(time.Now().Add(20*time.Second)))
	for _, n := range []int{5, 0, 1, 125, 126, 65535, 65536, 300_001} {
		body := strings.Repeat("abcdefg", n/7+1)[:n]
		_, err := nc.Write([]byte(body))
		require.NoError(t, err)
		got := make([]byte, n)
		_, err = io.ReadFull(nc, got)
		require.NoError(t, err)
		require.True(t, body == string(got), "%d bytes", n)
	}
	require.NoError(t, <-pinged)
}

func TestWhatIsNoWebSocketIsAnError(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "pages only", http.StatusTeapot)
	}))
	defer server.Close()
	_, err := Target{}.open(t.Context(), strings.Replace(server.URL, "http", "ws", 1))
	require.ErrorContains(t, err, "418")
	require.ErrorContains(t, err, "pages only")

	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = Target{}.open(ctx, "ws://"+l.Addr().String())
	require.ErrorContains(t, err, "cancel", "whoever gives up does not wait for an answer")
}
