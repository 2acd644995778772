package doors

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// everyWay runs a test through each door.
func everyWay(t *testing.T, f func(t *testing.T, w *world, way string), change ...func(*settings)) {
	for _, way := range ways {
		t.Run(way, func(t *testing.T) { f(t, newWorld(t, change...), way) })
	}
}

// B7 rows 161 and 163, and the same for the others: what goes in by one way comes out by any.
func TestMessagesPassFromEveryWayToEveryWay(t *testing.T) {
	w := newWorld(t)
	bodies := []string{"", "plain", "ünïcödé \U0001f30a", "\x00\xff\xfe binary \x00", strings.Repeat("large ", 200<<10), string(bytes.Repeat([]byte{0, 1, 0xff}, 700<<10))}
	for _, to := range ways {
		consumer := w.dial(to)
		consumer.send("SUBSCRIBE\nid:0\ndestination:/queue/to." + to + "\nack:client-individual\nreceipt:sub\n\n\x00")
		consumer.expect("RECEIPT")
		for _, from := range ways {
			producer := w.dial(from)
			for i, body := range bodies {
				producer.send(fmt.Sprintf("SEND\ndestination:/queue/to.%s\ncontent-length:%d\nreceipt:%d\n\n%s\x00", to, len(body), i, body))
				f := consumer.expect("MESSAGE")
				require.True(t, body == string(f.Body), "%s to %s: %.20q came as %.20q", from, to, body, f.Body)
				id, _ := f.Header.Get("ack")
				consumer.send("ACK\nid:" + id + "\n\n\x00")
				producer.expect("RECEIPT")
			}
			producer.send("DISCONNECT\nreceipt:bye\n\n\x00")
			producer.expect("RECEIPT")
			producer.expectEnd()
		}
	}
}

// Each frame is one message, as ActiveMQ has it: clients exist that look no further.
func TestEachFrameIsOneMessageOfAWebSocket(t *testing.T) {
	w := newWorld(t)
	c := w.dial("ws")
	c.send("SUBSCRIBE\nid:0\ndestination:/topic/a\nreceipt:sub\n\n\x00")
	c.expect("RECEIPT")
	for range 50 {
		c.send(strings.Repeat("SEND\ndestination:/topic/a\n\nx\x00", 20))
	}
	for range 1000 {
		c.expect("MESSAGE")
	}
	require.Equal(t, map[byte]int{2: 1002}, c.nc.(*socket).kinds)
}

func TestRefusalsAreSaidAndThenTheConnectionEnds(t *testing.T) {
	everyWay(t, func(t *testing.T, w *world, way string) {
		c := w.bare(way)
		c.send("CONNECT\naccept-version:9.9\n\n\x00" + strings.Repeat("x", 40000))
		f := c.expect("ERROR")
		require.Contains(t, string(f.Body), "Invalid Protocol version[9.9]")
		c.expectEnd()
		if s, ok := c.nc.(*socket); ok {
			require.EqualValues(t, 1008, binary.BigEndian.Uint16(s.goodbye))
			require.Contains(t, string(s.goodbye[2:]), "Invalid Protocol version[9.9]")
		}
	})
}

func TestSlowLoris(t *testing.T) {
	t.Parallel()
	everyWay(t, func(t *testing.T, w *world, way string) {
		c := w.bare(way)
		stop, dripped := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(dripped)
			for {
				select {
				case <-stop:
					return
				case <-time.After(50 * time.Millisecond):
					if _, err := io.WriteString(c.nc, "C"); err != nil {
						return
					}
				}
			}
		}()
		f := c.expect("ERROR")
		close(stop)
		<-dripped
		require.Equal(t, "Login timeout: no CONNECT frame arrived in time", string(f.Body))
		require.Eventually(t, func() bool { return w.doors[way].Stats().Open == 0 }, soon, time.Millisecond)
	}, func(s *settings) { s.stomp.Limits.Login = time.Second })
}

// A client that promised heart-beats may say them in any way; one that falls silent is told so.
func TestHeartBeatsByEveryWay(t *testing.T) {
	t.Parallel()
	everyWay(t, func(t *testing.T, w *world, way string) {
		c := w.bare(way)
		c.send("CONNECT\naccept-version:1.2\nheart-beat:100,100\n\n\x00")
		c.expect("CONNECTED")
		began := time.Now()
		for time.Since(began) < 1800*time.Millisecond { // longer than it may be silent
			c.send("\n")
			time.Sleep(50 * time.Millisecond)
		}
		c.send("BEGIN\ntransaction:t\nreceipt:r\n\n\x00")
		c.expect("RECEIPT")
		f := c.expect("ERROR")
		require.Contains(t, string(f.Body), "Heart-beat missed")
	})
}

