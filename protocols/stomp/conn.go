package stomp

import (
	"context"
	"crypto/rand"
	"io"
	"net"
	"runtime/debug"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/protocols/internal/budget"
	"github.com/sluice-mq/sluice/protocols/stomp/wire"
)

const (
	// lingerTime and lingerBytes bound how much of what a client still sends is
	// read and thrown away after the last frame was written: closing with
	// unread bytes would reset the connection and take that frame with it.
	lingerTime  = 500 * time.Millisecond
	lingerBytes = 64 << 10
)

// conn is one client's connection.
type conn struct {
	server *Server
	nc     net.Conn
	in     input
	unhook func() bool // from what ends it at once
	// orderly: the reading has ended without a panic.
	orderly bool

	// The reader's own.
	codec        *wire.Reader
	session      gateway.Session // nil before the login
	pacing       gateway.Paced   // the session, if it has a pace
	version      wire.Version    // written under mu
	addresses    addresses       // fixed by the login
	clientID     string
	user         string          // whom its messages name; empty is nobody
	subs         []*subscription // ascending by number
	subsByID     map[string]*subscription
	lastSub      uint64
	transactions map[string]*transaction
	txBytes      int
	txMessages   int
	large        *large        // the frame that is being read, if it is one
	txShare      *budget.Share // what the open transactions have of the memory for them; nil: nothing yet

	someLost atomic.Bool // a subscription was
	// replies: what is delivered may name a reply-to that the client calls by another name.
	replies atomic.Bool

	writer  writer
	desk    atomic.Uint32 // where its goroutine is
	wake    chan struct{} // calls the one that waits
	room    chan struct{} // a waiting reader may look again
	written chan struct{} // closed when the writer has ended
	over    chan struct{} // closed when the connection is

	// acks guards what is unacknowledged. Searching that takes as long as the client
	// makes it, so nobody but the reader and the writer ever waits for it.
	acks sync.Mutex

	mu        sync.Mutex         // never held during I/O or a call into the broker
	cancel    context.CancelFunc // ends the login, while there is one
	abandoned bool               // it ends at once, whatever is outstanding
	answers   answers
	ready     []*subscription // may have deliveries
	closing   []*subscription // to be closed by the writer
	beat      time.Duration   // longest silence towards the client; 0 is for ever
	waiting   bool            // the reader waits for room
	held      int             // of the answers are kept back, and meanwhile there is none
	finishing bool            // no frame will be read any more
	ended     bool            // the broker ended the connection

	parting string // what the last ERROR said that ended the connection; the writer's until written is closed
}

func newConn(s *Server, nc net.Conn) *conn {
	c := &conn{
		server:  s,
		nc:      nc,
		wake:    make(chan struct{}, 1),
		room:    make(chan struct{}, 1),
		written: make(chan struct{}),
		over:    make(chan struct{}),
	}
	c.addresses.dialect = s.dialect
	c.writer.c, c.writer.last = c, time.Now()
	c.writer.frames, _ = nc.(framed)
	c.in.nc = nc
	c.codec = wire.NewReader(&c.in, wire.BeforeLogin())
	c.codec.SetStrict(s.dialect.pedantic)
	c.codec.Borrow(&s.buffers)
	c.codec.SetRoom(c.enlarge)
	c.in.login = time.Now().Add(s.cfg.Limits.Login)
	c.in.ending = make(chan struct{})
	if t, ok := nc.(interface{ LoginBy() time.Time }); ok && t.LoginBy().Before(c.in.login) {
		c.in.login = t.LoginBy() // the time began before the handshakes of the transport
	}
	return c
}

// hook has the connection end at once when ctx is done.
func (c *conn) hook(ctx context.Context) { c.unhook = context.AfterFunc(ctx, c.abandon) }

// part ends the connection: nothing more is read.
func (c *conn) part() {
	defer c.server.leave(c)
	defer close(c.over)
	defer c.unhook()
	c.codec.Close()
	c.lessen()
	if !c.orderly { // a panic: nobody knows what is still to come
		c.abandon()
	}
	c.finish()
	<-c.written
	if c.session != nil {
		c.session.Close()
	}
	c.dropTransactions()
	c.linger()
	c.server.cfg.Logger.Debug("stomp: connection ended", "remote", c.remote())
}

// finish lets the writer write what is owed and end.
func (c *conn) finish() {
	c.mu.Lock()
	c.finishing = true
	c.mu.Unlock()
	c.wakeWriter()
}

// abandon ends the connection at once. What it is still owed is lost to it.
func (c *conn) abandon() {
	c.mu.Lock()
	c.abandoned = true
	if c.cancel != nil {
		c.cancel()
	}
	c.mu.Unlock()
	_ = c.nc.Close()
	c.wakeWriter()
}

// linger lets the client read the last frame before the connection goes away.
func (c *conn) linger() {
	if t, ok := c.nc.(interface{ CloseFor(string) error }); ok {
		_ = t.CloseFor(c.parting)
		return
	}
	if half, ok := c.nc.(interface{ CloseWrite() error }); ok {
		if half.CloseWrite() != nil {
			return
		}
	}
	if c.nc.SetReadDeadline(time.Now().Add(lingerTime)) == nil {
		_, _ = io.CopyN(io.Discard, c.nc, lingerBytes)
	}
}

// end is how the broker ends a connection. It may be called from any goroutine.
func (c *conn) end(err *gateway.Error) { c.endFor(closing(err)) }

func (c *conn) endFor(refusal error) {
	c.mu.Lock()
	if !c.ended {
		c.ended = true
		c.answers.push(answer{err: refusal, done: true})
	}
	c.mu.Unlock()
	c.wakeWriter()
}

// survive keeps a panic of the writer from ending the process.
func (c *conn) survive() {
	if r := recover(); r != nil {
		c.server.cfg.Logger.Error("stomp: a connection's writer failed",
			"remote", c.remote(), "panic", r, "stack", string(debug.Stack()))
		_ = c.nc.Close()
		c.desk.Store(writerGone)
		close(c.written)
	}
}

func (c *conn) remote() string {
	if a := c.nc.RemoteAddr(); a != nil {
		return a.String()
	}
	return ""
}

// sessionID is the session's name for the client.
func (c *conn) sessionID(clientID string) string {
	if clientID != "" {
		return clientID
	}
	if begin := c.server.dialect.session; begin != "" {
		return begin + rand.Text()[:22]
	}
	return c.server.name + ":" + strconv.FormatUint(c.server.number.Add(1), 10)
}
