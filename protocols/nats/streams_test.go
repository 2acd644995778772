package nats_test

import (
	"encoding/json"
	"fmt"
	"strconv"
	"testing"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
)

// makeStream makes a stream of a client's own.
func makeStream(t testing.TB, js jetstream.JetStream, cfg jetstream.StreamConfig) jetstream.Stream {
	t.Helper()
	s, err := js.CreateStream(ctx(t), cfg)
	require.NoError(t, err)
	return s
}

// publish publishes n numbered messages and waits for their PubAcks.
func publish(t testing.TB, js jetstream.JetStream, stream, subject string, n int) {
	t.Helper()
	for i := range n {
		ack, err := js.Publish(ctx(t), subject, []byte(strconv.Itoa(i)))
		require.NoError(t, err)
		require.Equal(t, stream, ack.Stream)
	}
}

// A client has streams of its own and consumes our queues with one connection.
func TestStreamsOfClientsBesideQueues(t *testing.T) {
	h := newHouse(t, options{})
	js := h.jetStream()
	s := makeStream(t, js, jetstream.StreamConfig{Name: "ORDERS", Subjects: []string{"orders.>"}, AllowDirect: true})
	publish(t, js, "ORDERS", "orders.new", 20)
	h.fill("work", 20)

	own, err := s.CreateConsumer(ctx(t), jetstream.ConsumerConfig{Durable: "d", AckPolicy: jetstream.AckExplicitPolicy, AckWait: time.Minute})
	require.NoError(t, err)
	queues := h.consumer(js, "w", "work")
	for range 2 {
		for _, c := range []jetstream.Consumer{own, queues} {
			for i, m := range fetch(t, c, 5) {
				require.Contains(t, []string{"orders.new", "queue.work"}, m.Subject())
				if i%2 == 0 {
					require.NoError(t, m.DoubleAck(ctx(t)))
				} else {
					require.NoError(t, m.Nak())
				}
			}
		}
	}
	done := make(chan string, 100)
	for _, c := range []jetstream.Consumer{own, queues} {
		consuming, err := c.Consume(func(m jetstream.Msg) {
			if m.DoubleAck(ctx(t)) == nil {
				done <- m.Subject()
			}
		})
		require.NoError(t, err)
		defer consuming.Stop()
	}
	left := map[string]int{"orders.new": 14, "queue.work": 14}
	for left["orders.new"]+left["queue.work"] > 0 {
		select {
		case subject := <-done:
			left[subject]--
		case <-time.After(patience):
			require.Fail(t, "messages are missing", "%v", left)
		}
	}
	require.Equal(t, map[string]int{"orders.new": 0, "queue.work": 0}, left)
	h.settled("work", 0, 0)
	info, err := own.Info(ctx(t))
	require.NoError(t, err)
	require.EqualValues(t, 20, info.AckFloor.Stream)

	m, err := s.GetMsg(ctx(t), 3) // direct
	require.NoError(t, err)
	require.Equal(t, "2", string(m.Data))
	require.NoError(t, s.DeleteMsg(ctx(t), 3))
	_, err = s.GetMsg(ctx(t), 3)
	require.ErrorIs(t, err, jetstream.ErrMsgNotFound)
	require.NoError(t, s.Purge(ctx(t)))
	state, err := s.Info(ctx(t))
	require.NoError(t, err)
	require.Zero(t, state.State.Msgs)
	require.NoError(t, s.DeleteConsumer(ctx(t), "d"))
	require.NoError(t, js.DeleteStream(ctx(t), "ORDERS"))
	_, err = js.Stream(ctx(t), "ORDERS")
	require.ErrorIs(t, err, jetstream.ErrStreamNotFound)
}

// Ordered and push consumers, with flow control and heartbeats, and the older calls.
func TestConsumersOfAllKindsOnOwnStreams(t *testing.T) {
	const n = 3000
	h := newHouse(t, options{})
	js := h.jetStream()
	makeStream(t, js, jetstream.StreamConfig{Name: "S", Subjects: []string{"s.*"}, Storage: jetstream.MemoryStorage})
	for i := range n {
		_, err := js.PublishAsync("s.a", []byte(fmt.Sprintf("%0500d", i)))
		require.NoError(t, err)
	}
	select {
	case <-js.PublishAsyncComplete():
	case <-time.After(patience):
		require.Fail(t, "PubAcks are missing")
	}
	ordered, err := js.OrderedConsumer(ctx(t), "S", jetstream.OrderedConsumerConfig{})
	require.NoError(t, err)
	it, err := ordered.Messages()
	require.NoError(t, err)
	for i := range n {
		m, err := it.Next()
		require.NoError(t, err)
		require.Equal(t, fmt.Sprintf("%0500d", i), string(m.Data()))
	}
	it.Stop()

	old, err := h.connect().JetStream()
	require.NoError(t, err)
	for _, opts := range [][]natsgo.SubOpt{
		{natsgo.OrderedConsumer()},
		{natsgo.EnableFlowControl(), natsgo.IdleHeartbeat(time.Second), natsgo.DeliverAll(), natsgo.AckNone()},
	} {
		sub, err := old.SubscribeSync("s.*", opts...)
		require.NoError(t, err)
		for i := range n {
			m, err := sub.NextMsg(patience)
			require.NoError(t, err)
			require.Equal(t, fmt.Sprintf("%0500d", i), string(m.Data))
		}
		require.NoError(t, sub.Unsubscribe())
	}
	pull, err := old.PullSubscribe("s.*", "p")
	require.NoError(t, err)
	got, err := pull.Fetch(100, natsgo.MaxWait(patience))
	require.NoError(t, err)
	require.Len(t, got, 100)
	for _, m := range got {
		require.NoError(t, m.AckSync())
	}
}

