package core_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/core"
	"github.com/sluice-mq/sluice/gateway/gatewaytest"
)

func TestMain(m *testing.M) {
	gatewaytest.Beside(4)
	os.Exit(m.Run())
}

// world is a broker on a disk in memory.
type world struct {
	*testing.T
	disk   *gatewaytest.Disk
	store  *gatewaytest.Memory
	broker *core.Broker
	config core.Config
	// wrap, if not nil, stands between the broker and the store.
	wrap func(gateway.Store) gateway.Store
}

func newWorld(t *testing.T, change ...func(*core.Config)) *world {
	return newWorldOn(t, gatewaytest.NewDisk(3), change...)
}

func newWorldOn(t *testing.T, disk *gatewaytest.Disk, change ...func(*core.Config)) *world {
	w := &world{T: t, disk: disk}
	for _, c := range change {
		c(&w.config)
	}
	w.start()
	t.Cleanup(func() { w.stop() })
	return w
}

func (w *world) start() {
	w.store = gatewaytest.NewMemory(w.disk)
	cfg := w.config
	cfg.Node, cfg.Store = "n1", w.store
	if w.wrap != nil {
		cfg.Store = w.wrap(w.store)
	}
	if cfg.Authenticator == nil {
		cfg.Authenticator, cfg.Authorizer = gatewaytest.Everyone{}, gatewaytest.Everyone{}
	}
	cfg.Logger = slog.New(slog.DiscardHandler)
	var err error
	w.broker, err = core.New(context.Background(), cfg)
	require.NoError(w, err)
}

func (w *world) stop() {
	require.NoError(w, w.broker.Close(context.Background()))
	w.store.Close()
}

// restart ends the process in order and starts it on the same disk.
func (w *world) restart() {
	w.stop()
	w.start()
}

// crash kills the process and starts it on the same disk.
func (w *world) crash() {
	w.store.Crash()
	old := w.broker
	w.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = old.Close(ctx)
	})
	w.start()
}

func (w *world) session() gateway.Session {
	s, err := w.broker.Open(context.Background(), gateway.Login{Remote: "test"})
	require.NoError(w, err)
	return s
}

// outcome is a gateway.Completion to wait for.
type outcome struct {
	mu   sync.Mutex
	done map[uint64]error
}

func (o *outcome) Complete(token uint64, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.done == nil {
		o.done = make(map[uint64]error)
	}
	if _, twice := o.done[token]; twice {
		panic(fmt.Sprintf("completed twice: %d", token))
	}
	o.done[token] = err
}

func (o *outcome) wait(t testing.TB, n int) map[uint64]error {
	t.Helper()
	gatewaytest.Eventually(t, func() bool { o.mu.Lock(); defer o.mu.Unlock(); return len(o.done) >= n }, "%d completions", n)
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.done
}

func queue(name string) gateway.Destination {
	return gateway.Destination{Kind: gateway.KindQueue, Name: name}
}

func topic(name string) gateway.Destination {
	return gateway.Destination{Kind: gateway.KindTopic, Name: name}
}

func message(d gateway.Destination, body string, persistent bool) *gateway.Message {
	return &gateway.Message{Destination: d, Body: []byte(body), Persistent: persistent, Priority: 4}
}

// send sends and waits for the promise.
func (w *world) send(s gateway.Session, d gateway.Destination, persistent bool, bodies ...string) {
	w.Helper()
	var o outcome
	for i, b := range bodies {
		s.Send(message(d, b, persistent), &o, uint64(i))
	}
	for _, err := range o.wait(w, len(bodies)) {
		require.NoError(w, err)
	}
}

// consumer pulls a subscription as a door does.
type consumer struct {
	*testing.T
	gateway.Subscription
	woken chan struct{}
}

func (w *world) subscribe(s gateway.Session, d gateway.Destination, prefetch int, auto bool) *consumer {
	w.Helper()
	c := &consumer{T: w.T, woken: make(chan struct{}, 1)}
	sub, err := s.Subscribe(gateway.SubscribeOptions{Destination: d, Prefetch: prefetch, AutoAck: auto, Wake: func() {
		select {
		case c.woken <- struct{}{}:
		default:
		}
	}})
	require.NoError(w, err)
	c.Subscription = sub
	return c
}

