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
// Each Write is a message of its own, and so is each frame of WriteFrame: there are clients that look for no second frame in a message. It is text if the client's first message was
// text and it is valid UTF-8, else binary: browsers end a connection over text that is none.
type Conn struct {
	server *Server
	nc     *listen.Conn
	in     inbox
	br     *bufio.Reader // the library's, which reads from in
	out    *outbox
	ws     *coder.Conn
	knows  gateway.Introduction
	// compressed: messages may be, and so all are left to the library.
	compressed bool
	longest    atomic.Int64 // message

	// The reader's own.
	message io.Reader // what is left of a message that is left to the library; nil between two
	begun   bool
	ended   error

	binary  atomic.Bool  // the client's first message was
	reading atomic.Int64 // since when somebody waits for the client, as the server counts nanoseconds; 0: nobody does
	heard   atomic.Int64 // when something came, likewise

	pings struct { // for watch
		sync.Mutex
		timer   *time.Timer
		running sync.WaitGroup
		over    bool
	}
}

// newConn is the connection of a client whose request was read from br, with what came behind it.
func (s *Server) newConn(nc *listen.Conn, br *bufio.Reader) *Conn {
	c := &Conn{server: s, nc: nc, out: newOutbox(nc, &s.buffers)}
	c.in = inbox{from: (*ear)(c), roomy: func() bool { return c.longest.Load() > unknownMessage }, buffers: &s.portions}
	held, _ := br.Peek(br.Buffered()) // no more than readBuffer
	c.in.small = make([]byte, max(len(held), idleBuffer))
	c.in.end = copy(c.in.small, held)
	c.longest.Store(unknownMessage)
	return c
}

// ear listens to the socket, and notes when.
type ear Conn

func (e *ear) Read(p []byte) (int, error) {
	e.reading.Store(e.server.elapsed())
	n, err := e.nc.Read(p)
	e.reading.Store(0)
	if n > 0 {
		e.heard.Store(e.server.elapsed())
	}
	return n, err
}

// below is what the library takes for the network connection.
type below struct{ c *Conn }

func (b *below) Read(p []byte) (int, error) { return b.c.in.Read(p) }

// Write takes a control frame, whole; with compression, parts of any.
func (b *below) Write(p []byte) (int, error) {
	return b.c.out.library(p, !b.c.compressed && len(p) > 0 && p[0]&opcodeBits == opClose)
}

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
	c.longest.Store(c.server.cfg.MaxMessage)
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
	for n == 0 && err == nil {
		if c.message == nil && !c.compressed { // else the library waits
			if err = c.in.await(); err != nil {
				break
			}
		}
		n, err = c.read(p)
	}
	if err != nil {
		c.ended = c.why(err)
		return n, c.ended
	}
	return n, nil
}

func (c *Conn) read(p []byte) (int, error) {
	if c.message != nil || c.compressed {
		return c.leave(p)
	}
	if !c.in.ours {
		h, err := c.in.next()
		if err != nil {
			return 0, err
		}
		if !h.message || h.length > c.longest.Load() {
			return c.leave(p)
		}
		c.begin(h.opcode == opBinary)
		c.in.take(h)
	}
	n, err := 0, error(nil)
	if c.in.ours {
		n, err = c.in.payload(p)
	}
	for err == nil && !c.in.ours && n < len(p) { // what else has come
		h, ok := parseHeader(c.in.held())
		if !ok || !h.message || h.length > c.longest.Load() {
			break
		}
		if c.in.take(h); c.in.ours && c.in.pos < c.in.end {
			var more int
			more, err = c.in.payload(p[n:])
			n += more
		}
	}
	return n, err
}

// begin learns from the client's first message which kind it takes.
func (c *Conn) begin(binary bool) {
	if !c.begun {
		c.begun = true
		c.binary.Store(binary)
	}
}

// leave leaves a message to the library.
func (c *Conn) leave(p []byte) (int, error) {
	if c.message == nil {
		kind, r, err := c.ws.Reader(context.Background())
		if err != nil {
			return 0, err
		}
		c.begin(kind == coder.MessageBinary)
		c.message = r
	}
	// The library waits until it can fill p. What is there is to be had at once, or slow clients would seem silent.
	if !c.compressed {
		if c.br.Buffered()+c.in.ready() == 0 && !c.in.done() {
			if _, err := c.br.Peek(1); err != nil {
				return 0, err
			}
		}
		p = p[:min(len(p), c.br.Buffered()+c.in.ready())]
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
	size, valid := 0, true
	for _, p := range pieces {
		size += len(p)
		valid = valid && c.fits(p)
	}
	kind := c.kind(valid)
	if c.compressed {
		return c.compress(kind, pieces)
	}
	if size <= portion {
		return c.out.frame(finBit|kind, size, pieces...)
	}
	return c.stream(kind, size, pieces)
}

// WriteFrames sends such frames, each of which ends at one of ends, as a message each.
func (c *Conn) WriteFrames(frames []byte, ends []int) error {
	begin := 0
	for _, end := range ends {
		f := frames[begin:end]
		begin = end
		var err error
		switch {
		case len(f) == 0:
		case c.compressed || len(f) > portion:
			err = c.WriteFrame(f)
		default:
			err = c.out.frame(finBit|c.kind(c.fits(f)), len(f), f)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// fits reports whether p may be in a message of the client's kind.
func (c *Conn) fits(p []byte) bool { return c.binary.Load() || utf8.Valid(p) }

// kind is that of a message to the client.
func (c *Conn) kind(fits bool) byte {
	if c.binary.Load() || !fits {
		return opBinary
	}
	return opText
}

// stream sends a message in several of WebSocket's frames, so that nothing large has to be kept for a client that is slow to take it.
func (c *Conn) stream(kind byte, size int, pieces [][]byte) error {
	for _, p := range pieces {
		for len(p) > 0 {
			part := p[:min(len(p), portion)]
			p, size = p[len(part):], size-len(part)
			first := kind
			if size == 0 {
				first |= finBit
			}
			if err := c.out.frame(first, len(part), part); err != nil {
				return err
			}
			kind = 0 // it goes on
		}
	}
	return nil
}

// compress leaves a message to the library.
func (c *Conn) compress(kind byte, pieces [][]byte) error {
	c.out.cork()
	if len(pieces) == 1 && len(pieces[0]) <= portion {
		if err := c.ws.Write(context.Background(), coder.MessageType(kind), pieces[0]); err != nil {
			return err
		}
		return c.out.ease()
	}
	w, err := c.ws.Writer(context.Background(), coder.MessageType(kind))
	if err != nil {
		return err
	}
	for _, p := range pieces {
		for len(p) > 0 {
			part := p[:min(len(p), portion)]
			if _, err := w.Write(part); err != nil {
				return err
			}
			if err := c.out.ease(); err != nil {
				return err
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
	c.in.yield()
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