func TestBucketsAndObjectStores(t *testing.T) {
	h := newHouse(t, options{})
	js := h.jetStream()
	kv, err := js.CreateKeyValue(ctx(t), jetstream.KeyValueConfig{Bucket: "settings", History: 5})
	require.NoError(t, err)
	watched, err := kv.WatchAll(ctx(t))
	require.NoError(t, err)
	require.Nil(t, <-watched.Updates()) // nothing is there
	_, err = kv.Create(ctx(t), "a.b", []byte("1"))
	require.NoError(t, err)
	_, err = kv.Create(ctx(t), "a.b", []byte("1"))
	require.ErrorIs(t, err, jetstream.ErrKeyExists)
	revision, err := kv.PutString(ctx(t), "a.b", "2")
	require.NoError(t, err)
	_, err = kv.Update(ctx(t), "a.b", []byte("3"), revision)
	require.NoError(t, err)
	_, err = kv.Update(ctx(t), "a.b", []byte("4"), revision)
	require.Error(t, err)
	entry, err := kv.Get(ctx(t), "a.b")
	require.NoError(t, err)
	require.Equal(t, "3", string(entry.Value()))
	history, err := kv.History(ctx(t), "a.b")
	require.NoError(t, err)
	require.Len(t, history, 3)
	require.NoError(t, kv.Delete(ctx(t), "a.b"))
	_, err = kv.Get(ctx(t), "a.b")
	require.ErrorIs(t, err, jetstream.ErrKeyNotFound)
	for _, want := range []string{"1", "2", "3", ""} {
		select {
		case e := <-watched.Updates():
			require.Equal(t, want, string(e.Value()))
		case <-time.After(patience):
			require.Fail(t, "an update is missing")
		}
	}
	require.NoError(t, watched.Stop())
	require.NoError(t, kv.PurgeDeletes(ctx(t), jetstream.DeleteMarkersOlderThan(-1)))
	keys, err := kv.Keys(ctx(t))
	require.ErrorIs(t, err, jetstream.ErrNoKeysFound)
	require.Empty(t, keys)
	status, err := kv.Status(ctx(t))
	require.NoError(t, err)
	require.Equal(t, "settings", status.Bucket())

	objects, err := js.CreateObjectStore(ctx(t), jetstream.ObjectStoreConfig{Bucket: "files"})
	require.NoError(t, err)
	large := make([]byte, 3<<20)
	for i := range large {
		large[i] = byte(i * 7)
	}
	_, err = objects.PutBytes(ctx(t), "x", large)
	require.NoError(t, err)
	got, err := objects.GetBytes(ctx(t), "x")
	require.NoError(t, err)
	require.Equal(t, large, got)
	require.NoError(t, objects.Delete(ctx(t), "x"))
	require.NoError(t, js.DeleteObjectStore(ctx(t), "files"))
	require.NoError(t, js.DeleteKeyValue(ctx(t), "settings"))
}

// One stream reads another, as far as both are clients' own.
func TestOwnStreamsReadOneAnother(t *testing.T) {
	h := newHouse(t, options{})
	js := h.jetStream()
	makeStream(t, js, jetstream.StreamConfig{Name: "A", Subjects: []string{"a.*"}, RePublish: &jetstream.RePublish{Source: "a.*", Destination: "heard.a.{{wildcard(1)}}"}})
	heard := listen(t, js.Conn(), "heard.>")
	publish(t, js, "A", "a.x", 10)
	require.Equal(t, "heard.a.x", hear(t, heard).Subject)
	makeStream(t, js, jetstream.StreamConfig{Name: "B", Mirror: &jetstream.StreamSource{Name: "A"}})
	makeStream(t, js, jetstream.StreamConfig{Name: "C", Subjects: []string{"c"}, Sources: []*jetstream.StreamSource{{
		Name: "A", SubjectTransforms: []jetstream.SubjectTransformConfig{{Source: "a.*", Destination: "b.$1"}},
	}}})
	for _, name := range []string{"B", "C"} {
		require.Eventually(t, func() bool {
			s, err := js.Stream(ctx(t), name)
			require.NoError(t, err)
			return s.CachedInfo().State.Msgs == 10
		}, patience, 10*time.Millisecond, name)
	}
}

