package bench

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/sluice-mq/sluice/protocols/stomp/wire"
)

// Relay speaks as much STOMP as a run needs, hands each message to whoever
// subscribes at that moment, and keeps nothing. It promises nothing either: its
// receipts say that a frame was read. What a client reaches against it is what
// the client can do.
type Relay struct {
	listener net.Listener
	mu       sync.RWMutex
	subs     map[string][]relaySub // by destination
	turn     atomic.Uint64         // whose turn it is at a queue
}

// NewRelay listens at once.
func NewRelay(address string) (*Relay, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	return &Relay{listener: l, subs: map[string][]relaySub{}}, nil
}

// Address is where it listens.
func (r *Relay) Address() string { return r.listener.Addr().String() }

// Serve ends with the context, and closes all connections then.
func (r *Relay) Serve(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = r.listener.Close() })
	defer stop()
	for {
		nc, err := r.listener.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		wg.Go(func() {
			stop := context.AfterFunc(ctx, func() { _ = nc.Close() })
			defer stop()
			r.converse(nc)
		})
	}
}

// relayRoom is how much may wait for a subscriber before its sender waits.
const relayRoom = 1 << 20

// relaySub is a subscription: the header line that its messages have.
type relaySub struct {
	*relayConn
	line []byte
}

var messageCommand = []byte("MESSAGE")

// relayConn gathers what is to be written while a write is under way.
type relayConn struct {
	nc     net.Conn
	mu     sync.Mutex
	turn   sync.Cond // something to write, room to add, or the end
	out    []byte
	closed bool
}

func (r *Relay) converse(nc net.Conn) {
	c := &relayConn{nc: nc}
	c.turn.L = &c.mu
	var wg sync.WaitGroup
	wg.Go(c.write)
	defer wg.Wait()
	defer func() { r.forget(c); c.close() }()
	frames := wire.NewReader(nc, wire.AfterLogin(17<<20))
	var f wire.Frame
	var buf []byte
	for frames.Next(&f) == nil {
		buf = buf[:0]
		switch f.Command {
		case "CONNECT", "STOMP":
			c.add([]byte("CONNECTED\nversion:1.1\nserver:relay\n\n\x00"))
			frames.SetVersion(wire.V11)
		case "SUBSCRIBE":
			r.subscribe(field(&f, "destination"), relaySub{c, []byte("\nsubscription:" + field(&f, "id") + "\n")})
		case "SEND":
			r.forward(&f, buf)
		}
		if id := field(&f, "receipt"); id != "" {
			c.add(append(wire.AppendField([]byte("RECEIPT\n"), wire.V11, "receipt-id", id), "\n\x00"...))
		}
	}
}

// everything turns a topic's name into what wildcard subscribers ask for.
func everything(destination string) string {
	return destination[:strings.LastIndexByte(destination, '.')+1] + ">"
}

func (r *Relay) forward(f *wire.Frame, buf []byte) {
	destination := field(f, "destination")
	buf = fmt.Appendf(buf, "message-id:1\ncontent-length:%d\ndestination:%s\n\n", len(f.Body), destination)
	buf = append(append(buf, f.Body...), 0)
	r.mu.RLock()
	defer r.mu.RUnlock()
	subs := r.subs[destination]
	if strings.HasPrefix(destination, "/queue/") {
		if len(subs) > 0 {
			subs[r.turn.Add(1)%uint64(len(subs))].message(buf)
		}
		return
	}
	for _, c := range subs {
		c.message(buf)
	}
	for _, c := range r.subs[everything(destination)] {
		c.message(buf)
	}
}

func (r *Relay) subscribe(destination string, c relaySub) {
	if strings.HasSuffix(destination, "#") {
		destination = everything(destination)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.subs[destination] = append(r.subs[destination], c)
}

func (r *Relay) forget(gone *relayConn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for d, subs := range r.subs {
		for i, c := range subs {
			if c.relayConn == gone {
				r.subs[d] = append(subs[:i:i], subs[i+1:]...)
				break
			}
		}
	}
}

// message adds a message whose first header line is the subscription's.
func (c relaySub) message(rest []byte) { c.add(messageCommand, c.line, rest) }

func (c *relayConn) add(pieces ...[]byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.out) > relayRoom && !c.closed {
		c.turn.Wait()
	}
	if !c.closed {
		for _, b := range pieces {
			c.out = append(c.out, b...)
		}
		c.turn.Broadcast()
	}
}

func (c *relayConn) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	c.turn.Broadcast()
	_ = c.nc.Close()
}

func (c *relayConn) write() {
	var spare []byte
	for {
		c.mu.Lock()
		for len(c.out) == 0 && !c.closed {
			c.turn.Wait()
		}
		if c.closed {
			c.mu.Unlock()
			return
		}
		b := c.out
		c.out = spare[:0]
		c.turn.Broadcast()
		c.mu.Unlock()
		if _, err := c.nc.Write(b); err != nil {
			c.close()
			return
		}
		spare = b
	}
}

// field is a header's value, or nothing.
func field(f *wire.Frame, name string) string {
	v, _ := f.Header.Get(name)
	return v
}
