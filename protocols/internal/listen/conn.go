package listen

import (
	"crypto/tls"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/sluice-mq/sluice/gateway"
)

// Conn is what doors get: a TCP connection, or TLS over one. It implements gateway.Introduced.
type Conn struct {
	net.Conn // *socket, or *tls.Conn over it
	socket   *socket
	listener *Listener
	client   net.Addr
	knows    gateway.Introduction
	loginBy  time.Time
	admitted sync.Once
	from     netip.Addr // whom it counts among before the login
	passed   bool       // it does
}

// RemoteAddr is the client's own address, also behind a trusted proxy.
func (c *Conn) RemoteAddr() net.Addr { return c.client }

// Introduction implements gateway.Introduced.
func (c *Conn) Introduction() gateway.Introduction { return c.knows }

// LoginBy is when the time to log in is over, which began before the TLS handshake.
func (c *Conn) LoginBy() time.Time { return c.loginBy }

// LoggedIn tells that the client is known: it does not count any more among those that one address may have before
// their login, and lets the next one in. It may be called from any goroutine and more than once.
func (c *Conn) LoggedIn() { c.admitted.Do(c.leave) }

func (c *Conn) leave() { c.listener.gate.leave(c.from) }

// NetConn is the TCP connection, for the options of sockets.
func (c *Conn) NetConn() *net.TCPConn { return c.socket.TCPConn }

// CloseWrite says, within TLS too, that nothing more will come. It takes at most five seconds with a client that takes nothing.
func (c *Conn) CloseWrite() error {
	if t, ok := c.Conn.(*tls.Conn); ok {
		if err := t.CloseWrite(); err != nil {
			return err
		}
	}
	return c.socket.CloseWrite()
}

// Close ends the connection at once, without a word: a client that reads nothing cannot hold it up.
func (c *Conn) Close() error { return c.socket.Close() }
