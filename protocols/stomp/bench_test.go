package stomp

import (
	"context"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
)

// nullBroker takes everything and has an endless supply of one message.
type nullBroker struct {
	gateway.Session
	gateway.Subscription
	sent  atomic.Int64
	left  int
	m     *gateway.Message
	tag   uint64
	told  int
	done  chan struct{}
	count int
}

func (b *nullBroker) Open(context.Context, gateway.Login) (gateway.Session, error) {
	return nullSession{b}, nil
}

type nullSession struct{ b *nullBroker }

func (nullSession) ID() string                                { return "" }
func (nullSession) Forget(string, gateway.Completion, uint64) {}
func (nullSession) Principal() gateway.Principal              { return gateway.Principal{} }
func (nullSession) Close()                                    {}
func (s nullSession) Send(_ *gateway.Message, c gateway.Completion, token uint64) {
	s.b.sent.Add(1)
	c.Complete(token, nil)
}
func (nullSession) Commit(*gateway.Transaction, gateway.Completion, uint64) {}
func (s nullSession) Subscribe(gateway.SubscribeOptions) (gateway.Subscription, error) {
	return nullSubscription{s.b}, nil
}

type nullSubscription struct{ b *nullBroker }

func (nullSubscription) Release([]uint64, gateway.Return) error { return nil }
func (s nullSubscription) Next(dst []gateway.Delivery, maxBytes int) (n int) {
	for size := 0; n < len(dst) && s.b.left > 0 && size < maxBytes; n++ {
		s.b.tag++
		s.b.left--
		dst[n] = gateway.Delivery{Message: s.b.m, Tag: s.b.tag}
		size += len(s.b.m.Body)
	}
	return n
}

func (s nullSubscription) Written(n int) {
	if s.b.told += n; s.b.told == s.b.count {
		close(s.b.done)
	}
}
func (nullSubscription) Ack([]uint64, gateway.Completion, uint64)  {}
func (nullSubscription) Nack([]uint64, gateway.Completion, uint64) {}
func (nullSubscription) Extend(int)                                {}
func (nullSubscription) Close()                                    {}

// script is a connection that reads from a fixed text and writes into nothing.
type script struct {
	net.Conn
	r    io.Reader
	hold chan struct{} // the end of the text waits for it, if not nil
}

func (s *script) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err == io.EOF && s.hold != nil {
		<-s.hold
	}
	return n, err
}
func (s *script) Write(p []byte) (int, error)      { return len(p), nil }
func (s *script) Close() error                     { return nil }
func (s *script) CloseWrite() error                { return io.ErrClosedPipe }
func (s *script) RemoteAddr() net.Addr             { return nil }
func (s *script) LocalAddr() net.Addr              { return nil }
func (s *script) SetReadDeadline(time.Time) error  { return nil }
func (s *script) SetWriteDeadline(time.Time) error { return nil }

// repeated reads one text n times over.
type repeated struct {
	text string
	n    int
	rest string
}

func (r *repeated) Read(p []byte) (n int, err error) {
	for n < len(p) {
		if r.rest == "" {
			if r.n == 0 {
				break
			}
			r.n--
			r.rest = r.text
		}
		k := copy(p[n:], r.rest)
		n, r.rest = n+k, r.rest[k:]
	}
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

func BenchmarkSend(b *testing.B) {
	for _, receipt := range []string{"", "receipt:12345678\n"} {
		b.Run(fmt.Sprintf("receipt=%t", receipt != ""), func(b *testing.B) {
			broker := &nullBroker{}
			s, err := newServer(Config{Broker: broker})
			require.NoError(b, err)
			frame := "SEND\ndestination:/queue/grid.events\ncontent-type:application/json\n" + receipt +
				"persistent:true\nvo:atlas\n\n" + strings.Repeat("x", 1024) + "\x00\n"
			b.ReportAllocs()
			b.SetBytes(int64(len(frame)))
			b.ResetTimer()
			s.ServeConn(context.Background(), &script{r: io.MultiReader(
				strings.NewReader("CONNECT\naccept-version:1.1\n\n\x00"), &repeated{text: frame, n: b.N})})
			require.EqualValues(b, b.N, broker.sent.Load())
		})
	}
}

func BenchmarkDeliver(b *testing.B) {
	for _, kind := range []gateway.Kind{gateway.KindQueue, gateway.KindTopic} {
		for _, ack := range []string{"auto", "client-individual"} {
			b.Run(kind.String()+"/"+ack, func(b *testing.B) {
				m := &gateway.Message{
					ID: "ID:node-61613-1700000000000-0:1:-1:1:12345", Priority: 4, Timestamp: 1700000000000, Text: true, Persistent: true,
					Destination: gateway.Destination{Kind: kind, Name: "grid.events"}, Body: make([]byte, 1024),
					Header: gateway.Header{{Name: "content-type", Value: "application/json"}, {Name: "vo", Value: "atlas"}},
				}
				for i := range m.Body {
					m.Body[i] = 'x'
				}
				broker := &nullBroker{left: b.N, count: b.N, m: m, done: make(chan struct{})}
				s, err := newServer(Config{Broker: broker})
				require.NoError(b, err)
				b.ReportAllocs()
				b.SetBytes(1024)
				b.ResetTimer()
				s.ServeConn(context.Background(), &script{hold: broker.done, r: strings.NewReader(
					"CONNECT\naccept-version:1.2\n\n\x00SUBSCRIBE\nid:0\nack:" + ack + "\ndestination:/" + kind.String() + "/grid.events\n\n\x00")})
			})
		}
	}
}

// An idle connection that has sent and received must be cheap to keep.
func TestIdleConnectionsAreCheap(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector's memory is not ours")
	}
	const n = 500
	s := start(t, newFakeBroker())
	memory := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc + m.StackInuse
	}
	var peers []net.Conn
	connect := func() {
		nc, err := net.Dial("tcp", s.Addr().String())
		require.NoError(t, err)
		t.Cleanup(func() { nc.Close() })
		_, err = io.WriteString(nc, "CONNECT\naccept-version:1.2\nheart-beat:60000,60000\n\n\x00"+
			"SUBSCRIBE\nid:0\ndestination:/topic/t\n\n\x00SEND\ndestination:/queue/q\nreceipt:done\n\nx\x00")
		require.NoError(t, err)
		peers = append(peers, nc)
		buf := make([]byte, 512)
		for got := ""; !strings.Contains(got, "receipt-id:done"); {
			k, err := nc.Read(buf)
			require.NoError(t, err)
			got += string(buf[:k])
		}
	}
	connect()
	before := memory()
	for range n {
		connect()
	}
	each := (memory() - before) / n
	t.Logf("%d bytes per idle connection, both ends and the test's broker included", each)
	require.Less(t, each, uint64(18<<10))
	runtime.KeepAlive(peers)
}
