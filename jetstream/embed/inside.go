package embed

import (
	"io"
	"net"
	"os"
	"sync"
	"time"
	"unsafe" // also for go:linkname

	"github.com/nats-io/nats-server/v2/server"
)

// inside makes connections within the process that live as long as the server. The server's own are pipes without a buffer, and each
// write to one has a deadline of ten seconds: a process that stands still for longer finds that it has passed, and the server
// closes connections of which nobody thinks that they can close. So can two who wait to write to each other. Here the server never waits
// to write, and no write has a deadline. It implements nats.InProcessConnProvider.
type inside struct {
	ns *server.Server
	// greeting are the connections that the server has not taken up yet.
	greeting *sync.WaitGroup
}

// toServer bounds in bytes what the server has not read yet; who writes more waits. What goes the other way is bounded by
// who reads it: nats.go takes everything at once.
const toServer = 64 << 10

// keptBuffer is how much of an empty buffer is kept, in bytes.
const keptBuffer = 1 << 20

// InProcessConn returns the client's end of a new connection.
func (i inside) InProcessConn() (net.Conn, error) {
	if !i.ns.Running() {
		return nil, net.ErrClosed
	}
	up, down := newFlow(toServer), newFlow(0)
	// The server looks at the first bytes before it returns, where a listener has TLS: they come from whoever gets the other end.
	i.greeting.Go(func() { createClientInProcess(i.ns, &insideConn{in: up, out: down}) })
	return &insideConn{in: down, out: up}, nil
}

// What the server does with its own end of such a connection. It has no name for that outside its package.
//
//go:linkname createClientInProcess github.com/nats-io/nats-server/v2/server.(*Server).createClientInProcess
func createClientInProcess(s *server.Server, conn net.Conn) unsafe.Pointer

// insideConn is one end of a connection. Closing it ends both directions; what was written before that can be read.
type insideConn struct{ in, out *flow }

func (c *insideConn) Read(b []byte) (int, error)  { return c.in.read(b) }
func (c *insideConn) Write(b []byte) (int, error) { return c.out.write(b) }

func (c *insideConn) Close() error {
	c.in.close()
	c.out.close()
	return nil
}

func (c *insideConn) LocalAddr() net.Addr  { return pipeAddr{} }
func (c *insideConn) RemoteAddr() net.Addr { return pipeAddr{} }

func (c *insideConn) SetDeadline(t time.Time) error     { return c.SetReadDeadline(t) }
func (c *insideConn) SetReadDeadline(t time.Time) error { c.in.readUntil(t); return nil }

// SetWriteDeadline does nothing: see inside.
func (c *insideConn) SetWriteDeadline(time.Time) error { return nil }

// pipeAddr is called as the server calls the ends of its own pipes.
type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "pipe" }

// flow is one direction of a connection.
type flow struct {
	most int // bytes that may wait to be read; 0 is no limit

	mu       sync.Mutex
	changed  sync.Cond
	data     []byte
	taken    int // of data
	closed   bool
	deadline time.Time
	alarm    *time.Timer
}

func newFlow(most int) *flow {
	f := &flow{most: most}
	f.changed.L = &f.mu
	return f
}

func (f *flow) read(b []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for len(f.data) == f.taken {
		switch {
		case f.closed:
			return 0, io.EOF
		case !f.deadline.IsZero() && !time.Now().Before(f.deadline):
			return 0, os.ErrDeadlineExceeded
		case len(b) == 0:
			return 0, nil
		}
		f.changed.Wait()
	}
	n := copy(b, f.data[f.taken:])
	f.taken += n
	if f.taken == len(f.data) {
		f.data, f.taken = f.data[:0], 0
		if cap(f.data) > keptBuffer {
			f.data = nil
		}
	}
	if f.most > 0 {
		f.changed.Broadcast() // a writer may wait
	}
	return n, nil
}

func (f *flow) write(b []byte) (n int, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for len(b) > 0 {
		room := len(b)
		if f.most > 0 {
			room = min(room, f.most-(len(f.data)-f.taken))
		}
		switch {
		case f.closed:
			return n, io.ErrClosedPipe
		case room <= 0:
			f.changed.Wait()
			continue
		}
		if f.taken > len(f.data)/2 && len(f.data)+room > cap(f.data) { // each byte is moved once for one that was taken
			f.data, f.taken = f.data[:copy(f.data, f.data[f.taken:])], 0
		}
		f.data = append(f.data, b[:room]...)
		b, n = b[room:], n+room
		f.changed.Broadcast()
	}
	return n, nil
}

func (f *flow) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	f.silence()
	f.changed.Broadcast()
}

// readUntil has reads end at t, those that wait already, too; the zero time is never.
func (f *flow) readUntil(t time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.silence()
	if f.deadline = t; !t.IsZero() && !f.closed {
		f.alarm = time.AfterFunc(time.Until(t), f.ring)
	}
	f.changed.Broadcast()
}

func (f *flow) ring() {
	f.mu.Lock()
	f.changed.Broadcast()
	f.mu.Unlock()
}

// silence stops the alarm. The lock is held.
func (f *flow) silence() {
	if f.alarm != nil {
		f.alarm.Stop()
		f.alarm = nil
	}
}
