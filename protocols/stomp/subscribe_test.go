package stomp

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
)

// fill sends bodies 1..n to queue a.
func fill(t *testing.T, s *Server, n int) {
	t.Helper()
	p := login(t, s, "1.1")
	for i := 1; i <= n; i++ {
		p.send(fmt.Sprintf("SEND\ndestination:/queue/a\npersistent:true\nreceipt:p%d\n\n%d^", i, i))
		p.expectReceipt("p" + strconv.Itoa(i))
	}
	p.leave()
}

// subscribed logs in and subscribes to queue a with these headers.
func subscribed(t *testing.T, s *Server, version, headers string) *client {
	t.Helper()
	c := login(t, s, version)
	c.send("SUBSCRIBE\nid:0\ndestination:/queue/a\nreceipt:s\n" + headers + "\n^")
	c.expectReceipt("s")
	return c
}

// bodies reads n messages.
func (c *client) bodies(n int) (all []string, last []reply) {
	c.t.Helper()
	for range n {
		m := c.expect("MESSAGE")
		all, last = append(all, m.body), append(last, m)
	}
	return all, last
}

// leave disconnects in order.
func (c *client) leave() {
	c.t.Helper()
	c.send("DISCONNECT\nreceipt:leave\n\n^")
	c.expectReceipt("leave")
	c.expectClosed()
	c.nc.Close()
}

func (c *client) settle(frame string) {
	c.t.Helper()
	c.send(frame)
	c.expectReceipt("settled")
}

func TestB4Row96MissingID(t *testing.T) {
	s := start(t, newFakeBroker())
	for _, version := range []string{"1.1", "1.2"} {
		c := login(t, s, version)
		c.send("SUBSCRIBE\ndestination:/queue/a\nreceipt:1\n\n^")
		require.Equal(t, "1", c.expectError("SUBSCRIBE received without a subscription id!").get("receipt-id"))
		c.send("UNSUBSCRIBE\ndestination:/queue/a\nreceipt:2\n\n^")
		require.Equal(t, "2", c.expectError("UNSUBSCRIBE received without a subscription id!").get("receipt-id"))
		c.expectAlive()
	}
}

func TestA4SubscribeIn10(t *testing.T) {
	s := start(t, newFakeBroker())
	fill(t, s, 2)
	c := login(t, s, "1.0")
	c.send("SUBSCRIBE\ndestination:/queue/a\nactivemq.prefetchSize:1\nack:client\n\n^")
	m := c.expect("MESSAGE")
	require.False(t, m.has("subscription"))
	require.Contains(t, m.lines, "message-id:ID:node-1-2-0:1:-1:1:1", "1.0 is never escaped")
	c.settle("ACK\nmessage-id:" + m.get("message-id") + "\nreceipt:settled\n\n^")
	c.expect("MESSAGE")
	c.send("SUBSCRIBE\nid:x:1\ndestination:/queue/b\n\n^SEND\ndestination:/queue/b\n\nx^")
	require.Equal(t, "x:1", c.expect("MESSAGE").get("subscription"))
}

func TestB4Row108PrefetchOne(t *testing.T) {
	for _, header := range []string{
		"activemq.prefetchSize:1\n", "prefetch-count:1\n", "credit:1,0\n", "consumer-window-size:0\n",
		"activemq.prefetchSize:1\nprefetch-count:10\n", "activemq.prefetchSize:junk\nprefetch-count:1\n",
	} {
		s := start(t, newFakeBroker())
		fill(t, s, 3)
		c := subscribed(t, s, "1.2", "ack:client\n"+header)
		for i := 1; i <= 3; i++ {
			m := c.expect("MESSAGE")
			require.Equal(t, strconv.Itoa(i), m.body)
			c.expectAlive() // nothing else comes
			c.settle("ACK\nid:" + m.get("ack") + "\nreceipt:settled\n\n^")
		}
	}
}

