package stomp

import (
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-mq/sluice/protocols/internal/listen"
	"github.com/sluice-mq/sluice/protocols/stomp/wire"
)

// Server serves STOMP on one address. Its methods may be called concurrently;
// Serve once.
type Server struct {
	cfg       Config
	dialect   *dialect
	transport listen.Transport
	// name is the part of session names that all connections share.
	name    string
	number  atomic.Uint64
	scratch sync.Pool // of *scratch
	buffers wire.Buffers

	mu       sync.Mutex
	conns    map[*conn]struct{}
	draining bool

	faults struct { // for fault
		sync.Mutex
		next   time.Time
		silent int
	}
}

// faultsEvery is how often our own faults are logged at most: when the store
// fails, every frame does.
const faultsEvery = time.Second

// fault logs that a frame failed and it was not its client's mistake.
func (s *Server) fault(remote string, err error) {
	s.faults.Lock()
	defer s.faults.Unlock()
	now := s.cfg.Clock()
	if now.Before(s.faults.next) {
		s.faults.silent++
		return
	}
	s.cfg.Logger.Error("stomp: a frame failed", "remote", remote, "error", err, "not_logged_before", s.faults.silent)
	s.faults.next, s.faults.silent = now.Add(faultsEvery), 0
}

// New takes the address, unless there is a transport that has one, and fills in cfg's defaults. Clients may
// connect from here on; they wait until Serve.
func New(cfg Config) (*Server, error) {
	s, err := newServer(cfg)
	if err != nil {
		return nil, err
	}
	if s.transport = cfg.Transport; s.transport == nil {
		limits := s.cfg.Reception
		limits.MaxConnections, limits.Login = s.cfg.MaxConnections, s.cfg.Limits.Login
		l, err := listen.Listen(listen.Config{
			Address: s.cfg.Address, TLS: withoutTickets(s.cfg.TLS), Judge: s.cfg.Judge, TrustedProxies: s.cfg.TrustedProxies,
			Limits: limits, Refuse: refuse, Logger: s.cfg.Logger, Clock: s.cfg.Clock,
		})
		if err != nil {
			return nil, fmt.Errorf("stomp: %w", err)
		}
		s.transport = l
	}
	s.name = sessionName(s.transport.Addr(), s.cfg.Clock())
	return s, nil
}

// newServer makes a server without a listener.
func newServer(cfg Config) (*Server, error) {
	cfg, err := cfg.complete()
	if err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, dialect: cfg.dialect(), conns: map[*conn]struct{}{}, name: sessionName(nil, cfg.Clock())}
	s.scratch.New = func() any { return new(scratch) }
	return s, nil
}

// sessionName looks like ActiveMQ's connection identifiers: ID:host-port-ms-0.
func sessionName(addr net.Addr, now time.Time) string {
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	port := 0
	if tcp, ok := addr.(*net.TCPAddr); ok {
		port = tcp.Port
	}
	return "ID:" + host + "-" + strconv.Itoa(port) + "-" + strconv.FormatInt(now.UnixMilli(), 10) + "-0"
}

// refuse tells a client that does not get as far as a login why it is turned away.
func refuse(nc net.Conn, why string) {
	_, _ = nc.Write(errorFrame(nil, 0, why, why, "", nil))
}

// Addr is where the server listens, with the port that was taken.
func (s *Server) Addr() net.Addr { return s.transport.Addr() }

// Stats is a cheap snapshot of the connections.
func (s *Server) Stats() Stats { return s.transport.Stats() }

// Serve accepts connections until Drain is called or ctx is done, and returns
// when the last of them is gone: nil after Drain, else ctx's error or the one
// that ended the listening. When ctx is done, connections are closed at once.
func (s *Server) Serve(ctx context.Context) error {
	return s.transport.Serve(ctx, s.ServeConn)
}

// ServeConn serves one connection that was accepted elsewhere and returns when
// it is over. The caller closes nc. When ctx is done, the connection ends at once.
func (s *Server) ServeConn(ctx context.Context, nc net.Conn) {
	c := newConn(s, nc)
	if !s.enter(c) {
		return
	}
	defer c.part()
	c.hook(ctx)
	c.read(ctx)
	c.orderly = true
}

func (s *Server) enter(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining {
		return false
	}
	s.conns[c] = struct{}{}
	return true
}

func (s *Server) leave(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
}

// Drain takes no new connections, lets each present one finish what has
// already arrived from it, waits for the outcomes, writes the receipts and
// closes it. It returns when all are gone or, with ctx's error, when ctx is
// done; then it closes the remaining ones at once.
func (s *Server) Drain(ctx context.Context) error {
	if s.transport != nil {
		s.transport.StopAccepting()
	}
	until := time.Now().Add(drainReading)
	for _, c := range s.present() {
		c.in.drain(until)
	}
	for _, c := range s.present() {
		select {
		case <-c.over:
		case <-ctx.Done():
			for _, c := range s.present() {
				c.abandon()
			}
			return fmt.Errorf("stomp: drain: %w", ctx.Err())
		}
	}
	return nil
}

// present lists the connections and lets no more in.
func (s *Server) present() []*conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.draining = true
	all := make([]*conn, 0, len(s.conns))
	for c := range s.conns {
		all = append(all, c)
	}
	return all
}
