package nats_test

import (
	"io"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
)

// When the door's connection as a leaf node ends it is made again, and workers go on: what they had stays with them.
func TestALostLeafNodeConnectsAgain(t *testing.T) {
	h := newHouse(t, options{})
	h.fill("a", 3)
	first := fetch(t, h.consumer(h.jetStream(), "first", "a"), 3)
	require.NoError(t, first[0].DoubleAck(ctx(t)))
	require.Eventually(t, h.door.HandedOver, patience, time.Millisecond)
	c := h.consumer(h.jetStream(), "w", "a", func(c *jetstream.ConsumerConfig) { c.AckWait = time.Second })
	for range 3 {
		b, err := c.Fetch(50, jetstream.FetchMaxWait(patience))
		require.NoError(t, err)
		require.Eventually(t, func() bool { return h.infos()["w"] == 1 }, patience, time.Millisecond)
		nodes, err := h.server.Leafz(nil)
		require.NoError(t, err)
		require.Len(t, nodes.Leafs, 1)
		require.NoError(t, h.server.DisconnectClientByID(nodes.Leafs[0].ID))
		h.fill("a", 50)
		seen := map[string]bool{}
		for m := range b.Messages() {
			seen[string(m.Data())] = true
			require.NoError(t, m.Ack())
		}
		require.NoError(t, b.Error())
		h.awaitLeaf()
		for len(seen) < 50 { // what came twice when it was lost took the place of others in the request
			m, err := c.Next(jetstream.FetchMaxWait(patience))
			require.NoError(t, err)
			seen[string(m.Data())] = true
			require.NoError(t, m.Ack())
		}
	}
	for _, m := range first[1:] {
		require.NoError(t, m.DoubleAck(ctx(t)), "it had this before")
	}
	select {
	case err := <-h.served:
		require.Fail(t, "the door ended", "%v", err)
	default:
	}
}

// awaitLeaf waits until the door is a leaf node again.
func (h *house) awaitLeaf() {
	require.Eventually(h.t, func() bool {
		nodes, err := h.server.Leafz(nil)
		return err == nil && len(nodes.Leafs) == 1
	}, patience, time.Millisecond)
}

// passage is a proxy that can lose what goes to the server.
type passage struct {
	t      *testing.T
	loses  *atomic.Bool // the connections so far
	ended  sync.WaitGroup
	mu     sync.Mutex
	opened []net.Conn
}

// to begins to listen for who wants to go to addr.
func (p *passage) to(addr string) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(p.t, err)
	p.t.Cleanup(func() {
		_ = l.Close()
		p.cut()
		p.ended.Wait()
	})
	p.ended.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", addr)
			if err != nil {
				_ = in.Close()
				continue
			}
			p.mu.Lock()
			p.opened, p.loses = append(p.opened, in, out), &atomic.Bool{}
			loses := p.loses
			p.mu.Unlock()
			p.ended.Go(func() { carry(in, out, loses) })
			p.ended.Go(func() { carry(out, in, &atomic.Bool{}) })
		}
	})
	return l.Addr().String()
}

func carry(from, to net.Conn, loses *atomic.Bool) {
	buf := make([]byte, 4096)
	for {
		n, err := from.Read(buf)
		if n > 0 && !loses.Load() {
			_, _ = to.Write(buf[:n])
		}
		if err != nil {
			_, _ = from.Close(), to.Close()
			return
		}
	}
}

// lose has what goes to the server on the present connections never arrive.
func (p *passage) lose() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.loses.Store(true)
}

func (p *passage) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.opened {
		_ = c.(io.Closer).Close()
	}
	p.opened = nil
}

// What was written to a connection that was lost, and perhaps reached nobody, comes again at once
// and not after AckWait, to the requests that it was for.
func TestWhatALostLeafNodeDidNotBringComesAgain(t *testing.T) {
	p := &passage{t: t}
	h := newHouse(t, options{leaf: p.to})
	c := h.consumer(h.jetStream(), "w", "a", func(c *jetstream.ConsumerConfig) { c.AckWait = time.Hour })
	h.fill("a", 2)
	kept := fetch(t, c, 2)
	require.NoError(t, kept[0].DoubleAck(ctx(t)))
	b, err := c.Fetch(20, jetstream.FetchMaxWait(patience))
	require.NoError(t, err)
	require.Eventually(t, func() bool { return h.infos()["w"] == 1 }, patience, time.Millisecond)
	require.Eventually(t, h.door.HandedOver, patience, time.Millisecond)
	p.lose()
	h.fill("a", 20)
	require.Eventually(t, func() bool { return h.door.Stats().Held == 21 }, patience, time.Millisecond)
	p.cut()
	got := map[string]uint64{}
	for m := range b.Messages() {
		got[string(m.Data())] = deliveries(t, m)
		require.NoError(t, m.DoubleAck(ctx(t)))
	}
	require.NoError(t, b.Error())
	for i := range 20 {
		require.EqualValues(t, 2, got[strconv.Itoa(i)], "message %d: it may have come before", i)
	}
	require.NoError(t, kept[1].DoubleAck(ctx(t)))
	h.settled("a", 0, 0)
}
