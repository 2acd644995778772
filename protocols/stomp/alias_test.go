package stomp

import (
	"crypto/md5"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// DIRAC's consumers have another id on each node: a hash of the node's address and the destination. They are one client all the same.
func TestIDsThatHashTheNodesAddressAreOneName(t *testing.T) {
	const topic = "/topic/lhcb.dirac.logging"
	hashed := func(c *client, destination string) string {
		sum := md5.Sum([]byte(strings.Replace(c.nc.RemoteAddr().String(), ":", "_", 1) + "_" + destination))
		return hex.EncodeToString(sum[:])
	}
	var names, ids []string
	for range 2 {
		b := newFakeBroker()
		c := login(t, start(t, b), "1.1")
		id := hashed(c, topic)
		named := func(id string) string {
			c.send("SUBSCRIBE\ndestination:" + topic + "\nid:" + id + "\nreceipt:r\n\n^")
			c.expectReceipt("r")
			b.mu.Lock()
			defer b.mu.Unlock()
			return b.subs[len(b.subs)-1].o.Name
		}
		names, ids = append(names, named(id)), append(ids, id)

		for _, other := range []string{hashed(c, "/topic/other"), "monit"} {
			require.Equal(t, other, named(other))
		}
	}
	require.NotEqual(t, ids[0], ids[1])
	require.Equal(t, names[0], names[1])
}
