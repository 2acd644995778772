package ledger

import (
	"errors"
	"math/rand/v2"
	"net"
	"os"
	"testing"
	"time"

	"github.com/sluice-mq/sluice/tests/conformance/raw"
)

// Dialer is how clients that fail over find a node: one after another until one takes them.
type Dialer struct {
	T testing.TB
	// Nodes tells where they listen, "" for one that nothing is known of. Any goroutine may call it.
	Nodes func() []string
	// Bound is how long an answer may take before a client tries another node.
	Bound time.Duration
}

// dialWithin bounds one attempt.
const dialWithin = 3 * time.Second

// connect logs in at the node with that index or at one after it, until over.
func (d *Dialer) connect(at int, over <-chan struct{}) (c *raw.Client, node int) {
	for {
		nodes := d.Nodes()
		for i := range nodes {
			node = (at + i) % len(nodes)
			if c := d.login(nodes[node]); c != nil {
				return c, node
			}
		}
		select {
		case <-over:
			return nil, 0
		case <-time.After(50 * time.Millisecond): // as clients do that found nobody
		}
	}
}

func (d *Dialer) login(addr string) *raw.Client {
	if addr == "" {
		return nil
	}
	nc, err := net.DialTimeout("tcp", addr, dialWithin)
	if err != nil {
		return nil
	}
	c := raw.Over(d.T, nc)
	c.Send("CONNECT", "", "accept-version:1.2", "host:localhost", "login:guest", "passcode:guest")
	if f, err := c.Within(dialWithin); err != nil || f.Command != "CONNECTED" {
		_ = nc.Close()
		return nil
	}
	return c
}

// look is how long clients wait for a frame before they look at their own affairs.
const look = 100 * time.Millisecond

// next reads a frame; ok is false if there is none yet.
func next(c *raw.Client) (f raw.Frame, ok bool, err error) {
	f, err = c.Within(look)
	if errors.Is(err, os.ErrDeadlineExceeded) && f.Command == "" {
		return f, false, nil
	}
	return f, err == nil, err
}

// drops reports whether a client is to lose its connection now: once in so many times, never if that is 0.
func drops(rnd *rand.Rand, one int) bool { return one > 0 && rnd.IntN(one) == 0 }