func TestADrainFinishesWhatHasArrived(t *testing.T) {
	everyWay(t, func(t *testing.T, w *world, way string) {
		c := w.dial(way)
		idle := w.open(way)
		c.send("SEND\ndestination:/queue/a\nreceipt:last\npersistent:true\n\nx\x00")
		require.NoError(t, w.doors[way].Drain(t.Context()))
		c.expect("RECEIPT")
		c.expectEnd()
		if s, ok := c.nc.(*socket); ok {
			require.Equal(t, "\x03\xe9the node is stopping", string(s.goodbye))
		}
		_, err := idle.Read(make([]byte, 1))
		require.Error(t, err)
	})
}

// A client that takes nothing is gone after a while, by whichever way it came.
func TestAClientThatTakesNothingIsGone(t *testing.T) {
	t.Parallel()
	everyWay(t, func(t *testing.T, w *world, way string) {
		c := w.dial(way)
		c.send("SUBSCRIBE\nid:0\ndestination:/queue/a\nreceipt:sub\n\n\x00")
		c.expect("RECEIPT")
		producer := w.dial("tcp")
		body := strings.Repeat("x", 1<<20)
		for i := range 30 {
			producer.send(fmt.Sprintf("SEND\ndestination:/queue/a\nreceipt:%d\n\n%s\x00", i, body))
			producer.expect("RECEIPT")
		}
		open := 0
		if way == "tcp" {
			open = 1
		}
		require.Eventually(t, func() bool { return w.doors[way].Stats().Open == open }, soon, 5*time.Millisecond)
	}, func(s *settings) { s.stomp.Limits.Stall = 500 * time.Millisecond })
}

// What an idle client costs, its own end and the broker's part included.
func TestIdleClientsAreCheap(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector's memory is not ours")
	}
	const n = 300
	most := map[string]uint64{"tcp": 20 << 10, "ws": 24 << 10, "tls": 37 << 10, "wss": 40 << 10}
	memory := func() uint64 {
		for range 5 { // stacks shrink by half at a time
			runtime.GC()
		}
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc + m.StackInuse
	}
	for _, way := range ways {
		t.Run(way, func(t *testing.T) {
			w := newWorld(t)
			var open []net.Conn
			connect := func() {
				nc := w.open(way)
				_, err := io.WriteString(nc, "CONNECT\naccept-version:1.2\nheart-beat:60000,60000\n\n\x00SUBSCRIBE\nid:0\ndestination:/topic/t\n\n\x00SEND\ndestination:/queue/q\nreceipt:done\n\nx\x00")
				require.NoError(t, err)
				buf := make([]byte, 512)
				for got := ""; !strings.Contains(got, "receipt-id:done"); {
					k, err := nc.Read(buf)
					require.NoError(t, err)
					got += string(buf[:k])
				}
				if s, ok := nc.(*socket); ok {
					nc = s.Conn // without the test's own buffer
				}
				open = append(open, nc)
			}
			connect()
			before := memory()
			for range n {
				connect()
			}
			each := (memory() - before) / n
			t.Logf("FIGURE %s: %d bytes per idle client, both ends included", way, each)
			require.Less(t, each, most[way])
			runtime.KeepAlive(open)
		})
	}
}

// Clients of TLS 1.2 resume their sessions; those of 1.3 get no tickets, which some cannot bear after the handshake.
func TestSessionsAreResumedWithoutSayingAnythingAfterTheHandshake(t *testing.T) {
	w := newWorld(t)
	for version, resumed := range map[uint16]bool{tls.VersionTLS12: true, tls.VersionTLS13: false} {
		cfg := &tls.Config{InsecureSkipVerify: true, ClientSessionCache: tls.NewLRUClientSessionCache(4), MinVersion: version, MaxVersion: version}
		for i := range 3 {
			nc, err := tls.Dial("tcp", w.doors["tls"].Addr().String(), cfg)
			require.NoError(t, err)
			_, err = io.WriteString(nc, "CONNECT\naccept-version:1.2\n\n\x00")
			require.NoError(t, err)
			got := make([]byte, 9)
			_, err = io.ReadFull(nc, got)
			require.NoError(t, err)
			require.Equal(t, "CONNECTED", string(got))
			require.Equal(t, resumed && i > 0, nc.ConnectionState().DidResume)
			require.NoError(t, nc.Close())
		}
	}
}
