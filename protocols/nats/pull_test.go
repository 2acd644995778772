package nats_test

import (
	"context"
	"encoding/json"
	"math"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
)

func TestConsumeAndMessages(t *testing.T) {
	const n = 3000
	h := newHouse(t, options{})
	c := h.consumer(h.jetStream(), "w", "a")
	var got atomic.Int64
	consuming, err := c.Consume(func(m jetstream.Msg) {
		if string(m.Data()) == strconv.FormatInt(got.Load(), 10) { // one worker alone sees the queue's order
			got.Add(1)
		}
		_ = m.Ack()
	})
	require.NoError(t, err)
	h.fill("a", n)
	require.Eventually(t, func() bool { return got.Load() == n }, patience, time.Millisecond)
	consuming.Stop()
	h.settled("a", 0, 0)

	it, err := h.consumer(h.jetStream(), "v", "b").Messages(jetstream.PullMaxMessages(7))
	require.NoError(t, err)
	h.fill("b", 100)
	for i := range 100 {
		m, err := it.Next(jetstream.NextMaxWait(patience))
		require.NoError(t, err)
		require.Equal(t, strconv.Itoa(i), string(m.Data()))
		require.NoError(t, m.Ack())
	}
	it.Stop()
	h.settled("b", 0, 0)
}

// A worker that has stopped swallows nothing, although its request would have lasted longer.
func TestAStoppedWorkerGetsNothing(t *testing.T) {
	h := newHouse(t, options{})
	js := h.jetStream()
	consuming, err := h.consumer(js, "w", "a").Consume(func(m jetstream.Msg) { _ = m.Ack() })
	require.NoError(t, err)
	require.Eventually(t, func() bool { return h.infos()["w"] == 1 }, patience, time.Millisecond)
	consuming.Stop()
	<-consuming.Closed()
	require.NoError(t, js.Conn().Flush())
	h.fill("a", 20)
	for i, m := range fetch(t, h.consumer(h.jetStream(), "other", "a"), 20) {
		require.Equal(t, strconv.Itoa(i), string(m.Data()))
		require.NoError(t, m.DoubleAck(ctx(t)))
	}
	h.settled("a", 0, 0)
}

func TestMaxAckPendingBoundsAllWorkersOfAConsumer(t *testing.T) {
	h := newHouse(t, options{})
	h.fill("a", 10)
	few := func(c *jetstream.ConsumerConfig) { c.MaxAckPending = 3 }
	first, second := h.consumer(h.jetStream(), "w", "a", few), h.consumer(h.jetStream(), "w", "a", few)
	got := fetch(t, first, 2)
	b, err := second.Fetch(5, jetstream.FetchMaxWait(patience))
	require.NoError(t, err)
	m := <-b.Messages()
	h.settled("a", 7, 3)
	none, err := first.FetchNoWait(1)
	require.NoError(t, err)
	require.EqualError(t, nothing(t, none), "nats: Exceeded MaxAckPending")
	require.NoError(t, m.DoubleAck(ctx(t)))
	require.NoError(t, got[0].DoubleAck(ctx(t)))
	for range 2 {
		require.NotNil(t, <-b.Messages())
	}
	h.settled("a", 5, 3)
	s, err := h.jetStream().Stream(ctx(t), "QUEUES")
	require.NoError(t, err)
	require.NoError(t, s.DeleteConsumer(ctx(t), "w"))
	h.settled("a", 8, 0)
	require.Nil(t, <-b.Messages())
	require.ErrorIs(t, b.Error(), jetstream.ErrConsumerDeleted)
	require.ErrorIs(t, s.DeleteConsumer(ctx(t), "w"), jetstream.ErrConsumerNotFound)
}

func TestFetchBytesStopsInTime(t *testing.T) {
	h := newHouse(t, options{})
	s := h.session()
	for range 20 {
		require.NoError(t, h.send(s, &gateway.Message{Destination: queue("a"), Body: make([]byte, 1000), Persistent: true}))
	}
	c := h.consumer(h.jetStream(), "w", "a")
	b, err := c.FetchBytes(5000, jetstream.FetchMaxWait(patience))
	require.NoError(t, err)
	n := 0
	for m := range b.Messages() {
		require.NoError(t, m.DoubleAck(ctx(t)))
		n++
	}
	require.NoError(t, b.Error())
	require.Contains(t, []int{3, 4}, n, "subjects and headers count, too")
	h.settled("a", 20-n, 0)
	b, err = c.FetchBytes(100, jetstream.FetchMaxWait(patience))
	require.NoError(t, err)
	require.NoError(t, nothing(t, b))
	again := fetch(t, c, 1)[0]
	require.EqualValues(t, 1, deliveries(t, again), "what did not fit was not handed out")
}

