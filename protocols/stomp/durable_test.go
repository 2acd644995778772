package stomp

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// called logs in with a client-id.
func called(t *testing.T, s *Server, version, id string) *client {
	t.Helper()
	c := dial(t, s)
	c.send("CONNECT\naccept-version:" + version + "\nclient-id:" + id + "\n\n^")
	require.Equal(t, id, c.expect("CONNECTED").get("session"))
	return c
}

// forgets is which durable subscriptions were ended for good.
func (b *fakeBroker) forgets() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string{}, b.forgotten...)
}

// What a real ActiveMQ answered, frame by frame.
func TestB6Row146DurableSubscriptions(t *testing.T) {
	for _, version := range []string{"1.0", "1.1", "1.2"} {
		for _, name := range []string{"activemq.subscriptionName:c", "activemq.subcriptionName:c"} {
			b := newFakeBroker()
			c := called(t, start(t, b), version, "c")
			c.listen("1", "/topic/a", name+"\n")
			o := b.options()
			require.Equal(t, "c", o.Durable)
			require.False(t, o.Shared)
			require.Equal(t, durablePrefetch, o.Prefetch)
			c.send("UNSUBSCRIBE\nid:1\n" + name + "\nreceipt:u\n\n^")
			require.Equal(t, "u", c.expectError("Durable consumer is in use").get("receipt-id"))
			c.send("SUBSCRIBE\nid:2\ndestination:/topic/a\n" + name + "\nreceipt:s\n\n^")
			require.Equal(t, "s", c.expectError("Durable consumer is in use for client: c and subscriptionName: c").get("receipt-id"))
			c.settle("UNSUBSCRIBE\nid:1\nreceipt:settled\n\n^")
			require.Empty(t, b.forgets(), "its consumer has gone, no more")
			c.listen("1", "/topic/a", name+"\n")
			c.settle("UNSUBSCRIBE\nid:1\nreceipt:settled\n\n^")
			c.settle("UNSUBSCRIBE\nid:1\n" + name + "\nreceipt:settled\n\n^")
			require.Equal(t, []string{"c:c"}, b.forgets())
			c.send("UNSUBSCRIBE\nid:1\n" + name + "\nreceipt:u\n\n^")
			require.Equal(t, "u", c.expectError("No durable subscription exists for clientID: c and subscriptionName: c").get("receipt-id"))
			c.expectAlive()
		}
	}
}

// The receipt says that it is gone, so it waits until it is.
func TestReceiptOfForgettingWaits(t *testing.T) {
	b := newFakeBroker()
	c := called(t, start(t, b), "1.1", "c")
	c.listen("1", "/topic/a", "activemq.subscriptionName:s\n")
	c.settle("UNSUBSCRIBE\nid:1\nreceipt:settled\n\n^")
	b.mu.Lock()
	b.hold = true
	b.mu.Unlock()
	c.send("UNSUBSCRIBE\nid:1\nactivemq.subscriptionName:s\nreceipt:u\n\n^")
	eventually(t, "it is asked for", func() bool { return b.holding() == 1 })
	b.release(nil, false)
	c.expectReceipt("u")
}

func TestB6Row147DurableOnAQueueIsRefused(t *testing.T) {
	c := called(t, start(t, newFakeBroker()), "1.1", "c")
	for destination, words := range map[string]string{
		"/queue/a": "Invalid Subscription: cannot durably subscribe to a Queue destination!", "/topic/a,/queue/b": "Invalid Subscription: cannot durably subscribe to a Queue destination!",
		"/temp-queue/a": "Invalid Subscription: cannot durably subscribe to a Queue destination!", "/temp-topic/a": "A durable subscription cannot be created for a temporary topic.",
	} {
		c.send("SUBSCRIBE\nid:1\ndestination:" + destination + "\nactivemq.subscriptionName:s\nreceipt:r\n\n^")
		require.Equal(t, "r", c.expectError(words).get("receipt-id"))
	}
	c.listen("1", "/topic/a", "activemq.subscriptionName:\n") // an empty name is none
	c.expectAlive()
}

