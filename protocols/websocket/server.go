package websocket

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/sluice-mq/sluice/protocols/internal/listen"
)

// Reception bounds what clients can hold that have not logged in.
type Reception = listen.Limits

// Stats count the connections of a server.
type Stats = listen.Stats

// Config says where and how to serve. The zero value of an optional field is its default.
type Config struct {
	// Address is "host:port"; port 0 takes a free one, see Server.Addr.
	Address string
	// Path is the only one that is served; empty serves every path, as ActiveMQ does.
	Path string
	// Origins are the web pages that may connect, such as "https://portal.example.org", "https://*.example.org" or, without
	// a scheme, "portal.example.org"; "*" is every page of the world. Empty: pages that came from the very host and port
	// they connect to. Whoever sends no Origin is no browser and may connect.
	Origins []string
	// Compression lets clients that wish it compress messages. It costs much memory and time: off by default.
	Compression bool
	// TLS, Judge and TrustedProxies are as for any listener, see stomp.Config. X-Forwarded-For is never believed.
	TLS            *tls.Config
	Judge          func(tls.ConnectionState) (*x509.Certificate, error)
	TrustedProxies []netip.Prefix
	Reception      Reception
	// MaxMessage is how many bytes a message from a client that is logged in may have, once it is
	// decompressed; before the login it is 64 KiB. A message may hold many frames of the door's protocol, or a part of one. Default 101 MiB.
	MaxMessage int64
	// Ping is after how much silence a client is asked whether it is still there; Silence is after how much more it
	// counts as gone. Clients that send heart-beats of their own are never asked. Default one minute, and five.
	Ping, Silence time.Duration
	// Logger gets what was turned away; nil is silence.
	Logger *slog.Logger
}

const (
	// unknownMessage is the longest message of a client that is not logged in.
	unknownMessage    = 64 << 10
	defaultMaxMessage = 101 << 20
	defaultPing       = time.Minute
	defaultSilence    = 5 * time.Minute
)

// Server carries a door's protocol within WebSocket. It is a listen.Transport. All methods may be called
// concurrently; Serve is called once.
type Server struct {
	cfg      Config
	origins  origins
	listener *listen.Listener
	buffers  sync.Pool // of *[]byte, for outboxes
	portions sync.Pool // of *[]byte, for inboxes
	began    time.Time // what elapsed counts from

	stopping context.Context // done when no new client is wanted
	stop     context.CancelFunc
}

var _ listen.Transport = (*Server)(nil)

// New takes the address and fills in cfg's defaults. Clients may connect from here on; they wait until Serve.
func New(cfg Config) (*Server, error) {
	if cfg.MaxMessage < 0 || cfg.Ping < 0 || cfg.Silence < 0 {
		return nil, errors.New("websocket: a limit is negative")
	}
	if cfg.Path != "" && cfg.Path[0] != '/' {
		return nil, fmt.Errorf("websocket: the path %q does not begin with a slash", cfg.Path)
	}
	if cfg.MaxMessage == 0 {
		cfg.MaxMessage = defaultMaxMessage
	}
	if cfg.Ping == 0 {
		cfg.Ping = defaultPing
	}
	if cfg.Silence == 0 {
		cfg.Silence = defaultSilence
	}
	allowed, err := parseOrigins(cfg.Origins)
	if err != nil {
		return nil, fmt.Errorf("websocket: %w", err)
	}
	l, err := listen.Listen(listen.Config{
		Address: cfg.Address, TLS: cfg.TLS, Judge: cfg.Judge, TrustedProxies: cfg.TrustedProxies,
		Limits: cfg.Reception, Refuse: refuse, Logger: cfg.Logger,
	})
	if err != nil {
		return nil, fmt.Errorf("websocket: %w", err)
	}
	s := &Server{cfg: cfg, origins: allowed, listener: l, began: time.Now().Add(-time.Nanosecond)}
	s.buffers.New = func() any { return new([]byte) }
	s.portions.New = func() any { b := make([]byte, portion); return &b }
	s.stopping, s.stop = context.WithCancel(context.Background())
	return s, nil
}

// Addr is where it listens, with the port that was taken.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// Serve runs handle with a *Conn for each client that has agreed on WebSocket. For the rest it is as listen.Listener.Serve.
func (s *Server) Serve(ctx context.Context, handle func(ctx context.Context, c net.Conn)) error {
	defer s.stop()
	return s.listener.Serve(ctx, func(ctx context.Context, nc net.Conn) {
		c := s.upgrade(nc.(*listen.Conn))
		if c == nil {
			return
		}
		defer c.over()
		c.watch()
		handle(ctx, c)
	})
}

// StopAccepting gives the address back. Open connections go on, but for those that have not agreed on WebSocket yet.
func (s *Server) StopAccepting() {
	s.stop()
	s.listener.StopAccepting()
}

// Wait returns nil as soon as no connection is open, or ctx's error.
func (s *Server) Wait(ctx context.Context) error { return s.listener.Wait(ctx) }

// Stats is a cheap snapshot.
func (s *Server) Stats() Stats { return s.listener.Stats() }

// elapsed is how many nanoseconds ago the server began, and at least 1. It does not depend on the machine's clock.
func (s *Server) elapsed() int64 { return int64(time.Since(s.began)) }
