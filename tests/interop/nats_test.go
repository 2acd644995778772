package interop

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	stomp "github.com/go-stomp/stomp/v3"
	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/tests/node"
)

// dialNATS connects nats.go's client over TCP.
func dialNATS(t *testing.T, n *node.Node) *natsgo.Conn {
	t.Helper()
	nc, err := natsgo.Connect("nats://"+n.Addr("nats"), natsgo.NoReconnect())
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	return nc
}

func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), soon)
	t.Cleanup(cancel)
	return ctx
}

// subscribed waits until a subscription is known, which go-stomp does not tell.
func subscribed(t *testing.T, c *stomp.Conn, destination string) *stomp.Subscription {
	t.Helper()
	s, err := c.Subscribe(destination, stomp.AckAuto)
	require.NoError(t, err)
	require.NoError(t, c.Send("/topic/subscribed", "", nil, stomp.SendOpt.Receipt))
	return s
}

func heard(t *testing.T, nc *natsgo.Conn, subject string) *natsgo.Subscription {
	t.Helper()
	s, err := nc.SubscribeSync(subject)
	require.NoError(t, err)
	require.NoError(t, nc.Flush())
	return s
}

// What nats.go publishes to a queue with its JetStream interface is acknowledged
// when it is stored, survives a kill, and STOMP clients consume it in order.
func TestNATSPublishesToAQueue(t *testing.T) {
	const count = 5000
	n := node.Start(t)
	js, err := jetstream.New(dialNATS(t, n))
	require.NoError(t, err)
	ack, err := js.PublishMsg(within(t), &natsgo.Msg{Subject: "queue.from.go", Data: []byte("0"), Header: natsgo.Header{"k": {"v"}, "content-type": {"text/plain"}}})
	require.NoError(t, err)
	require.Equal(t, "QUEUES", ack.Stream)
	for i := 1; i < count; i++ {
		_, err := js.PublishMsgAsync(&natsgo.Msg{Subject: "queue.from.go", Data: fmt.Append(nil, i)}, jetstream.WithStallWait(soon))
		require.NoError(t, err)
	}
	select {
	case <-js.PublishAsyncComplete():
	case <-time.After(soon):
		require.FailNow(t, "not all were acknowledged")
	}
	n.Kill()
	n.Restart()
	c := dial(t, n)
	s, err := c.Subscribe("/queue/from.go", stomp.AckAuto)
	require.NoError(t, err)
	for i := range count {
		m := receive(t, s)
		require.Equal(t, fmt.Sprint(i), string(m.Body))
		require.Equal(t, "true", m.Header.Get("persistent"))
		if i == 0 {
			require.Equal(t, "v", m.Header.Get("k"))
			require.Equal(t, "text/plain", m.ContentType)
			require.Equal(t, "/queue/from.go", m.Destination)
		}
	}
	require.NoError(t, c.Disconnect())
	require.Empty(t, drained(t, n, "/queue/from.go"))
}

func TestNATSIsToldWhyAPublishWasRefused(t *testing.T) {
	js, err := jetstream.New(dialNATS(t, node.Start(t)))
	require.NoError(t, err)
	_, err = js.Publish(within(t), "queue.%2A", nil)
	var refusal *jetstream.APIError
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, "cannot send to the wildcard destination queue://*", refusal.Description)
}