func TestB6Row148DurableNamesOfArtemis(t *testing.T) {
	for _, name := range []string{"durable-subscription-name:n", "durable-subscriber-name:n", "activemq.subscriptionName:n", "durable-subscriber-name:n\nactivemq.subscriptionName:other"} {
		b := newFakeBroker()
		s := start(t, b, like(Artemis))
		one, two := called(t, s, "1.2", "c"), called(t, s, "1.2", "c")
		for _, c := range []*client{one, two} { // several consumers share it
			c.listen("1", "/topic/a", name+"\n")
		}
		o := b.options()
		require.Equal(t, "c.n", o.Durable)
		require.True(t, o.Shared)
		one.settle("UNSUBSCRIBE\nid:1\nreceipt:settled\n\n^")
		two.settle("UNSUBSCRIBE\nid:1\n" + name + "\nreceipt:settled\n\n^") // ends the consumer, too
		require.Equal(t, []string{":c.n"}, b.forgets())
	}
	b := newFakeBroker()
	c := login(t, start(t, b, like(Artemis)), "1.2")
	c.send("SUBSCRIBE\nid:1\ndestination:/topic/a\ndurable-subscription-name:n\n\n^")
	c.expectError("A durable subscription needs the client-id of its CONNECT")
	c.listen("2", "/topic/a::shared", "")
	require.Equal(t, "a::shared", b.options().Durable)
	require.Equal(t, "topic://a", b.options().Destination.String())
	c.settle("UNSUBSCRIBE\nid:2\nreceipt:settled\n\n^")
}

// Clients that serve several brokers say it in the words of each: those who may be meant count, the others are ignored as by ActiveMQ.
func TestForeignDurableNamesInActiveMQ(t *testing.T) {
	b := newFakeBroker()
	s := start(t, b)
	c := called(t, s, "1.1", "c")
	c.listen("1", "/topic/a", "durable-subscriber-name:n\nactivemq.subscriptionName:n\npersistent:true\ndurable:true\n")
	require.Equal(t, "n", b.options().Durable)
	c.settle("UNSUBSCRIBE\nid:1\nreceipt:settled\n\n^")
	c.settle("UNSUBSCRIBE\nid:1\ndurable-subscriber-name:n\nreceipt:settled\n\n^")
	require.Equal(t, []string{"c:n"}, b.forgets())
	c = login(t, s, "1.1") // without a client-id ActiveMQ's clients do not mean it
	c.listen("1", "/topic/a", "durable-subscription-name:n\npersistent:true\ndurable:true\n")
	require.Empty(t, b.options().Durable)
	c.listen("2", "/queue/a", "durable-subscription-name:n\npersistent:true\n")
}

func TestB6Row149DurableSubscriptionsOfRabbitMQ(t *testing.T) {
	for _, header := range []string{"durable:true", "persistent:true", "durable:false\npersistent:true"} {
		b := newFakeBroker()
		s := start(t, b, like(RabbitMQ))
		one, two := login(t, s, "1.1"), login(t, s, "1.1")
		for _, c := range []*client{one, two} {
			c.listen("my id", "/topic/a", header+"\n")
		}
		o := b.options()
		require.Equal(t, "my+id@a", o.Durable)
		require.True(t, o.Shared, "it is shared by its id")
		one.settle("UNSUBSCRIBE\nid:my id\nreceipt:settled\n\n^")
		require.Empty(t, b.forgets())
		two.settle("UNSUBSCRIBE\nid:my id\n" + header + "\nreceipt:settled\n\n^")
		require.Equal(t, []string{":my+id@a"}, b.forgets())
		one.listen("my id", "/topic/a", header+"\n")
		one.settle("UNSUBSCRIBE\nid:my id\nreceipt:settled\n\n^")
		one.settle("UNSUBSCRIBE\nid:my id\ndestination:/topic/a\n" + header + "\nreceipt:settled\n\n^") // nobody consumes any more
		require.Len(t, b.forgets(), 2)
		one.listen("q", "/queue/a", header+"\n") // queues are that anyway
	}
	c := login(t, start(t, newFakeBroker(), like(RabbitMQ)), "1.0")
	c.send("SUBSCRIBE\ndestination:/topic/a\ndurable:true\nreceipt:r\n\n^")
	r := c.expect("ERROR")
	require.Equal(t, []string{"Missing Header", "Header 'id' is required for durable subscriptions"}, []string{r.get("message"), r.body})
}

func TestB6Row151DurableSubscriptionsOfApollo(t *testing.T) {
	b := newFakeBroker()
	c := login(t, start(t, b, like(Apollo)), "1.1")
	c.listen("mysub", "/topic/x.*", "persistent:true\n")
	o := b.options()
	require.Equal(t, []any{"mysub", true, "topic://x.*"}, []any{o.Durable, o.Shared, o.Destination.String()})
	c.settle("UNSUBSCRIBE\nid:mysub\npersistent:true\nreceipt:settled\n\n^")
	require.Equal(t, []string{":mysub"}, b.forgets())
	c.listen("again", "/dsub/mysub", "persistent:true\n")
	require.Equal(t, "subscription://:mysub", b.options().Destination.String())
	require.Empty(t, b.options().Durable)
}