// next returns the next n deliveries.
func (c *consumer) next(n int) []gateway.Delivery {
	c.Helper()
	var got []gateway.Delivery
	gatewaytest.Eventually(c, func() bool {
		buf := make([]gateway.Delivery, n-len(got))
		k := c.Next(buf, 1<<20)
		got = append(got, buf[:k]...)
		c.Written(k)
		return len(got) == n
	}, "%d deliveries", n)
	return got
}

func bodies(ds []gateway.Delivery) (b []string) {
	for _, d := range ds {
		b = append(b, string(d.Message.Body))
	}
	return b
}

func tags(ds []gateway.Delivery) (t []uint64) {
	for _, d := range ds {
		t = append(t, d.Tag)
	}
	return t
}

func (c *consumer) ack(ds ...gateway.Delivery) {
	c.Helper()
	var o outcome
	c.Ack(tags(ds), &o, 0)
	require.NoError(c, o.wait(c, 1)[0])
}

// awaitHanded waits until the last that the journal says of a queue is that it was handed out up to seq.
func (w *world) awaitHanded(name string, seq uint64) {
	w.Helper()
	gatewaytest.Eventually(w, func() bool {
		last := uint64(0)
		err := w.store.Journal(gateway.ShardOf(name, 3)).Replay(context.Background(), func(_ uint64, _ int, r *gateway.Record) error {
			for _, h := range r.Handed {
				last = h.Seq
			}
			return nil
		})
		require.NoError(w, err)
		return last == seq
	}, "the note that %s was handed out up to %d", name, seq)
}

func (w *world) waiting() int { return w.broker.Stats().Waiting + w.broker.Stats().InFlight }

func numbers(from, to int) (n []string) {
	for i := from; i < to; i++ {
		n = append(n, fmt.Sprint(i))
	}
	return n
}

func TestQueueDeliversInOrderAndOnce(t *testing.T) {
	for _, persistent := range []bool{true, false} {
		w := newWorld(t)
		s := w.session()
		c := w.subscribe(s, queue("q"), 100, true)
		w.send(s, queue("q"), persistent, numbers(0, 500)...)
		require.Equal(t, numbers(0, 500), bodies(c.next(500)))
		gatewaytest.Eventually(t, func() bool { return w.waiting() == 0 }, "queue empty")
	}
}

func TestUnacknowledgedMessagesComeBackInOrderAndMarked(t *testing.T) {
	w := newWorld(t)
	first, second := w.session(), w.session()
	c := w.subscribe(first, queue("q"), 3, false)
	w.send(second, queue("q"), true, numbers(0, 5)...)
	got := c.next(3)
	c.ack(got[1])
	first.Close()
	d := w.subscribe(second, queue("q"), 10, false)
	again := d.next(4)
	require.Equal(t, []string{"0", "2", "3", "4"}, bodies(again))
	require.Equal(t, []uint32{1, 1, 0, 0}, []uint32{again[0].Redeliveries, again[1].Redeliveries, again[2].Redeliveries, again[3].Redeliveries},
		"what was never taken by the first consumer is not marked")
	require.Equal(t, got[0].Message.ID, again[0].Message.ID, "the message-id is stable")
}

func TestPersistentMessagesAndRedeliveryCountsSurviveARestart(t *testing.T) {
	w := newWorld(t)
	s := w.session()
	w.send(s, queue("q"), true, numbers(0, 10)...)
	c := w.subscribe(s, queue("q"), 4, false)
	got := c.next(4)
	c.ack(got[0], got[2])
	w.restart()
	s = w.session()
	d := w.subscribe(s, queue("q"), 100, false)
	again := d.next(8)
	require.Equal(t, []string{"1", "3", "4", "5", "6", "7", "8", "9"}, bodies(again))
	require.Equal(t, uint32(1), again[0].Redeliveries)
	require.Equal(t, uint32(0), again[2].Redeliveries)
	require.Equal(t, got[1].Message.ID, again[0].Message.ID)
}

func TestNonPersistentMessagesAreWrittenDownByAStopInOrder(t *testing.T) {
	w := newWorld(t)
	s := w.session()
	w.send(s, queue("q"), false, numbers(0, 20)...)
	w.send(s, queue("q"), true, "persistent")
	w.restart()
	c := w.subscribe(w.session(), queue("q"), 100, false)
	require.Equal(t, append(numbers(0, 20), "persistent"), bodies(c.next(21)))
}

