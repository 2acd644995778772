package stomp

import (
	"net"
	"testing"

	"github.com/stretchr/testify/require"
)

// A client has said all it will, and waits for a receipt. What it has not acknowledged does not wait with it: others get that, and what comes meanwhile.
func TestAClientThatOnlyWaitsForReceiptsHoldsNothing(t *testing.T) {
	b := newFakeBroker()
	s := start(t, b)
	fill(t, s, 5)
	c := subscribed(t, s, "1.2", "ack:client-individual\n")
	_, ms := c.bodies(5)
	c.send("BEGIN\ntransaction:open\n\n^BEGIN\ntransaction:committed\n\n^ACK\ntransaction:open\nid:" + ms[1].get("ack") + "\nreceipt:held\n\n^")
	c.expectReceipt("held")
	b.mu.Lock()
	b.hold = true
	b.mu.Unlock()
	c.send("ACK\nid:" + ms[0].get("ack") + "\nreceipt:acked\n\n^ACK\ntransaction:committed\nid:" + ms[2].get("ack") + "\n\n^COMMIT\ntransaction:committed\nreceipt:done\n\n^")
	eventually(t, "what is not answered", func() bool { return b.holding() == 2 })
	require.NoError(t, c.nc.(*net.TCPConn).CloseWrite())
	eventually(t, "the return of what it has not acknowledged", func() bool { return b.unsettled() == 0 })
	other := subscribed(t, s, "1.2", "ack:client-individual\n")
	got, _ := other.bodies(3)
	require.Equal(t, []string{"2", "4", "5"}, got)
	other.send("SEND\ndestination:/queue/a\n\nmore^")
	require.Equal(t, "more", other.expect("MESSAGE").body)
	require.Equal(t, 2, b.sessions(), "the first is open: it is owed receipts")
	b.release(nil, false)
	c.expectReceipt("acked")
	c.expectReceipt("done")
	c.expectClosed()
}
