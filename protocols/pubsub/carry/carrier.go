package carry

import (
	"context"
	"net"
	"sync"

	"github.com/sluice-mq/sluice/protocols/internal/listen"
)

// Carrier is a net.Listener whose connections have come through a listen.Listener. Safe for concurrent use.
type Carrier struct {
	addr  net.Addr
	conns chan net.Conn
	over  chan struct{}
	once  sync.Once
}

// New makes one that listens, as it says, at an address.
func New(addr net.Addr) *Carrier {
	return &Carrier{addr: addr, conns: make(chan net.Conn), over: make(chan struct{})}
}

// Conn is a connection that tells when it is closed.
type Conn struct {
	*listen.Conn
	closed chan struct{}
	once   sync.Once
}

// Close implements net.Conn.
func (c *Conn) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() { close(c.closed) })
	return err
}

// connKey is where a request's context has its connection.
type connKey struct{}

// Context is for http.Server.ConnContext: From finds the connection in it.
func Context(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

// From is the connection that a request came by; nil if it came otherwise.
func From(ctx context.Context) *Conn {
	c, _ := ctx.Value(connKey{}).(*Conn)
	return c
}

// Hand hands a connection to whoever accepts, and returns when it is closed.
func (l *Carrier) Hand(c *listen.Conn) {
	held := &Conn{Conn: c, closed: make(chan struct{})}
	select {
	case l.conns <- held:
		<-held.closed
	case <-l.over:
	}
}

// Accept implements net.Listener.
func (l *Carrier) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.over:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener. Connections that were accepted go on.
func (l *Carrier) Close() error {
	l.once.Do(func() { close(l.over) })
	return nil
}

// Addr implements net.Listener.
func (l *Carrier) Addr() net.Addr { return l.addr }
