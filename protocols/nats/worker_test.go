package nats_test

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
)

// consumer makes a consumer as a Go worker does.
func (h *house) consumer(js jetstream.JetStream, name, queue string, change ...func(*jetstream.ConsumerConfig)) jetstream.Consumer {
	h.t.Helper()
	cfg := jetstream.ConsumerConfig{Durable: name, FilterSubject: "queue." + queue, AckPolicy: jetstream.AckExplicitPolicy}
	for _, c := range change {
		c(&cfg)
	}
	c, err := js.CreateOrUpdateConsumer(ctx(h.t), "QUEUES", cfg)
	require.NoError(h.t, err)
	return c
}

// fill puts n numbered messages into a queue.
func (h *house) fill(name string, n int) {
	h.t.Helper()
	s := h.session()
	for i := range n {
		require.NoError(h.t, h.send(s, &gateway.Message{Destination: queue(name), Body: []byte(strconv.Itoa(i)), Persistent: true}))
	}
	s.Close()
}

// settled waits until a queue holds that many messages, with and without a consumer.
func (h *house) settled(name string, waiting, inFlight int) {
	h.t.Helper()
	require.Eventually(h.t, func() bool {
		s, _ := h.broker.Queue(name)
		return s.Waiting == waiting && s.InFlight == inFlight
	}, patience, time.Millisecond, "%s should have %d waiting and %d in flight", name, waiting, inFlight)
}

// fetch waits for n messages.
func fetch(t testing.TB, c jetstream.Consumer, n int) []jetstream.Msg {
	t.Helper()
	b, err := c.Fetch(n, jetstream.FetchMaxWait(patience))
	require.NoError(t, err)
	var all []jetstream.Msg
	for m := range b.Messages() {
		all = append(all, m)
	}
	require.NoError(t, b.Error())
	require.Len(t, all, n)
	return all
}

// nothing waits until a request is over that brings no message, and returns why.
func nothing(t testing.TB, b jetstream.MessageBatch) error {
	t.Helper()
	for m := range b.Messages() {
		require.Fail(t, "a message came", "%s", m.Data())
	}
	return b.Error()
}

func deliveries(t testing.TB, m jetstream.Msg) uint64 {
	t.Helper()
	meta, err := m.Metadata()
	require.NoError(t, err)
	return meta.NumDelivered
}

func TestAWorkerConsumes(t *testing.T) {
	h := newHouse(t, options{})
	h.fill("orders.new", 5)
	js := h.jetStream()
	c := h.consumer(js, "w", "orders.new")
	require.Equal(t, "queue.orders.new", c.CachedInfo().Config.FilterSubject)
	require.EqualValues(t, 5, c.CachedInfo().NumPending)

	got := fetch(t, c, 3)
	last := uint64(0)
	for i, m := range got {
		require.Equal(t, strconv.Itoa(i), string(m.Data()))
		require.Equal(t, "queue.orders.new", m.Subject())
		require.Equal(t, []string{"true"}, m.Headers()["persistent"])
		meta, err := m.Metadata()
		require.NoError(t, err)
		require.Equal(t, "QUEUES", meta.Stream)
		require.Equal(t, "w", meta.Consumer)
		require.EqualValues(t, 1, meta.NumDelivered)
		require.EqualValues(t, i+1, meta.Sequence.Consumer)
		require.EqualValues(t, 4-i, meta.NumPending)
		require.Greater(t, meta.Sequence.Stream, last)
		require.WithinDuration(t, time.Now(), meta.Timestamp, time.Minute)
		last = meta.Sequence.Stream
	}
	h.settled("orders.new", 2, 3)
	info, err := c.Info(ctx(t))
	require.NoError(t, err)
	require.Equal(t, 3, info.NumAckPending)
	require.EqualValues(t, 2, info.NumPending)
	require.EqualValues(t, 3, info.Delivered.Consumer)
	require.Zero(t, info.AckFloor.Consumer)
	require.NoError(t, got[0].Ack())
	require.NoError(t, got[1].DoubleAck(ctx(t)))
	require.NoError(t, got[2].DoubleAck(ctx(t)))
	h.settled("orders.new", 2, 0)

	one, err := c.Next()
	require.NoError(t, err)
	require.NoError(t, one.DoubleAck(ctx(t)))
	rest, err := c.FetchNoWait(10)
	require.NoError(t, err)
	n := 0
	for m := range rest.Messages() {
		require.Equal(t, "4", string(m.Data()))
		require.NoError(t, m.DoubleAck(ctx(t)))
		n++
	}
	require.Equal(t, 1, n)
	require.NoError(t, rest.Error())
	h.settled("orders.new", 0, 0)
	_, err = c.Next(jetstream.FetchMaxWait(30 * time.Millisecond))
	require.ErrorIs(t, err, natsgo.ErrTimeout)
	none, err := c.FetchNoWait(1)
	require.NoError(t, err)
	require.NoError(t, nothing(t, none))
}