func TestHeartbeatsAndTheEndOfARequest(t *testing.T) {
	h := newHouse(t, options{})
	h.consumer(h.jetStream(), "w", "a")
	nc := h.connect()
	inbox := nc.NewInbox()
	sub := listen(t, nc, inbox)
	require.NoError(t, nc.PublishRequest("$JS.API.CONSUMER.MSG.NEXT.QUEUES.w", inbox, []byte(`{"batch":5,"expires":350000000,"idle_heartbeat":100000000,"max_bytes":1000}`)))
	for range 2 {
		m := hear(t, sub)
		require.Equal(t, "100", m.Header.Get("Status"))
	}
	for {
		m := hear(t, sub)
		if m.Header.Get("Status") == "100" {
			continue
		}
		require.Equal(t, natsgo.Header{"Status": {"408"}, "Description": {"Request Timeout"}, "Nats-Pending-Messages": {"5"}, "Nats-Pending-Bytes": {"1000"}}, m.Header)
		break
	}
	require.NoError(t, nc.PublishRequest("$JS.API.CONSUMER.MSG.NEXT.QUEUES.w", inbox, []byte(`{"batch":-1}`)))
	m := hear(t, sub)
	require.Equal(t, "400", m.Header.Get("Status"))
	require.Equal(t, "Bad Request - a number is below zero", m.Header.Get("Description"))
	require.NoError(t, nc.PublishRequest("$JS.API.CONSUMER.MSG.NEXT.QUEUES.nobody", inbox, nil))
	require.Equal(t, "Consumer not found: nobody", hear(t, sub).Header.Get("Description"))
}

// Durable consumers are there after a restart, and those that are not go when nobody uses them.
func TestConsumersSurviveARestart(t *testing.T) {
	book := filepath.Join(t.TempDir(), "consumers.json")
	h := newHouse(t, options{book: book})
	c := h.consumer(h.jetStream(), "w", "a", func(c *jetstream.ConsumerConfig) { c.AckWait = time.Minute })
	before := c.CachedInfo()
	require.NoError(t, h.door.Drain(ctx(t)))
	require.NoError(t, h.serveReturned())

	again := newHouse(t, options{book: book})
	js := again.jetStream()
	c, err := js.Consumer(ctx(t), "QUEUES", "w")
	require.NoError(t, err)
	require.Equal(t, before.Config, c.CachedInfo().Config)
	require.True(t, before.Created.Equal(c.CachedInfo().Created))
	_, err = js.CreateConsumer(ctx(t), "QUEUES", jetstream.ConsumerConfig{Durable: "w", FilterSubject: "queue.a"})
	require.ErrorIs(t, err, jetstream.ErrConsumerExists)
	_, err = js.CreateOrUpdateConsumer(ctx(t), "QUEUES", jetstream.ConsumerConfig{Durable: "w", FilterSubject: "queue.b"})
	require.ErrorContains(t, err, "for another queue: queue.a")
	_, err = js.UpdateConsumer(ctx(t), "QUEUES", jetstream.ConsumerConfig{Durable: "w2", FilterSubject: "queue.b"})
	require.ErrorIs(t, err, jetstream.ErrConsumerDoesNotExist)

	short, err := js.CreateConsumer(ctx(t), "QUEUES", jetstream.ConsumerConfig{FilterSubject: "queue.b", InactiveThreshold: time.Millisecond})
	require.NoError(t, err)
	require.NotEmpty(t, short.CachedInfo().Name)
	require.Eventually(t, func() bool {
		_, err := short.Info(ctx(t))
		return err != nil
	}, patience, 10*time.Millisecond)
}

func TestDrainEndsRequestsAndKeepsWhatWasAcknowledged(t *testing.T) {
	h := newHouse(t, options{})
	h.fill("a", 4)
	c := h.consumer(h.jetStream(), "w", "a")
	got := fetch(t, c, 4)
	st := h.door.Stats()
	require.Equal(t, []int{4, 4, 1}, []int{int(st.Handed), st.Held, st.Workers})
	b, err := c.Fetch(1, jetstream.FetchMaxWait(patience))
	require.NoError(t, err)
	require.Eventually(t, func() bool { return h.infos()["w"] == 1 }, patience, time.Millisecond)
	for _, m := range got[:2] {
		require.NoError(t, m.DoubleAck(ctx(t)))
	}
	require.NoError(t, h.door.Drain(ctx(t)))
	require.ErrorIs(t, nothing(t, b), jetstream.ErrServerShutdown)
	h.settled("a", 2, 0)
	require.ErrorIs(t, got[2].DoubleAck(ctx(t)), natsgo.ErrNoResponders)
}

