package nats_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/core"
	"github.com/sluice-mq/sluice/protocols/nats"
)

func TestNativeToSTOMP(t *testing.T) {
	h := newHouse(t, options{})
	s := h.session()
	exact, below, all := h.subscribe(s, topic("a.b")), h.subscribe(s, topic("a.*")), h.subscribe(s, topic(">"))
	nc := h.connect()
	require.NoError(t, nc.PublishMsg(&natsgo.Msg{Subject: "topic.a.b", Data: []byte("x"), Header: natsgo.Header{"k": {"v"}, "persistent": {"true"}}}))
	require.NoError(t, nc.Publish("topic.c%20d", []byte("y")))
	for _, r := range []*reader{exact, below, all} {
		m := r.next(1)[0]
		require.Equal(t, topic("a.b"), m.Destination)
		require.Equal(t, gateway.Header{{Name: "k", Value: "v"}}, m.Header)
		require.True(t, m.Persistent)
	}
	m := all.next(1)[0]
	require.Equal(t, topic("c d"), m.Destination)
	require.False(t, m.Persistent)
}

func TestSTOMPToNative(t *testing.T) {
	h := newHouse(t, options{})
	nc := h.connect()
	exact, below, all := listen(t, nc, "topic.a.b"), listen(t, nc, "topic.a.*"), listen(t, nc, "topic.>")
	s := h.session()
	require.NoError(t, h.send(s, &gateway.Message{Destination: topic("a.b"), Body: []byte("x"), Timestamp: 5, Priority: 7, Persistent: true,
		Header: gateway.Header{{Name: "k", Value: "v"}, {Name: "lines", Value: "a\r\nb"}, {Name: "Nats-Rollup", Value: "all"}}}))
	for _, sub := range []*natsgo.Subscription{exact, below, all} {
		m := hear(t, sub)
		require.Equal(t, "topic.a.b", m.Subject)
		require.Empty(t, m.Reply)
		require.Equal(t, "x", string(m.Data))
		require.True(t, strings.HasPrefix(m.Header.Get("message-id"), "ID:n1-"))
		m.Header.Del("message-id")
		require.Equal(t, natsgo.Header{"timestamp": {"5"}, "priority": {"7"}, "persistent": {"true"}, "k": {"v"},
			"lines": {"a%0D%0Ab"}, "Sluice-Encoded": {"lines"}}, m.Header)
	}
	require.NoError(t, h.send(s, &gateway.Message{Destination: topic("c..d e"), Body: []byte("y")}))
	require.Equal(t, "topic.c.%.d%20e", hear(t, all).Subject)
	require.NoError(t, h.send(s, &gateway.Message{Destination: queue("a.b")}))
	require.NoError(t, h.send(s, &gateway.Message{Destination: topic("a.b"), Body: []byte("last")}))
	require.Equal(t, "last", string(hear(t, all).Data), "queues are not for native subscribers")
}

// Each message comes once to each subscriber, whichever side it came from.
func TestNoEchoAndNoLoop(t *testing.T) {
	h := newHouse(t, options{})
	nc, s := h.connect(), h.session()
	native, stomp := listen(t, nc, "topic.>"), h.subscribe(s, topic(">"))
	for i := range 50 {
		require.NoError(t, nc.Publish("topic.a", fmt.Appendf(nil, "native %d", i)))
		require.NoError(t, h.send(s, &gateway.Message{Destination: topic("a"), Body: fmt.Appendf(nil, "stomp %d", i)}))
	}
	heard, read := map[string]int{}, map[string]int{}
	for range 100 {
		heard[string(hear(t, native).Data)]++
	}
	for _, m := range stomp.next(100) {
		read[string(m.Body)]++
	}
	require.Len(t, heard, 100)
	require.Equal(t, heard, read)
	// What is sent after them comes next: nothing was in between.
	require.NoError(t, h.send(s, &gateway.Message{Destination: topic("end")}))
	require.Equal(t, "topic.end", hear(t, native).Subject)
	require.Equal(t, "end", stomp.next(1)[0].Destination.Name)
	h.count(nats.Stats{Received: 50, Relayed: 51})
}

