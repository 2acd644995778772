package stomp

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
)

// pacedBroker is a fakeBroker whose sessions have a pace.
type pacedBroker struct {
	*fakeBroker
	pause atomic.Int64
	asked atomic.Int64
}

type pacedSession struct {
	gateway.Session
	b *pacedBroker
}

func (b *pacedBroker) Open(ctx context.Context, l gateway.Login) (gateway.Session, error) {
	s, err := b.fakeBroker.Open(ctx, l)
	return &pacedSession{s, b}, err
}

func (s *pacedSession) Pause() time.Duration {
	s.b.asked.Add(1)
	return time.Duration(s.b.pause.Load())
}

func startPaced(t *testing.T) (*pacedBroker, *Server) {
	b := &pacedBroker{fakeBroker: newFakeBroker()}
	s, err := New(Config{Address: "127.0.0.1:0", Broker: b})
	require.NoError(t, err)
	serve(t, s)
	return b, s
}

func TestAClientIsReadAtItsPace(t *testing.T) {
	b, s := startPaced(t)
	b.pause.Store(int64(100 * time.Millisecond))
	c := login(t, s, "1.2")
	began := time.Now()
	c.send(strings.Repeat("SEND\ndestination:/queue/a\n\nx^", 5) + "BEGIN\ntransaction:t\nreceipt:r\n\n^")
	c.expectReceipt("r")
	require.GreaterOrEqual(t, time.Since(began), 500*time.Millisecond)
	require.EqualValues(t, 5, b.asked.Load(), "only messages have a pace")
	b.pause.Store(0)
	c.send("SEND\ndestination:/queue/a\nreceipt:s\n\nx^")
	c.expectReceipt("s")
}

// While a client has to wait it hears heart-beats and deliveries, and its own silence is not held against it.
func TestAPauseHoldsUpTheReadingAlone(t *testing.T) {
	b, s := startPaced(t)
	c := dial(t, s)
	c.send("CONNECT\naccept-version:1.2\nheart-beat:100,100\n\n^SUBSCRIBE\nid:0\ndestination:/topic/a\nreceipt:sub\n\n^")
	c.expect("CONNECTED")
	c.expectReceipt("sub")
	b.pause.Store(int64(2500 * time.Millisecond)) // more than the patience with a beat each 100 ms: 1.2 s
	c.send("SEND\ndestination:/topic/a\nreceipt:sent\n\nhello^")
	for range 2 { // in either order
		if r := c.frame(); r.command == "RECEIPT" {
			require.Equal(t, "sent", r.get("receipt-id"))
		} else {
			require.Equal(t, "hello", r.body)
		}
	}
	began := time.Now()
	beats := 0
	_ = c.nc.SetReadDeadline(time.Now().Add(wait))
	for time.Since(began) < 1500*time.Millisecond {
		b, err := c.r.ReadByte()
		require.NoError(t, err)
		require.EqualValues(t, '\n', b)
		beats++
	}
	require.Greater(t, beats, 5)
	b.pause.Store(0)
	c.send("BEGIN\ntransaction:alive\nreceipt:alive\n\n^")
	c.expectReceipt("alive")
}

func TestNobodyPausesWhenTheConnectionEnds(t *testing.T) {
	t.Run("drain", func(t *testing.T) {
		b, s := startPaced(t)
		b.pause.Store(int64(time.Hour))
		c := login(t, s, "1.2")
		c.send("SEND\ndestination:/queue/a\nreceipt:1\n\nx^SEND\ndestination:/queue/a\nreceipt:2\n\nx^")
		c.expectReceipt("1")
		require.NoError(t, s.Drain(t.Context()))
		c.expectReceipt("2")
		c.expectClosed()
	})
	t.Run("the client is gone", func(t *testing.T) {
		b, s := startPaced(t)
		b.pause.Store(int64(time.Hour))
		c := login(t, s, "1.2")
		c.send("SEND\ndestination:/queue/a\nreceipt:1\n\nx^")
		c.expectReceipt("1")
		drained, cancel := context.WithCancel(t.Context())
		cancel()
		require.Error(t, s.Drain(drained))
		eventually(t, "the session ends", func() bool { return b.sessions() == 0 })
	})
}