// The consumer that is named like its queue needs not be made.
func TestTheConsumerNamedLikeTheQueueIsThere(t *testing.T) {
	h := newHouse(t, options{})
	js := h.jetStream()
	_, err := js.Consumer(ctx(t), "QUEUES", "orders")
	require.ErrorIs(t, err, jetstream.ErrConsumerNotFound, "nobody knows the queue")
	h.fill("orders", 1)
	c, err := js.Consumer(ctx(t), "QUEUES", "orders")
	require.NoError(t, err)
	require.Equal(t, "queue.orders", c.CachedInfo().Config.FilterSubject)
	require.NoError(t, fetch(t, c, 1)[0].DoubleAck(ctx(t)))
	s, err := js.Stream(ctx(t), "QUEUES")
	require.NoError(t, err)
	require.Equal(t, []string{"queue.>"}, s.CachedInfo().Config.Subjects)
	_, err = s.Consumer(ctx(t), "orders")
	require.NoError(t, err)
	_, err = s.Consumer(ctx(t), "others")
	require.ErrorIs(t, err, jetstream.ErrConsumerNotFound)
}

// Workers of several consumers and STOMP clients share a queue: each message goes to one of them.
func TestWorkersCompete(t *testing.T) {
	const n = 600
	h := newHouse(t, options{})
	var mu sync.Mutex
	seen := map[string]int{}
	by := map[string]int{}
	note := func(who string, body []byte) int {
		mu.Lock()
		defer mu.Unlock()
		seen[string(body)]++
		by[who]++
		return len(seen)
	}
	for _, name := range []string{"one", "two"} {
		c := h.consumer(h.jetStream(), name, "jobs")
		consuming, err := c.Consume(func(m jetstream.Msg) {
			note(name, m.Data())
			_ = m.Ack()
		}, jetstream.PullMaxMessages(10))
		require.NoError(t, err)
		t.Cleanup(consuming.Stop)
	}
	r := h.subscribe(h.session(), queue("jobs"))
	quit := make(chan struct{})
	var reading sync.WaitGroup
	reading.Go(func() {
		batch := make([]gateway.Delivery, 10)
		for {
			got := r.sub.Next(batch, 1<<20)
			for _, d := range batch[:got] {
				note("stomp", d.Message.Body)
			}
			r.sub.Written(got)
			if got == 0 {
				select {
				case <-r.wake:
				case <-quit:
					return
				}
			}
		}
	})
	require.Eventually(t, func() bool {
		i := h.infos()
		return i["one"] > 0 && i["two"] > 0
	}, patience, time.Millisecond)
	h.fill("jobs", n)
	require.Eventually(t, func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(seen) == n
	}, patience, time.Millisecond)
	h.settled("jobs", 0, 0)
	close(quit)
	reading.Wait()
	for body, times := range seen {
		require.Equal(t, 1, times, body)
	}
	for _, who := range []string{"one", "two", "stomp"} {
		require.NotZero(t, by[who], "everybody gets a share: %v", by)
	}
}

