package node

import (
	"io"
	"net"
	"sync"
	"testing"
)

// Cut is what a Route does with what it is given.
type Cut int

const (
	// Open passes everything on.
	Open Cut = iota
	// Silent passes nothing on and tells nobody. When the route is open again, what was held goes on
	// where it was, as TCP would have it; but not where connections ended meanwhile.
	Silent
	// Abrupt resets connections, and refuses new ones.
	Abrupt
)

// Route is a way from one node to another that a test can cut. It is safe for concurrent use.
type Route struct {
	in     net.Listener
	target string

	mu      sync.Mutex
	changed sync.Cond
	cut     Cut
	closed  bool
	conns   map[net.Conn]struct{}
	pumps   sync.WaitGroup
}

func newRoute(t testing.TB, target string) *Route {
	in, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &Route{in: in, target: target, conns: make(map[net.Conn]struct{})}
	r.changed.L = &r.mu
	r.pumps.Go(r.accept)
	t.Cleanup(r.close)
	return r
}

// Addr is where the route begins.
func (r *Route) Addr() string { return r.in.Addr().String() }

// Set cuts the route or opens it.
func (r *Route) Set(how Cut) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cut = how
	if how == Abrupt {
		r.resetLocked()
	}
	r.changed.Broadcast()
}

func (r *Route) resetLocked() {
	for c := range r.conns {
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		_ = c.Close()
	}
}

func (r *Route) close() {
	r.mu.Lock()
	r.closed = true
	r.resetLocked()
	r.changed.Broadcast()
	r.mu.Unlock()
	_ = r.in.Close()
	r.pumps.Wait()
}

func (r *Route) accept() {
	for {
		from, err := r.in.Accept()
		if err != nil {
			return
		}
		if !r.enter(from) {
			continue
		}
		r.pumps.Go(func() { r.carry(from) })
	}
}

// enter notes a connection, or ends it if there is none to be.
func (r *Route) enter(c net.Conn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed || r.cut == Abrupt {
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		_ = c.Close()
		return false
	}
	r.conns[c] = struct{}{}
	return true
}

func (r *Route) leave(c net.Conn) {
	_ = c.Close()
	r.mu.Lock()
	delete(r.conns, c)
	r.mu.Unlock()
}

// pass waits while the route is silent, and reports whether it is there.
func (r *Route) pass() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.cut == Silent && !r.closed {
		r.changed.Wait()
	}
	return !r.closed && r.cut == Open
}

// carry passes a connection on, both ways.
func (r *Route) carry(from net.Conn) {
	defer r.leave(from)
	if !r.pass() {
		return
	}
	to, err := net.Dial("tcp", r.target)
	if err != nil || !r.enter(to) {
		return
	}
	defer r.leave(to)
	var back sync.WaitGroup
	back.Go(func() { r.pump(to, from) })
	r.pump(from, to)
	back.Wait()
}

func (r *Route) pump(from io.Reader, to io.Writer) {
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if !r.pass() {
			break
		}
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				break
			}
		}
		if err != nil {
			break
		}
	}
	for _, end := range []any{from, to} { // the other pump ends as well
		_ = end.(net.Conn).Close()
	}
}
