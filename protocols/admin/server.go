package admin

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Config says where the door is and whom it asks.
type Config struct {
	// Address is "host:port"; port 0 takes a free one, see Server.Addr.
	Address string
	// MaxConnections is how many connections may be open at once; 0 or less is no
	// limit. Further ones are closed without an answer.
	MaxConnections int
	Health         Health
	// Collectors are what /metrics shows. Their labels must be bounded by the
	// program, never by what clients send.
	Collectors []prometheus.Collector
	// Operations are there for those whom the Guard lets.
	Operations []Operation
	Guard      Guard
	// TLS has the door speak it; nil is plain HTTP.
	TLS *tls.Config
	// Logger gets what goes wrong in the HTTP server; nil is silence.
	Logger *slog.Logger
}

// The times a client has. Answers are small and ready at hand, so they are short.
const (
	headerTimeout = 5 * time.Second
	readTimeout   = 10 * time.Second
	writeTimeout  = 30 * time.Second
	idleTimeout   = 2 * time.Minute
	maxHeader     = 16 << 10
	// scrapes is how many scrapes may run at once; more are answered with 503.
	scrapes = 4
)

// Server is the door. Serve is called once; all else may be called concurrently.
type Server struct {
	cfg Config
	tcp net.Listener
	// served is tcp, or TLS on it.
	served net.Listener
	http   *http.Server

	mu   sync.Mutex
	open map[net.Conn]struct{}
}

// Listen takes the address and registers the collectors. It fails if two
// collectors describe the same metric.
func Listen(cfg Config) (*Server, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	registry := prometheus.NewPedanticRegistry()
	for _, c := range cfg.Collectors {
		if err := registry.Register(c); err != nil {
			return nil, fmt.Errorf("register metrics: %w", err)
		}
	}
	tcp, err := net.Listen("tcp", cfg.Address)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", cfg.Address, err)
	}
	s := &Server{cfg: cfg, tcp: tcp, served: tcp, open: map[net.Conn]struct{}{}}
	s.http = &http.Server{
		Handler:           s.routes(registry),
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ConnState:         s.count,
		ErrorLog:          slog.NewLogLogger(cfg.Logger.Handler(), slog.LevelWarn),
	}
	if cfg.TLS != nil {
		s.served = tls.NewListener(tcp, cfg.TLS)
	}
	return s, nil
}

func (s *Server) routes(registry *prometheus.Registry) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", live)
	mux.HandleFunc("GET /healthz", live)
	mux.HandleFunc("GET /startupz", s.startup)
	mux.HandleFunc("GET /readyz", s.ready)
	figures := promhttp.HandlerFor(registry, promhttp.HandlerOpts{
		ErrorLog:            slog.NewLogLogger(s.cfg.Logger.Handler(), slog.LevelWarn),
		ErrorHandling:       promhttp.ContinueOnError,
		MaxRequestsInFlight: scrapes,
		Timeout:             writeTimeout / 2,
	})
	mux.HandleFunc("GET /metrics", s.allowed(metrics, func(w http.ResponseWriter, r *http.Request, _ Call) { figures.ServeHTTP(w, r) }))
	s.operate(mux)
	mux.HandleFunc("/", nowhere)
	return mux
}

// noDeadline is that of operations, which take their time.
var noDeadline time.Time

// paths are what the door knows, as it tells those who ask for something else.
const paths = "/livez, /readyz (?verbose), /startupz and /metrics"

func nowhere(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, operationsPath) {
		say(w, http.StatusNotFound, "there is no such operation, or it was not asked for with POST; without an auth section in the configuration there are none\n")
		return
	}
	switch r.URL.Path {
	case "/livez", "/healthz", "/readyz", "/startupz", "/metrics":
		w.Header().Set("Allow", "GET, HEAD")
		say(w, http.StatusMethodNotAllowed, "only GET is possible here\n")
	default:
		say(w, http.StatusNotFound, "there is nothing here; try "+paths+"\n")
	}
}

// count closes connections above the limit before anything is read from them.
func (s *Server) count(c net.Conn, state http.ConnState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch state {
	case http.StateNew:
		if s.cfg.MaxConnections > 0 && len(s.open) >= s.cfg.MaxConnections {
			_ = c.Close()
			return
		}
		s.open[c] = struct{}{}
	case http.StateClosed, http.StateHijacked:
		delete(s.open, c)
	}
}

// Name is what logs and banners call the door.
func (s *Server) Name() string { return "admin" }

// Addr is where it listens, with the port that was taken.
func (s *Server) Addr() net.Addr { return s.tcp.Addr() }

// Serve answers until Drain is called (then it returns nil) or ctx is done
// (then all connections are closed and it returns ctx's error).
func (s *Server) Serve(ctx context.Context) error {
	defer context.AfterFunc(ctx, func() { _ = s.http.Close() })()
	err := s.http.Serve(s.served)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, http.ErrServerClosed):
		return nil
	}
	return fmt.Errorf("serve %s: %w", s.tcp.Addr(), err)
}

// Drain stops accepting, lets requests under way end and closes idle
// connections. It returns ctx's error if some did not end in time.
func (s *Server) Drain(ctx context.Context) error { return s.http.Shutdown(ctx) }
