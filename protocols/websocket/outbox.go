package websocket

import (
	"encoding/binary"
	"errors"
	"net"
	"sync"
	"time"
)

const (
	// portion is how much is written to the socket at once.
	portion = 64 << 10
	// maxReplies is how much of what the library writes on its own may wait behind a portion that the client does not take.
	maxReplies = 8 << 10
)

var errReplies = errors.New("the client sends pings and takes no answers")

// outbox collects frames and writes them to the socket. Its user holds frames back while it is corked; what the library
// writes meanwhile goes out with them. What the library writes otherwise goes out in the background, since it ends the
// connection of a client that takes nothing for five seconds, and clients are allowed more.
type outbox struct {
	nc      net.Conn
	buffers *sync.Pool

	mu       sync.Mutex
	quiet    sync.Cond // nobody is sending any more
	patience time.Duration
	pending  *[]byte // nil if empty
	corked   bool
	sending  bool
	closing  bool // a close frame was written
	err      error

	running sync.WaitGroup // in the background
}

func newOutbox(nc net.Conn, buffers *sync.Pool) *outbox {
	o := &outbox{nc: nc, buffers: buffers}
	o.quiet.L = &o.mu
	return o
}

// frame takes a frame in pieces, which together have that size. It goes out with flush, or when there is a portion.
func (o *outbox) frame(first byte, size int, pieces ...[]byte) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err != nil {
		return o.err
	}
	if o.closing {
		return net.ErrClosed
	}
	o.corked = true
	b := appendHeader(*o.begin(), first, size)
	for _, p := range pieces {
		b = append(b, p...)
	}
	*o.pending = b
	if len(b) >= portion {
		o.push(true)
	}
	return o.err
}

// appendHeader adds the header of a frame from a server.
func appendHeader(b []byte, first byte, size int) []byte {
	switch {
	case size < 126:
		return append(b, first, byte(size))
	case size < 1<<16:
		return append(b, first, 126, byte(size>>8), byte(size))
	}
	return binary.BigEndian.AppendUint64(append(b, first, 127), uint64(size))
}

// begin returns what is pending. o.mu is held.
func (o *outbox) begin() *[]byte {
	if o.pending == nil {
		o.pending = o.buffers.Get().(*[]byte)
	}
	return o.pending
}

// library takes what the library writes; last: it is a close frame, after which there are no others of ours.
func (o *outbox) library(p []byte, last bool) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err != nil {
		return 0, o.err
	}
	o.closing = o.closing || last
	o.begin()
	if o.sending && !o.corked && len(*o.pending)+len(p) > maxReplies {
		return 0, errReplies
	}
	*o.pending = append(*o.pending, p...)
	if !o.corked && !o.sending {
		o.sending = true
		o.running.Go(func() {
			o.mu.Lock()
			defer o.mu.Unlock()
			o.send()
		})
	}
	return len(p), nil
}

// finish gives what is pending the time until then to go out.
func (o *outbox) finish(until time.Time) {
	_ = o.nc.SetWriteDeadline(until)
	o.allow(max(time.Until(until), time.Nanosecond))
	_ = o.flush(false)
}

// cork holds back what is written until flush.
func (o *outbox) cork() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.corked = true
}

// ease writes to the socket if there is a portion.
func (o *outbox) ease() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.pending != nil && len(*o.pending) >= portion {
		o.push(true)
	}
	return o.err
}

// flush writes everything to the socket, and returns when it is there. It stays corked if it was and more is to come.
func (o *outbox) flush(more bool) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.push(more)
	return o.err
}

// push is flush while o.mu is held.
func (o *outbox) push(more bool) {
	for o.sending {
		o.quiet.Wait()
	}
	o.corked = o.corked && more
	o.send()
}

// send writes until nothing is pending. o.mu is held, but not while the socket is written to.
func (o *outbox) send() {
	o.sending = true
	for o.pending != nil && o.err == nil {
		out, patience := o.pending, o.patience
		o.pending = nil
		o.mu.Unlock()
		err := o.write(*out, patience)
		if cap(*out) <= 2*portion {
			*out = (*out)[:0]
			o.buffers.Put(out)
		}
		o.mu.Lock()
		if o.err == nil {
			o.err = err
		}
	}
	o.sending = false
	o.quiet.Broadcast()
}

// write writes to the socket, each portion within the client's time.
func (o *outbox) write(b []byte, patience time.Duration) error {
	for len(b) > 0 {
		part := b[:min(len(b), portion)]
		deadline := time.Time{}
		if patience > 0 {
			deadline = time.Now().Add(patience)
		}
		if err := o.nc.SetWriteDeadline(deadline); err != nil {
			return err
		}
		if _, err := o.nc.Write(part); err != nil {
			return err
		}
		b = b[len(part):]
	}
	return nil
}

// allow sets how long the client may take for a portion; 0 is for ever.
func (o *outbox) allow(patience time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.patience = patience
}

// fail ends all writing. Who calls it closes the connection, and may then wait for running.
func (o *outbox) fail(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err == nil {
		o.err = err
	}
}
