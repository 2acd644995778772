package nats_test

import (
	"strings"
	"testing"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
)

// mine is a temporary destination of a session, and how messages keep it as a reply-to.
func mine(s gateway.Session, kind gateway.Kind) (d gateway.Destination, replyTo gateway.Header) {
	d = gateway.Destination{Kind: kind, Name: s.ID() + ":mine"}
	return d, gateway.Header{{Name: "reply-to", Value: "/remote-" + kind.String() + "/" + d.Name}}
}

// Native responders and workers answer to the temporary destination of a STOMP client: nobody else hears that, and no topic carries it.
func TestNativeClientsAnswerToTemporaryDestinations(t *testing.T) {
	h := newHouse(t, options{})
	js := h.jetStream()
	nc, asks, other := js.Conn(), h.session(), h.session()
	requests, jobs := listen(t, nc, "topic.svc"), h.consumer(js, "w", "jobs")
	topics, queues := h.subscribe(other, topic(">")), h.subscribe(other, queue("_reply.>"))
	for _, kind := range []gateway.Kind{gateway.KindTempQueue, gateway.KindTempTopic} {
		d, replyTo := mine(asks, kind)
		answers := h.subscribe(asks, d)
		require.NoError(t, h.send(asks, &gateway.Message{Destination: topic("svc"), Header: replyTo}))
		topics.next(1)
		m := hear(t, requests)
		require.True(t, strings.HasPrefix(m.Reply, "queue._reply."))
		require.NoError(t, m.RespondMsg(&natsgo.Msg{Data: []byte("from a responder"), Header: natsgo.Header{"correlation-id": {"7"}}}))
		got := answers.next(1)[0]
		require.Equal(t, "from a responder", string(got.Body))
		require.Equal(t, gateway.Header{{Name: "correlation-id", Value: "7"}}, got.Header)

		require.NoError(t, h.send(asks, &gateway.Message{Destination: queue("jobs"), Header: replyTo}))
		job := fetch(t, jobs, 1)[0]
		to := job.Headers().Get("Sluice-Reply")
		_, err := js.Publish(ctx(t), to, []byte("from a worker"), jetstream.WithMsgID("1")) // and hears that it came
		require.NoError(t, err)
		again, err := js.Publish(ctx(t), to, []byte("from a worker"), jetstream.WithMsgID("1"))
		require.NoError(t, err)
		require.True(t, again.Duplicate)
		require.NoError(t, job.DoubleAck(ctx(t)))
		require.Equal(t, "from a worker", string(answers.next(1)[0].Body))
	}
	for _, r := range []*reader{topics, queues} {
		require.Zero(t, r.sub.Next(make([]gateway.Delivery, 1), 1))
	}
}

// An answer to somebody who has gone, and one to a subject that was made up, is refused, and nothing of it stays anywhere.
func TestAnswersToNobodyAreRefused(t *testing.T) {
	h := newHouse(t, options{})
	js := h.jetStream()
	asks := h.session()
	d, replyTo := mine(asks, gateway.KindTempQueue)
	requests := listen(t, js.Conn(), "topic.svc")
	require.NoError(t, h.send(asks, &gateway.Message{Destination: topic("svc"), Header: replyTo}))
	to := hear(t, requests).Reply
	asks.Close()
	_, err := js.Publish(ctx(t), to, nil)
	require.ErrorContains(t, err, "The destination "+d.String()+" does not exist.")
	_, err = js.Publish(ctx(t), "queue._reply.bWFkZSB1cA", nil)
	require.ErrorContains(t, err, "nobody awaits an answer on this subject")
	_, known := h.broker.Queue("_reply.bWFkZSB1cA")
	require.False(t, known)
}

// Who passes a request on passes on where its answer goes, in whichever direction and as whatever.
func TestRequestsArePassedOn(t *testing.T) {
	h := newHouse(t, options{})
	nc, asks, other := h.connect(), h.session(), h.session()
	d, replyTo := mine(asks, gateway.KindTempQueue)
	answers, back := h.subscribe(asks, d), h.subscribe(other, topic("back"))
	requests := listen(t, nc, "topic.svc")
	require.NoError(t, h.send(asks, &gateway.Message{Destination: topic("svc"), Header: replyTo}))
	to := hear(t, requests).Reply
	require.NoError(t, nc.PublishRequest("topic.back", to, nil))
	require.Equal(t, replyTo, back.next(1)[0].Header)
	require.NoError(t, nc.PublishMsg(&natsgo.Msg{Subject: "topic.back", Header: natsgo.Header{"reply-to": {to}}}))
	require.Equal(t, replyTo, back.next(1)[0].Header)
	require.NoError(t, h.send(other, &gateway.Message{Destination: d, Body: []byte("done")}))
	require.Equal(t, "done", string(answers.next(1)[0].Body))
}
