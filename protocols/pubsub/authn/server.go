package authn

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/sluice-mq/sluice/protocols/internal/listen"
	"github.com/sluice-mq/sluice/protocols/pubsub/carry"
	"github.com/sluice-mq/sluice/protocols/pubsub/wire"
)

// The times that a client has, and how long its headers and its body may be.
const (
	readTimeout  = 10 * time.Second
	writeTimeout = time.Minute
	idleTimeout  = time.Minute
	maxHeader    = 16 << 10
	maxBody      = 48 << 10
)

// base is what all paths begin with.
const base = "/v1"

// Server is the door. All methods may be called concurrently; Serve is called once.
type Server struct {
	cfg      Config
	listener *listen.Listener
	carrier  *carry.Carrier
	http     *http.Server
	routes   []*route
	router   wire.Router[*route]
	service  [sha256.Size]byte // of the service token
}

// route is one call of the API.
type route struct {
	method, path string
	// open: anybody may make it, else administrators.
	open bool
	// once: the connection ends with the answer.
	once bool
	// code of what goes well.
	code  int
	serve func(s *Server, r *request) (any, error)
	// answers are counted by the hundreds of their codes.
	answers [6]atomic.Uint64
}

// routes are all of them.
func routes() []*route {
	const types, one, host, binding = "/service-types", "/service-types/{service-type}", "/service-types/{service-type}/hosts/{host}", "/bindings/{name}"
	return []*route{
		{method: "POST", path: types, code: 201, serve: (*Server).createType},
		{method: "GET", path: types, code: 200, serve: (*Server).listTypes},
		{method: "GET", path: one, code: 200, serve: (*Server).showType},
		{method: "PUT", path: one, code: 200, serve: (*Server).changeType},
		{method: "DELETE", path: one, code: 204, serve: (*Server).deleteType},

		{method: "POST", path: one + "/authm", code: 201, serve: (*Server).createMethod},
		{method: "GET", path: "/authm", code: 200, serve: (*Server).listMethods},
		{method: "GET", path: host + "/authm", code: 200, serve: (*Server).showMethod},
		{method: "PUT", path: host + "/authm", code: 200, serve: (*Server).changeMethod},
		{method: "DELETE", path: host + "/authm", code: 204, serve: (*Server).deleteMethod},

		{method: "POST", path: binding, code: 201, serve: (*Server).createBinding},
		{method: "GET", path: "/bindings", code: 200, serve: (*Server).listBindings},
		{method: "GET", path: host + "/bindings", code: 200, serve: (*Server).listHostBindings},
		{method: "GET", path: binding, code: 200, serve: (*Server).showBinding},
		{method: "PUT", path: binding, code: 200, serve: (*Server).changeBinding},
		{method: "DELETE", path: binding, code: 204, serve: (*Server).deleteBinding},

		{method: "GET", path: host + ":authx509", open: true, once: true, code: 200, serve: (*Server).authX509},
		{method: "GET", path: "/version", open: true, code: 200, serve: (*Server).version},
		{method: "GET", path: "/health", open: true, code: 200, serve: (*Server).health},
	}
}

// New takes the address and fills in cfg's defaults. Clients may connect from here on; they wait until Serve.
func New(cfg Config) (*Server, error) {
	cfg, err := cfg.complete()
	if err != nil {
		return nil, err
	}
	l, err := listen.Listen(listen.Config{
		Address: cfg.Address, TLS: cfg.TLS, Judge: cfg.Judge, TrustedProxies: cfg.TrustedProxies, Limits: cfg.Reception, Logger: cfg.Logger,
	})
	if err != nil {
		return nil, fmt.Errorf("authn: %w", err)
	}
	s := &Server{cfg: cfg, listener: l, carrier: carry.New(l.Addr()), routes: routes(), service: sha256.Sum256([]byte(cfg.ServiceToken))}
	for _, r := range s.routes {
		s.router.Add(r.method, base+r.path, r)
	}
	s.http = &http.Server{
		Handler: http.HandlerFunc(s.serve), ConnContext: carry.Context, ReadTimeout: readTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: maxHeader, ErrorLog: slog.NewLogLogger(cfg.Logger.Handler(), slog.LevelDebug),
	}
	return s, nil
}

// Name is what logs and banners call the door.
func (s *Server) Name() string { return "authn" }

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

// CallCount is how often a call of the API was answered in a way.
type CallCount struct {
	// Call is "METHOD /path/{name}"; Codes are "2xx", "4xx" or "5xx".
	Call, Codes string
	Count       uint64
}

// Calls are those of which there were some since the door was opened.
func (s *Server) Calls() (all []CallCount) {
	for _, r := range s.routes {
		for hundreds := range r.answers {
			if n := r.answers[hundreds].Load(); n > 0 {
				all = append(all, CallCount{r.method + " " + base + r.path, strconv.Itoa(hundreds) + "xx", n})
			}
		}
	}
	return all
}

// count counts an answer.
func (r *route) count(code int) { r.answers[min(code/100, len(r.answers)-1)].Add(1) }
