package listen

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/netip"
	"runtime/debug"
	"time"

	"github.com/sluice-mq/sluice/gateway"
)

// admit starts the goroutine of a connection, or turns the connection away.
func (l *Listener) admit(ctx context.Context, t *net.TCPConn, handle func(context.Context, net.Conn)) {
	s := &socket{TCPConn: t, tls: l.cfg.TLS != nil}
	s.other = func() { l.mismatch(s) }
	if !l.enter(s) {
		l.note(noteLimit, "too many connections", t.RemoteAddr(), nil)
		l.refuse(s, l.trusts(s.peer()), wordsLimit)
		return
	}
	_ = t.SetNoDelay(true)
	l.done.Add(1)
	go l.attend(ctx, &Conn{Conn: s, socket: s, listener: l, client: t.RemoteAddr()}, handle)
}

// enter counts a connection in, unless there is no room.
func (l *Listener) enter(s *socket) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cfg.MaxConnections > 0 && l.stats.Open >= l.cfg.MaxConnections {
		l.stats.Refused.Limit++
		return false
	}
	if l.stats.Open == 0 {
		l.idle = make(chan struct{})
	}
	l.stats.Open++
	l.stats.Accepted++
	l.open[s] = underway
	if l.cut {
		_ = s.Close()
	}
	return true
}

func (l *Listener) leave(s *socket) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.open, s)
	if l.stats.Open--; l.stats.Open == 0 {
		close(l.idle)
	}
}

// hurry ends the way of all that have not reached their door when the listener stops: nobody waits for them.
func (l *Listener) hurry() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for s, where := range l.open {
		if where == underway {
			_ = s.SetDeadline(time.Unix(1, 0))
		}
	}
}

// arrive reports whether a connection has reached its door in time.
func (l *Listener) arrive(s *socket) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.early.Err() != nil {
		return false
	}
	l.open[s] = atDoor
	return true
}

// sever closes all connections, and those that may still come.
func (l *Listener) sever() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = true
	for s := range l.open {
		_ = s.Close()
	}
}

// attend is the goroutine of a connection. It is at the bottom of the stack of whoever waits for a client, so it keeps little there.
func (l *Listener) attend(ctx context.Context, c *Conn, handle func(context.Context, net.Conn)) {
	defer l.part(c)
	if l.receive(c) && l.arrive(c.socket) {
		handle(ctx, c)
	}
}

// part ends a connection, and keeps its panic from ending the process.
func (l *Listener) part(c *Conn) {
	if r := recover(); r != nil {
		l.failed(c.socket, r)
	}
	if c.passed {
		c.LoggedIn()
	}
	_ = c.socket.Close()
	l.leave(c.socket)
	l.done.Done()
}

// receive brings a connection to its door, or reports that it has no business there.
func (l *Listener) receive(c *Conn) bool {
	client := c.socket.peer()
	c.knows.Secure = client.Addr().Unmap().IsLoopback()
	if l.trusts(client) {
		behind, err := l.proxied(c.socket)
		if err != nil {
			l.turnedAway(noteProxy, &l.stats.Refused.Proxy, "a trusted proxy did not say whom it brings", c.client, err)
			return false
		}
		c.knows.Secure = false
		if behind.IsValid() {
			client, c.client = behind, net.TCPAddrFromAddrPort(behind)
		}
	}
	c.from = origin(client.Addr())
	if !l.pass(c, c.from) {
		return false
	}
	c.passed = true
	if c.socket.tls && !l.secure(c, c.from) {
		return false
	}
	if c.loginBy.IsZero() {
		c.loginBy = time.Now().Add(l.cfg.Login)
	}
	return true
}

// trusts reports whether an address is that of a proxy.
func (l *Listener) trusts(a netip.AddrPort) bool {
	for _, p := range l.cfg.TrustedProxies {
		if p.Contains(a.Addr().Unmap()) || p.Contains(a.Addr()) {
			return true
		}
	}
	return false
}