func TestA4Prefetch(t *testing.T) {
	header := func(pairs ...string) (h gateway.Header) {
		for i := 0; i < len(pairs); i += 2 {
			h = append(h, gateway.Field{Name: pairs[i], Value: pairs[i+1]})
		}
		return h
	}
	for _, c := range []struct {
		h      gateway.Header
		usual  int
		option string
		want   int
	}{
		{header(), queuePrefetch, "", 1000},
		{header(), topicPrefetch, "", 32767},
		{header("activemq.prefetchSize", "10"), topicPrefetch, "5", 10},
		{header(), queuePrefetch, "5", 5},
		{header("activemq.prefetchSize", "0"), queuePrefetch, "", 0},
		{header("activemq.prefetchSize", "-1"), queuePrefetch, "", 0},
		{header("activemq.prefetchSize", "1.5"), queuePrefetch, "", 1000},
		{header("activemq.prefetchSize", "9999999999"), queuePrefetch, "", 1 << 20},
		{header("credit", "7"), queuePrefetch, "", 7},
		{header("credit", "7,1024"), queuePrefetch, "", 7},
		{header("consumer-window-size", "10240"), queuePrefetch, "", 1000},
		{header("consumer-window-size", "0"), topicPrefetch, "", 1},
	} {
		if c.option != "" {
			c.option = "consumer.prefetchSize=" + c.option
		}
		n, said := (&wish{c.h, c.option}).prefetch(c.usual)
		require.Equal(t, c.want, n, "%v %s", c.h, c.option)
		require.Equal(t, c.want != c.usual, said)
	}
}

func TestA4PrefetchZeroNeverDelivers(t *testing.T) {
	s := start(t, newFakeBroker())
	fill(t, s, 1)
	subscribed(t, s, "1.1", "activemq.prefetchSize:0\n").expectAlive()
}

// The broker tells a client on several nodes by what it calls its subscription. Nothing is the name of none.
func TestSubscriptionsCarryTheirNames(t *testing.T) {
	for version, want := range map[string]string{"1.0": "", "1.1": "sub-7"} {
		b := newFakeBroker()
		c := login(t, start(t, b), version)
		id := ""
		if want != "" {
			id = "id:" + want + "\n"
		}
		c.send("SUBSCRIBE\n" + id + "destination:/topic/a\nreceipt:r\n\n^")
		c.expectReceipt("r")
		require.Equal(t, want, b.options().Name)
	}
}

func TestA2DestinationOptions(t *testing.T) {
	b := newFakeBroker()
	c := login(t, start(t, b), "1.1")
	c.send("SUBSCRIBE\nid:1\ndestination:/queue/a?consumer.prefetchSize=3&consumer.exclusive=true\nreceipt:r\n\n^")
	c.expectReceipt("r")
	require.Equal(t, 3, b.options().Prefetch)
	require.Equal(t, "queue://a", b.options().Destination.String())
}

func TestB4Row117UnackedGoToTheNextConsumerAfterUnsubscribe(t *testing.T) {
	s := start(t, newFakeBroker())
	fill(t, s, 3)
	c := subscribed(t, s, "1.1", "ack:client\n")
	_, ms := c.bodies(3)
	c.settle("UNSUBSCRIBE\nid:0\nreceipt:settled\n\n^")
	c.send("ACK\nsubscription:0\nmessage-id:" + ms[0].get("message-id") + "\n\n^")
	c.expect("ERROR")
	all, again := subscribed(t, s, "1.1", "").bodies(3)
	require.Equal(t, []string{"1", "2", "3"}, all)
	require.Equal(t, "true", again[0].get("redelivered"))
}

func TestB4Rows118And124Unsubscribe(t *testing.T) {
	s := start(t, newFakeBroker())
	for _, unsubscribe := range []string{"id:0\n", "destination:/queue/a\n"} {
		c := login(t, s, "1.0")
		for range 3 {
			c.send("SUBSCRIBE\nid:0\ndestination:/queue/a\n\n^SEND\ndestination:/queue/a\n\nx^")
			c.expect("MESSAGE")
			c.settle("UNSUBSCRIBE\n" + unsubscribe + "receipt:settled\n\n^")
			c.send("SEND\ndestination:/queue/a\n\ny^")
			c.expectAlive()
			all, _ := subscribed(t, s, "1.0", "").bodies(1)
			require.Equal(t, []string{"y"}, all)
			s = start(t, newFakeBroker())
			c = login(t, s, "1.0")
		}
		c.send("UNSUBSCRIBE\n" + unsubscribe + "receipt:r\n\n^")
		require.Equal(t, "r", c.expectError("No subscription matched.").get("receipt-id"))
		c.send("UNSUBSCRIBE\n\n^")
		c.expectError("Must specify the subscriptionId or the destination you are unsubscribing from")
		c.expectAlive()
	}
}