// infos is how many requests wait at each consumer.
func (h *house) infos() map[string]int {
	waiting := map[string]int{}
	s, err := h.jetStream().Stream(ctx(h.t), "QUEUES")
	require.NoError(h.t, err)
	for i := range s.ListConsumers(ctx(h.t)).Info() {
		waiting[i.Name] = i.NumWaiting
	}
	return waiting
}

// Nobody gets more than he asked for: what one worker does not want, others have.
func TestAWorkerGetsNoMoreThanItAskedFor(t *testing.T) {
	h := newHouse(t, options{})
	h.fill("a", 100)
	c := h.consumer(h.jetStream(), "w", "a")
	got := fetch(t, c, 3)
	h.settled("a", 97, 3)
	require.NoError(t, got[0].DoubleAck(ctx(t)))
	require.NoError(t, got[1].Nak())
	h.settled("a", 98, 1)
	require.Len(t, h.subscribe(h.session(), queue("a")).next(98), 98)
	require.NoError(t, got[2].DoubleAck(ctx(t)))
	h.settled("a", 0, 0)
}

func TestNakGivesBackAndCounts(t *testing.T) {
	h := newHouse(t, options{})
	h.fill("a", 2)
	c := h.consumer(h.jetStream(), "w", "a")
	m := fetch(t, c, 1)[0]
	require.NoError(t, m.Nak())
	again := fetch(t, c, 2)
	require.Equal(t, "0", string(again[0].Data()), "it has its old place")
	require.EqualValues(t, 2, deliveries(t, again[0]))
	require.EqualValues(t, 1, deliveries(t, again[1]))

	const delay = 300 * time.Millisecond
	began := time.Now()
	require.NoError(t, again[0].NakWithDelay(delay))
	require.NoError(t, again[1].DoubleAck(ctx(t)))
	later := fetch(t, c, 1)[0]
	require.GreaterOrEqual(t, time.Since(began), delay)
	require.EqualValues(t, 3, deliveries(t, later))
	require.ErrorIs(t, again[0].Ack(), jetstream.ErrMsgAlreadyAckd)
	require.NoError(t, later.DoubleAck(ctx(t)))
	h.settled("a", 0, 0)
}

// What takes too long goes back, marked; a sign of progress puts it off.
func TestAckWait(t *testing.T) {
	h := newHouse(t, options{})
	h.fill("a", 1)
	c := h.consumer(h.jetStream(), "w", "a", func(c *jetstream.ConsumerConfig) { c.AckWait = 400 * time.Millisecond })
	m := fetch(t, c, 1)[0]
	for began := time.Now(); time.Since(began) < 900*time.Millisecond; {
		require.NoError(t, m.InProgress())
		time.Sleep(50 * time.Millisecond) // the worker works
	}
	h.settled("a", 0, 1)
	again := fetch(t, c, 1)[0]
	require.EqualValues(t, 2, deliveries(t, again))
	require.ErrorIs(t, m.DoubleAck(ctx(t)), natsgo.ErrNoResponders, "it is another delivery's by now")
	h.settled("a", 0, 1)
	require.NoError(t, again.DoubleAck(ctx(t)))
	h.settled("a", 0, 0)
}

func TestTermAndMaxDeliverMoveToTheDeadLetterQueue(t *testing.T) {
	h := newHouse(t, options{})
	h.fill("a", 3)
	c := h.consumer(h.jetStream(), "w", "a", func(c *jetstream.ConsumerConfig) { c.MaxDeliver = 2 })
	dead := h.subscribe(h.session(), queue("ActiveMQ.DLQ"))
	got := fetch(t, c, 3)
	require.NoError(t, got[0].Term())
	require.NoError(t, got[1].TermWithReason("it is broken"))
	require.ElementsMatch(t, []string{"0", "1"}, []string{string(dead.next(1)[0].Body), string(dead.next(1)[0].Body)})
	require.NoError(t, got[2].Nak())
	again := fetch(t, c, 1)[0]
	require.NoError(t, again.Nak())
	m := dead.next(1)[0]
	require.Equal(t, "2", string(m.Body))
	origin, _ := m.Header.Get("original-destination")
	require.Equal(t, "/queue/a", origin)
	h.settled("a", 0, 0)
}

