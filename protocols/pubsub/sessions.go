package pubsub

import (
	"context"
	"sync"
	"time"

	"github.com/sluice-mq/sluice/gateway"
)

const (
	// sessionIdle is for how long a session stays open that nobody uses.
	sessionIdle = time.Minute
	// sweepEvery is how often those are looked for, at most.
	sweepEvery = 10 * time.Second
)

// sessions keeps one session of the broker for each token that publishes.
type sessions struct {
	server *Server

	mu     sync.Mutex
	open   map[string]*held // by the token's sum
	swept  time.Time
	closed bool
}

// held is a session in use, or not.
type held struct {
	session gateway.Session
	// judgement is that of the directory when it was opened: its rights are of then.
	judgement uint64
	used      time.Time
	users     int
	// ready is closed when session and err are there.
	ready chan struct{}
	err   error
	// whence is where the last request came from.
	whence string
	over   bool
}

func (s *sessions) init(server *Server) { s.server, s.open = server, make(map[string]*held) }

// of returns the session of a request's token, and what to call when the request does not need it any more.
func (s *sessions) of(ctx context.Context, r *request) (gateway.Session, func(), error) {
	key := keyOf(&r.caller.shown)
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil, nil, errClosing
	}
	idle := s.sweep()
	h := s.open[key]
	now := s.server.cfg.Directory.Judgement()
	if h != nil && h.judgement != now { // the client heard of what has changed, perhaps, and must not be told otherwise
		if h.over = true; h.users == 0 {
			idle = append(idle, h.session)
		}
		h = nil
	}
	opens := h == nil
	if opens {
		h = &held{ready: make(chan struct{}), judgement: now}
		s.open[key] = h
	}
	h.users++
	h.whence = r.RemoteAddr
	s.mu.Unlock()
	for _, session := range idle {
		session.Close()
	}
	if opens {
		s.begin(ctx, key, h, r.login())
	}
	select {
	case <-h.ready:
	case <-ctx.Done():
		s.leave(key, h)
		return nil, nil, gateway.WrapError(gateway.Unavailable, ctx.Err(), "the session does not open")
	}
	if h.err != nil {
		s.leave(key, h)
		return nil, nil, h.err
	}
	return h.session, func() { s.leave(key, h) }, nil
}

var errClosing = gateway.Errorf(gateway.Unavailable, "the door is closing")

// begin opens a session. The request that opens it does not end it when it goes away, nor does it fail the others.
func (s *sessions) begin(ctx context.Context, key string, h *held, l gateway.Login) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.server.cfg.Patience)
	defer cancel()
	l.Whereabouts = func() string {
		s.mu.Lock()
		defer s.mu.Unlock()
		return h.whence
	}
	l.Ended = func(*gateway.Error) { s.forget(key, h) }
	h.session, h.err = s.server.cfg.Broker.Open(ctx, l)
	if h.err != nil {
		s.forget(key, h)
	}
	close(h.ready)
}

// forget has the next request open another session.
func (s *sessions) forget(key string, h *held) {
	s.mu.Lock()
	if s.open[key] == h {
		delete(s.open, key)
	}
	h.over = true
	s.mu.Unlock()
}

// leave says that a request does not use a session any more.
func (s *sessions) leave(key string, h *held) {
	s.mu.Lock()
	h.users--
	h.used = s.server.cfg.Now()
	last := h.users == 0 && h.over && h.session != nil
	s.mu.Unlock()
	if last {
		h.session.Close()
	}
}

// sweep takes out those that nobody has used for a while. The lock is held.
func (s *sessions) sweep() (idle []gateway.Session) {
	now := s.server.cfg.Now()
	if now.Sub(s.swept) < sweepEvery {
		return nil
	}
	s.swept = now
	for key, h := range s.open {
		if h.users == 0 && now.Sub(h.used) >= sessionIdle {
			idle = append(idle, h.session)
			delete(s.open, key)
		}
	}
	return idle
}

// close closes all, when no request is left.
func (s *sessions) close() {
	s.mu.Lock()
	s.closed = true
	all := s.open
	s.open = nil
	s.mu.Unlock()
	for _, h := range all {
		<-h.ready
		if h.err == nil {
			h.session.Close()
		}
	}
}
