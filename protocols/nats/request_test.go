package nats_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	natsgo "github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/protocols/nats"
)

// destination reads a reply-to as the STOMP door reads a destination.
func destination(t testing.TB, replyTo string) gateway.Destination {
	if name, ok := strings.CutPrefix(replyTo, "/topic/"); ok {
		return topic(name)
	}
	name, ok := strings.CutPrefix(replyTo, "/queue/")
	require.True(t, ok, replyTo)
	return queue(name)
}

func replyTo(t testing.TB, m *gateway.Message) string {
	v, ok := m.Header.Get("reply-to")
	require.True(t, ok)
	return v
}

func TestSTOMPAsksNativeAnswers(t *testing.T) {
	h := newHouse(t, options{})
	nc, s := h.connect(), h.session()
	_, err := nc.Subscribe("topic.svc", func(m *natsgo.Msg) {
		answer := natsgo.NewMsg("")
		answer.Header.Set("correlation-id", m.Header.Get("correlation-id"))
		answer.Data = append([]byte("answer to "), m.Data...)
		_ = m.RespondMsg(answer)
	})
	require.NoError(t, err)
	require.NoError(t, nc.Flush())
	for _, to := range []string{"/topic/answers to me", "/queue/answers..x", "topic://t", "queue://q"} {
		d := destination(t, strings.NewReplacer("topic://", "/topic/", "queue://", "/queue/").Replace(to))
		r := h.subscribe(s, d)
		require.NoError(t, h.send(s, &gateway.Message{Destination: topic("svc"), Body: []byte(to),
			Header: gateway.Header{{Name: "reply-to", Value: to}, {Name: "correlation-id", Value: "c1"}}}))
		m := r.next(1)[0]
		require.Equal(t, "answer to "+to, string(m.Body))
		require.Equal(t, gateway.Header{{Name: "correlation-id", Value: "c1"}}, m.Header)
	}
}

func TestNativeAsksSTOMPAnswers(t *testing.T) {
	h := newHouse(t, options{})
	s := h.session()
	r := h.subscribe(s, topic("svc"))
	var served sync.WaitGroup
	served.Go(func() {
		for range 20 {
			m := r.next(1)[0]
			answer := &gateway.Message{Destination: destination(t, replyTo(t, m)), Body: append([]byte("answer to "), m.Body...),
				Header: gateway.Header{{Name: "k", Value: "v"}}}
			s.Send(answer, nil, 0)
		}
	})
	nc := h.connect()
	for i := range 20 {
		answer, err := nc.RequestWithContext(ctx(t), "topic.svc", fmt.Appendf(nil, "%d", i))
		require.NoError(t, err)
		require.Equal(t, fmt.Sprintf("answer to %d", i), string(answer.Data))
		require.Equal(t, "v", answer.Header.Get("k"))
	}
	served.Wait()
}

// The reply subject of a publish to a queue takes the PubAck; who wants an
// answer as well names an inbox in the header.
func TestAnswersToMessagesInQueues(t *testing.T) {
	h := newHouse(t, options{})
	nc, s := h.connect(), h.session()
	inbox := natsgo.NewInbox()
	answers := listen(t, nc, inbox)
	ack, err := nc.RequestMsgWithContext(ctx(t), &natsgo.Msg{Subject: "queue.jobs", Header: natsgo.Header{"reply-to": {inbox}}})
	require.NoError(t, err)
	require.Contains(t, string(ack.Data), `"QUEUES"`)
	job := h.subscribe(s, queue("jobs")).next(1)[0]
	require.NoError(t, h.send(s, &gateway.Message{Destination: destination(t, replyTo(t, job)), Body: []byte("done")}))
	require.Equal(t, "done", string(hear(t, answers).Data))
}