func TestNothingAfterTheReceiptOfUnsubscribe(t *testing.T) {
	b := newFakeBroker()
	s := start(t, b)
	p := login(t, s, "1.1")
	go func() {
		for range 2000 {
			p.send("SEND\ndestination:/queue/a\n\nx^")
		}
	}()
	c := login(t, s, "1.1")
	received := 0
	for range 50 {
		c.send("SUBSCRIBE\nid:1\ndestination:/queue/a\nreceipt:s\n\n^UNSUBSCRIBE\nid:1\nreceipt:u\n\n^")
		c.expectReceipt("s")
		r := c.frame()
		for ; r.command == "MESSAGE"; r = c.frame() {
			received++
		}
		require.Equal(t, []string{"receipt-id:u"}, r.lines)
		c.expectAlive()
	}
	c.send("SUBSCRIBE\nid:1\ndestination:/queue/a\n\n^")
	for ; received < 2000; received++ { // none lost, none twice
		require.False(t, c.expect("MESSAGE").has("redelivered"))
	}
	c.expectAlive()
}

func TestB4Row119DuplicateID(t *testing.T) {
	s := start(t, newFakeBroker())
	c := login(t, s, "1.1")
	c.send("SUBSCRIBE\nid:1\ndestination:/topic/a\n\n^SUBSCRIBE\nid:1\ndestination:/topic/a\n\n^SEND\ndestination:/topic/a\n\nx^")
	c.bodies(2) // two consumers, two copies
	c.settle("UNSUBSCRIBE\nid:1\nreceipt:settled\n\n^")
	c.send("SEND\ndestination:/topic/a\n\nx^")
	c.expectAlive() // both are gone
	c = login(t, start(t, newFakeBroker(), strict), "1.1")
	c.send("SUBSCRIBE\nid:1\ndestination:/topic/a\n\n^SUBSCRIBE\nid:1\ndestination:/topic/b\n\n^")
	c.expectError("The subscription id 1 is in use")
	c.expectClosed()
}

func TestB4Row121NoLocal(t *testing.T) {
	for _, header := range []string{"activemq.noLocal:true\n", "no-local:true\n"} {
		s := start(t, newFakeBroker())
		c := login(t, s, "1.1")
		c.send("SUBSCRIBE\nid:1\ndestination:/topic/a\nreceipt:s\n" + header + "\n^")
		c.expectReceipt("s")
		c.send("SEND\ndestination:/topic/a\nreceipt:mine\n\nmine^")
		c.expectReceipt("mine")
		login(t, s, "1.1").send("SEND\ndestination:/topic/a\n\ntheirs^")
		require.Equal(t, "theirs", c.expect("MESSAGE").body)
	}
}

func TestB4Row123WildcardCarriesTheConcreteDestination(t *testing.T) {
	c := login(t, start(t, newFakeBroker()), "1.1")
	c.send("SUBSCRIBE\nid:1\ndestination:/queue/a/b.>\n\n^")
	for _, name := range []string{"a/b.c", "a/b.d.e/f", "a/b.c"} {
		c.send("SEND\ndestination:/queue/" + name + "\n\nx^")
		require.Equal(t, "/queue/"+name, c.expect("MESSAGE").get("destination"))
	}
}

func TestUnknownSubscribeHeadersAreIgnored(t *testing.T) {
	c := login(t, start(t, newFakeBroker()), "1.1")
	c.send("SUBSCRIBE\nid:1\ndestination:/queue/a\nack:whatever\npersistent:true\ndurable:true\nsubscription-type:MULTICAST\n" +
		"durable-subscription-name:x\nactivemq.retroactive:True\nactivemq.dispatchAsync:true\nselector: \n\n^SEND\ndestination:/queue/a\n\nx^")
	c.expect("MESSAGE")
}

func TestSubscriptionLimit(t *testing.T) {
	c := login(t, start(t, newFakeBroker(), func(cfg *Config) { cfg.Limits.Subscriptions = 2 }), "1.1")
	c.send(strings.Repeat("SUBSCRIBE\nid:1\ndestination:/queue/a\n\n^", 3))
	c.expectError("The connection has 2 subscriptions, the limit")
	c.expectAlive()
}

func TestBrokerEndsASubscription(t *testing.T) {
	b := newFakeBroker()
	c := subscribed(t, start(t, b), "1.1", "")
	b.options().Ended(gateway.Errorf(gateway.Unavailable, "The node is going down"))
	c.expectError("The node is going down")
	c.expectClosed()
}

func TestStrictClosesAfterEveryError(t *testing.T) {
	s := start(t, newFakeBroker(), strict)
	for _, frame := range []string{
		"ACK\nid:1\n\n^", "SEND\n\nx^", "COMMIT\ntransaction:x\n\n^", "UNSUBSCRIBE\nid:x\n\n^", "SUBSCRIBE\nid:1\n\n^",
	} {
		c := login(t, s, "1.2")
		c.send(frame + "BEGIN\ntransaction:t\nreceipt:after\n\n^")
		c.expect("ERROR")
		c.expectClosed()
	}
}