func TestNonPersistentMessagesKeepTheirRedeliveryCountsOverAStopInOrder(t *testing.T) {
	w := newWorld(t)
	s := w.session()
	w.send(s, queue("q"), false, numbers(0, 4)...)
	w.subscribe(s, queue("q"), 2, false).next(2)
	w.restart()
	again := w.subscribe(w.session(), queue("q"), 100, false).next(4)
	require.Equal(t, numbers(0, 4), bodies(again))
	for i, d := range again {
		require.Equal(t, i < 2, d.Redeliveries > 0, "message %d", i)
	}
}

func TestNonPersistentMessagesSpillInOrder(t *testing.T) {
	w := newWorld(t, func(c *core.Config) { c.QueueMemory = 2000 })
	s := w.session()
	w.send(s, queue("q"), false, numbers(0, 300)...)
	require.Positive(t, w.broker.Stats().Spilled)
	require.LessOrEqual(t, w.broker.Stats().MemoryBytes, int64(2000))
	c := w.subscribe(s, queue("q"), 10, true)
	require.Equal(t, numbers(0, 300), bodies(c.next(300)))
	gatewaytest.Eventually(t, func() bool { return w.waiting() == 0 && w.broker.Stats().MemoryBytes == 0 }, "queue empty")
}

func TestNackMovesPersistentMessagesToTheDeadLetterQueue(t *testing.T) {
	w := newWorld(t)
	s := w.session()
	c := w.subscribe(s, queue("q"), 10, false)
	w.send(s, queue("q"), true, "bad")
	w.send(s, queue("q"), false, "dropped")
	got := c.next(2)
	c.Nack(tags(got), nil, 0)
	d := w.subscribe(s, queue("ActiveMQ.DLQ"), 10, true)
	dead := d.next(1)[0].Message
	require.Equal(t, "bad", string(dead.Body))
	require.Equal(t, got[0].Message.ID, dead.ID)
	require.True(t, dead.Persistent)
	from, _ := dead.Header.Get("original-destination")
	require.Equal(t, "/queue/q", from)
	gatewaytest.Eventually(t, func() bool { return w.waiting() == 0 }, "queues empty")
}

// Without tags an Ack waits for those before it that nobody waited for.
func TestAnAckOfNothingWaitsForTheOthers(t *testing.T) {
	w := newWorld(t)
	s := w.session()
	c := w.subscribe(s, queue("q"), 100, false)
	w.send(s, queue("q"), true, numbers(0, 50)...)
	var o outcome
	c.Ack(nil, &o, 1)
	require.NoError(t, o.wait(t, 1)[1], "there is nothing to wait for")
	for i, d := range c.next(50) {
		if i < 40 {
			c.Ack([]uint64{d.Tag}, nil, 0)
		}
	}
	c.Ack(nil, &o, 2)
	require.NoError(t, o.wait(t, 2)[2])
	w.crash()
	d := w.subscribe(w.session(), queue("q"), 100, true)
	require.Equal(t, numbers(40, 50), bodies(d.next(10)))
	gatewaytest.Eventually(t, func() bool { return w.waiting() == 0 }, "the queue is empty")
}

// A Nack is answered when the message has changed queues for good.
func TestAnsweredNacksSurviveACrash(t *testing.T) {
	w := newWorld(t)
	s := w.session()
	c := w.subscribe(s, queue("q"), 100, false)
	w.send(s, queue("q"), true, numbers(0, 50)...)
	w.send(s, queue("q"), false, "dropped")
	var o outcome
	c.Nack(tags(c.next(51)), &o, 7)
	require.NoError(t, o.wait(t, 1)[7])
	require.Equal(t, 50, w.waiting())
	w.crash()
	s = w.session()
	d := w.subscribe(s, queue("ActiveMQ.DLQ"), 100, true)
	require.ElementsMatch(t, numbers(0, 50), bodies(d.next(50)))
	gatewaytest.Eventually(t, func() bool { return w.waiting() == 0 }, "queues empty")
}

func TestNacksThatCannotBeStoredAreRefused(t *testing.T) {
	w := newWorld(t)
	s := w.session()
	c := w.subscribe(s, queue("q"), 100, false)
	w.send(s, queue("q"), true, "a", "b")
	got := c.next(2)
	w.store.Full.Store(true)
	var o outcome
	c.Nack(tags(got), &o, 7)
	require.Equal(t, gateway.NoSpace, gateway.KindOf(o.wait(t, 1)[7]))
	w.store.Full.Store(false)
	require.ElementsMatch(t, []string{"a", "b"}, bodies(c.next(2)), "they are back")
}

