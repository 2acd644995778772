package stomp

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The server answers with the shortest period that it keeps: a client that wants
// a beat each millisecond must neither wait for it in vain nor make the server spin.
func TestTheServerPromisesNoFasterBeatsThanItGives(t *testing.T) {
	s := start(t, newFakeBroker())
	for _, wanted := range []string{"1", "8", "99"} {
		c := dial(t, s)
		c.send("CONNECT\naccept-version:1.2\nheart-beat:0," + wanted + "\n\n^")
		require.Equal(t, "100,0", c.expect("CONNECTED").get("heart-beat"))
	}
	for wanted, beat := range map[int64]time.Duration{100: 70 * time.Millisecond, 1000: 700 * time.Millisecond, 0: 0} {
		require.Equal(t, beat, beatEach(wanted))
	}
}

// A client-id ends up in the log, in other clients' ERRORs and in session names.
func TestClientIDsAreBounded(t *testing.T) {
	s := start(t, newFakeBroker())
	c := dial(t, s)
	c.send("CONNECT\naccept-version:1.2\nclient-id:" + strings.Repeat("x", 1025) + "\n\n^")
	c.expectError("client-id is 1025 bytes long, the limit is 1024")
	c.expectClosed()
	c = dial(t, s)
	c.send("CONNECT\naccept-version:1.2\nclient-id:" + strings.Repeat("x", 1024) + "\n\n^")
	c.expect("CONNECTED")
}

// Ids that stay are bounded, not only their number: ten thousand of the longest header
// lines were a hundred megabytes.
func TestKeptIDsAreBounded(t *testing.T) {
	c := login(t, start(t, newFakeBroker()), "1.2")
	long := strings.Repeat("x", 1025)
	c.send("SUBSCRIBE\nid:" + long + "\ndestination:/queue/a\n\n^")
	c.expectError("id is 1025 bytes long, the limit is 1024")
	c.send("BEGIN\ntransaction:" + long + "\n\n^")
	c.expectError("transaction is 1025 bytes long, the limit is 1024")
	c.send("BEGIN\ntransaction:" + long[1:] + "\n\n^SUBSCRIBE\nid:" + long[1:] + "\ndestination:/queue/a\n\n^")
	c.expectAlive()
}
