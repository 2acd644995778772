package nats_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
)

// A filter subject is exactly that of a queue: anything else would be said to the server as it is.
func TestFilterSubjectsAreSubjectsOfQueues(t *testing.T) {
	h := newHouse(t, options{})
	js := h.jetStream()
	for _, filter := range []string{"queue.a b", "queue.a\tb", "queue.a\r\nb", "queue.a\x7f", "queue.%61", "queue.a..b", "queue. ", "queue.a\x00"} {
		_, err := js.CreateOrUpdateConsumer(ctx(t), "QUEUES", jetstream.ConsumerConfig{Durable: "w", FilterSubjects: []string{filter}})
		var refusal *jetstream.APIError
		require.ErrorAs(t, err, &refusal, "%q", filter)
		require.Equal(t, 400, refusal.Code, "%q", filter)
		request, err := json.Marshal(map[string]any{"stream_name": "QUEUES", "config": map[string]any{"durable_name": "w", "filter_subject": filter}})
		require.NoError(t, err)
		m, err := js.Conn().RequestWithContext(ctx(t), "$JS.API.CONSUMER.DURABLE.CREATE.QUEUES.w", request)
		require.NoError(t, err)
		require.Contains(t, string(m.Data), "filter subject", "%q", filter)
	}
	h.fill("a b", 1)
	m := fetch(t, h.consumer(js, "w", "a%20b"), 1)[0]
	require.Equal(t, "queue.a%20b", m.Subject())
	require.NoError(t, m.DoubleAck(ctx(t)))
}

// What senders call like a status, or like the door's own headers, comes encoded and steers nobody.
func TestSendersCannotSpeakForTheDoor(t *testing.T) {
	h := newHouse(t, options{})
	c := h.consumer(h.jetStream(), "w", "a")
	failed := make(chan error, 10)
	got := make(chan jetstream.Msg, 10)
	consuming, err := c.Consume(func(m jetstream.Msg) { got <- m }, jetstream.ConsumeErrHandler(func(_ jetstream.ConsumeContext, err error) { failed <- err }))
	require.NoError(t, err)
	defer consuming.Stop()
	forged := gateway.Header{
		{Name: "Status", Value: "409"}, {Name: "Description", Value: "Consumer Deleted"}, {Name: "STATUS", Value: "503"},
		{Name: "Sluice-Reply", Value: "$JS.API.CONSUMER.DELETE.QUEUES.w"}, {Name: "sluice-reply", Value: "x"},
	}
	require.NoError(t, h.send(h.session(), &gateway.Message{Destination: queue("a"), Persistent: true, Header: forged}))
	select {
	case err := <-failed:
		require.NoError(t, err)
	case m := <-got:
		for _, f := range forged {
			require.NotContains(t, m.Headers(), f.Name)
		}
		require.Equal(t, []string{"409"}, m.Headers()["%53tatus"])
		require.Equal(t, []string{"%44escription", "%53TATUS", "%53luice-Reply", "%53tatus", "%73luice-reply"}, m.Headers()["Sluice-Encoded"])
		require.NoError(t, m.DoubleAck(ctx(t)))
	case <-time.After(patience):
		require.Fail(t, "nothing came")
	}
	h.settled("a", 0, 0)
}

// Who had a message before cannot settle it for who has it now, although consumer and numbers are the same.
func TestAnEarlierDeliveryCannotBeSettled(t *testing.T) {
	h := newHouse(t, options{})
	js := h.jetStream()
	h.fill("a", 1)
	old := fetch(t, h.consumer(js, "w", "a"), 1)[0]
	require.NoError(t, js.DeleteConsumer(ctx(t), "QUEUES", "w"))
	h.settled("a", 1, 0)
	now := fetch(t, h.consumer(h.jetStream(), "w", "a"), 1)[0]
	before, err := old.Metadata()
	require.NoError(t, err)
	after, err := now.Metadata()
	require.NoError(t, err)
	require.Equal(t, before.Sequence, after.Sequence)
	require.ErrorIs(t, old.DoubleAck(ctx(t)), natsgo.ErrNoResponders)
	h.settled("a", 0, 1)
	require.NoError(t, now.DoubleAck(ctx(t)))
}

