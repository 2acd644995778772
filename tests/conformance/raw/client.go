// Package raw is a STOMP client for tests that want every byte in their own hands:
// it escapes nothing, corrects nothing and shows what came as it came.
package raw

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Patience is how long an answer may take before a test fails.
const Patience = 30 * time.Second

// Frame is a frame from the broker, its headers as they were on the wire.
type Frame struct {
	Command string
	// Lines are the header lines in their order.
	Lines []string
	Body  string
}

// Get returns the value of the first header of a name, and "" if there is none.
func (f Frame) Get(name string) string {
	v, _ := f.Lookup(name)
	return v
}

// Lookup returns the value of the first header of a name.
func (f Frame) Lookup(name string) (string, bool) {
	for _, line := range f.Lines {
		if n, v, _ := strings.Cut(line, ":"); n == name {
			return v, true
		}
	}
	return "", false
}

// String shows the frame in one line.
func (f Frame) String() string { return fmt.Sprintf("%s %q %q", f.Command, f.Lines, f.Body) }

// Text makes a frame of a command, a body and "name:value" lines.
func Text(command, body string, lines ...string) string {
	return strings.Join(append([]string{command}, lines...), "\n") + "\n\n" + body + "\x00"
}

// Client is a connection. It belongs to one goroutine, but for Write, which may be
// another's. It is closed when the test ends.
type Client struct {
	t   testing.TB
	nc  net.Conn
	in  *bufio.Reader
	eol int // line feeds seen since the last frame, its own not counted
}

// Dial connects and says nothing.
func Dial(t testing.TB, addr string) *Client {
	t.Helper()
	nc, err := net.DialTimeout("tcp", addr, Patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nc.Close() })
	return &Client{t: t, nc: nc, in: bufio.NewReader(nc)}
}

// Over is a client on a connection that somebody else made, and closes.
func Over(t testing.TB, nc net.Conn) *Client {
	return &Client{t: t, nc: nc, in: bufio.NewReader(nc)}
}

// Login connects and logs in with a version; "" names none, which means 1.0.
func Login(t testing.TB, addr, version string, lines ...string) *Client {
	t.Helper()
	c := Dial(t, addr)
	if version != "" {
		lines = append([]string{"accept-version:" + version, "host:localhost"}, lines...)
	}
	c.Send("CONNECT", "", append(lines, "login:guest", "passcode:guest")...)
	c.Expect("CONNECTED")
	return c
}

// Write writes bytes. The broker may have had enough of them: an error is no failure of the test.
func (c *Client) Write(text string) error {
	_ = c.nc.SetWriteDeadline(time.Now().Add(Patience))
	_, err := io.WriteString(c.nc, text)
	return err
}

// Send writes a frame.
func (c *Client) Send(command, body string, lines ...string) {
	_ = c.Write(Text(command, body, lines...))
}

// Next reads the next frame. It returns io.EOF, or what else became of the connection.
func (c *Client) Next() (Frame, error) { return c.Within(Patience) }

// Within is Next with a deadline of its own; os.ErrDeadlineExceeded says that nothing came.
func (c *Client) Within(d time.Duration) (Frame, error) {
	_ = c.nc.SetReadDeadline(time.Now().Add(d))
	for c.eol = 0; ; c.eol++ {
		b, err := c.in.ReadByte()
		if err != nil {
			return Frame{}, err
		}
		if b != '\n' {
			_ = c.in.UnreadByte()
			break
		}
	}
	_ = c.nc.SetReadDeadline(time.Now().Add(Patience))
	return c.frame()
}

func (c *Client) frame() (f Frame, err error) {
	for {
		line, err := c.in.ReadString('\n')
		if err != nil {
			return f, fmt.Errorf("inside a frame %v, %q: %w", f, line, err)
		}
		line = strings.TrimSuffix(line, "\n")
		switch {
		case f.Command == "":
			f.Command = line
			continue
		case line != "":
			f.Lines = append(f.Lines, line)
			continue
		}
		break
	}
	body, err := c.body(f)
	if err != nil {
		return f, fmt.Errorf("inside the body of %v: %w", f, err)
	}
	f.Body = body
	// The line feed that brokers put behind a frame.
	if b, err := c.in.Peek(1); err == nil && b[0] == '\n' {
		_, _ = c.in.Discard(1)
	}
	return f, nil
}

func (c *Client) body(f Frame) (string, error) {
	text, ok := f.Lookup("content-length")
	if !ok {
		body, err := c.in.ReadString(0)
		return strings.TrimSuffix(body, "\x00"), err
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		return "", err
	}
	body := make([]byte, n+1)
	if _, err := io.ReadFull(c.in, body); err != nil {
		return "", err
	}
	if body[n] != 0 {
		return "", errors.New("no NUL behind the body")
	}
	return string(body[:n]), nil
}

// Expect reads a frame of that command.
func (c *Client) Expect(command string) Frame {
	c.t.Helper()
	f, err := c.Next()
	if err != nil {
		c.t.Fatalf("instead of %s: %v", command, err)
	}
	if f.Command != command {
		c.t.Fatalf("instead of %s: %v", command, f)
	}
	return f
}

// Ask sends a frame with a receipt and reads that receipt. Nothing else may come before.
func (c *Client) Ask(command, body string, lines ...string) {
	c.t.Helper()
	c.Send(command, body, append(lines, "receipt:asked")...)
	if f := c.Expect("RECEIPT"); f.Get("receipt-id") != "asked" {
		c.t.Fatalf("not that receipt: %v", f)
	}
}

// Closed reads until the broker closes the connection and returns the frames before that.
func (c *Client) Closed() (frames []Frame) {
	c.t.Helper()
	for {
		f, err := c.Next()
		switch {
		case err == nil:
			frames = append(frames, f)
		case errors.Is(err, os.ErrDeadlineExceeded):
			c.t.Fatalf("the connection was not closed; before: %v", frames)
		default:
			return frames
		}
	}
}

// Conn is the connection itself.
func (c *Client) Conn() net.Conn { return c.nc }

// Beats is how many line feeds stood before the last frame, the one that belongs to the frame
// before it not counted.
func (c *Client) Beats() int { return c.eol }

// Byte reads one byte.
func (c *Client) Byte() (byte, error) { return c.in.ReadByte() }