// The list of streams is that of the queues and clients' own, in pages; never those of others.
func TestListsOfStreams(t *testing.T) {
	h := newHouse(t, options{})
	hidden := h.jetStreamOf("store")
	makeStream(t, hidden, jetstream.StreamConfig{Name: "Q_00", Subjects: []string{"q.>"}})
	js := h.jetStream()
	names := func(opts ...jetstream.StreamListOpt) (all []string) {
		l := js.StreamNames(ctx(t), opts...)
		for name := range l.Name() {
			all = append(all, name)
		}
		require.NoError(t, l.Err())
		return all
	}
	require.Equal(t, []string{"QUEUES"}, names())
	for i := range 3 {
		makeStream(t, js, jetstream.StreamConfig{Name: fmt.Sprintf("S%d", i), Subjects: []string{fmt.Sprintf("s%d.>", i)}})
	}
	h.consumer(js, "w", "a")
	require.Equal(t, []string{"QUEUES", "S0", "S1", "S2"}, names())
	require.Equal(t, []string{"S1"}, names(jetstream.WithStreamListSubject("s1.a")))
	require.Equal(t, []string{"QUEUES"}, names(jetstream.WithStreamListSubject("queue.a")))
	require.Empty(t, names(jetstream.WithStreamListSubject("q.a")))
	l := js.ListStreams(ctx(t))
	var infos []string
	for i := range l.Info() {
		infos = append(infos, i.Config.Name)
	}
	require.NoError(t, l.Err())
	require.Equal(t, []string{"QUEUES", "S0", "S1", "S2"}, infos)
	for offset, want := range [][]string{{"QUEUES", "S0", "S1", "S2"}, {"S0", "S1", "S2"}, {"S1", "S2"}, {"S2"}, nil, nil} {
		m, err := js.Conn().RequestWithContext(ctx(t), "$JS.API.STREAM.NAMES", fmt.Appendf(nil, `{"offset":%d}`, offset))
		require.NoError(t, err)
		var page struct {
			Total, Offset int
			Streams       []string
		}
		require.NoError(t, json.Unmarshal(m.Data, &page))
		require.Equal(t, 4, page.Total)
		require.Equal(t, offset, page.Offset)
		require.Len(t, page.Streams, len(want))
		require.Subset(t, page.Streams, want)
	}
	account, err := js.AccountInfo(ctx(t))
	require.NoError(t, err)
	require.Equal(t, 4, account.Streams)
	require.Equal(t, 1, account.Consumers)
	require.EqualValues(t, 64<<20, account.Limits.MaxStore)
	name, err := js.StreamNameBySubject(ctx(t), "s2.x")
	require.NoError(t, err)
	require.Equal(t, "S2", name)
}

// jetStreamOf is that of another account, around the door.
func (h *house) jetStreamOf(user string) jetstream.JetStream {
	js, err := jetstream.New(h.connect(natsgo.UserInfo(user, "x")))
	require.NoError(h.t, err)
	return js
}

func TestLimitsOfOwnStreams(t *testing.T) {
	h := newHouse(t, options{})
	js := h.jetStream()
	makeStream(t, js, jetstream.StreamConfig{Name: "M", Subjects: []string{"m"}, Storage: jetstream.MemoryStorage})
	large := make([]byte, 1<<20)
	var err error
	for range 20 {
		if _, err = js.Publish(ctx(t), "m", large); err != nil {
			break
		}
	}
	var refusal *jetstream.APIError
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, "resource limits exceeded for account", refusal.Description)
	for i := range 25 {
		if _, err = js.CreateStream(ctx(t), jetstream.StreamConfig{Name: fmt.Sprintf("S%d", i), Subjects: []string{fmt.Sprintf("s%d", i)}}); err != nil {
			require.Equal(t, 19, i)
			break
		}
	}
	require.ErrorContains(t, err, "maximum number of streams reached")
	for i := range 25 {
		if _, err = js.CreateConsumer(ctx(t), "M", jetstream.ConsumerConfig{Durable: fmt.Sprintf("c%d", i), AckPolicy: jetstream.AckExplicitPolicy}); err != nil {
			require.Equal(t, 20, i)
			break
		}
	}
	require.ErrorContains(t, err, "maximum consumers limit reached")
}

// Where streams of clients' own are switched off the queues are there as ever.
func TestWithoutStreamsOfTheirOwn(t *testing.T) {
	h := newHouse(t, options{alone: true})
	js := h.jetStream()
	_, err := js.CreateStream(ctx(t), jetstream.StreamConfig{Name: "MINE", Subjects: []string{"mine"}})
	require.ErrorContains(t, err, "switched off on this node")
	_, err = js.CreateKeyValue(ctx(t), jetstream.KeyValueConfig{Bucket: "b"})
	require.ErrorContains(t, err, "switched off on this node")
	_, err = js.Stream(ctx(t), "MINE")
	require.ErrorIs(t, err, jetstream.ErrStreamNotFound)
	account, err := js.AccountInfo(ctx(t))
	require.NoError(t, err)
	require.Equal(t, 1, account.Streams)
	h.fill("a", 1)
	require.NoError(t, fetch(t, h.consumer(js, "w", "a"), 1)[0].DoubleAck(ctx(t)))
}