func TestTheOlderPullSubscribe(t *testing.T) {
	h := newHouse(t, options{})
	h.fill("orders", 3)
	js, err := h.connect().JetStream() //nolint:staticcheck // it is what many services still use
	require.NoError(t, err)
	sub, err := js.PullSubscribe("queue.orders", "w")
	require.NoError(t, err)
	got, err := sub.Fetch(3, natsgo.MaxWait(patience))
	require.NoError(t, err)
	require.Len(t, got, 3)
	require.NoError(t, got[0].AckSync())
	require.NoError(t, got[1].Ack())
	require.NoError(t, got[2].Nak())
	again, err := sub.Fetch(1, natsgo.MaxWait(patience))
	require.NoError(t, err)
	meta, err := again[0].Metadata()
	require.NoError(t, err)
	require.EqualValues(t, 2, meta.NumDelivered)
	require.NoError(t, again[0].AckSync())
	h.settled("orders", 0, 0)
	_, err = sub.Fetch(1, natsgo.MaxWait(50*time.Millisecond))
	require.ErrorIs(t, err, natsgo.ErrTimeout)
	require.NoError(t, sub.Unsubscribe())
}

// Whatever queues cannot do is refused in words, and never with a yes.
func TestWhatQueuesCannotDo(t *testing.T) {
	h := newHouse(t, options{})
	nc := h.connect()
	js, err := jetstream.New(nc)
	require.NoError(t, err)
	refused := func(subject, body, words string) {
		t.Helper()
		m, err := nc.RequestWithContext(ctx(t), "$JS.API."+subject, []byte(body))
		require.NoError(t, err, subject)
		var answer struct {
			Type  string
			Error *jetstream.APIError
		}
		require.NoError(t, json.Unmarshal(m.Data, &answer), subject)
		require.NotNil(t, answer.Error, subject)
		require.Contains(t, answer.Error.Description, words, subject)
	}
	refused("STREAM.CREATE.QUEUES", `{"name":"QUEUES"}`, "can be neither made")
	refused("STREAM.DELETE.QUEUES", ``, "can be neither made")
	refused("STREAM.CREATE.TOPICS", `{}`, "the name TOPICS is taken")
	refused("STREAM.CREATE.MINE", `{}`, "does not match")
	refused("STREAM.PURGE.QUEUES", ``, "cannot be emptied")
	refused("STREAM.MSG.GET.QUEUES", `{"seq":1}`, "cannot be read")
	refused("STREAM.MSG.DELETE.QUEUES", `{"seq":1}`, "cannot be emptied")
	refused("STREAM.SNAPSHOT.QUEUES", ``, "is not supported")
	refused("STREAM.INFO.MINE", ``, "stream not found")
	refused("CONSUMER.PAUSE.QUEUES.w", ``, "is not supported")
	refused("CONSUMER.RESET.QUEUES.w", ``, "cannot be replayed")
	refused("CONSUMER.CREATE.QUEUES.w", `{`, "invalid JSON")
	refused("CONSUMER.CREATE.QUEUES.w.queue.b", `{"config":{"filter_subject":"queue.a"}}`, "not that in the subject")
	refused("CONSUMER.CREATE.QUEUES.w", `{"config":{"filter_subject":"topic.a"}}`, "no queue.<name>")
	refused("CONSUMER.CREATE.QUEUES.w", `{"config":{"filter_subject":"queue.a","name":"v"}}`, "not that in the subject")
	refused("CONSUMER.CREATE.QUEUES.w", `{"config":{"filter_subject":"queue.%2A"}}`, "pattern")
	refused("STREAM.FLY.ME", ``, "does not know")

	_, err = js.CreateOrUpdateConsumer(ctx(t), "QUEUES", jetstream.ConsumerConfig{Durable: "w"})
	require.ErrorContains(t, err, "needs a filter subject")
	_, err = js.CreateOrUpdateConsumer(ctx(t), "QUEUES", jetstream.ConsumerConfig{Durable: "w", FilterSubjects: []string{"queue.a", "queue.b"}})
	require.ErrorContains(t, err, "several filter subjects")
	_, err = js.CreateOrUpdatePushConsumer(ctx(t), "QUEUES", jetstream.ConsumerConfig{Durable: "w", FilterSubject: "queue.a", DeliverSubject: "x"})
	require.ErrorContains(t, err, "push consumers")
	ordered, err := js.OrderedConsumer(ctx(t), "QUEUES", jetstream.OrderedConsumerConfig{FilterSubjects: []string{"queue.a"}})
	if err == nil {
		_, err = ordered.Next()
	}
	require.Error(t, err)
	_, err = js.KeyValue(ctx(t), "bucket")
	require.ErrorIs(t, err, jetstream.ErrBucketNotFound)
	_, err = js.Stream(ctx(t), "MINE")
	require.ErrorIs(t, err, jetstream.ErrStreamNotFound)
	s, err := js.Stream(ctx(t), "QUEUES")
	require.NoError(t, err)
	_, err = s.GetMsg(ctx(t), 1)
	require.ErrorContains(t, err, "cannot be read")
	_, err = js.AccountInfo(ctx(t))
	require.NoError(t, err)
	name, err := js.StreamNameBySubject(ctx(t), "queue.x")
	require.NoError(t, err)
	require.Equal(t, "QUEUES", name)
	_, err = js.StreamNameBySubject(ctx(t), "other.x")
	require.ErrorIs(t, err, jetstream.ErrStreamNotFound)
}

