package pubsub

import (
	"net"
	"sync"

	"github.com/sluice-mq/sluice/protocols/internal/listen"
)

// carrier is a net.Listener whose connections have come through a listen.Listener.
type carrier struct {
	addr  net.Addr
	conns chan net.Conn
	over  chan struct{}
	once  sync.Once
}

func newCarrier(addr net.Addr) *carrier {
	return &carrier{addr: addr, conns: make(chan net.Conn), over: make(chan struct{})}
}

// carried is a connection that tells when it is closed.
type carried struct {
	*listen.Conn
	closed chan struct{}
	once   sync.Once
}

// Close implements net.Conn.
func (c *carried) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() { close(c.closed) })
	return err
}

// hand hands a connection to whoever accepts, and returns when it is closed.
func (l *carrier) hand(c *listen.Conn) {
	held := &carried{Conn: c, closed: make(chan struct{})}
	select {
	case l.conns <- held:
		<-held.closed
	case <-l.over:
	}
}

// Accept implements net.Listener.
func (l *carrier) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.over:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener. Connections that were accepted go on.
func (l *carrier) Close() error {
	l.once.Do(func() { close(l.over) })
	return nil
}

// Addr implements net.Listener.
func (l *carrier) Addr() net.Addr { return l.addr }
