package stomp

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
)

// Who says a header of JMS by its name there means that, as in ActiveMQ; what STOMP says itself counts more.
func TestA3NamesOfJMS(t *testing.T) {
	m := adapted(t, ActiveMQ, "JMSType:t\nJMSCorrelationID:c\nJMSReplyTo:answers\nJMSPriority:12\nJMSExpiration:5\nJMSTimestamp:7\nJMSDeliveryMode:2\nJMSXGroupID:g\nJMSOther:o\n")
	require.Equal(t, gateway.Header{
		{Name: "type", Value: "t"}, {Name: "correlation-id", Value: "c"}, {Name: "reply-to", Value: "/queue/answers"},
		{Name: "JMSXGroupID", Value: "g"}, {Name: "JMSOther", Value: "o"},
	}, m.Header)
	require.Equal(t, []int64{9, 5, 7}, []int64{int64(m.Priority), m.Expires, m.Timestamp})
	require.True(t, m.Persistent)
	m = adapted(t, ActiveMQ, "JMSType:theirs\ntype:t\nJMSReplyTo:/topic/b\nJMSDeliveryMode:NON_PERSISTENT\n")
	require.Equal(t, gateway.Header{{Name: "type", Value: "t"}, {Name: "reply-to", Value: "/topic/b"}}, m.Header)
	require.False(t, m.Persistent)
}

func TestA3BadNumbersInJMSNames(t *testing.T) {
	for _, name := range []string{"JMSPriority", "JMSExpiration", "JMSTimestamp"} {
		c := login(t, start(t, newFakeBroker()), "1.1")
		c.send("SEND\ndestination:/queue/a\nreceipt:r\n" + name + ":soon\n\nx^")
		require.Equal(t, "r", c.expectError("Invalid value for the "+name+" header: soon").get("receipt-id"))
		c.expectAlive()
	}
}

// Nobody could come back to a durable subscription without a client-id: it ends with its connection, and nothing is kept for it.
func TestDurableWithoutClientIDEndsWithItsConnection(t *testing.T) {
	b := newFakeBroker()
	c := login(t, start(t, b), "1.1")
	c.listen("1", "/topic/a", "activemq.subscriptionName:s\n")
	require.Empty(t, b.options().Durable)
	c.settle("UNSUBSCRIBE\nid:1\nactivemq.subscriptionName:s\nreceipt:settled\n\n^")
	require.Empty(t, b.forgets())
	c.send("SUBSCRIBE\nid:1\ndestination:/queue/a\nactivemq.subscriptionName:s\nreceipt:r\n\n^")
	require.Equal(t, "r", c.expectError("Invalid Subscription: cannot durably subscribe to a Queue destination!").get("receipt-id"))
}
