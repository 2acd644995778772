package stomp

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
)

// listen subscribes and waits for the receipt.
func (c *client) listen(id, destination, headers string) {
	c.t.Helper()
	c.send("SUBSCRIBE\nid:" + id + "\ndestination:" + destination + "\nreceipt:listening\n" + headers + "\n^")
	c.expectReceipt("listening")
}

// What a real ActiveMQ answered, frame by frame.
func TestB6Row143TemporaryDestinations(t *testing.T) {
	for _, kind := range []string{"queue", "topic"} {
		b := newFakeBroker()
		s := start(t, b)
		asks, answers := login(t, s, "1.1"), login(t, s, "1.2")
		asks.listen("t", "/temp-"+kind+"/mine", "")
		require.Equal(t, "temp-"+kind, b.options().Destination.Kind.String())
		asks.send("SEND\ndestination:/temp-" + kind + "/mine\nreply-to:/temp-" + kind + "/mine\n\nx^")
		m := asks.expect("MESSAGE")
		require.Equal(t, "/temp-"+kind+"/mine", m.get("destination"), "who it belongs to calls it by its own name")
		require.Equal(t, "/temp-"+kind+"/mine", m.get("reply-to"))

		answers.listen("r", "/queue/requests", "")
		asks.send("SEND\ndestination:/queue/requests\nreply-to:/temp-" + kind + "/mine\ncorrelation-id:7\n\nquestion^")
		request := answers.expect("MESSAGE")
		reply := request.get("reply-to")
		require.Equal(t, "/remote-temp-"+kind+`/ID\cfake\c1\cmine`, reply)
		answers.send("SEND\ndestination:" + reply + "\ncorrelation-id:" + request.get("correlation-id") + "\n\nanswer^")
		m = asks.expect("MESSAGE")
		require.Equal(t, "answer", m.body)
		require.Equal(t, "/temp-"+kind+"/mine", m.get("destination"))
		require.Equal(t, "t", m.get("subscription"))

		// The same name of another connection is another destination.
		answers.listen("t", "/temp-"+kind+"/mine", "")
		answers.send("SEND\ndestination:/temp-" + kind + "/mine\n\nown^")
		require.Equal(t, "own", answers.expect("MESSAGE").body)
		asks.expectAlive()
	}
}

// ActiveMQ makes the queue with the first SEND, too.
func TestA2TemporaryQueueExistsFromTheFirstSend(t *testing.T) {
	c := login(t, start(t, newFakeBroker()), "1.0")
	c.send("SEND\ndestination:/temp-queue/first\nreceipt:s\n\nx^")
	c.expectReceipt("s")
	c.send("SUBSCRIBE\ndestination:/temp-queue/first\nack:client\n\n^")
	m := c.expect("MESSAGE")
	require.Equal(t, "/temp-queue/first", m.get("destination"))
	c.send("UNSUBSCRIBE\ndestination:/temp-queue/first\nreceipt:u\n\n^")
	c.expectReceipt("u")
}

// A topic's frame is made once for all subscribers: not so what only one of them calls by another name.
func TestReplyToIsEachOnesOwnOnATopic(t *testing.T) {
	s := start(t, newFakeBroker())
	asks, other := login(t, s, "1.2"), login(t, s, "1.2")
	for _, c := range []*client{asks, other} {
		c.listen("1", "/topic/requests", "")
		c.listen("2", "/topic/requests", "")
	}
	asks.send("SEND\ndestination:/topic/requests\nreply-to:/temp-queue/mine\nk:v\n\nx^")
	for range 2 {
		require.Contains(t, other.expect("MESSAGE").lines, `reply-to:/remote-temp-queue/ID\cfake\c1\cmine`)
		m := asks.expect("MESSAGE")
		require.Contains(t, m.lines, "reply-to:/temp-queue/mine")
		require.Contains(t, m.lines, "k:v")
	}
}

func TestReplyToInATransactionAndWithOptions(t *testing.T) {
	s := start(t, newFakeBroker())
	asks, other := login(t, s, "1.2"), login(t, s, "1.0")
	other.listen("1", "/queue/a", "")
	asks.send("BEGIN\ntransaction:t\n\n^SEND\ndestination:/queue/a\ntransaction:t\nreply-to: /temp-queue/mine?x=1\n\nx^COMMIT\ntransaction:t\n\n^")
	require.Equal(t, "/remote-temp-queue/ID:fake:1:mine", other.expect("MESSAGE").get("reply-to"))
}

