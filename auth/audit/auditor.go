package audit

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-mq/sluice/gateway"
)

const (
	// DefaultQueue is how much may wait to be written, in bytes of memory.
	DefaultQueue = 8 << 20
	// DefaultFlush is how long a line may wait for company before it is written to a file.
	DefaultFlush = 100 * time.Millisecond
)

// Config of an Auditor. Log is needed; the rest has defaults.
type Config struct {
	// Log is where lines go, with the text "audit", if there is no Path; and where is said what is wrong with the audit itself.
	Log *slog.Logger
	// Path is a file for the lines alone, one JSON object each; it is made with the mode 0600. Empty: lines go to Log.
	Path string
	// Commands: record every single message, too.
	Commands bool
	// Queue bounds what waits to be written, in bytes; 0 is DefaultQueue. What comes when it is full is dropped and counted.
	Queue int
	// Flush is how long a line may wait before it is written to the file; 0 is DefaultFlush.
	Flush time.Duration
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// Auditor implements gateway.Auditor. Safe for concurrent use.
type Auditor struct {
	cfg      Config
	commands atomic.Bool
	fields   sync.Pool // of *fields
	// dropped found the queue full, lost met a disk that failed.
	dropped, lost atomic.Uint64

	mu      sync.Mutex
	waiting []*slog.Record
	size    int
	full    bool
	next    *os.File
	closed  bool

	wake chan struct{} // something waits, or it is time to end
	rush chan struct{} // much waits
	done chan struct{}
}

var _ gateway.Auditor = (*Auditor)(nil)

// Open starts an Auditor. Close it.
func Open(cfg Config) (*Auditor, error) {
	if cfg.Queue <= 0 {
		cfg.Queue = DefaultQueue
	}
	if cfg.Flush <= 0 {
		cfg.Flush = DefaultFlush
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	a := &Auditor{cfg: cfg, wake: make(chan struct{}, 1), rush: make(chan struct{}, 1), done: make(chan struct{})}
	a.fields.New = func() any { return new(fields) }
	a.commands.Store(cfg.Commands)
	if cfg.Path != "" {
		f, err := open(cfg.Path)
		if err != nil {
			return nil, err
		}
		a.next = f
	}
	go a.write()
	return a, nil
}

// Commands implements gateway.Auditor.
func (a *Auditor) Commands() bool { return a.commands.Load() }

// SetCommands changes whether every single message is recorded.
func (a *Auditor) SetCommands(on bool) { a.commands.Store(on) }

// Missing returns how many events were not written since the start: those that found the queue full, and those that met a disk that failed.
func (a *Auditor) Missing() uint64 { return a.dropped.Load() + a.lost.Load() }

// Record implements gateway.Auditor. It does not wait for the disk. After Close it does nothing.
func (a *Auditor) Record(e *gateway.Event) {
	l := a.fields.Get().(*fields)
	r := line(l, a.cfg.Now(), e)
	a.fields.Put(l)
	size := weight(r)
	a.mu.Lock()
	if a.closed {
		a.mu.Unlock()
		return
	}
	if a.size+size > a.cfg.Queue {
		first := !a.full
		a.full = true
		a.mu.Unlock()
		a.dropped.Add(1)
		if first {
			a.cfg.Log.Error("events are missing in the audit: they come faster than they can be written", "waiting_bytes", a.cfg.Queue)
		}
		return
	}
	a.waiting = append(a.waiting, r)
	a.size += size
	much := a.size > a.cfg.Queue/4
	a.mu.Unlock()
	signal(a.wake)
	if much {
		signal(a.rush)
	}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Reopen has the file made anew if it was renamed, as logrotate does. What was recorded before may be in either. With an error the old one
// stays in use.
func (a *Auditor) Reopen() error {
	if a.cfg.Path == "" {
		return nil
	}
	f, err := open(a.cfg.Path)
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return f.Close()
	}
	if a.next != nil {
		_ = a.next.Close() // nothing was written to it yet
	}
	a.next = f
	signal(a.wake)
	signal(a.rush)
	return nil
}

// Close writes what waits and ends the Auditor. If the disk does not let it end while ctx lasts, it says so and leaves the rest to the end of the process.
// A second Close does nothing more.
func (a *Auditor) Close(ctx context.Context) error {
	a.mu.Lock()
	a.closed = true
	a.mu.Unlock()
	signal(a.wake)
	signal(a.rush)
	select {
	case <-a.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("write the last of the audit: %w", ctx.Err())
	}
}
