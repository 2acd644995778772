package stomp

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestB4Rows93And94ClientAckIsCumulativeAndTheRestComesBack(t *testing.T) {
	b := newFakeBroker()
	s := start(t, b)
	fill(t, s, 3)
	c := subscribed(t, s, "1.1", "ack:client\n")
	_, ms := c.bodies(3)
	require.False(t, ms[2].has("redelivered"))
	c.settle("ACK\nsubscription:0\nmessage-id:" + ms[1].get("message-id") + "\nreceipt:settled\n\n^")
	c.leave()
	require.Zero(t, b.sessions(), "the receipt comes after the end of the session")
	_, again := subscribed(t, s, "1.1", "ack:client\n").bodies(1)
	require.Equal(t, "3", again[0].body)
	require.Equal(t, "true", again[0].get("redelivered"))
	require.Equal(t, "2", again[0].get("JMSXDeliveryCount"))
	require.Equal(t, ms[2].get("message-id"), again[0].get("message-id"))
}

func TestB4Row95IndividualAck(t *testing.T) {
	b := newFakeBroker()
	s := start(t, b)
	fill(t, s, 3)
	c := subscribed(t, s, "1.2", "ack:client-individual\n")
	_, ms := c.bodies(3)
	c.settle("ACK\nid:" + ms[1].get("ack") + "\nreceipt:settled\n\n^")
	c.leave()
	require.Zero(t, b.sessions(), "the receipt comes after the end of the session")
	all, _ := subscribed(t, s, "1.2", "").bodies(2)
	require.Equal(t, []string{"1", "3"}, all)
}

func TestB4Rows97And101AckWithWrongOrMissingHeaders(t *testing.T) {
	s := start(t, newFakeBroker())
	fill(t, s, 1)
	c := subscribed(t, s, "1.1", "ack:client\n")
	m := c.expect("MESSAGE")
	id := m.get("message-id")
	for _, command := range []string{"ACK", "NACK"} {
		for frame, words := range map[string]string{
			"message-id:" + id + "\n":                    command + " received without a subscription id for acknowledge!",
			"subscription:0\n":                           command + " received without a message-id to acknowledge!",
			"subscription:9\nmessage-id:" + id + "\n":    "Unexpected " + command + " received for message-id [" + unescape(id) + "]",
			"subscription:0\nmessage-id:ID\\cnothing\n":  "Unexpected " + command + " received for message-id [ID:nothing]",
			"subscription:0\ntransaction:x\nmessage-id:": "Invalid transaction id: x",
		} {
			c.send(command + "\nreceipt:r\n" + frame + "\n\n^")
			require.Equal(t, "r", c.expectError(words).get("receipt-id"))
		}
	}
	c.settle("ACK\nsubscription:0\nmessage-id:" + id + "\nreceipt:settled\n\n^")
	c.send("ACK\nsubscription:0\nmessage-id:" + id + "\n\n^")
	c.expectError("Unexpected ACK received for message-id [" + unescape(id) + "]")
	c.expectAlive()
}

func TestB4Row98Ack12NeedsID(t *testing.T) {
	s := start(t, newFakeBroker())
	fill(t, s, 1)
	c := subscribed(t, s, "1.2", "ack:client\n")
	m := c.expect("MESSAGE")
	c.send("ACK\nsubscription:0\nmessage-id:" + m.get("message-id") + "\n\n^")
	c.expectError("ACK received without a ack id for acknowledge!")
	c.send("NACK\nsubscription:0\nmessage-id:" + m.get("message-id") + "\n\n^")
	c.expectError("NACK received without an ack header to acknowledge!")
	c.settle("ACK\nid:" + m.get("ack") + "\nreceipt:settled\n\n^")
	for _, id := range []string{m.get("ack"), "1-99", "9-0", "x", "", "1-x", "18446744073709551616-0"} {
		c.send("ACK\nid:" + id + "\n\n^")
		c.expectError("Unexpected ACK received for message-id [" + id + "]")
	}
	c.expectAlive()
}

func TestMessageIDAsAckIDIsAcceptedWhereItIsPlain(t *testing.T) {
	s := start(t, newFakeBroker())
	c := login(t, s, "1.2")
	c.send("SUBSCRIBE\nid:0\ndestination:/topic/a\nack:client-individual\n\n^" +
		"SUBSCRIBE\nid:1\ndestination:/topic/b\nack:client-individual\n\n^SEND\ndestination:/topic/a\n\nx^")
	m := c.expect("MESSAGE")
	c.settle("ACK\nid:" + m.get("message-id") + "\nreceipt:settled\n\n^")
	c.send("SUBSCRIBE\nid:2\ndestination:/topic/b\nack:client\n\n^SEND\ndestination:/topic/b\n\nx^")
	_, ms := c.bodies(2)
	c.send("ACK\nid:" + ms[0].get("message-id") + "\n\n^")
	c.expectError("Unexpected ACK received for message-id [" + unescape(ms[0].get("message-id")) + "]")
	c.settle("ACK\nid:" + ms[0].get("ack") + "\nreceipt:settled\n\n^")
	c.settle("ACK\nid:" + ms[1].get("message-id") + "\nreceipt:settled\n\n^")
}

