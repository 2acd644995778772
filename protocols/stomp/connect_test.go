package stomp

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSendSubscribeAckDisconnect(t *testing.T) {
	b := newFakeBroker()
	s := start(t, b)
	c := login(t, s, "1.2")
	c.send("SUBSCRIBE\nid:0\ndestination:/queue/a\nack:client-individual\nreceipt:r1\n\n^")
	c.expectReceipt("r1")
	c.send("SEND\ndestination:/queue/a\nreceipt:r2\ncolour:red\n\nhello^")
	c.expectReceipt("r2")
	m := c.expect("MESSAGE")
	require.Equal(t, "hello", m.body)
	require.Equal(t, []string{
		"destination:/queue/a", "subscription:0", "ack:1-0", `message-id:ID\cnode-1-2-0\c1\c-1\c1\c1`,
		"priority:4", "expires:0", "timestamp:1700000000000", "colour:red",
	}, m.lines)
	c.send("ACK\nid:1-0\nreceipt:r3\n\n^")
	c.expectReceipt("r3")
	c.send("DISCONNECT\nreceipt:bye\n\n^")
	c.expectReceipt("bye")
	c.expectClosed()
	c.nc.Close()
	eventually(t, "session ends", func() bool { return b.sessions() == 0 })
}