// A DoubleAck is answered when the settlement is as durable as the message.
func TestDoubleAckWaitsForTheDisk(t *testing.T) {
	h := newHouse(t, options{})
	h.fill("a", 1)
	m := fetch(t, h.consumer(h.jetStream(), "w", "a"), 1)[0]
	goOn := h.store.Stop()
	short, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, m.DoubleAck(short), context.DeadlineExceeded)
	done := make(chan error, 1)
	goOn()
	go func() { done <- m.DoubleAck(ctx(t)) }()
	require.ErrorIs(t, <-done, natsgo.ErrNoResponders, "it is settled already, and nobody claims anything else")
	h.settled("a", 0, 0)
}

// When a worker's connection ends, what it held goes to others at once.
func TestALostConnectionGivesBackAtOnce(t *testing.T) {
	h := newHouse(t, options{})
	h.fill("a", 10)
	nc := h.connect()
	js, err := jetstream.New(nc)
	require.NoError(t, err)
	first := h.consumer(js, "w", "a")
	fetch(t, first, 7)
	had := make(chan struct{}, 10)
	_, err = first.Consume(func(jetstream.Msg) { had <- struct{}{} })
	require.NoError(t, err)
	for range 3 {
		<-had // what has not come to it is given back as if nobody had had it
	}
	h.settled("a", 0, 10)
	second := h.consumer(h.jetStream(), "w", "a")
	began := time.Now()
	nc.Close()
	got := fetch(t, second, 10)
	require.Less(t, time.Since(began), 5*time.Second, "long before AckWait")
	for i, m := range got {
		require.Equal(t, fmt.Sprint(i), string(m.Data()))
		require.EqualValues(t, 2, deliveries(t, m), "message %d", i)
		require.NoError(t, m.DoubleAck(ctx(t)))
	}
	h.settled("a", 0, 0)
}

// What a worker acknowledged before it left is settled, however quickly it leaves.
func TestAcknowledgementsOfAWorkerThatLeavesCount(t *testing.T) {
	const n, rounds = 300, 20
	h := newHouse(t, options{})
	for range rounds {
		h.fill("a", n)
		nc := h.connect()
		js, err := jetstream.New(nc)
		require.NoError(t, err)
		for _, m := range fetch(t, h.consumer(js, "w", "a"), n) {
			require.NoError(t, m.Ack())
		}
		nc.Close()
		h.settled("a", 0, 0)
		require.Zero(t, h.door.Stats().Held)
	}
	require.EqualValues(t, n*rounds, h.door.Stats().Handed, "nothing came again")
}

// What a worker gets of a queue is what its consumer's metadata select; the rest is for others.
func TestAConsumerMayHaveASelector(t *testing.T) {
	h := newHouse(t, options{})
	h.fill("a", 3)
	js := h.jetStream()
	none := h.consumer(js, "none", "a", func(c *jetstream.ConsumerConfig) {
		c.Metadata = map[string]string{"sluice.selector": "missing = 'x'", "sluice.priority": "5"}
	})
	b, err := none.FetchNoWait(3)
	require.NoError(t, err)
	for m := range b.Messages() {
		t.Fatalf("%s was not selected", m.Data())
	}
	require.Len(t, fetch(t, h.consumer(js, "all", "a"), 3), 3)
	for key, value := range map[string]string{"sluice.selector": "a >", "sluice.priority": "300", "sluice.exclusive": "perhaps"} {
		_, err := js.CreateConsumer(ctx(t), "QUEUES", jetstream.ConsumerConfig{
			Durable: "bad", FilterSubject: "queue.a", AckPolicy: jetstream.AckExplicitPolicy, Metadata: map[string]string{key: value},
		})
		require.ErrorContains(t, err, key)
	}
}
