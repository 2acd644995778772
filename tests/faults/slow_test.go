package faults

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/tests/conformance/raw"
	"github.com/sluice-mq/sluice/tests/node"
)

// A slow flow, in which the store gives back everything before the one message that a consumer has: after a kill it
// is marked as redelivered all the same, and after another one still.
func TestKillInASlowFlow(t *testing.T) {
	alongside(t)
	n := node.Start(t, "store.shards=1")
	dir := dataDir(t, n)
	c := raw.Login(t, n.Addr("stomp"), "1.2")
	c.Send("SUBSCRIBE", "", "destination:/queue/q", "id:0", "ack:client-individual")
	const before = 20
	for i := range before + 1 {
		c.Send("SEND", fmt.Sprint(i), "destination:/queue/q", "persistent:true")
		m := c.Expect("MESSAGE")
		if i < before {
			c.Ask("ACK", "", "id:"+m.Get("ack"))
		}
	}
	for range 2 {
		await(t, "the end of everything before it", func() bool { m := marks(t, dir); return len(m) == 1 && m[0].Low > before })
		n.Kill()
		n.Restart()
		c = raw.Login(t, n.Addr("stomp"), "1.2")
		c.Send("SUBSCRIBE", "", "destination:/queue/q", "id:0", "ack:client-individual")
		m := c.Expect("MESSAGE")
		require.Equal(t, fmt.Sprint(before), string(m.Body))
		require.Equal(t, "true", m.Get("redelivered"))
	}
}