// A reply subject among the broker's own destinations is for STOMP receivers.
func TestNativeAsksForAnswersInADestination(t *testing.T) {
	h := newHouse(t, options{})
	nc, s := h.connect(), h.session()
	svc, jobs := h.subscribe(s, topic("svc")), h.subscribe(s, queue("jobs"))
	require.NoError(t, nc.PublishRequest("topic.svc", "queue.answers%20here", nil))
	require.Equal(t, "/queue/answers here", replyTo(t, svc.next(1)[0]))
	require.NoError(t, nc.PublishRequest("queue.jobs", "topic.answers", nil))
	require.Equal(t, "/topic/answers", replyTo(t, jobs.next(1)[0]))
	require.NoError(t, nc.PublishMsg(&natsgo.Msg{Subject: "topic.svc", Reply: "_INBOX.a", Header: natsgo.Header{"reply-to": {"/queue/mine"}}}))
	require.Equal(t, "/queue/mine", replyTo(t, svc.next(1)[0]))
}

// A native request handed on by a STOMP client is answered without a detour.
func TestAReplyTopicInAMessageLeadsNativeRespondersToTheInbox(t *testing.T) {
	h := newHouse(t, options{})
	nc, s := h.connect(), h.session()
	front, responder := h.subscribe(s, topic("front")), listen(t, nc, "topic.back")
	answers := listen(t, nc, "_INBOX.me.1")
	require.NoError(t, nc.PublishRequest("topic.front", "_INBOX.me.1", nil))
	m := front.next(1)[0]
	require.NoError(t, h.send(s, &gateway.Message{Destination: topic("back"), Header: gateway.Header{{Name: "reply-to", Value: replyTo(t, m)}}}))
	got := hear(t, responder)
	require.Equal(t, "_INBOX.me.1", got.Reply)
	require.NoError(t, got.Respond([]byte("direct")))
	require.Equal(t, "direct", string(hear(t, answers).Data))
}

// Nobody reaches a subject that is not an inbox somebody gave.
func TestHostileReplySubjects(t *testing.T) {
	h := newHouse(t, options{})
	nc, s := h.connect(), h.session()
	everything, svc := listen(t, nc, ">"), h.subscribe(s, topic("svc"))
	for _, reply := range []string{"$JS.API.STREAM.PURGE.x", "$SYS.REQ.SERVER.PING", "other", "_INBOX.*.x", "queue.%3E"} {
		raw := h.connect(natsgo.NoEcho())
		require.NoError(t, raw.PublishRequest("topic.svc", reply, nil))
		_, ok := svc.next(1)[0].Header.Get("reply-to")
		require.False(t, ok, reply)
		require.Equal(t, "topic.svc", hear(t, everything).Subject)
	}
	for _, name := range []string{"_reply.", "_reply.x", "_reply.JEpTLkFQSS5TVFJFQU0uUFVSR0UueA"} {
		require.NoError(t, h.send(s, &gateway.Message{Destination: topic(name)}))
	}
	require.NoError(t, nc.PublishRequest("queue.a", "$JS.API.STREAM.PURGE.x", []byte("no PubAck there")))
	require.Equal(t, "queue.a", hear(t, everything).Subject)
	require.NoError(t, h.send(s, &gateway.Message{Destination: topic("end")}))
	require.Equal(t, "topic.end", hear(t, everything).Subject)
	h.count(nats.Stats{Received: 6, Relayed: 1, Unrelayed: 3})
}

// A worker answers where reply-to says, natively: to a STOMP destination or to a native inbox.
func TestWorkersAnswer(t *testing.T) {
	h := newHouse(t, options{})
	js := h.jetStream()
	nc, s := js.Conn(), h.session()
	c := h.consumer(js, "w", "jobs")
	inbox := natsgo.NewInbox()
	native, stomp := listen(t, nc, inbox), h.subscribe(s, queue("answers here"))
	require.NoError(t, h.send(s, &gateway.Message{Destination: queue("jobs"), Body: []byte("1"), Header: gateway.Header{{Name: "reply-to", Value: "/queue/answers here"}}}))
	_, err := js.PublishMsg(ctx(t), &natsgo.Msg{Subject: "queue.jobs", Data: []byte("2"), Header: natsgo.Header{"reply-to": {inbox}}})
	require.NoError(t, err)
	for _, m := range fetch(t, c, 2) {
		require.NoError(t, nc.Publish(m.Headers().Get("Sluice-Reply"), append([]byte("answer to "), m.Data()...)))
		require.NoError(t, m.DoubleAck(ctx(t)))
	}
	require.Equal(t, "answer to 1", string(stomp.next(1)[0].Body))
	require.Equal(t, "answer to 2", string(hear(t, native).Data))
}
