package nats_test

import (
	"testing"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/core"
)

func BenchmarkNativePublishToQueue(b *testing.B) {
	h := newHouse(b, options{})
	js := h.jetStream(jetstream.WithPublishAsyncMaxPending(4000))
	body := make([]byte, 200)
	b.ReportAllocs()
	for b.Loop() {
		_, err := js.PublishMsgAsync(&natsgo.Msg{Subject: "queue.a", Data: body}, jetstream.WithStallWait(patience))
		require.NoError(b, err)
	}
	<-js.PublishAsyncComplete()
	require.Zero(b, h.door.Stats().Dropped)
}

// The sender waits for the subscriber every 1,000 messages, so that nothing is dropped.
func BenchmarkSTOMPToNativeSubscriber(b *testing.B) {
	h := newHouse(b, options{core: core.Config{TopicMessages: 1 << 16}})
	sub, s := listen(b, h.connect(), "topic.a"), h.session()
	body := make([]byte, 200)
	header := gateway.Header{{Name: "content-type", Value: "text/plain"}, {Name: "site", Value: "GENEVA"}}
	const burst = 1000
	b.ReportAllocs()
	waiting := 0
	collect := func() {
		for ; waiting > 0; waiting-- {
			hear(b, sub)
		}
	}
	for b.Loop() {
		s.Send(&gateway.Message{Destination: topic("a"), Body: body, Header: header, Priority: 4}, nil, 0)
		if waiting++; waiting == burst {
			collect()
		}
	}
	collect()
}

// What a topic message costs its sender while native clients are interested in others.
func BenchmarkTopicWithoutNativeInterest(b *testing.B) {
	h := newHouse(b, options{})
	nc, s := h.connect(), h.session()
	for _, subject := range []string{"topic.other", "topic.*.x", "_INBOX.a.>"} {
		listen(b, nc, subject)
	}
	b.ReportAllocs()
	for b.Loop() {
		s.Send(&gateway.Message{Destination: topic("site.geneva.heartbeat"), Priority: 4, Timestamp: 1}, nil, 0)
	}
	require.Zero(b, h.door.Stats().Relayed)
}

func BenchmarkInterest(b *testing.B) {
	h := newHouse(b, options{})
	listen(b, h.connect(), "topic.other")
	a, err := h.server.LookupAccount("OUTBOUND")
	require.NoError(b, err)
	b.ReportAllocs()
	for b.Loop() {
		if a.SubscriptionInterest("topic.site.geneva.heartbeat") {
			b.Fatal("nobody is interested")
		}
	}
}

// What a message costs from the queue through a worker and back.
func BenchmarkWorker(b *testing.B) {
	h := newHouse(b, options{})
	js := h.jetStream(jetstream.WithPublishAsyncMaxPending(4000))
	c := h.consumer(h.jetStream(), "w", "a")
	it, err := c.Messages()
	require.NoError(b, err)
	body := make([]byte, 200)
	const burst = 2000
	b.ReportAllocs()
	waiting := 0
	collect := func() {
		for ; waiting > 0; waiting-- {
			m, err := it.Next()
			require.NoError(b, err)
			require.NoError(b, m.Ack())
		}
	}
	for b.Loop() {
		_, err := js.PublishMsgAsync(&natsgo.Msg{Subject: "queue.a", Data: body}, jetstream.WithStallWait(patience))
		require.NoError(b, err)
		if waiting++; waiting == burst {
			collect()
		}
	}
	collect()
	it.Stop()
}

// What a worker pays that asks for one message at a time, above all for the way of its request.
func BenchmarkWorkerOneByOne(b *testing.B) {
	h := newHouse(b, options{})
	c := h.consumer(h.jetStream(), "w", "a")
	s := h.session()
	b.ReportAllocs()
	for b.Loop() {
		s.Send(&gateway.Message{Destination: queue("a"), Priority: 4}, nil, 0)
		m, err := c.Next(jetstream.FetchMaxWait(patience))
		require.NoError(b, err)
		require.NoError(b, m.Ack())
	}
}
