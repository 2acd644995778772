package embed

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// gated is a client that stops reading when it is told to, as a process does that stands still.
type gated struct {
	nats.InProcessConnProvider
	gate *gate
}

type gate struct {
	net.Conn
	read atomic.Pointer[chan struct{}] // closed when it may read
}

func (g gated) InProcessConn() (net.Conn, error) {
	c, err := g.InProcessConnProvider.InProcessConn()
	if err != nil {
		return nil, err
	}
	g.gate.Conn = c
	return g.gate, nil
}

func (g *gate) Read(b []byte) (int, error) {
	<-*g.read.Load()
	return g.Conn.Read(b)
}

// A connection within the process outlives a stop that is longer than the server waits for a client. Without inside it does not: that is
// asked first, so that this test can fail.
func TestConnectionsInsideOutliveAStandstill(t *testing.T) {
	const messages, deadline = 500, 20 * time.Millisecond
	ns, err := server.NewServer(&server.Options{DontListen: true, NoSigs: true, WriteDeadline: deadline})
	require.NoError(t, err)
	ns.Start()
	t.Cleanup(ns.Shutdown)
	require.True(t, ns.ReadyForConnections(10*time.Second))
	for _, c := range []struct {
		name string
		from nats.InProcessConnProvider
		dies bool
	}{{"the server's own pipe", ns, true}, {"inside", inside{ns, new(sync.WaitGroup)}, false}} {
		t.Run(c.name, func(t *testing.T) {
			open := make(chan struct{})
			close(open)
			g := &gate{}
			g.read.Store(&open)
			closed := make(chan struct{})
			nc, err := nats.Connect("", nats.InProcessServer(gated{c.from, g}), nats.NoReconnect(), nats.ClosedHandler(func(*nats.Conn) { close(closed) }))
			require.NoError(t, err)
			t.Cleanup(nc.Close)
			sub, err := nc.SubscribeSync("a")
			require.NoError(t, err)
			require.NoError(t, nc.Flush())
			id, err := nc.GetClientID()
			require.NoError(t, err)
			sender, err := nats.Connect("", nats.InProcessServer(inside{ns, new(sync.WaitGroup)}))
			require.NoError(t, err)
			t.Cleanup(sender.Close)

			still := make(chan struct{})
			g.read.Store(&still) // what reads now is the last that does
			for range messages {
				require.NoError(t, sender.Publish("a", make([]byte, 1000)))
			}
			require.NoError(t, sender.Flush())
			gone := func() bool { return ns.GetClient(id) == nil }
			if c.dies {
				require.Eventually(t, gone, 20*time.Second, time.Millisecond, "a client that does not read is dropped")
				close(still)
				<-closed
				return
			}
			require.Never(t, gone, 5*deadline, deadline/2)
			close(still)
			for range messages {
				_, err := sub.NextMsg(20 * time.Second)
				require.NoError(t, err)
			}
			require.False(t, nc.IsClosed())
		})
	}
}

// Neither end waits for ever while the other one waits to write: the server never does.
func TestTheServerNeverWaitsToWriteInside(t *testing.T) {
	up, down := newFlow(toServer), newFlow(0)
	there, here := &insideConn{in: up, out: down}, &insideConn{in: down, out: up}
	b := make([]byte, 8*keptBuffer)
	n, err := there.Write(b) // nobody reads
	require.NoError(t, err)
	require.Len(t, b, n)
	written := make(chan error, 1)
	go func() {
		_, err := here.Write(b[:2*toServer])
		written <- err
	}()
	got := make([]byte, 2*toServer)
	_, err = io.ReadFull(there, got)
	require.NoError(t, err)
	require.NoError(t, <-written)
	require.NoError(t, there.Close())
	left, err := io.ReadAll(here)
	require.NoError(t, err)
	require.Len(t, left, len(b), "what was written before the end can be read")
	_, err = here.Write(b)
	require.ErrorIs(t, err, io.ErrClosedPipe)
}

func TestReadsInsideHaveDeadlines(t *testing.T) {
	f := newFlow(0)
	c := &insideConn{in: f, out: f}
	require.NoError(t, c.SetDeadline(time.Now().Add(time.Millisecond)))
	_, err := c.Read(make([]byte, 1))
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	_, err = c.Write([]byte("a")) // has none
	require.NoError(t, err)
	require.NoError(t, c.SetDeadline(time.Time{}))
	n, err := c.Read(make([]byte, 2))
	require.NoError(t, err)
	require.Equal(t, 1, n)
	ended := make(chan error, 1)
	go func() {
		_, err := c.Read(make([]byte, 1))
		ended <- err
	}()
	require.NoError(t, c.Close())
	require.ErrorIs(t, <-ended, io.EOF)
}

// What is read is what was written, in its order, whatever the portions.
func TestFlowsAreWhatWasWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := newFlow(0)
		var written, read bytes.Buffer
		next := byte(0)
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			if n := rapid.IntRange(0, 5000).Draw(t, "bytes"); rapid.Bool().Draw(t, "write") {
				b := make([]byte, n)
				for i := range b {
					b[i] = next
					next++
				}
				written.Write(b)
				if got, err := f.write(b); err != nil || got != n {
					t.Fatalf("wrote %d of %d: %v", got, n, err)
				}
			} else if read.Len() < written.Len() {
				b := make([]byte, n+1)
				got, err := f.read(b)
				if err != nil || got == 0 {
					t.Fatalf("read %d: %v", got, err)
				}
				read.Write(b[:got])
			}
		}
		f.close()
		rest, err := io.ReadAll(&insideConn{in: f, out: newFlow(0)})
		if err != nil {
			t.Fatal(err)
		}
		read.Write(rest)
		if !bytes.Equal(written.Bytes(), read.Bytes()) {
			t.Fatal("it is not what was written")
		}
	})
}

// Where a listener has TLS the server waits for the first bytes of each connection, to see whether they are TLS: not before the other end is somebody's.
func TestConnectionsInsideDoNotWaitForTLS(t *testing.T) {
	ns, err := server.NewServer(&server.Options{DontListen: true, NoSigs: true, TLSConfig: &tls.Config{}, TLSTimeout: 60})
	require.NoError(t, err)
	ns.Start()
	t.Cleanup(ns.Shutdown)
	require.True(t, ns.ReadyForConnections(10*time.Second))
	var greeting sync.WaitGroup
	nc, err := nats.Connect("", nats.InProcessServer(inside{ns, &greeting}), nats.Timeout(20*time.Second))
	require.NoError(t, err)
	greeting.Wait()
	require.NoError(t, nc.Flush())
	nc.Close()
}
