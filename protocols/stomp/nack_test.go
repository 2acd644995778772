package stomp

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
)

// given is how deliveries came back.
func (b *fakeBroker) given() []gateway.Return {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]gateway.Return{}, b.returns...)
}

func TestB4Row105NackOfRabbitMQ(t *testing.T) {
	b := newFakeBroker()
	s := start(t, b, like(RabbitMQ))
	fill(t, s, 3)
	c := subscribed(t, s, "1.2", "ack:client\n")
	_, ms := c.bodies(3)
	c.send("NACK\nid:" + ms[1].get("ack") + "\nreceipt:settled\n\n^") // covers the first as well, and both come back, before the receipt or behind it
	var all, receipts []string
	var again []reply
	for range 3 {
		switch r := c.frame(); r.command {
		case "MESSAGE":
			all, again = append(all, r.body), append(again, r)
		default:
			receipts = append(receipts, r.command+" "+r.get("receipt-id"))
		}
	}
	require.ElementsMatch(t, []string{"1", "2"}, all)
	require.Equal(t, []string{"RECEIPT settled"}, receipts)
	require.Equal(t, "true", again[0].get("redelivered"))
	require.Empty(t, b.deadLetters())
	require.Equal(t, []gateway.Return{{Redelivered: true}}, b.given())
	c.settle("NACK\nid:" + again[1].get("ack") + "\nrequeue:false\nreceipt:settled\n\n^")
	require.Len(t, b.deadLetters(), 3, "what its client does not want back is the policy's")
	c.expectAlive()
}

func TestB4Row106NackedComesBackWhereItIsAskedFor(t *testing.T) {
	for _, p := range []Personality{ActiveMQ, RabbitMQ, Artemis, Apollo, Strict} {
		b := newFakeBroker()
		s := start(t, b, like(p))
		fill(t, s, 2)
		c := subscribed(t, s, "1.1", "ack:client\n")
		_, ms := c.bodies(2)
		nack := func(m reply, header string) reply { // it comes again before the receipt, or behind it
			c.send("NACK\nsubscription:0\nmessage-id:" + m.get("message-id") + "\nreceipt:settled\n" + header + "\n^")
			var receipt, again reply
			for receipt.command == "" || again.command == "" {
				switch r := c.frame(); {
				case r.command == "RECEIPT":
					receipt = r
				case r.body == m.body: // else what it covers as well
					again = r
				}
			}
			require.Equal(t, "settled", receipt.get("receipt-id"))
			return again
		}
		require.Equal(t, "1", nack(ms[0], "requeue:true\n").body)
		require.Equal(t, "3", nack(ms[0], "delay:2500\n").get("JMSXDeliveryCount"))
		require.Equal(t, []gateway.Return{{Redelivered: true}, {Redelivered: true, Delay: 2500 * time.Millisecond}}, b.given())
		require.Empty(t, b.deadLetters())
	}
}

// Without a word of the client it is the destination's policy that decides: with ActiveMQ's, such a message is poison.
func TestA4NackIsThePolicys(t *testing.T) {
	for _, p := range []Personality{ActiveMQ, Artemis, Apollo, Strict} {
		b := newFakeBroker()
		s := start(t, b, like(p))
		fill(t, s, 2)
		c := subscribed(t, s, "1.2", "ack:client\n")
		_, ms := c.bodies(2)
		c.settle("NACK\nid:" + ms[1].get("ack") + "\nreceipt:settled\n\n^")
		require.Len(t, b.deadLetters(), 1, "one message, in client mode too")
		require.Empty(t, b.given())
	}
}

func TestNackHeadersThatMakeNoSense(t *testing.T) {
	s := start(t, newFakeBroker())
	fill(t, s, 1)
	c := subscribed(t, s, "1.2", "ack:client\n")
	m := c.expect("MESSAGE")
	for header, words := range map[string]string{
		"delay:soon":               "Invalid value for the delay header: soon",
		"delay:-1":                 "Invalid value for the delay header: -1",
		"delay:9999999999999":      "The delay header is 9999999999999, the limit is " + strconv.FormatInt(farthest.Milliseconds(), 10),
		"requeue:false\ndelay:100": "A message that is not requeued cannot have a delay",
	} {
		c.send("NACK\nid:" + m.get("ack") + "\nreceipt:r\n" + header + "\n\n^")
		require.Equal(t, "r", c.expectError(words).get("receipt-id"))
	}
	c.send("NACK\nid:" + m.get("ack") + "\nrequeue:true\nreceipt:settled\n\n^")
	require.ElementsMatch(t, []string{"RECEIPT", "MESSAGE"}, []string{c.frame().command, c.frame().command})
}

// What is given back in a transaction comes back when that commits, and stays where it is when it does not.
func TestB5Row129NackThatRequeuesInATransaction(t *testing.T) {
	b := newFakeBroker()
	s := start(t, b)
	fill(t, s, 3)
	c := subscribed(t, s, "1.2", "ack:client-individual\n")
	_, ms := c.bodies(3)
	nack := "NACK\ntransaction:t\nrequeue:true\nreceipt:settled\nid:" + ms[0].get("ack") + "\n\n^"
	for _, end := range []string{"ABORT", "COMMIT"} {
		c.send("BEGIN\ntransaction:t\n\n^")
		c.settle(nack)
		c.settle("ACK\ntransaction:t\nreceipt:settled\nid:" + ms[1].get("ack") + "\n\n^")
		require.Empty(t, b.given())
		c.settle(end + "\ntransaction:t\nreceipt:settled\n\n^")
	}
	m := c.expect("MESSAGE")
	require.Equal(t, []string{"1", "true"}, []string{m.body, m.get("redelivered")})
	require.Equal(t, []gateway.Return{{Redelivered: true}}, b.given())
	c.send("BEGIN\ntransaction:t\n\n^NACK\ntransaction:t\nrequeue:true\nid:" + m.get("ack") + "\n\n^")
	b.mu.Lock()
	b.fail = errStore
	b.mu.Unlock()
	c.send("COMMIT\ntransaction:t\nreceipt:failed\n\n^")
	require.Equal(t, "failed", c.expect("ERROR").get("receipt-id"))
	require.Len(t, b.given(), 1, "nothing of it was done")
	c.settle("ACK\nreceipt:settled\nid:" + m.get("ack") + "\n\n^")
	require.Zero(t, b.extension())
}
