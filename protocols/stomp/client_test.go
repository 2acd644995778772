package stomp

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// wait bounds how long a test waits for what must come.
const wait = 20 * time.Second

// start serves cfg on a free port for the length of the test.
func start(t testing.TB, b *fakeBroker, change ...func(*Config)) *Server {
	t.Helper()
	cfg := Config{Address: "127.0.0.1:0", Broker: b}
	for _, f := range change {
		f(&cfg)
	}
	s, err := New(cfg)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		select {
		case <-done:
		case <-time.After(wait):
			t.Error("the server did not end")
		}
	})
	return s
}

func strict(cfg *Config) { cfg.Personality = Strict }

// client speaks raw STOMP. In its texts "^" stands for NUL.
type client struct {
	t  testing.TB
	nc net.Conn
	r  *bufio.Reader
}

func dial(t testing.TB, s *Server) *client {
	t.Helper()
	nc, err := net.Dial("tcp", s.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { nc.Close() })
	return &client{t: t, nc: nc, r: bufio.NewReader(nc)}
}

// login dials and connects with that version.
func login(t testing.TB, s *Server, version string) *client {
	t.Helper()
	c := dial(t, s)
	c.send("CONNECT\naccept-version:" + version + "\n\n^")
	require.Equal(t, "CONNECTED", c.frame().command)
	return c
}

func (c *client) send(text string) {
	c.t.Helper()
	_, err := io.WriteString(c.nc, strings.ReplaceAll(text, "^", "\x00"))
	require.NoError(c.t, err)
}

// reply is a frame from the server, its lines as they came.
type reply struct {
	command string
	lines   []string
	body    string
}

// get returns the raw value of the first field of that name.
func (r reply) get(name string) string {
	for _, l := range r.lines {
		if v, ok := strings.CutPrefix(l, name+":"); ok {
			return v
		}
	}
	return ""
}

func (r reply) has(name string) bool {
	for _, l := range r.lines {
		if strings.HasPrefix(l, name+":") {
			return true
		}
	}
	return false
}

// next reads a frame; line ends between frames are skipped.
func (c *client) next() (r reply, err error) {
	_ = c.nc.SetReadDeadline(time.Now().Add(wait))
	line := "\n"
	for line == "\n" {
		if line, err = c.r.ReadString('\n'); err != nil {
			return r, err
		}
	}
	r.command = strings.TrimSuffix(line, "\n")
	length := -1
	for {
		if line, err = c.r.ReadString('\n'); err != nil {
			return r, err
		}
		if line == "\n" {
			break
		}
		r.lines = append(r.lines, strings.TrimSuffix(line, "\n"))
		if v, ok := strings.CutPrefix(line, "content-length:"); ok && length < 0 {
			length = 0
			for _, d := range strings.TrimSpace(v) {
				length = 10*length + int(d-'0')
			}
		}
	}
	if length >= 0 {
		body := make([]byte, length)
		if _, err = io.ReadFull(c.r, body); err != nil {
			return r, err
		}
		r.body = string(body)
	}
	rest, err := c.r.ReadString(0)
	r.body += strings.TrimSuffix(rest, "\x00")
	return r, err
}

func (c *client) frame() reply {
	c.t.Helper()
	r, err := c.next()
	require.NoError(c.t, err)
	return r
}

// expect reads a frame of that command.
func (c *client) expect(command string) reply {
	c.t.Helper()
	r := c.frame()
	require.Equal(c.t, command, r.command, "%v %s", r.lines, r.body)
	return r
}

// expectError reads an ERROR whose message and body are text.
func (c *client) expectError(text string) reply {
	c.t.Helper()
	r := c.expect("ERROR")
	require.Equal(c.t, text, unescape(r.get("message")))
	require.Equal(c.t, text, r.body)
	require.Equal(c.t, "text/plain", r.get("content-type"))
	return r
}

// expectReceipt reads a RECEIPT and nothing else.
func (c *client) expectReceipt(id string) {
	c.t.Helper()
	require.Equal(c.t, []string{"receipt-id:" + id}, c.expect("RECEIPT").lines)
}

// expectClosed reads the end of the connection.
func (c *client) expectClosed() {
	c.t.Helper()
	r, err := c.next()
	require.ErrorIs(c.t, err, io.EOF, "got %v", r)
}

// expectAlive proves that the connection still works and that nothing was on its way.
func (c *client) expectAlive() {
	c.t.Helper()
	c.send("BEGIN\ntransaction:alive\nreceipt:alive\n\n^ABORT\ntransaction:alive\n\n^")
	c.expectReceipt("alive")
}

// eventually polls.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	require.Eventually(t, ok, wait, time.Millisecond, what)
}

var errStore = errors.New("disk on fire")
