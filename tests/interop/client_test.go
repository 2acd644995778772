package interop

import (
	"os"
	"testing"
	"time"

	stomp "github.com/go-stomp/stomp/v3"
	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway/gatewaytest"
	"github.com/sluice-mq/sluice/tests/node"
)

// soon is the deadline of what ought to happen at once on an idle machine.
const soon = gatewaytest.Wait

func TestMain(m *testing.M) {
	gatewaytest.Beside(3)
	os.Exit(node.Run(m))
}

// dial connects go-stomp's client.
func dial(t *testing.T, n *node.Node, options ...func(*stomp.Conn) error) *stomp.Conn {
	t.Helper()
	options = append(options, stomp.ConnOpt.UnsubscribeReceiptTimeout(10*time.Second))
	c, err := stomp.Dial("tcp", n.Addr("stomp"), options...)
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.MustDisconnect() })
	return c
}

// receive takes the next message of a subscription.
func receive(t *testing.T, s *stomp.Subscription) *stomp.Message {
	t.Helper()
	select {
	case m, ok := <-s.C:
		require.True(t, ok, "the subscription was closed")
		require.NoError(t, m.Err)
		return m
	case <-time.After(soon):
		require.FailNow(t, "no message came", s.Destination())
		return nil
	}
}

// unsubscribe ends a subscription. go-stomp may miss the receipt that it has got and wait for
// it in vain; that its channel is closed tells that the receipt came.
func unsubscribe(t *testing.T, s *stomp.Subscription) {
	t.Helper()
	returned := make(chan error, 1)
	go func() { returned <- s.Unsubscribe() }()
	select {
	case m, open := <-s.C:
		require.False(t, open, "%v came instead of the end", m)
	case <-time.After(soon):
		require.FailNow(t, "no receipt came for UNSUBSCRIBE")
	}
	t.Cleanup(func() { <-returned })
}

// sentinel is a body that tells that nothing else was on a queue.
const sentinel = "the last one"

// drained reads a queue up to sentinels that it sends itself, and returns what else was there.
// There are two, since messages of one delivery mode may overtake those of the other.
func drained(t *testing.T, n *node.Node, destination string) (rest []*stomp.Message) {
	t.Helper()
	c := dial(t, n)
	require.NoError(t, c.Send(destination, "text/plain", []byte(sentinel), stomp.SendOpt.Receipt))
	require.NoError(t, c.Send(destination, "text/plain", []byte(sentinel), stomp.SendOpt.Receipt, stomp.SendOpt.Header("persistent", "true")))
	s, err := c.Subscribe(destination, stomp.AckAuto)
	require.NoError(t, err)
	for last := 0; last < 2; {
		if m := receive(t, s); string(m.Body) == sentinel {
			last++
		} else {
			rest = append(rest, m)
		}
	}
	require.NoError(t, c.Disconnect())
	return rest
}

// bodies are the bodies of messages.
func bodies(messages []*stomp.Message) []string {
	all := []string{}
	for _, m := range messages {
		all = append(all, string(m.Body))
	}
	return all
}
