package stomp

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

const (
	// drainQuiet is how long nothing may arrive until a draining connection
	// counts as having said all it had to say; drainReading bounds it for a
	// client that never falls silent.
	drainQuiet   = 50 * time.Millisecond
	drainReading = 2 * time.Second
)

// errStopped is what Read returns once the connection wants no more input.
var errStopped = errors.New("reading has ended")

// input is the reading side of a socket. Before each read it sets the deadline
// that is in force: login, heart-beat or drain. Read belongs to the reader, the rest may
// be called from any goroutine.
type input struct {
	nc net.Conn

	mu       sync.Mutex
	login    time.Time     // absolute; zero after the login
	silence  time.Duration // longest silence allowed; 0 is for ever
	draining time.Time     // absolute end of draining; zero if not
	stopped  bool
	frame    *large        // the one that is being read, if it is one
	tooSlow  bool          // it is
	ending   chan struct{} // closed when draining or stopped
}

// Read reads from the socket. Any byte counts as a sign of life.
func (in *input) Read(p []byte) (int, error) {
	if err := in.arm(); err != nil {
		return 0, err
	}
	return in.nc.Read(p)
}

func (in *input) arm() error {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.stopped {
		return errStopped
	}
	if in.tooSlow {
		return os.ErrDeadlineExceeded
	}
	if in.login.IsZero() && in.silence == 0 && in.draining.IsZero() {
		return nil
	}
	return in.nc.SetReadDeadline(in.deadline(time.Now()))
}

// deadline is the earliest that is in force; the zero time is none.
func (in *input) deadline(now time.Time) time.Time {
	d := in.login
	earlier := func(t time.Time) {
		if d.IsZero() || t.Before(d) {
			d = t
		}
	}
	if in.silence > 0 {
		earlier(now.Add(in.silence))
	}
	if !in.draining.IsZero() {
		earlier(in.draining)
		earlier(now.Add(drainQuiet))
	}
	return d
}

// loggedIn ends the login's deadline and starts that of heart-beats.
func (in *input) loggedIn(silence time.Duration) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.login, in.silence = time.Time{}, silence
	if !in.stopped {
		_ = in.nc.SetReadDeadline(in.deadline(time.Now()))
	}
}

// drain lets the reader take what has arrived, until then at the latest.
func (in *input) drain(until time.Time) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.end()
	in.draining = until
	if !in.stopped {
		_ = in.nc.SetReadDeadline(in.deadline(time.Now()))
	}
}

// end closes ending once. in.mu is held.
func (in *input) end() {
	if !in.stopped && in.draining.IsZero() {
		close(in.ending)
	}
}

// stop ends the present and every later Read.
func (in *input) stop() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.end()
	in.stopped = true
	_ = in.nc.SetReadDeadline(time.Now())
}

// begin says that a large frame is being read, and how long it may take if somebody else wants the memory for it.
func (in *input) begin(l *large, within time.Duration) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.frame = l
	l.slow = time.AfterFunc(within, func() { in.hurry(l) })
}

// hurry ends the reading of a large frame that took its time, if its memory is wanted; else it looks again later.
func (in *input) hurry(l *large) {
	wanted := l.share.Wanted()
	in.mu.Lock()
	defer in.mu.Unlock()
	switch {
	case in.frame != l || in.stopped:
	case wanted:
		in.tooSlow = true
		_ = in.nc.SetReadDeadline(time.Now())
	default:
		l.slow.Reset(frameGrace)
	}
}

// finish says that a large frame is not read any more.
func (in *input) finish(l *large) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.frame = nil
	l.slow.Stop()
	if in.tooSlow { // it came in the last moment, or the connection ends anyway
		in.tooSlow = false
		if !in.stopped {
			_ = in.nc.SetReadDeadline(in.deadline(time.Now()))
		}
	}
}

// why says what a missed deadline means, as the text of an ERROR; empty when
// the server itself wanted to end.
func (in *input) why() string {
	in.mu.Lock()
	defer in.mu.Unlock()
	switch {
	case in.stopped || !in.draining.IsZero():
		return ""
	case in.tooSlow:
		return "The frame came too slowly: others wait for the memory that it takes"
	case !in.login.IsZero():
		return "Login timeout: no CONNECT frame arrived in time"
	default:
		return "Heart-beat missed: nothing was received for " + in.silence.String()
	}
}
