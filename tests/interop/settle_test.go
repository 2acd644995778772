package interop

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/tests/conformance/raw"
	"github.com/sluice-mq/sluice/tests/node"
)

// filled sends numbered persistent messages to a queue and waits until they are stored.
func filled(t *testing.T, n *node.Node, queue string, count int) {
	t.Helper()
	c := raw.Login(t, n.Addr("stomp"), "1.2")
	for i := range count {
		c.Send("SEND", strconv.Itoa(i), "destination:"+queue, "persistent:true")
	}
	c.Ask("SEND", "", "destination:"+queue+".filled", "persistent:true")
	c.Ask("DISCONNECT", "")
}

// The receipt of a DISCONNECT covers ACKs before it that asked for none.
func TestAcknowledgementsBeforeAReceiptedGoodbyeAreKept(t *testing.T) {
	n := node.Start(t)
	for round := range 3 {
		queue := "/queue/goodbye." + strconv.Itoa(round)
		filled(t, n, queue, 100)
		c := raw.Login(t, n.Addr("stomp"), "1.2")
		c.Send("SUBSCRIBE", "", "destination:"+queue, "id:1", "ack:client-individual")
		for i := range 100 {
			m := c.Expect("MESSAGE")
			if i%2 == 0 {
				c.Send("ACK", "", "id:"+m.Get("ack"))
			}
		}
		c.Ask("DISCONNECT", "")
		n.Kill()
		n.Restart()
		var left []string
		for i := 1; i < 100; i += 2 {
			left = append(left, strconv.Itoa(i))
		}
		require.Equal(t, left, bodies(drained(t, n, queue)))
	}
}

// A message on its way to the dead-letter queue is in one of the two queues, whatever happens.
func TestRefusedMessagesSurviveAKill(t *testing.T) {
	n := node.Start(t)
	for round := range 3 {
		queue := "/queue/refused." + strconv.Itoa(round)
		filled(t, n, queue, 100)
		c := raw.Login(t, n.Addr("stomp"), "1.2")
		c.Send("SUBSCRIBE", "", "destination:"+queue, "id:1", "ack:client-individual")
		refused := map[string]bool{}
		for i := range 100 {
			m := c.Expect("MESSAGE")
			if i%2 == 0 {
				refused[m.Body] = true
				c.Send("NACK", "", "id:"+m.Get("ack"))
			}
		}
		c.Ask("DISCONNECT", "")
		n.Kill()
		n.Restart()
		found := map[string]int{}
		for _, body := range bodies(drained(t, n, queue)) {
			found[body]++
		}
		for _, m := range drained(t, n, "/queue/ActiveMQ.DLQ") {
			require.Equal(t, queue, m.Header.Get("original-destination"))
			require.True(t, refused[string(m.Body)])
			found[string(m.Body)]++
		}
		for i := range 100 {
			require.Equal(t, 1, found[strconv.Itoa(i)], "message %d", i)
		}
	}
}
