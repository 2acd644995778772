package websocket

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	coder "github.com/coder/websocket"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/protocols/internal/listen"
)

const (
	// goodbye is how long a client has to take the close frame and to answer it.
	goodbye = time.Second
	// maxReason is how long the reason of a close frame may be, as RFC 6455 has it.
	maxReason = 123
)

// Conn is a client's WebSocket as a stream of bytes: what comes in messages of either kind, however they are cut, is read
// one after the other. It implements gateway.Introduced. As with any connection, one goroutine may read and another one write.
//
// Each Write is a message of its own, and so is each frame of WriteFrame. It is text if the client's first message was
// text and it is valid UTF-8, else binary: browsers end a connection over text that is none.
type Conn struct {
	server *Server
	nc     *listen.Conn
	br     *bufio.Reader // the library's, which reads from below
	out    *outbox
	ws     *coder.Conn
	knows  gateway.Introduction
	// compressed: messages may be.
	compressed bool

	// The reader's own.
	message io.Reader // what is left of the present message; nil between two
	begun   bool
	ended   error

	binary  atomic.Bool  // the client's first message was
	reading atomic.Int64 // since when somebody waits for the client, in nanoseconds of the Unix time; 0: nobody does
	heard   atomic.Int64 // when something came, likewise

	pings struct { // for watch
		sync.Mutex
		timer   *time.Timer
		running sync.WaitGroup
		over    bool
	}
}

func (s *Server) newConn(nc *listen.Conn, br *bufio.Reader) *Conn {
	return &Conn{server: s, nc: nc, br: br, out: newOutbox(nc, &s.buffers)}
}

// below is what the library takes for the network connection.
type below struct{ c *Conn }

func (b *below) Read(p []byte) (int, error) {
	n, err := b.c.nc.Read(p)
	if n > 0 {
		b.c.heard.Store(time.Now().UnixNano())
	}
	return n, err
}
func (b *below) Write(p []byte) (int, error) { return b.c.out.Write(p) }

// Close is how the library ends a connection when a close frame was written.
func (b *below) Close() error {
	b.c.out.finish(time.Now().Add(goodbye))
	return b.c.nc.Close()
}
func (b *below) LocalAddr() net.Addr                { return b.c.nc.LocalAddr() }
func (b *below) RemoteAddr() net.Addr               { return b.c.nc.RemoteAddr() }
func (b *below) SetDeadline(t time.Time) error      { return b.c.nc.SetDeadline(t) }
func (b *below) SetReadDeadline(t time.Time) error  { return b.c.nc.SetReadDeadline(t) }
func (b *below) SetWriteDeadline(t time.Time) error { return b.c.nc.SetWriteDeadline(t) }

// Introduction implements gateway.Introduced.
func (c *Conn) Introduction() gateway.Introduction { return c.knows }

// LoginBy is when the time to log in is over.
func (c *Conn) LoginBy() time.Time { return c.nc.LoginBy() }

// LoggedIn tells that the client is known and may send what it likes.
func (c *Conn) LoggedIn() {
	c.nc.LoggedIn()
	c.ws.SetReadLimit(c.server.cfg.MaxMessage)
}

// LocalAddr and RemoteAddr are those of the connection; the latter is the client's own, also behind a trusted proxy.
func (c *Conn) LocalAddr() net.Addr  { return c.nc.LocalAddr() }
func (c *Conn) RemoteAddr() net.Addr { return c.nc.RemoteAddr() }

// SetReadDeadline is for the present Read and the later ones. After one that it ended, nothing more can be read.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.nc.SetReadDeadline(t) }

// SetWriteDeadline gives the client the time until t for each 64 KiB that it is sent from now on, not for all together.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	if t.IsZero() {
		c.out.allow(0)
	} else {
		c.out.allow(max(time.Until(t), time.Nanosecond))
	}
	return nil
}