func TestNATSAndSTOMPShareTopics(t *testing.T) {
	n := node.Start(t)
	nc, c := dialNATS(t, n), dial(t, n)
	fromSTOMP, everything := heard(t, nc, "topic.site.*"), heard(t, dialNATS(t, n), ">")
	fromNATS := subscribed(t, c, "/topic/site.>")

	require.NoError(t, c.Send("/topic/site.geneva", "text/plain", []byte("from stomp"), stomp.SendOpt.Header("k", "a\nb")))
	m, err := fromSTOMP.NextMsg(soon)
	require.NoError(t, err)
	require.Equal(t, "topic.site.geneva", m.Subject)
	require.Equal(t, "from stomp", string(m.Data))
	require.Equal(t, "text/plain", m.Header.Get("content-type"))
	require.Equal(t, "a%0Ab", m.Header.Get("k"))
	require.Equal(t, "from stomp", string(receive(t, fromNATS).Body))

	require.NoError(t, nc.Publish("topic.site.zurich", []byte("from nats")))
	got := receive(t, fromNATS)
	require.Equal(t, "/topic/site.zurich", got.Destination)
	require.Equal(t, "from nats", string(got.Body))
	m, err = fromSTOMP.NextMsg(soon)
	require.NoError(t, err)
	require.Equal(t, "from nats", string(m.Data), "one's own messages come from NATS itself, once")

	// Nobody heard anything twice, and nothing else of the broker can be heard.
	require.NoError(t, c.Send("/queue/private", "", []byte("secret")))
	require.NoError(t, c.Send("/topic/site.end", "", nil))
	var subjects []string
	for len(subjects) == 0 || subjects[len(subjects)-1] != "topic.site.end" {
		m, err := everything.NextMsg(soon)
		require.NoError(t, err, subjects)
		subjects = append(subjects, m.Subject)
	}
	require.Equal(t, []string{"topic.subscribed", "topic.site.geneva", "topic.site.zurich", "topic.site.end"}, subjects)
	require.Equal(t, "/topic/site.end", receive(t, fromNATS).Destination)
}

func TestRequestsBetweenNATSAndSTOMP(t *testing.T) {
	n := node.Start(t)
	nc, c := dialNATS(t, n), dial(t, n)

	requests := subscribed(t, c, "/topic/service.in.stomp")
	answered := make(chan error, 1)
	go func() {
		m, ok := <-requests.C
		if !ok || m.Err != nil {
			answered <- fmt.Errorf("no request came")
			return
		}
		answered <- c.Send(m.Header.Get("reply-to"), "text/plain", append([]byte("stomp says "), m.Body...))
	}()
	answer, err := nc.RequestWithContext(within(t), "topic.service.in.stomp", []byte("hello"))
	require.NoError(t, err)
	require.NoError(t, <-answered)
	require.Equal(t, "stomp says hello", string(answer.Data))

	_, err = nc.Subscribe("topic.service.in.go", func(m *natsgo.Msg) { _ = m.Respond(append([]byte("go says "), m.Data...)) })
	require.NoError(t, err)
	require.NoError(t, nc.Flush())
	for _, replyTo := range []string{"/queue/answers", "/topic/answers"} {
		answers := subscribed(t, c, replyTo)
		require.NoError(t, c.Send("/topic/service.in.go", "text/plain", []byte("hello"), stomp.SendOpt.Header("reply-to", replyTo)))
		require.Equal(t, "go says hello", string(receive(t, answers).Body))
	}
}

// The door leaves in order: whatever was acknowledged is there afterwards.
func TestNATSPublishesWhileTheNodeStops(t *testing.T) {
	n := node.Start(t)
	js, err := jetstream.New(dialNATS(t, n), jetstream.WithPublishAsyncTimeout(soon))
	require.NoError(t, err)
	acknowledged := make(chan string, 1<<20)
	go func() {
		defer close(acknowledged)
		for i := 0; ; i++ {
			body := fmt.Sprint(i)
			if _, err := js.Publish(within(t), "queue.a", []byte(body), jetstream.WithRetryAttempts(0)); err != nil {
				return
			}
			acknowledged <- body
		}
	}()
	first := <-acknowledged
	n.Stop()
	all := []string{first}
	for body := range acknowledged {
		all = append(all, body)
	}
	require.NotContains(t, strings.ToLower(n.Log()), "cut off")
	n.Restart()
	got := bodies(drained(t, n, "/queue/a"))
	require.GreaterOrEqual(t, len(got), len(all))
	require.Equal(t, all, got[:len(all)])
}
