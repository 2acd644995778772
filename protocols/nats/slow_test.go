package nats_test

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
)

// deaf is a client that reads only when it is told to.
type deaf struct {
	t    testing.TB
	conn io.ReadWriteCloser
	in   *bufio.Reader
}

func (h *house) deaf() *deaf {
	conn, err := h.server.InProcessConn()
	require.NoError(h.t, err)
	h.t.Cleanup(func() { _ = conn.Close() })
	d := &deaf{h.t, conn, bufio.NewReader(conn)}
	_ = d.line() // INFO
	d.say("CONNECT {\"verbose\":false,\"headers\":true}\r\nSUB _INBOX.d 1\r\nPING\r\n")
	for !strings.HasPrefix(d.line(), "PONG") {
	}
	return d
}

func (d *deaf) say(format string, args ...any) {
	_, err := fmt.Fprintf(d.conn, format, args...)
	require.NoError(d.t, err)
}

func (d *deaf) line() string {
	text, err := d.in.ReadString('\n')
	require.NoError(d.t, err)
	return strings.TrimSpace(text)
}

// message reads the next message and returns its reply subject.
func (d *deaf) message() (reply string) {
	for {
		words := strings.Fields(d.line())
		if words[0] != "HMSG" {
			continue
		}
		size, err := strconv.Atoi(words[len(words)-1])
		require.NoError(d.t, err)
		_, err = d.in.Discard(size + 2)
		require.NoError(d.t, err)
		if len(words) == 6 {
			return words[3]
		}
	}
}

// A worker that does not read is not sent more than it can hold: it stays connected, nothing is handed out
// twice, and nothing is kept from others.
func TestASlowWorkerIsNotFlooded(t *testing.T) {
	const n, size = 100, 1 << 20
	h := newHouse(t, options{})
	s := h.session()
	fill := func() {
		for range n {
			require.NoError(t, h.send(s, &gateway.Message{Destination: queue("big"), Body: make([]byte, size), Persistent: true}))
		}
	}
	dead := h.subscribe(h.session(), queue("ActiveMQ.DLQ"))
	h.consumer(h.jetStream(), "w", "big", func(c *jetstream.ConsumerConfig) { c.MaxDeliver = 1 })
	d := h.deaf()
	// 200 asked for in two requests: the server would close the connection at 64 MiB.
	for range 2 {
		d.say("PUB $JS.API.CONSUMER.MSG.NEXT.QUEUES.w _INBOX.d 3\r\n100\r\n")
	}
	require.Eventually(t, func() bool { return h.infos()["w"] == 2 }, patience, time.Millisecond)
	fill()
	held := func() int {
		q, _ := h.broker.Queue("big")
		return q.InFlight
	}
	require.Eventually(t, func() bool { return held() >= 16 && held() <= 18 }, patience, time.Millisecond)
	require.Equal(t, 16, h.door.Stats().Held)
	other := fetch(t, h.consumer(h.jetStream(), "other", "big"), 5)
	for _, m := range other {
		require.EqualValues(t, 1, deliveries(t, m))
		require.NoError(t, m.DoubleAck(ctx(t)))
	}
	seen := map[string]bool{}
	for range n - len(other) {
		reply := d.message()
		require.False(t, seen[reply])
		seen[reply] = true
		require.LessOrEqual(t, h.door.Stats().Held, 17)
		d.say("PUB %s 0\r\n\r\n", reply)
	}
	h.settled("big", 0, 0)
	require.Zero(t, dead.sub.Next(make([]gateway.Delivery, 1), 1))
}

// What was given back because its time was over may still wait for the connection: it counts until it has left.
func TestWhatIsOverdueCountsUntilItIsRead(t *testing.T) {
	const n, size = 40, 1 << 20
	h := newHouse(t, options{})
	s := h.session()
	h.consumer(h.jetStream(), "w", "big", func(c *jetstream.ConsumerConfig) { c.AckWait = 100 * time.Millisecond })
	d := h.deaf()
	d.say("PUB $JS.API.CONSUMER.MSG.NEXT.QUEUES.w _INBOX.d 5\r\n10000\r\n")
	for range n {
		require.NoError(t, h.send(s, &gateway.Message{Destination: queue("big"), Body: make([]byte, size), Persistent: true}))
	}
	require.Eventually(t, func() bool { return h.door.Stats().Handed >= 16 }, patience, time.Millisecond)
	h.settled("big", n, 0) // all that was handed out has come back
	handed := h.door.Stats().Handed
	require.InDelta(t, 16, handed, 2, "mebibytes, and what is above that")
	for range 5 {
		time.Sleep(100 * time.Millisecond) // long enough for it to be handed out again
		require.Equal(t, handed, h.door.Stats().Handed)
	}
	for range handed {
		_ = d.message()
	}
	_ = d.message() // more comes when it is read
}