func TestClientsThatDoNotUnescapeCanAck(t *testing.T) {
	s := start(t, newFakeBroker())
	fill(t, s, 3)
	c := login(t, s, "1.1")
	c.send("SUBSCRIBE\nid:a\\cb\ndestination:/queue/a\nack:client-individual\n\n^")
	_, ms := c.bodies(3)
	raw := ms[0].get("message-id") // with \c in it
	require.Equal(t, `a\cb`, ms[0].get("subscription"))
	c.settle("ACK\nsubscription:a\\cb\nmessage-id:" + raw + "\nreceipt:settled\n\n^")
	twice := strings.ReplaceAll(ms[1].get("message-id"), `\`, `\\`)
	c.settle("ACK\nsubscription:a\\\\cb\nmessage-id:" + twice + "\nreceipt:settled\n\n^")
	c.settle("ACK\nsubscription:a:b\nmessage-id:" + unescape(ms[2].get("message-id")) + "\nreceipt:settled\n\n^")
}

func TestB4Row99OneAckForTen(t *testing.T) {
	b := newFakeBroker()
	s := start(t, b)
	fill(t, s, 10)
	c := subscribed(t, s, "1.2", "ack:client\n")
	_, ms := c.bodies(10)
	c.settle("ACK\nid:" + ms[9].get("ack") + "\nreceipt:settled\n\n^")
	require.Zero(t, b.unsettled())
	c.send("ACK\nid:" + ms[3].get("ack") + "\n\n^")
	c.expectError("Unexpected ACK received for message-id [" + ms[3].get("ack") + "]")
}

func TestB4Row102AckOnAutoSubscription(t *testing.T) {
	s := start(t, newFakeBroker())
	fill(t, s, 1)
	c := subscribed(t, s, "1.1", "")
	id := c.expect("MESSAGE").get("message-id")
	c.send("ACK\nsubscription:0\nmessage-id:" + id + "\n\n^")
	c.expectError("Unexpected ACK received for message-id [" + unescape(id) + "]")
	c.expectAlive()
}

func TestB4Rows103And107NackHitsOneMessage(t *testing.T) {
	for _, mode := range []string{"client", "client-individual"} {
		b := newFakeBroker()
		s := start(t, b)
		fill(t, s, 3)
		c := subscribed(t, s, "1.2", "ack:"+mode+"\n")
		_, ms := c.bodies(3)
		c.settle("NACK\nid:" + ms[2].get("ack") + "\nreceipt:settled\n\n^")
		require.Len(t, b.deadLetters(), 1)
		require.Equal(t, unescape(ms[2].get("message-id")), b.deadLetters()[0].ID)
		c.settle("ACK\nid:" + ms[1].get("ack") + "\nreceipt:settled\n\n^")
		c.expectAlive()
	}
}

func TestA4NackIn10(t *testing.T) {
	s := start(t, newFakeBroker())
	fill(t, s, 1)
	c := subscribed(t, s, "1.0", "ack:client\n")
	id := c.expect("MESSAGE").get("message-id")
	c.send("NACK\nmessage-id:" + id + "\nreceipt:r\n\n^")
	require.Equal(t, "r", c.expectError("NACK received but connection is in v1.0 mode.").get("receipt-id"))
	c.settle("ACK\nsubscription:0\nmessage-id:" + id + "\nreceipt:settled\n\n^")
}

func TestB4Row122AckIDsAreUniquePerSubscription(t *testing.T) {
	c := login(t, start(t, newFakeBroker()), "1.2")
	c.send("SUBSCRIBE\nid:1\ndestination:/topic/a\nack:client\n\n^SUBSCRIBE\nid:2\ndestination:/topic/a\nack:client\n\n^" +
		"SEND\ndestination:/topic/a\n\nx^")
	_, ms := c.bodies(2)
	require.Equal(t, ms[0].get("message-id"), ms[1].get("message-id"))
	require.NotEqual(t, ms[0].get("ack"), ms[1].get("ack"))
	require.NotEqual(t, ms[0].get("subscription"), ms[1].get("subscription"))
	for _, m := range ms {
		c.settle("ACK\nid:" + m.get("ack") + "\nreceipt:settled\n\n^")
	}
}

// An acknowledgement that nobody waits for must not make the broker sync its store.
func TestOnlyAcksWithReceiptAreWaitedFor(t *testing.T) {
	b := newFakeBroker()
	s := start(t, b)
	fill(t, s, 2)
	c := subscribed(t, s, "1.2", "ack:client-individual\n")
	_, ms := c.bodies(2)
	b.mu.Lock()
	b.hold = true
	b.mu.Unlock()
	c.send("ACK\nid:" + ms[0].get("ack") + "\n\n^")
	c.expectAlive()
	require.Zero(t, b.holding())
	c.send("ACK\nid:" + ms[1].get("ack") + "\nreceipt:r\n\n^")
	eventually(t, "the broker is asked", func() bool { return b.holding() == 1 })
	b.release(nil, false)
	c.expectReceipt("r")
}
