package pubsub

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/sluice-mq/sluice/protocols/internal/budget"
	"github.com/sluice-mq/sluice/protocols/internal/listen"
	"github.com/sluice-mq/sluice/protocols/pubsub/carry"
	"github.com/sluice-mq/sluice/protocols/pubsub/wire"
)

// The times that a client has.
const (
	headerTimeout = 10 * time.Second
	writeTimeout  = 2 * time.Minute
	idleTimeout   = 2 * time.Minute
	maxHeader     = 16 << 10
)

// Server is the door. All methods may be called concurrently; Serve is called once.
type Server struct {
	cfg      Config
	listener *listen.Listener
	carrier  *carry.Carrier
	http     *http.Server
	routes   []*route
	router   wire.Router[*route]
	counts   counts
	// bodies are requests that are being read, answers what is pulled and not written yet.
	bodies   *budget.Budget
	answers  *budget.Budget
	sessions sessions
	pulls    pulls
	mornings mornings
	terms    atomic.Pointer[terms]
	// maxRequest is how long a request may be, 0 if that follows from the longest message.
	maxRequest int64
	started    time.Time
}

// New takes the address and fills in cfg's defaults. Clients may connect from here on; they wait until Serve.
func New(cfg Config) (*Server, error) {
	maxRequest := cfg.MaxRequest
	cfg, err := cfg.complete()
	if err != nil {
		return nil, err
	}
	l, err := listen.Listen(listen.Config{
		Address: cfg.Address, TLS: cfg.TLS, Judge: cfg.Judge, TrustedProxies: cfg.TrustedProxies, Limits: cfg.Reception, Logger: cfg.Logger,
	})
	if err != nil {
		return nil, fmt.Errorf("pubsub: %w", err)
	}
	s := &Server{
		cfg: cfg, listener: l, carrier: carry.New(l.Addr()), bodies: budget.New(cfg.Memory), answers: budget.New(cfg.Memory),
		maxRequest: maxRequest, started: cfg.Now(),
	}
	if err := s.Change(Terms{cfg.ServiceToken, cfg.Keys, cfg.Retention, cfg.MaxMessage}); err != nil {
		return nil, err
	}
	s.sessions.init(s)
	s.pulls.all = make(map[string]pulled)
	s.routes = routes()
	for _, r := range s.routes {
		s.router.Add(r.method, base+r.path, r)
	}
	s.http = &http.Server{
		Handler:           http.HandlerFunc(s.serve),
		ReadHeaderTimeout: min(headerTimeout, cfg.BodyTime),
		ReadTimeout:       cfg.BodyTime,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ConnContext:       carry.Context,
		ErrorLog:          slog.NewLogLogger(cfg.Logger.Handler(), slog.LevelDebug),
	}
	return s, nil
}

// base is what all paths begin with.
const base = "/v1"

// Name is what logs and banners call the door.
func (s *Server) Name() string { return "pubsub" }

// Addr is where it listens, with the port that was taken.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// Stats is a cheap snapshot.
func (s *Server) Stats() listen.Stats { return s.listener.Stats() }

// Serve answers until Drain is called (then it returns nil) or ctx is done (then all connections are closed and it returns ctx's error).
func (s *Server) Serve(ctx context.Context) error {
	served := make(chan struct{})
	go func() { // waited for below
		_ = s.http.Serve(s.carrier) // it ends with the listener, which says why
		close(served)
	}()
	defer s.sessions.close()
	stop := context.AfterFunc(ctx, func() { _ = s.http.Close() })
	defer stop()
	err := s.listener.Serve(ctx, func(_ context.Context, c net.Conn) { s.carrier.Hand(c.(*listen.Conn)) })
	_ = s.http.Close()
	<-served
	return err
}

// Drain stops accepting, lets requests under way end and closes idle connections. It returns ctx's error if some did not end in time; then they are closed.
func (s *Server) Drain(ctx context.Context) error {
	s.listener.StopAccepting()
	err := s.http.Shutdown(ctx)
	if err != nil {
		_ = s.http.Close()
	}
	return err
}
