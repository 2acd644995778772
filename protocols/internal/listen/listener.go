package listen

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"
)

// Config says where and how to listen.
type Config struct {
	// Address is "host:port"; port 0 takes a free one, see Listener.Addr.
	Address string
	// MaxConnections is how many connections may be open at once; 0 or less is no limit.
	MaxConnections int
	// Refuse, if not nil, is called for a connection above MaxConnections so that
	// the door can say why in its protocol. The connection has a write deadline of
	// one second and is closed afterwards; it must not be kept. Called concurrently.
	Refuse func(net.Conn)
	// Logger gets accept errors and panics; nil is silence.
	Logger *slog.Logger
}

const (
	// refusals is how many connections may be told at once that there is no
	// room; the rest are closed without a word, so that a flood stays cheap.
	refusals      = 16
	refusalPeriod = time.Second
	// refusalDrain is how much of what a refused client sends is read and thrown
	// away: closing with unread bytes would reset the connection and take
	// the words of refusal with it.
	refusalDrain = 64 << 10
)

// Listener accepts TCP connections on one address. All methods may be called
// concurrently; Serve is called once.
type Listener struct {
	cfg  Config
	tcp  *net.TCPListener
	full chan struct{}

	mu    sync.Mutex
	stats Stats
	idle  chan struct{} // closed while no connection is open
	stop  chan struct{} // closed by StopAccepting
	done  sync.WaitGroup
}

// Stats count the connections of a listener.
type Stats struct {
	// Open connections now.
	Open int
	// Accepted and Refused (above MaxConnections) since the start.
	Accepted, Refused uint64
}

// Listen takes the address. Clients may connect from here on; they wait until Serve.
func Listen(cfg Config) (*Listener, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	lc := net.ListenConfig{KeepAliveConfig: net.KeepAliveConfig{
		Enable: true, Idle: time.Minute, Interval: 15 * time.Second, Count: 4,
	}}
	l, err := lc.Listen(context.Background(), "tcp", cfg.Address)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", cfg.Address, err)
	}
	idle := make(chan struct{})
	close(idle)
	return &Listener{
		cfg: cfg, tcp: l.(*net.TCPListener), full: make(chan struct{}, refusals),
		idle: idle, stop: make(chan struct{}),
	}, nil
}

// Addr is where it listens, with the port that was taken.
func (l *Listener) Addr() net.Addr { return l.tcp.Addr() }

// Stats is a cheap snapshot.
func (l *Listener) Stats() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stats
}

// Serve accepts connections until StopAccepting is called or ctx is done, and
// runs handle in a goroutine of its own for each. It returns when the last
// handler has returned: nil after StopAccepting, else ctx's error or the one that
// ended the listening. Each connection is closed when its handler returns. When ctx
// is done, all connections are closed under their handlers, so that no read
// or write can hold them. A panic in handle is logged and ends its connection alone.
func (l *Listener) Serve(ctx context.Context, handle func(ctx context.Context, c net.Conn)) error {
	defer l.done.Wait()
	defer context.AfterFunc(ctx, func() { _ = l.tcp.Close() })()
	var pause time.Duration
	for {
		c, err := l.tcp.AcceptTCP()
		if err == nil {
			pause = 0
			l.admit(ctx, c, handle)
			continue
		}
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case l.stopped():
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("accept on %s: %w", l.cfg.Address, err)
		}
		// Out of file descriptors, a client gone before it was accepted, ...: these pass.
		pause = min(max(2*pause, 5*time.Millisecond), time.Second)
		l.cfg.Logger.Warn("cannot accept a connection for now", "address", l.cfg.Address, "error", err, "pause", pause)
		l.wait(ctx, pause)
	}
}

// wait lets a pause pass unless the listener ends before.
func (l *Listener) wait(ctx context.Context, pause time.Duration) {
	t := time.NewTimer(pause)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	case <-l.stop:
	}
}

// StopAccepting gives the address back. Open connections go on.
func (l *Listener) StopAccepting() {
	l.mu.Lock()
	if !l.stopped() {
		close(l.stop)
	}
	l.mu.Unlock()
	_ = l.tcp.Close()
}

func (l *Listener) stopped() bool {
	select {
	case <-l.stop:
		return true
	default:
		return false
	}
}

// Wait returns nil as soon as no connection is open, or ctx's error. It is
// meant for after StopAccepting; before, the moment may pass at once.
func (l *Listener) Wait(ctx context.Context) error {
	l.mu.Lock()
	idle := l.idle
	l.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