func TestAConsumerOfAQueueThatMayNotBeReadIsRefused(t *testing.T) {
	h := newHouse(t, options{deny: func(_ gateway.Principal, a gateway.Action, d gateway.Destination) error {
		if a == gateway.Read && d.Name == "secret" {
			return gateway.Errorf(gateway.Denied, "you may not read %s", d)
		}
		return nil
	}})
	_, err := h.jetStream().CreateOrUpdateConsumer(ctx(t), "QUEUES", jetstream.ConsumerConfig{Durable: "w", FilterSubject: "queue.secret"})
	var refusal *jetstream.APIError
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, "you may not read queue://secret", refusal.Description)
	require.Equal(t, 403, refusal.Code)
}

// A worker that asks again and again for single messages leaves nothing behind.
func TestSingleRequestsLeaveNothingBehind(t *testing.T) {
	h := newHouse(t, options{})
	h.fill("a", 200)
	js := h.jetStream()
	c := h.consumer(js, "w", "a")
	for range 200 {
		m, err := c.Next(jetstream.FetchMaxWait(patience))
		require.NoError(t, err)
		require.NoError(t, m.Ack())
	}
	h.settled("a", 0, 0)
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	before := h.server.NumSubscriptions()
	b, err := c.Fetch(10, jetstream.FetchContext(cancelled))
	require.NoError(t, err)
	require.ErrorIs(t, nothing(t, b), context.Canceled)
	require.NoError(t, js.Conn().Flush())
	require.Eventually(t, func() bool { return h.server.NumSubscriptions() == before }, patience, time.Millisecond, "it listens no more")
	require.Eventually(t, func() bool { return h.infos()["w"] == 0 }, patience, 10*time.Millisecond)
	h.fill("a", 1)
	require.EqualValues(t, 1, deliveries(t, fetch(t, c, 1)[0]))
}

// However much a worker asks for, it gets what is there, and nothing overflows.
func TestEndlessRequests(t *testing.T) {
	h := newHouse(t, options{})
	h.consumer(h.jetStream(), "w", "a", func(c *jetstream.ConsumerConfig) { c.MaxAckPending, c.AckWait = -1, math.MaxInt64 })
	nc := h.connect()
	inbox := nc.NewInbox()
	sub := listen(t, nc, inbox)
	for range 5 {
		require.NoError(t, nc.PublishRequest("$JS.API.CONSUMER.MSG.NEXT.QUEUES.w", inbox, []byte(`{"batch":9223372036854775807,"max_bytes":9223372036854775807}`)))
		require.NoError(t, nc.PublishRequest("$JS.API.CONSUMER.MSG.NEXT.QUEUES.w", inbox, []byte(`{"batch":1073741825,"idle_heartbeat":9223372036854775807}`)))
		require.NoError(t, nc.PublishRequest("$JS.API.CONSUMER.MSG.NEXT.QUEUES.w", inbox, []byte(`{"expires":9223372036854775807,"batch":9}`)))
	}
	require.Eventually(t, func() bool { return h.infos()["w"] == 15 }, patience, time.Millisecond)
	h.fill("a", 100)
	for i := range 100 {
		m := hear(t, sub)
		require.Equal(t, strconv.Itoa(i), string(m.Data))
		require.NoError(t, m.Respond([]byte("+WPI")))
		require.NoError(t, m.Respond([]byte(`-NAK {"delay":9223372036854775807}`)))
		require.NoError(t, m.Respond([]byte("+ACK")))
	}
	h.settled("a", 0, 0)
	nc.Close()
	require.Eventually(t, func() bool { return h.door.Stats().Workers == 0 }, patience, time.Millisecond)
	h.fill("a", 1)
	h.settled("a", 1, 0)
}