// The requests of a consumer are bounded whatever it asks for, and all that are one too many are answered.
func TestRequestsThatWaitAreBounded(t *testing.T) {
	const most, more = 4096, 50
	h := newHouse(t, options{})
	js := h.jetStream()
	nc := h.connect()
	for _, name := range []string{"v", "w", "x"} {
		c := h.consumer(js, name, "a", func(c *jetstream.ConsumerConfig) { c.MaxWaiting = 1e9 })
		require.Equal(t, most, c.CachedInfo().Config.MaxWaiting)
	}
	in := listen(t, nc, "_INBOX.x.>")
	ask := func(name string, n int, body string) {
		for i := range n {
			require.NoError(t, nc.PublishRequest("$JS.API.CONSUMER.MSG.NEXT.QUEUES."+name, fmt.Sprintf("_INBOX.x.%d", i), []byte(body)))
		}
	}
	refused := func(n int) {
		t.Helper()
		for range n {
			require.Equal(t, natsgo.Header{"Status": {"409"}, "Description": {"Exceeded MaxWaiting"}}, hear(t, in).Header)
		}
	}
	const patient = `{"batch":1,"expires":600000000000}` // however long a busy machine takes to ask so often
	ask("w", most+more, patient)
	refused(more)
	require.Equal(t, most, h.infos()["w"])
	ask("w", 1, `{"batch":1,"expires":60000000000,"idle_heartbeat":100000000}`)
	require.Equal(t, "Exceeded MaxWaiting", hear(t, in).Header.Get("Description"), "it does not have to miss its heartbeats")
	ask("v", most, patient)
	ask("x", more, patient)
	refused(more) // of the connection there are too many now
	require.Zero(t, h.infos()["x"])
	h.fill("a", 1)
	require.Empty(t, hear(t, in).Header.Get("Status"))
}

func TestAcknowledgementsHaveTimeToCome(t *testing.T) {
	h := newHouse(t, options{})
	js := h.jetStream()
	c := h.consumer(js, "w", "a", func(c *jetstream.ConsumerConfig) { c.AckWait = 1 })
	require.Equal(t, 100*time.Millisecond, c.CachedInfo().Config.AckWait)
	_, err := js.CreateOrUpdateConsumer(ctx(t), "QUEUES", jetstream.ConsumerConfig{Durable: "v", FilterSubject: "queue.a", BackOff: []time.Duration{time.Millisecond}})
	require.ErrorContains(t, err, "below 100 ms")
}

// Refusals go out beside what is handed out, from other goroutines: the race detector looks.
func TestRefusalsBesideWork(t *testing.T) {
	h := newHouse(t, options{})
	nc := h.connect()
	in := listen(t, nc, "_INBOX.none")
	c := h.consumer(h.jetStream(), "w", "a")
	h.fill("a", 200)
	for range 20 {
		for range 20 {
			require.NoError(t, nc.PublishRequest("$JS.API.CONSUMER.MSG.NEXT.QUEUES.none", "_INBOX.none", nil))
			require.NoError(t, nc.PublishRequest("$JS.ACK.QUEUES.w.1.1.1.1.1", "_INBOX.none", nil))
			require.NoError(t, nc.PublishRequest("$JS.API.DIRECT.GET.QUEUES.x", "_INBOX.none", nil))
		}
		for _, m := range fetch(t, c, 10) {
			require.NoError(t, m.Ack())
		}
	}
	for range 20 * 20 * 3 {
		if _, err := in.NextMsg(patience); err != nil {
			require.ErrorIs(t, err, natsgo.ErrNoResponders) // as the library reports 503
		}
	}
	h.settled("a", 0, 0)
}
