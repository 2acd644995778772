package stomp

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestB6Row141CompositeSendAndSubscribe(t *testing.T) {
	b := newFakeBroker()
	c := login(t, start(t, b), "1.2")
	c.listen("1", "/queue/a,/topic/b,c,/queue/d", "activemq.prefetchSize:7\n")
	o := b.options()
	require.Equal(t, "queue://a", o.Destination.String())
	require.Len(t, o.Also, 3)
	require.Equal(t, 7, o.Prefetch)
	c.send("SEND\ndestination:/queue/a,/topic/b,c\n\nx^")
	got := map[string]bool{}
	for range 3 {
		got[c.expect("MESSAGE").get("destination")] = true
	}
	require.Equal(t, map[string]bool{"/queue/a": true, "/topic/b": true, "/queue/c": true}, got, "each shows where it came from")
	c.settle("UNSUBSCRIBE\nid:1\nreceipt:settled\n\n^")
}

func TestCompositeInATransaction(t *testing.T) {
	b := newFakeBroker()
	c := login(t, start(t, b), "1.2")
	c.send("BEGIN\ntransaction:t\n\n^SEND\ndestination:/queue/a,/queue/b\ntransaction:t\n\nx^COMMIT\ntransaction:t\nreceipt:c\n\n^")
	c.expectReceipt("c")
	require.Equal(t, 2, b.stored())
}

// In 1.0 a subscription is ended by what it was opened with.
func TestCompositeIsUnsubscribedByItsDestinations(t *testing.T) {
	c := login(t, start(t, newFakeBroker()), "1.0")
	c.send("SUBSCRIBE\ndestination:/queue/a,/topic/b\n\n^UNSUBSCRIBE\ndestination:/queue/a\nreceipt:no\n\n^")
	c.expectError("No subscription matched.")
	c.settle("UNSUBSCRIBE\ndestination:/queue/a,/topic/b\nreceipt:settled\n\n^")
}

// A publisher to a composite waits like one to a topic if the broker keeps it back.
func TestCompositeWithATopicIsPaced(t *testing.T) {
	b := newFakeBroker()
	b.hold, b.behind = true, true
	c := login(t, start(t, b), "1.1")
	c.send("SEND\ndestination:/queue/a,/topic/b\n\nx^SEND\ndestination:/queue/c\n\nx^DISCONNECT\nreceipt:bye\n\n^")
	eventually(t, "the first comes", func() bool { return b.holding() == 1 })
	require.Equal(t, 2, b.stored(), "one copy each, and nothing after it")
	b.release(nil, false)
	eventually(t, "the next comes", func() bool { return b.holding() == 1 })
	b.release(nil, false)
	c.expectReceipt("bye")
	c.expectClosed()
}

func TestB6Row154ArtemisKeepsTheDestinationsText(t *testing.T) {
	b := newFakeBroker()
	s := start(t, b, like(Artemis))
	c := login(t, s, "1.2")
	c.listen("1", "multicast://news", "")
	c.listen("2", "plain", "subscription-type:MULTICAST\n")
	c.listen("3", "a::q", "")
	c.send("SEND\ndestination:/topic/news\n\nx^")
	require.Equal(t, `multicast\c//news`, c.expect("MESSAGE").get("destination"))
	c.send("SEND\ndestination:plain\ndestination-type:MULTICAST\n\nx^")
	m := c.expect("MESSAGE")
	require.Equal(t, "plain", m.get("destination"))
	require.Equal(t, "MULTICAST", m.get("destination-type"))
	c.send("SEND\ndestination:a::q\n\nx^")
	require.Equal(t, `a\c\cq`, c.expect("MESSAGE").get("destination"))
	c.send("SEND\ndestination:/topic/a::q\nreceipt:r\n\nx^")
	require.Equal(t, "r", c.expectError("'a::q': nobody can send to one subscription of a topic").get("receipt-id"))
}