// RabbitMQ's way: the reply-to is the subscription.
func TestB6Row145ReplyQueuesOfRabbitMQ(t *testing.T) {
	b := newFakeBroker()
	s := start(t, b, like(RabbitMQ))
	asks, answers := login(t, s, "1.2"), login(t, s, "1.1")
	answers.listen("r", "/queue/requests", "")
	for range 2 { // the second does not subscribe again
		asks.send("SEND\ndestination:/queue/requests\nreply-to:/temp-queue/foo\n\nquestion^")
		reply := answers.expect("MESSAGE").get("reply-to")
		require.Equal(t, `/reply-queue/ID\cfake\c1\cfoo`, reply)
		answers.send("SEND\ndestination:" + reply + "\n\nanswer^")
		m := asks.expect("MESSAGE")
		require.Equal(t, "/temp-queue/foo", m.get("subscription"))
		require.Equal(t, "answer", m.body)
		require.False(t, m.has("ack"))
	}
	b.mu.Lock()
	require.Len(t, b.subs, 2)
	require.Equal(t, gateway.Destination{Kind: gateway.KindTempQueue, Name: "ID:fake:1:foo"}, b.subs[1].o.Destination)
	b.mu.Unlock()
	asks.send("SUBSCRIBE\nid:x\ndestination:/temp-queue/foo\nreceipt:s\n\n^")
	require.Equal(t, "Invalid destination", asks.expect("ERROR").get("message"))
	asks.send("SEND\ndestination:/queue/requests\nreply-to:/temp-queue/a.>\nreceipt:w\n\nx^")
	require.Equal(t, "w", asks.expectError("/temp-queue/a.> is a temporary destination and cannot have wildcards").get("receipt-id"))
	asks.expectAlive()
}

// A listener for one kind of clients understands what another kind asked for.
func TestReplyToAcrossPersonalities(t *testing.T) {
	b := newFakeBroker()
	asks, rabbit := login(t, start(t, b), "1.1"), login(t, start(t, b, like(RabbitMQ)), "1.1")
	asks.listen("t", "/temp-queue/mine", "")
	rabbit.listen("r", "/queue/requests", "")
	asks.send("SEND\ndestination:/queue/requests\nreply-to:/temp-queue/mine\n\nx^")
	reply := rabbit.expect("MESSAGE").get("reply-to")
	require.Equal(t, `/reply-queue/ID\cfake\c1\cmine`, reply)
	rabbit.send("SEND\ndestination:" + reply + "\n\nanswer^")
	require.Equal(t, "/temp-queue/mine", asks.expect("MESSAGE").get("destination"))
}

func TestB3Row81MessageIDOnSendIsAnErrorInRabbitMQ(t *testing.T) {
	c := login(t, start(t, newFakeBroker(), like(RabbitMQ)), "1.1")
	c.send("SEND\ndestination:/queue/a\nmessage-id:1\nreceipt:r\n\nx^")
	r := c.expect("ERROR")
	require.Equal(t, []string{"Invalid header", "r", "'message-id' is not allowed on 'SEND'.\n"}, []string{r.get("message"), r.get("receipt-id"), r.body})
	c.expectAlive()
}

func TestB3Row90DestinationsOfRabbitMQAreRefusedInItsWords(t *testing.T) {
	c := login(t, start(t, newFakeBroker(), like(RabbitMQ)), "1.1")
	c.send("SEND\ndestination:/something/interesting\n\nx^SUBSCRIBE\nid:1\ndestination:/queue/a/b\n\n^")
	r := c.expect("ERROR")
	require.Equal(t, "Unknown destination", r.get("message"))
	require.Contains(t, r.body, "'/something/interesting' is not a valid destination.\n")
	r = c.expect("ERROR")
	require.Equal(t, []string{"Invalid destination", "'a/b' is not a valid queue destination\n"}, []string{r.get("message"), r.body})
	c.expectAlive()
}
