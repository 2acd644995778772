// Package road measures the main road through real sockets: a producer and a
// consumer on loopback, the whole node in this process, so that one profile
// shows all of it. Every run checks that nothing was lost, doubled or reordered.
//
//	go test ./tests/bench/road -run - -bench . -benchtime 200000x -cpuprofile cpu.out
package road

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/auth"
	"github.com/sluice-mq/sluice/gateway/core"
	"github.com/sluice-mq/sluice/jetstream"
	"github.com/sluice-mq/sluice/jetstream/embed"
	"github.com/sluice-mq/sluice/protocols/stomp"
	"github.com/sluice-mq/sluice/protocols/stomp/wire"
)

// node runs a whole node in this process and returns its STOMP address.
//
// SLUICE_ROAD_ADDR names a broker elsewhere instead, ours or another: then only
// the client runs in this process.
func node(b *testing.B) string {
	b.Helper()
	if addr := os.Getenv("SLUICE_ROAD_ADDR"); addr != "" {
		return addr
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	dir, ctx := b.TempDir(), context.Background()
	ns, err := embed.Start(ctx, embed.Config{Name: "n1", Dir: dir, MaxPayload: jetstream.MaxRecord, Logger: log})
	require.NoError(b, err)
	store, err := jetstream.Open(ctx, jetstream.Config{Dir: dir, Server: ns, Node: "n1", Sync: true, Logger: log})
	require.NoError(b, err)
	broker, err := core.New(ctx, core.Config{Node: "n1", Store: store, Authenticator: auth.Anonymous{}, Authorizer: auth.AllowAll{}, Logger: log})
	require.NoError(b, err)
	door, err := stomp.New(stomp.Config{Address: "127.0.0.1:0", Broker: broker, Logger: log})
	require.NoError(b, err)
	served := make(chan error, 1)
	serve, cancel := context.WithCancel(ctx)
	go func() { served <- door.Serve(serve) }()
	b.Cleanup(func() {
		cancel()
		<-served
		require.NoError(b, broker.Close(ctx))
		require.NoError(b, store.Close(ctx))
		ns.Stop()
	})
	return door.Addr().String()
}

// client is a bare STOMP connection that costs little itself.
type client struct {
	b  testing.TB
	nc net.Conn
	r  *wire.Reader
}

func dial(b testing.TB, addr string) *client {
	nc, err := net.Dial("tcp", addr)
	require.NoError(b, err)
	c := &client{b: b, nc: nc, r: wire.NewReader(nc, wire.AfterLogin(1<<20))}
	c.write([]byte("CONNECT\naccept-version:1.1\nhost:/\nlogin:guest\npasscode:guest\n\n\x00"))
	c.expect("CONNECTED")
	c.r.SetVersion(wire.V11)
	return c
}

func (c *client) write(b []byte) {
	_, err := c.nc.Write(b)
	require.NoError(c.b, err)
}

func (c *client) expect(command string) wire.Frame {
	var f wire.Frame
	require.NoError(c.b, c.r.Next(&f))
	require.Equal(c.b, command, f.Command, "%v %s", f.Header, f.Body)
	return f
}

type scenario struct {
	destination string
	persistent  bool
	// window is how many receipts may be outstanding; 0 asks for one at the end only.
	window int
}

func BenchmarkRoad(b *testing.B) {
	for name, s := range map[string]scenario{
		"queue/persistent/one-receipt": {"/queue/bench", true, 0},
		"queue/persistent/window-256":  {"/queue/bench", true, 256},
		"queue/persistent/window-1":    {"/queue/bench", true, 1},
		"queue/non-persistent":         {"/queue/bench", false, 0},
		"topic":                        {"/topic/bench", false, 0},
	} {
		b.Run(name, func(b *testing.B) { s.run(b, node(b), 1024) })
	}
}

func (s scenario) run(b *testing.B, addr string, size int) {
	consumer := dial(b, addr)
	consumer.write([]byte("SUBSCRIBE\nid:1\nack:auto\ndestination:" + s.destination + "\nreceipt:sub\n\n\x00"))
	consumer.expect("RECEIPT")
	producer := dial(b, addr)
	b.SetBytes(int64(size))
	b.ResetTimer()
	start := time.Now()
	credit := make(chan struct{}, max(s.window, 1))
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		s.send(producer, b.N, size, credit)
	}()
	receipts := 1
	if s.window > 0 {
		receipts = b.N
	}
	acked := make(chan struct{})
	go func() {
		defer close(acked)
		for range receipts {
			producer.expect("RECEIPT")
			if s.window > 0 {
				<-credit
			}
		}
	}()
	for i := range b.N {
		f := consumer.expect("MESSAGE")
		if got, _, _ := bytes.Cut(f.Body, []byte{' '}); string(got) != strconv.Itoa(i) {
			b.Fatalf("message %q where %d was due", got, i)
		}
	}
	<-sent
	<-acked
	b.ReportMetric(float64(b.N)/time.Since(start).Seconds(), "msg/s")
	require.NoError(b, consumer.nc.Close())
	require.NoError(b, producer.nc.Close())
}

func (s scenario) send(c *client, n, size int, credit chan struct{}) {
	body := bytes.Repeat([]byte{'x'}, size)
	head := "SEND\ndestination:" + s.destination + "\ncontent-type:text/plain\n"
	if s.persistent {
		head += "persistent:true\n"
	}
	var buf []byte
	for i := range n {
		buf = append(buf, head...)
		if s.window > 0 || i == n-1 {
			buf = fmt.Appendf(buf, "receipt:%d\n", i)
		}
		buf = fmt.Appendf(buf, "content-length:%d\n\n", size)
		at := len(buf)
		buf = append(buf, body...)
		copy(buf[at:], strconv.Itoa(i)+" ")
		buf = append(buf, 0)
		if s.window > 0 {
			select {
			case credit <- struct{}{}:
			default:
				c.write(buf)
				buf = buf[:0]
				credit <- struct{}{}
			}
		}
		if len(buf) > 64<<10 || i == n-1 || s.window == 1 {
			c.write(buf)
			buf = buf[:0]
		}
	}
	if len(buf) > 0 {
		c.write(buf)
	}
}
