package stomp

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// What a real ActiveMQ answered, frame by frame.
func TestB4Rows114And115QueueBrowser(t *testing.T) {
	for _, version := range []string{"1.1", "1.2"} {
		for _, ack := range []string{"auto", "client", "client-individual"} {
			b := newFakeBroker()
			s := start(t, b)
			fill(t, s, 2)
			c := login(t, s, version)
			c.listen("b", "/queue/a", "browser:true\nack:"+ack+"\n")
			o := b.options()
			require.True(t, o.Browse)
			require.True(t, o.AutoAck)
			require.Equal(t, browserPrefetch, o.Prefetch)
			all, frames := c.bodies(2)
			require.Equal(t, []string{"1", "2"}, all)
			require.Equal(t, version == "1.2" && ack != "auto", frames[0].has("ack"))
			end := c.expect("MESSAGE")
			require.Equal(t, []string{"browser:end", "destination:/queue/a", "message-id:0", "subscription:b"}, end.lines)
			require.Empty(t, end.body)
			if ack != "auto" {
				c.acknowledgeBrowsed(version, frames[0])
			}
			c.send("SEND\ndestination:/queue/a\n\nlater^")
			c.expectAlive() // it has ended
			c.settle("UNSUBSCRIBE\nid:b\nreceipt:settled\n\n^")
			c.listen("b", "/queue/a", "")
			all, frames = c.bodies(3)
			require.Equal(t, []string{"1", "2", "later"}, all)
			require.False(t, frames[0].has("redelivered"), "looking leaves no trace")
		}
	}
}

// acknowledgeBrowsed proves that there is nothing to be acknowledged, and that ActiveMQ's words are said to a NACK.
func (c *client) acknowledgeBrowsed(version string, m reply) {
	c.t.Helper()
	header := "id:" + m.get("ack")
	if version == "1.1" {
		header = "subscription:b\nmessage-id:" + m.get("message-id")
	}
	c.send("NACK\n" + header + "\nreceipt:n\n\n^")
	require.Equal(c.t, "n", c.expectError("Cannot Nack a message on a Queue Browser Subscription.").get("receipt-id"))
	for range 2 {
		c.settle("ACK\n" + header + "\nreceipt:settled\n\n^")
	}
	if version == "1.1" {
		c.settle("ACK\nsubscription:b\nmessage-id:nonsense\nreceipt:settled\n\n^") // ends the connection to an ActiveMQ
	}
}

func TestB4Row114EmptyQueueAndSeveralBrowsers(t *testing.T) {
	s := start(t, newFakeBroker())
	c := login(t, s, "1.1")
	c.listen("1", "/queue/empty", "browser:true\n")
	require.Equal(t, "end", c.expect("MESSAGE").get("browser"))
	c.listen("2", "/queue/empty.>", "browser:True\n")
	end := c.expect("MESSAGE")
	require.Equal(t, []string{"2", "/queue/empty.>"}, []string{end.get("subscription"), end.get("destination")})
	c.expectAlive()
}

func TestB4Row114MoreThanAWriteHolds(t *testing.T) {
	s := start(t, newFakeBroker())
	fill(t, s, 300)
	c := login(t, s, "1.2")
	c.listen("b", "/queue/a", "browser:true\nack:client\n")
	_, frames := c.bodies(300)
	seen := map[string]bool{}
	for _, f := range frames {
		require.False(t, seen[f.get("ack")], "each delivery has an ack header of its own")
		seen[f.get("ack")] = true
	}
	require.Equal(t, "end", c.expect("MESSAGE").get("browser"))
}

func TestA4BrowsersThatAreRefused(t *testing.T) {
	s := start(t, newFakeBroker())
	for version, cases := range map[string]map[string]string{
		"1.0": {"/queue/a\nbrowser:true": "Queue Browser feature only valid for Stomp v1.1+ clients!"},
		"1.1": {
			"/topic/a\nbrowser:true":                              "topic://a is a topic: only queues can be browsed",
			"/queue/a,/topic/a\nbrowser:true":                     "queue://a is a topic: only queues can be browsed",
			"/queue/a\nbrowser:true\nselector:a =":                "",
			"/queue/a\nbrowser:true\nbrowser-end:false":           "queue browsers that go on are not supported by this version",
			"/queue/a\nbrowser:true\nactivemq.subscriptionName:s": "Invalid Subscription: cannot durably subscribe to a Queue destination!",
		},
	} {
		c := login(t, s, version)
		for header, words := range cases {
			c.send("SUBSCRIBE\nid:1\nreceipt:r\ndestination:" + header + "\n\n^")
			if words == "" {
				require.Equal(t, "a =", c.expect("ERROR").get("message"))
				continue
			}
			require.Equal(t, "r", c.expectError(words).get("receipt-id"))
		}
		c.expectAlive()
	}
}