// SetDeadline sets both.
func (c *Conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// Read implements net.Conn. The end is io.EOF if the client said goodbye as it should.
func (c *Conn) Read(p []byte) (n int, err error) {
	if c.ended != nil || len(p) == 0 {
		return 0, c.ended
	}
	c.reading.Store(time.Now().UnixNano())
	defer c.reading.Store(0)
	for n == 0 && err == nil {
		n, err = c.read(p)
	}
	if err != nil {
		c.ended = c.why(err)
		return n, c.ended
	}
	return n, nil
}

func (c *Conn) read(p []byte) (int, error) {
	if c.message == nil {
		kind, r, err := c.ws.Reader(context.Background())
		if err != nil {
			return 0, err
		}
		if !c.begun {
			c.begun = true
			c.binary.Store(kind == coder.MessageBinary)
		}
		c.message = r
	}
	// The library waits until it can fill p. What is there is to be had at once, or slow clients would seem silent.
	if !c.compressed {
		if _, err := c.br.Peek(1); err != nil {
			return 0, err
		}
		p = p[:min(len(p), c.br.Buffered())]
	}
	n, err := c.message.Read(p)
	if errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		c.message, err = nil, nil
	}
	return n, err
}

// why turns an error of the library into what a reader of streams expects. What the client did wrong it was told in a
// close frame, which it needs time to read.
func (c *Conn) why(err error) error {
	switch status := coder.CloseStatus(err); {
	case status == coder.StatusNormalClosure, status == coder.StatusGoingAway, status == coder.StatusNoStatusRcvd:
		return io.EOF
	case status >= 0, errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, net.ErrClosed), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return err
	}
	var of *net.OpError
	if !errors.As(err, &of) {
		c.server.listener.TurnedAway("a WebSocket broke the rules", c.nc.RemoteAddr(), err)
		c.out.finish(time.Now().Add(goodbye))
		parting(c.nc)
	}
	return err
}

// Write sends p as one message.
func (c *Conn) Write(p []byte) (int, error) {
	if err := c.WriteFrame(p); err != nil {
		return 0, err
	}
	return len(p), c.Flush()
}

// WriteFrame sends a frame of the door's protocol, given in pieces, as one message. It goes out with Flush, if not before.
func (c *Conn) WriteFrame(pieces ...[]byte) error {
	c.out.cork()
	kind, size := coder.MessageText, 0
	if c.binary.Load() {
		kind = coder.MessageBinary
	}
	for _, p := range pieces {
		size += len(p)
		if kind == coder.MessageText && !utf8.Valid(p) {
			kind = coder.MessageBinary
		}
	}
	if len(pieces) > 1 || size > portion {
		return c.stream(kind, pieces)
	}
	if err := c.ws.Write(context.Background(), kind, pieces[0]); err != nil {
		return err
	}
	if c.out.full() {
		return c.out.flush(true)
	}
	return nil
}

// stream sends a message in several of WebSocket's frames, so that nothing large has to be kept for a client that is slow to take it.
func (c *Conn) stream(kind coder.MessageType, pieces [][]byte) error {
	w, err := c.ws.Writer(context.Background(), kind)
	if err != nil {
		return err
	}
	for _, p := range pieces {
		for len(p) > 0 {
			part := p[:min(len(p), portion)]
			if _, err := w.Write(part); err != nil {
				return err
			}
			if c.out.full() {
				if err := c.out.flush(true); err != nil {
					return err
				}
			}
			p = p[len(part):]
		}
	}
	return w.Close()
}

// Flush sends what is held back.
func (c *Conn) Flush() error { return c.out.flush(false) }

// CloseWrite says goodbye for no particular reason.
func (c *Conn) CloseWrite() error { return c.CloseFor("") }

// CloseFor says goodbye in a close frame that has the reason, waits a second for the client's answer, and ends the
// connection. Nobody may be reading or writing. No reason is a normal end, unless the server is stopping.
func (c *Conn) CloseFor(reason string) error {
	code := coder.StatusNormalClosure
	switch {
	case reason != "":
		code = coder.StatusPolicyViolation
	case c.server.stopping.Err() != nil:
		code, reason = coder.StatusGoingAway, "the node is stopping"
	}
	if len(reason) > maxReason {
		reason = reason[:maxReason-3]
		reason = strings.ToValidUTF8(reason, "") + "..."
	}
	_ = c.SetDeadline(time.Now().Add(goodbye))
	return c.ws.Close(code, strings.ToValidUTF8(reason, "?"))
}

// Close ends the connection at once, without a word.
func (c *Conn) Close() error {
	c.out.fail(net.ErrClosed)
	return c.nc.Close()
}

// over ends what belongs to the connection; its handler has returned.
func (c *Conn) over() {
	_ = c.Close()
	if c.ws != nil {
		_ = c.ws.CloseNow()
	}
	c.unwatch()
	c.out.running.Wait()
}
