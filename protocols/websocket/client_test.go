package websocket_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sluice-mq/sluice/protocols/websocket"
)

const soon = 20 * time.Second

// running is a server that serves for the length of a test.
type running struct {
	*websocket.Server
	cancel context.CancelFunc
	served chan error
	log    *lines
}

func start(t testing.TB, cfg websocket.Config, handle func(context.Context, net.Conn)) *running {
	t.Helper()
	t.Cleanup(func() { goleak.VerifyNone(t) })
	r := &running{served: make(chan error, 1), log: &lines{}}
	cfg.Address, cfg.Logger = "127.0.0.1:0", slog.New(slog.NewTextHandler(r.log, nil))
	var err error
	r.Server, err = websocket.New(cfg)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	ended := make(chan struct{})
	go func() { defer close(ended); r.served <- r.Serve(ctx, handle) }()
	t.Cleanup(func() { cancel(); <-ended })
	return r
}

// lines is a log that can be read while it is written.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func echo(_ context.Context, c net.Conn) {
	buf := make([]byte, 64<<10)
	for {
		n, err := c.Read(buf)
		if n > 0 {
			if _, err := c.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// loggedIn is a door that knows its clients at once.
func loggedIn(handle func(context.Context, net.Conn)) func(context.Context, net.Conn) {
	return func(ctx context.Context, c net.Conn) {
		c.(*websocket.Conn).LoggedIn()
		handle(ctx, c)
	}
}

// raw is a client that does what it is told, and nothing by itself.
type raw struct {
	t  testing.TB
	nc net.Conn
	r  *bufio.Reader
}

func dial(t testing.TB, addr net.Addr) *raw {
	t.Helper()
	nc, err := net.Dial("tcp", addr.String())
	require.NoError(t, err)
	require.NoError(t, nc.SetDeadline(time.Now().Add(soon)))
	t.Cleanup(func() { nc.Close() })
	return &raw{t, nc, bufio.NewReader(nc)}
}

func (c *raw) send(text string) {
	c.t.Helper()
	_, err := io.WriteString(c.nc, text)
	require.NoError(c.t, err)
}

const key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"

// request is a handshake with more headers, each with its end.
func request(more ...string) string {
	return "GET / HTTP/1.1\r\nHost: node.example.org:61614\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n" + key + strings.Join(more, "") + "\r\n"
}

// answer reads an HTTP answer with its body.
func (c *raw) answer() (*http.Response, string) {
	c.t.Helper()
	a, err := http.ReadResponse(c.r, &http.Request{Method: http.MethodGet})
	require.NoError(c.t, err)
	if a.StatusCode == http.StatusSwitchingProtocols {
		return a, ""
	}
	body, err := io.ReadAll(a.Body)
	require.NoError(c.t, err)
	return a, string(body)
}

// upgrade does a handshake that has to succeed.
func upgrade(t testing.TB, s *running, more ...string) *raw {
	t.Helper()
	c := dial(t, s.Addr())
	c.send(request(more...))
	a, body := c.answer()
	require.Equal(t, http.StatusSwitchingProtocols, a.StatusCode, body)
	require.Equal(t, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", a.Header.Get("Sec-WebSocket-Accept"))
	return c
}

const (
	text, bin, closing, ping, pong = 1, 2, 8, 9, 10
	fin                            = 0x80
)

// frame makes a masked frame; head is its first byte.
func frame(head byte, payload string) string {
	b := []byte{head}
	switch n := len(payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	mask := []byte{1, 2, 3, 4}
	b = append(b, mask...)
	for i := range len(payload) {
		b = append(b, payload[i]^mask[i%4])
	}
	return string(b)
}

// next reads a frame: its first byte and payload.
func (c *raw) next() (byte, string, error) {
	head := make([]byte, 2)
	if _, err := io.ReadFull(c.r, head); err != nil {
		return 0, "", err
	}
	n := uint64(head[1])
	switch n {
	case 126:
		var b [2]byte
		if _, err := io.ReadFull(c.r, b[:]); err != nil {
			return 0, "", err
		}
		n = uint64(binary.BigEndian.Uint16(b[:]))
	case 127:
		var b [8]byte
		if _, err := io.ReadFull(c.r, b[:]); err != nil {
			return 0, "", err
		}
		n = binary.BigEndian.Uint64(b[:])
	}
	if n > 1<<27 {
		return 0, "", fmt.Errorf("a frame of %d bytes", n)
	}
	payload := make([]byte, n)
	_, err := io.ReadFull(c.r, payload)
	return head[0], string(payload), err
}

func (c *raw) expect(head byte, payload string) {
	c.t.Helper()
	h, p, err := c.next()
	require.NoError(c.t, err)
	require.Equal(c.t, payload, p)
	require.Equal(c.t, head, h)
}

// expectClose reads a close frame of that code, and the end.
func (c *raw) expectClose(code uint16, reason string) {
	c.t.Helper()
	h, p, err := c.next()
	require.NoError(c.t, err)
	require.EqualValues(c.t, fin|closing, h, "%q", p)
	require.GreaterOrEqual(c.t, len(p), 2)
	require.Equal(c.t, code, binary.BigEndian.Uint16([]byte(p)))
	require.Contains(c.t, p[2:], reason)
}

// expectEnd reads the end of the connection.
func (c *raw) expectEnd() {
	c.t.Helper()
	_, p, err := c.next()
	require.Error(c.t, err, "%q", p)
	require.NotErrorIs(c.t, err, context.DeadlineExceeded)
}
