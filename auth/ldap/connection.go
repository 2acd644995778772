package ldap

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-ldap/ldap/v3"
)

// maxAnswers is how many bytes a server may say about one login.
const maxAnswers = 2 << 20

// maxIdle is how long an unused connection is trusted to be alive.
const maxIdle = 2 * time.Minute

// wire is a connection that reads no more than it may.
type wire struct {
	net.Conn
	left atomic.Int64
}

func (w *wire) Read(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	if w.left.Add(-int64(n)) < 0 {
		return 0, fmt.Errorf("the server says more than %d bytes", maxAnswers)
	}
	return n, err
}

// identity is who a connection is bound as.
type identity int

const (
	nobody identity = iota
	finder          // BindDN, who looks for people
	somebody
)

// connection is one to a server. It belongs to one goroutine at a time.
type connection struct {
	*ldap.Conn
	wire *wire
	// as is who it is bound as: at first nobody.
	as     identity
	used   time.Time
	server int // which of the targets
}

// dial connects to a server, with TLS if that is wanted, until a deadline.
func (s *settings) dial(ctx context.Context, t target, deadline time.Time) (*connection, error) {
	d := net.Dialer{Deadline: deadline}
	raw, err := d.DialContext(ctx, "tcp", t.address)
	if err != nil {
		return nil, err
	}
	if err := raw.SetDeadline(deadline); err != nil {
		raw.Close()
		return nil, err
	}
	c := &connection{wire: &wire{Conn: raw}}
	c.wire.left.Store(maxAnswers)
	if t.tls {
		secure := tls.Client(c.wire, t.config)
		if err := secure.HandshakeContext(ctx); err != nil {
			raw.Close()
			return nil, err
		}
		c.Conn = ldap.NewConn(secure, true)
		c.Start()
		return c, nil
	}
	c.Conn = ldap.NewConn(c.wire, false)
	c.Start()
	if s.StartTLS {
		if err := c.StartTLS(t.config); err != nil {
			c.Close()
			return nil, fmt.Errorf("start TLS: %w", err)
		}
	}
	return c, nil
}

// begin gives a connection until a deadline for one login.
func (c *connection) begin(deadline time.Time) error {
	c.wire.left.Store(maxAnswers)
	return c.wire.SetDeadline(deadline)
}

// pool keeps connections. Safe for concurrent use.
type pool struct {
	*settings
	slots chan struct{} // one for each connection in use

	mu     sync.Mutex
	closed bool
	idle   []*connection // of the server that answered last
	from   int           // which that is
}

func newPool(s *settings) *pool { return &pool{settings: s, slots: make(chan struct{}, s.PoolSize)} }

// with calls a function with a connection to each server in turn, until one answers. The function is called again if a server turned out to be silent.
func (p *pool) with(ctx context.Context, f func(*connection) error) error {
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	case <-ctx.Done():
		return &silence{fmt.Errorf("wait for a connection: %w", ctx.Err())}
	}
	if c := p.take(); c != nil {
		err := p.use(c, p.deadline(ctx), f)
		if !silent(err) {
			return err
		}
		p.drop() // what has been idle as long is dead as well
	}
	p.mu.Lock()
	first, closed := p.from, p.closed
	p.mu.Unlock()
	if closed {
		return &silence{errors.New("the directory was closed")}
	}
	var errs []error
	for i := range p.targets {
		n := (first + i) % len(p.targets)
		err := p.try(ctx, n, f)
		if !silent(err) {
			return err
		}
		p.Log.Warn("a directory server does not answer", "server", p.targets[n].address, "error", err)
		errs = append(errs, fmt.Errorf("%s: %w", p.targets[n].address, err))
		if ctx.Err() != nil {
			break
		}
	}
	return &silence{errors.Join(errs...)}
}

// try asks one server over a fresh connection.
func (p *pool) try(ctx context.Context, n int, f func(*connection) error) error {
	deadline := p.deadline(ctx)
	c, err := p.dial(ctx, p.targets[n], deadline)
	if err != nil {
		return &silence{err}
	}
	c.server = n
	err = p.use(c, deadline, f)
	if !silent(err) {
		p.prefer(n)
	}
	return err
}

// prefer has a server asked first from now on, since it answers.
func (p *pool) prefer(n int) {
	p.mu.Lock()
	changed := p.from != n
	p.from = n
	p.mu.Unlock()
	if changed {
		p.drop()
	}
}

// drop ends the idle connections.
func (p *pool) drop() {
	p.mu.Lock()
	idle := p.idle
	p.idle = nil
	p.mu.Unlock()
	for _, c := range idle {
		c.Close()
	}
}

func (p *pool) deadline(ctx context.Context) time.Time {
	deadline := time.Now().Add(p.Timeout)
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		return d
	}
	return deadline
}

// use has a function use a connection, and keeps it if it is still good.
func (p *pool) use(c *connection, deadline time.Time, f func(*connection) error) error {
	if err := c.begin(deadline); err != nil {
		c.Close()
		return &silence{err}
	}
	err := f(c)
	if silent(err) || c.IsClosing() || c.wire.SetDeadline(time.Time{}) != nil {
		c.Close()
		return err
	}
	c.used = p.Now()
	p.mu.Lock()
	keep := !p.closed && (c.server == p.from || len(p.idle) == 0)
	if keep {
		p.idle = append(p.idle, c)
	}
	p.mu.Unlock()
	if !keep {
		c.Close()
	}
	return err
}

// take returns an idle connection that looks alive, or nil.
func (p *pool) take() *connection {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.idle) > 0 {
		c := p.idle[len(p.idle)-1]
		p.idle = p.idle[:len(p.idle)-1]
		if !c.IsClosing() && p.Now().Sub(c.used) < maxIdle {
			return c
		}
		c.wire.Close() // its reader ends then, and with it the rest
	}
	return nil
}

// close ends idle connections; those in use end when they are given back.
func (p *pool) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.drop()
}

// silence is that a server has not answered, whatever was the reason.
type silence struct{ cause error }

func (s *silence) Error() string { return s.cause.Error() }
func (s *silence) Unwrap() error { return s.cause }

// silent reports whether an error means that a server has not answered.
func silent(err error) bool {
	var s *silence
	return errors.As(err, &s)
}

// heard returns the error of a question; it is silence if the server has not said it, or says that it cannot answer now.
func heard(err error) error {
	if err == nil {
		return nil
	}
	var said *ldap.Error
	if !errors.As(err, &said) || said.ResultCode >= ldap.ErrorNetwork || ldap.IsErrorAnyOf(err, ldap.LDAPResultBusy, ldap.LDAPResultUnavailable,
		ldap.LDAPResultServerDown, ldap.LDAPResultTimeout, ldap.LDAPResultConnectError, ldap.LDAPResultTimeLimitExceeded) {
		return &silence{err}
	}
	return err
}