func TestSendsAreRefusedWithoutSpaceAndTakenAgainAfterwards(t *testing.T) {
	w := newWorld(t)
	s := w.session()
	w.send(s, queue("q"), true, "before")
	w.store.Full.Store(true)
	var o outcome
	s.Send(message(queue("q"), "refused", true), &o, 1)
	require.Equal(t, gateway.NoSpace, gateway.KindOf(o.wait(t, 1)[1]))
	c := w.subscribe(s, queue("q"), 10, false)
	c.ack(c.next(1)...)
	w.store.Full.Store(false)
	w.send(s, queue("q"), true, "after")
	require.Equal(t, []string{"after"}, bodies(c.next(1)))
}

func TestBacklogIsReadBackAndDrained(t *testing.T) {
	w := newWorld(t)
	s := w.session()
	const n = 20000
	w.send(s, queue("q"), true, numbers(0, n)...)
	w.send(s, queue("other"), true, "x")
	c := w.subscribe(s, queue("q"), 1000, true)
	require.Equal(t, numbers(0, n), bodies(c.next(n)))
	gatewaytest.Eventually(t, func() bool { return w.waiting() == 1 }, "q empty")
}

func TestClientIDIsHeldByOneSession(t *testing.T) {
	w := newWorld(t)
	login := gateway.Login{ClientID: "c", Remote: "10.0.0.1:5"}
	s, err := w.broker.Open(context.Background(), login)
	require.NoError(t, err)
	_, err = w.broker.Open(context.Background(), login)
	require.Equal(t, gateway.Conflict, gateway.KindOf(err))
	require.Equal(t, "Broker: n1 - Client: c already connected from tcp://10.0.0.1:5", gateway.TextOf(err))
	s.Close()
	_, err = w.broker.Open(context.Background(), login)
	require.NoError(t, err)
}

func TestTopicsReachEveryMatchingSubscriber(t *testing.T) {
	w := newWorld(t)
	s, other := w.session(), w.session()
	subs := map[string]*consumer{}
	for _, name := range []string{"a.b", "a.*", "a.>", ">", "a", "*.b"} {
		subs[name] = w.subscribe(s, topic(name), 100, true)
	}
	own, err := other.Subscribe(gateway.SubscribeOptions{Destination: topic("a.b"), Prefetch: 10, AutoAck: true, NoLocal: true, Wake: func() {}})
	require.NoError(t, err)
	w.send(other, topic("a.b"), false, "1")
	w.send(other, topic("a"), false, "2")
	w.send(other, topic("a.b.c"), false, "3")
	for name, want := range map[string][]string{
		"a.b": {"1"}, "a.*": {"1"}, "a.>": {"1", "2", "3"}, ">": {"1", "2", "3"}, "a": {"2"}, "*.b": {"1"},
	} {
		require.Equal(t, want, bodies(subs[name].next(len(want))), name)
		require.Zero(t, subs[name].Next(make([]gateway.Delivery, 1), 1), name)
	}
	require.Zero(t, own.Next(make([]gateway.Delivery, 1), 1), "its own message")
}

func TestSlowTopicSubscriberLosesItsOldestAndHindersNobody(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *core.Config) { c.TopicMessages = 100 })
	s := w.session()
	slow := w.subscribe(s, topic("t"), 1000, true)
	w.send(s, topic("t"), false, numbers(0, 1000)...) // completes: nobody waits for ever
	require.Equal(t, numbers(900, 1000), bodies(slow.next(100)))
	require.Equal(t, uint64(900), w.broker.Stats().SlowDropped)
}

func TestSlowTopicSubscriberIsEndedIfThePolicySaysSo(t *testing.T) {
	w := newWorld(t, func(c *core.Config) { c.TopicMessages, c.SlowConsumer = 100, core.Disconnect })
	s := w.session()
	ended := make(chan *gateway.Error, 1)
	_, err := s.Subscribe(gateway.SubscribeOptions{Destination: topic("t"), Prefetch: 10, AutoAck: true, Wake: func() {}, Ended: func(e *gateway.Error) { ended <- e }})
	require.NoError(t, err)
	w.send(s, topic("t"), false, numbers(0, 500)...)
	require.Equal(t, gateway.Limit, (<-ended).Kind)
	require.Zero(t, w.broker.Stats().Subscriptions)
}
