package interop

import (
	"fmt"
	"net"
	"strconv"
	"testing"
	"time"

	stomp "github.com/go-stomp/stomp/v3"
	"github.com/go-stomp/stomp/v3/frame"
	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/tests/node"
)

// versions runs a test with go-stomp in each version.
func versions(t *testing.T, n *node.Node, test func(t *testing.T, queue string, dial func(...func(*stomp.Conn) error) *stomp.Conn)) {
	for _, v := range []stomp.Version{stomp.V10, stomp.V11, stomp.V12} {
		t.Run(string(v), func(t *testing.T) {
			test(t, "/queue/"+t.Name(), func(options ...func(*stomp.Conn) error) *stomp.Conn {
				c := dial(t, n, append(options, stomp.ConnOpt.AcceptVersion(v))...)
				require.Equal(t, v, c.Version())
				return c
			})
		})
	}
}

// fill sends numbered messages and waits for their receipts.
func fill(t *testing.T, c *stomp.Conn, queue string, count int, options ...string) {
	t.Helper()
	for i := range count {
		opts := []func(*frame.Frame) error{stomp.SendOpt.Receipt}
		for j := 0; j+1 < len(options); j += 2 {
			opts = append(opts, stomp.SendOpt.Header(options[j], options[j+1]))
		}
		require.NoError(t, c.Send(queue, "text/plain", []byte(strconv.Itoa(i)), opts...))
	}
}

// numbers are the texts from a number to another, that one included.
func numbers(from, to int) []string {
	all := []string{}
	for i := from; i <= to; i++ {
		all = append(all, strconv.Itoa(i))
	}
	return all
}

func TestGoStompSendAndReceive(t *testing.T) {
	versions(t, node.Start(t), func(t *testing.T, queue string, dial func(...func(*stomp.Conn) error) *stomp.Conn) {
		c := dial()
		require.Contains(t, c.Server(), "ActiveMQ/")
		require.NotEmpty(t, c.Session())
		s, err := c.Subscribe(queue, stomp.AckAuto)
		require.NoError(t, err)
		body := []byte("zero \x00 and \xff\xfe")
		require.NoError(t, c.Send(queue, "application/octet-stream", body, stomp.SendOpt.Receipt, stomp.SendOpt.Header("color", "blue:green")))
		m := receive(t, s)
		require.Equal(t, body, m.Body)
		require.Equal(t, "application/octet-stream", m.ContentType)
		require.Equal(t, "blue:green", m.Header.Get("color"))
		require.Equal(t, queue, m.Destination)
		require.Empty(t, m.Header.Get("receipt"))
		require.NoError(t, c.Send(queue, "text/plain", []byte("text"), stomp.SendOpt.NoContentLength))
		m = receive(t, s)
		require.Equal(t, "text", string(m.Body))
		require.Empty(t, m.Header.Get("content-length"))
		unsubscribe(t, s)
		require.NoError(t, c.Disconnect())
	})
}

func TestGoStompLargeBody(t *testing.T) {
	n := node.Start(t)
	c := dial(t, n)
	s, err := c.Subscribe("/queue/large", stomp.AckAuto)
	require.NoError(t, err)
	body := make([]byte, 8<<20)
	for i := range body {
		body[i] = byte(i * 7)
	}
	require.NoError(t, c.Send("/queue/large", "", body, stomp.SendOpt.Receipt, stomp.SendOpt.Header("persistent", "true")))
	require.Equal(t, body, receive(t, s).Body)
}

func TestGoStompAcknowledgements(t *testing.T) {
	n := node.Start(t)
	for _, c := range []struct {
		mode stomp.AckMode
		acks []int
		back []string
	}{
		{stomp.AckAuto, nil, []string{}},
		{stomp.AckClient, []int{2}, []string{"3", "4"}},
		{stomp.AckClientIndividual, []int{1, 3}, []string{"0", "2", "4"}},
	} {
		versions(t, n, func(t *testing.T, queue string, dial func(...func(*stomp.Conn) error) *stomp.Conn) {
			queue += c.mode.String()
			conn := dial()
			fill(t, conn, queue, 5)
			s, err := conn.Subscribe(queue, c.mode)
			require.NoError(t, err)
			var got []*stomp.Message
			for range 5 {
				got = append(got, receive(t, s))
			}
			require.Equal(t, numbers(0, 4), bodies(got))
			for _, i := range c.acks {
				require.NoError(t, conn.Ack(got[i]))
			}
			require.NoError(t, conn.Disconnect())
			rest := drained(t, n, queue)
			require.Equal(t, c.back, bodies(rest))
			for _, m := range rest {
				require.Equal(t, "true", m.Header.Get("redelivered"))
			}
		})
	}
}

