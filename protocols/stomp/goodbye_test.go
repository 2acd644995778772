package stomp

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Acknowledgements that asked for no receipt are not waited for, until the client says
// goodbye to its subscription or to all and wants to know that all is done.
func TestGoodbyesWaitForAcknowledgements(t *testing.T) {
	for name, c := range map[string]struct {
		goodbye string
		waits   bool
	}{
		"DISCONNECT":                   {"DISCONNECT\nreceipt:bye\n\n^", true},
		"UNSUBSCRIBE, then DISCONNECT": {"UNSUBSCRIBE\nid:0\n\n^DISCONNECT\nreceipt:bye\n\n^", true},
		"UNSUBSCRIBE":                  {"UNSUBSCRIBE\nid:0\nreceipt:bye\n\n^", true},
		"another frame":                {"BEGIN\ntransaction:t\nreceipt:bye\n\n^", false},
	} {
		t.Run(name, func(t *testing.T) {
			b := newFakeBroker()
			s := start(t, b)
			fill(t, s, 1)
			client := subscribed(t, s, "1.2", "ack:client\n")
			m := client.expect("MESSAGE")
			b.mu.Lock()
			b.hold = true
			b.mu.Unlock()
			client.send("ACK\nid:" + m.get("ack") + "\n\n^" + c.goodbye)
			if c.waits {
				eventually(t, "the flush", func() bool { return b.holding() == 1 })
				_ = client.nc.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
				_, err := client.r.Peek(2)
				require.Error(t, err, "nothing may be said before it is done")
				b.release(nil, false)
			}
			client.expectReceipt("bye")
		})
	}
}