func TestNothingIsRelayedWithoutInterest(t *testing.T) {
	h := newHouse(t, options{})
	nc, s := h.connect(), h.session()
	sub := listen(t, nc, "topic.b.*")
	for _, name := range []string{"a", "b", "b.c.d", "queue", "b.c"} {
		require.NoError(t, h.send(s, &gateway.Message{Destination: topic(name)}))
	}
	require.Equal(t, "topic.b.c", hear(t, sub).Subject)
	h.count(nats.Stats{Relayed: 1})
	require.NoError(t, sub.Unsubscribe())
	require.NoError(t, nc.Flush())
	require.NoError(t, h.send(s, &gateway.Message{Destination: topic("b.c")}))
	marker := listen(t, nc, "topic.marker")
	require.NoError(t, h.send(s, &gateway.Message{Destination: topic("marker")}))
	hear(t, marker)
	h.count(nats.Stats{Relayed: 2})
}

// Queue groups count as interest like any other subscription.
func TestQueueGroups(t *testing.T) {
	h := newHouse(t, options{})
	sub, err := h.connect().QueueSubscribeSync("topic.a", "workers")
	require.NoError(t, err)
	require.Eventually(t, func() bool { return h.interest("topic.a") }, patience, time.Millisecond)
	require.NoError(t, h.send(h.session(), &gateway.Message{Destination: topic("a")}))
	hear(t, sub)
}

// A JetStream publish to a topic is told from a request by its headers alone.
func TestPubAckOfATopic(t *testing.T) {
	h := newHouse(t, options{})
	stomp := h.subscribe(h.session(), topic("a"))
	for _, opt := range []jetstream.PublishOpt{jetstream.WithExpectStream("TOPICS"), jetstream.WithMsgID("1")} {
		ack, err := h.jetStream().Publish(ctx(t), "topic.a", []byte("x"), opt)
		require.NoError(t, err)
		require.Equal(t, "TOPICS", ack.Stream)
		_, hasReplyTo := stomp.next(1)[0].Header.Get("reply-to")
		require.False(t, hasReplyTo)
	}
	_, err := h.jetStream().Publish(ctx(t), "topic.%3E", nil, jetstream.WithExpectStream("TOPICS"))
	require.EqualError(t, err, "nats: nats: API error: code=400 err_code=10003 description=cannot send to the wildcard destination topic://>")
}

// The broker may cut off a relay that is too slow; it comes back.
func TestTheRelayComesBackAfterItWasCutOff(t *testing.T) {
	h := newHouse(t, options{core: core.Config{TopicMessages: 10, SlowConsumer: core.Disconnect}})
	nc, s := h.connect(), h.session()
	sub := listen(t, nc, "topic.a")
	deadline := time.Now().Add(patience)
	for h.door.Stats().Interrupted == 0 {
		require.True(t, time.Now().Before(deadline), "the relay was never too slow")
		for range 1000 {
			s.Send(&gateway.Message{Destination: topic("a"), Body: []byte("flood")}, nil, 0)
		}
	}
	for {
		require.True(t, time.Now().Before(deadline), "the relay did not come back")
		require.NoError(t, h.send(s, &gateway.Message{Destination: topic("a"), Body: []byte("again")}))
		for m, err := sub.NextMsg(50 * time.Millisecond); err == nil; m, err = sub.NextMsg(50 * time.Millisecond) {
			if string(m.Data) == "again" {
				return
			}
		}
	}
}

// A native subscriber that reads nothing costs nobody anything.
func TestASlowNativeSubscriberDoesNotBlockTheBroker(t *testing.T) {
	h := newHouse(t, options{core: core.Config{TopicMessages: 100}})
	raw, err := h.server.InProcessConn()
	require.NoError(t, err)
	defer raw.Close()
	buf := make([]byte, 4096)
	_, err = raw.Read(buf) // INFO
	require.NoError(t, err)
	_, err = raw.Write([]byte("CONNECT {\"verbose\":false}\r\nSUB topic.> 1\r\n"))
	require.NoError(t, err)
	require.Eventually(t, func() bool { return h.interest("topic.a") }, patience, time.Millisecond)
	s := h.session()
	stomp := h.subscribe(s, topic("a"))
	body := make([]byte, 10_000)
	for range 2000 {
		require.NoError(t, h.send(s, &gateway.Message{Destination: topic("a"), Body: body}))
		stomp.next(1)
	}
}