// proxied reads the header of the PROXY protocol.
func (l *Listener) proxied(s *socket) (netip.AddrPort, error) {
	if err := l.until(s, time.Now().Add(l.cfg.Login)); err != nil {
		return netip.AddrPort{}, err
	}
	buf := make([]byte, proxyFixed+proxyMore)
	for n := 0; ; {
		k, err := s.TCPConn.Read(buf[n:])
		n += k
		if n > 0 {
			client, size, wrong := parseProxy(buf[:n])
			if wrong == nil {
				s.ahead = append([]byte(nil), buf[size:n]...)
				return client, l.until(s, time.Time{})
			}
			if wrong != errProxyShort {
				return client, wrong
			}
		}
		if err != nil {
			return netip.AddrPort{}, fmt.Errorf("reading the header of the PROXY protocol: %w", err)
		}
	}
}

// pass waits for a connection's turn, or refuses it.
func (l *Listener) pass(c *Conn, from netip.Addr) bool {
	switch l.gate.enter(l.early, from, l.cfg.Wait) {
	case passed:
		return true
	case over:
	case tooManyOfOne:
		l.turnedAway(noteAddress, &l.stats.Refused.Address, "too many connections of one address before their login", c.client, nil)
		l.tell(c.socket, wordsAddress)
	default:
		l.turnedAway(noteStorm, &l.stats.Refused.Storm, "too many clients connect at once", c.client, nil)
		l.tell(c.socket, wordsStorm)
	}
	return false
}

// secure does the handshake and looks at the client's certificate.
func (l *Listener) secure(c *Conn, from netip.Addr) bool {
	switch l.handshakes.enter(l.early, from, l.cfg.Wait) {
	case passed:
	case over:
		return false
	default:
		l.turnedAway(noteStorm, &l.stats.Refused.Storm, "too many TLS handshakes at once", c.client, nil)
		return false
	}
	c.loginBy = time.Now().Add(l.cfg.Login)
	t := tls.Server(c.socket, l.cfg.TLS)
	err := l.shake(t, c.socket, c.loginBy, from)
	if err != nil {
		if !c.socket.wrong && l.early.Err() == nil { // these were told and counted
			l.turnedAway(noteHandshake, &l.stats.Refused.Handshake, "a TLS handshake failed", c.client, err)
		}
		return false
	}
	c.Conn = t
	c.knows = gateway.Introduction{Secure: true}
	state := t.ConnectionState()
	switch {
	case l.cfg.Judge != nil:
		c.knows.Credentials.Certificate, c.knows.Credentials.CertificateErr = l.cfg.Judge(state)
	case len(state.VerifiedChains) > 0:
		c.knows.Credentials.Certificate = state.PeerCertificates[0]
	}
	return true
}

// shake is the handshake itself, at one of its places.
func (l *Listener) shake(t *tls.Conn, s *socket, until time.Time, from netip.Addr) error {
	defer l.handshakes.leave(from)
	if err := l.until(s, until); err != nil {
		return err
	}
	if err := t.HandshakeContext(context.Background()); err != nil {
		return err
	}
	return l.until(s, time.Time{})
}

// until sets the deadline of a connection that has not reached its door, unless the listener stops.
func (l *Listener) until(s *socket, deadline time.Time) error {
	if err := s.SetDeadline(deadline); err != nil {
		return err
	}
	return l.early.Err() // whose deadline may just have been replaced
}

// survive keeps a panic of one connection from ending the process.
func (l *Listener) survive(c net.Conn) {
	if r := recover(); r != nil {
		l.failed(c, r)
	}
}

func (l *Listener) failed(c net.Conn, reason any) {
	l.cfg.Logger.Error("a connection failed and was closed",
		"address", l.cfg.Address, "remote", c.RemoteAddr().String(), "panic", reason, "stack", string(debug.Stack()))
}

// discard reads what a client still sends, so that closing does not take the last words with it.
func discard(s *socket) {
	_ = s.CloseWrite()
	_, _ = io.CopyN(io.Discard, s.TCPConn, refusalDrain)
}
