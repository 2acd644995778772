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

// Transport brings connections to a door. Listener is one, and so is whatever carries a door's protocol inside another one.
type Transport interface {
	// Addr is where it listens, with the port that was taken.
	Addr() net.Addr
	// Serve runs handle for each connection until StopAccepting is called or ctx is done, see Listener.Serve.
	Serve(ctx context.Context, handle func(ctx context.Context, c net.Conn)) error
	// StopAccepting gives the address back. Open connections go on.
	StopAccepting()
	// Wait returns nil as soon as no connection is open, or ctx's error.
	Wait(ctx context.Context) error
	// Stats is a cheap snapshot.
	Stats() Stats
}

var _ Transport = (*Listener)(nil)

// Listener accepts TCP connections on one address. All methods may be called
// concurrently; Serve is called once.
type Listener struct {
	cfg        Config
	tcp        *net.TCPListener
	told       chan struct{} // holds one for each refusal in words
	toldTLS    chan struct{} // the same for those that cost a handshake
	gate       *gate         // for those that are not logged in
	handshakes *gate
	notes      [lastNote]note

	early    context.Context // done when no new connection is wanted
	endEarly context.CancelFunc

	mu    sync.Mutex
	stats Stats
	open  map[*socket]whereabouts
	cut   bool          // all connections end
	idle  chan struct{} // closed while no connection is open
	done  sync.WaitGroup
}

// whereabouts is how far a connection has come.
type whereabouts bool

const (
	underway whereabouts = false
	atDoor   whereabouts = true
)

// Listen takes the address. Clients may connect from here on; they wait until Serve.
func Listen(cfg Config) (*Listener, error) {
	cfg = cfg.complete()
	lc := net.ListenConfig{KeepAliveConfig: net.KeepAliveConfig{
		Enable: true, Idle: time.Minute, Interval: 15 * time.Second, Count: 4,
	}}
	t, err := lc.Listen(context.Background(), "tcp", cfg.Address)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", cfg.Address, err)
	}
	l := &Listener{
		cfg: cfg, tcp: t.(*net.TCPListener),
		told: make(chan struct{}, refusals), toldTLS: make(chan struct{}, refusalsTLS),
		gate:       newGate(cfg.MaxUnknown, cfg.MaxPerAddress, cfg.MaxWaiting),
		handshakes: newGate(cfg.MaxHandshakes, 0, cfg.MaxUnknown),
		open:       map[*socket]whereabouts{},
		idle:       make(chan struct{}),
	}
	close(l.idle)
	l.early, l.endEarly = context.WithCancel(context.Background())
	context.AfterFunc(l.early, l.hurry)
	return l, nil
}

// Addr is where it listens, with the port that was taken.
func (l *Listener) Addr() net.Addr { return l.tcp.Addr() }

// Serve accepts connections until StopAccepting is called or ctx is done, and
// runs handle in a goroutine of its own for each, with a *Conn. It returns when the last
// handler has returned: nil after StopAccepting, else ctx's error or the one that
// ended the listening. Each connection is closed when its handler returns. When ctx
// is done, all connections are closed under their handlers, so that no read
// or write can hold them. A panic in handle is logged and ends its connection alone.
func (l *Listener) Serve(ctx context.Context, handle func(ctx context.Context, c net.Conn)) error {
	defer context.AfterFunc(ctx, func() { l.endEarly(); _ = l.tcp.Close(); l.sever() })()
	defer l.done.Wait()
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
		case l.early.Err() != nil:
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("accept on %s: %w", l.cfg.Address, err)
		}
		// Out of file descriptors, a client gone before it was accepted, ...: these pass.
		pause = min(max(2*pause, 5*time.Millisecond), time.Second)
		l.sparingly(noteAccept, slog.LevelWarn, "cannot accept a connection for now", "address", l.cfg.Address, "error", err, "pause", pause)
		l.wait(pause)
	}
}

// wait lets a pause pass unless the listener ends before.
func (l *Listener) wait(pause time.Duration) {
	t := time.NewTimer(pause)
	defer t.Stop()
	select {
	case <-t.C:
	case <-l.early.Done():
	}
}

// StopAccepting gives the address back. Open connections go on, but for those that have not reached their door.
func (l *Listener) StopAccepting() {
	l.endEarly()
	_ = l.tcp.Close()
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