func TestGoStompNackGoesToTheDeadLetterQueue(t *testing.T) {
	n := node.Start(t)
	versions(t, n, func(t *testing.T, queue string, dial func(...func(*stomp.Conn) error) *stomp.Conn) {
		conn := dial()
		fill(t, conn, queue, 2, "persistent", "true")
		s, err := conn.Subscribe(queue, stomp.AckClientIndividual)
		require.NoError(t, err)
		first, second := receive(t, s), receive(t, s)
		if conn.Version() == stomp.V10 {
			require.Error(t, conn.Nack(first), "1.0 has no NACK")
			return
		}
		require.NoError(t, conn.Nack(first))
		require.NoError(t, conn.Ack(second))
		require.NoError(t, conn.Disconnect())
		require.Empty(t, drained(t, n, queue))
		dead := drained(t, n, "/queue/ActiveMQ.DLQ")
		require.Equal(t, []string{"0"}, bodies(dead))
		require.Equal(t, queue, dead[0].Header.Get("original-destination"))
	})
}

func TestGoStompTransactions(t *testing.T) {
	n := node.Start(t)
	versions(t, n, func(t *testing.T, queue string, dial func(...func(*stomp.Conn) error) *stomp.Conn) {
		conn := dial()
		tx, err := conn.BeginWithError()
		require.NoError(t, err)
		require.NoError(t, tx.Send(queue, "text/plain", []byte("a")))
		require.NoError(t, tx.Send(queue, "text/plain", []byte("b")))
		fill(t, conn, queue, 1)
		require.NoError(t, tx.CommitWithReceipt())
		require.Equal(t, []string{"0", "a", "b"}, bodies(drained(t, n, queue)))
		tx, err = conn.BeginWithError()
		require.NoError(t, err)
		require.NoError(t, tx.Send(queue, "text/plain", []byte("never")))
		require.NoError(t, tx.AbortWithReceipt())
		require.Empty(t, drained(t, n, queue))
	})
}

func TestGoStompTopic(t *testing.T) {
	n := node.Start(t)
	var subs []*stomp.Subscription
	for range 3 {
		s, err := dial(t, n).Subscribe("/topic/news.>", stomp.AckAuto)
		require.NoError(t, err)
		subs = append(subs, s)
	}
	// go-stomp's Subscribe waits for nothing, but a connection's frames are worked off in order.
	for _, s := range subs {
		require.Eventually(t, func() bool {
			c := dial(t, n)
			require.NoError(t, c.Send("/topic/news.probe", "", []byte("probe"), stomp.SendOpt.Receipt))
			select {
			case m := <-s.C:
				return m != nil && m.Err == nil
			case <-time.After(100 * time.Millisecond):
				return false
			}
		}, soon, time.Millisecond)
	}
	c := dial(t, n)
	for i := range 100 {
		require.NoError(t, c.Send(fmt.Sprintf("/topic/news.%d", i), "", []byte(strconv.Itoa(i))))
	}
	for _, s := range subs {
		var got []string
		for len(got) < 100 {
			m := receive(t, s)
			if string(m.Body) == "probe" {
				continue
			}
			require.Equal(t, "/topic/news."+string(m.Body), m.Destination)
			got = append(got, string(m.Body))
		}
		require.Equal(t, numbers(0, 99), got)
	}
}

// cord is a connection that can be cut.
func cord(t *testing.T, n *node.Node) (*stomp.Conn, func()) {
	t.Helper()
	nc, err := net.Dial("tcp", n.Addr("stomp"))
	require.NoError(t, err)
	c, err := stomp.Connect(nc)
	require.NoError(t, err)
	return c, func() { _ = nc.Close() }
}

func TestGoStompDroppedConnection(t *testing.T) {
	n := node.Start(t)
	fill(t, dial(t, n), "/queue/cut", 50)
	c, cut := cord(t, n)
	s, err := c.Subscribe("/queue/cut", stomp.AckClientIndividual, stomp.SubscribeOpt.Header("activemq.prefetchSize", "10"))
	require.NoError(t, err)
	for i := range 10 {
		require.Equal(t, strconv.Itoa(i), string(receive(t, s).Body))
	}
	cut()
	s, err = dial(t, n).Subscribe("/queue/cut", stomp.AckAuto)
	require.NoError(t, err)
	for i := range 50 {
		m := receive(t, s)
		require.Equal(t, strconv.Itoa(i), string(m.Body))
		require.Equal(t, i < 10, m.Header.Get("redelivered") == "true", i)
	}
}

func TestGoStompHeartBeats(t *testing.T) {
	t.Parallel()
	n := node.Start(t)
	c := dial(t, n, stomp.ConnOpt.HeartBeat(500*time.Millisecond, 500*time.Millisecond), stomp.ConnOpt.HeartBeatError(200*time.Millisecond))
	s, err := c.Subscribe("/queue/beats", stomp.AckAuto)
	require.NoError(t, err)
	select { // longer than either side may be silent
	case m := <-s.C:
		require.Fail(t, "the connection did not stay", "%v", m)
	case <-time.After(3 * time.Second):
	}
	require.NoError(t, c.Send("/queue/beats", "", []byte("alive"), stomp.SendOpt.Receipt))
	require.Equal(t, "alive", string(receive(t, s).Body))
}

func TestGoStompErrorsNameTheReceipt(t *testing.T) {
	c := dial(t, node.Start(t))
	err := c.Send("/queue/x", "", []byte("x"), stomp.SendOpt.Receipt, stomp.SendOpt.Header("priority", "high"))
	require.ErrorContains(t, err, "priority")
}
