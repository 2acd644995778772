package core_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/core"
	"github.com/sluice-mq/sluice/gateway/gatewaytest"
	"github.com/sluice-mq/sluice/gateway/quota"
)

// connect opens a session, or says why not.
func (w *world) connect(user, remote string) (gateway.Session, error) {
	return w.broker.Open(context.Background(), gateway.Login{Remote: remote, Credentials: gateway.Credentials{Login: user}})
}

func quotas(q quota.Quotas) func(*core.Config) { return func(c *core.Config) { c.Quotas = q } }

// reached is how often a limit was.
func (w *world) reached(scope, limit string) uint64 {
	all := w.broker.Stats().Limits
	i := slices.IndexFunc(all, func(c quota.Count) bool { return c.Scope == scope && c.Limit == limit })
	require.NotEqual(w, -1, i)
	return all[i].Count
}

func TestConnectionsAreLimitedInWords(t *testing.T) {
	w := newWorld(t, quotas(quota.Quotas{
		Total: quota.Quota{Connections: 6}, PerUser: quota.Quota{Connections: 2}, PerAddress: quota.Quota{Connections: 3},
		Overrides: []quota.For{{Users: []string{"robot"}, Quota: quota.Quota{Connections: 1}}},
	}))
	refused := func(user, remote, text string) {
		t.Helper()
		_, err := w.connect(user, remote)
		require.Equal(t, gateway.Limit, gateway.KindOf(err))
		require.Equal(t, text, gateway.TextOf(err))
		var e *gateway.Error
		require.ErrorAs(t, err, &e)
	}
	first, err := w.connect("alice", "192.0.2.1:1")
	require.NoError(t, err)
	_, err = w.connect("alice", "192.0.2.2:1")
	require.NoError(t, err)
	refused("alice", "192.0.2.3:1", "user alice has 2 connections, the limit is 2")
	_, err = w.connect("robot", "192.0.2.1:2")
	require.NoError(t, err)
	refused("robot", "192.0.2.9:1", "user robot has 1 connections, the limit is 1")
	_, err = w.connect("", "192.0.2.1:3") // anonymous: the address alone counts
	require.NoError(t, err)
	refused("", "192.0.2.1:4", "address 192.0.2.1 has 3 connections, the limit is 3")
	refused("", "[::ffff:192.0.2.1]:4", "address 192.0.2.1 has 3 connections, the limit is 3")
	_, err = w.connect("", "[2001:db8::1]:1")
	require.NoError(t, err)
	_, err = w.connect("", "[2001:db8::ffff:1]:1")
	require.NoError(t, err)
	refused("", "198.51.100.1:1", "the broker has 6 connections, the limit is 6")
	first.Close()
	first.Close()
	again, err := w.connect("alice", "[2001:db8::2]:1")
	require.NoError(t, err)
	refused("", "[2001:db8::3]:1", "address 2001:db8::/64 has 3 connections, the limit is 3")
	_, err = w.connect("selftest", "of the process itself")
	require.NoError(t, err)
	again.Close()
	require.EqualValues(t, 2, w.reached("user", "connections"))
	require.EqualValues(t, 3, w.reached("address", "connections"))
	require.EqualValues(t, 1, w.reached("total", "connections"))
	require.EqualValues(t, 6, w.broker.Stats().LoginsRefused)
}

func TestSubscriptionsAndDestinationsAreLimited(t *testing.T) {
	w := newWorld(t, quotas(quota.Quotas{PerUser: quota.Quota{Subscriptions: 3, Destinations: 2}}))
	one, err := w.connect("alice", "192.0.2.1:1")
	require.NoError(t, err)
	two, err := w.connect("alice", "192.0.2.2:1")
	require.NoError(t, err)
	a, _, err := trySubscribe(one, queue("a"))
	require.NoError(t, err)
	b, _, err := trySubscribe(two, queue("b"))
	require.NoError(t, err)
	_, _, err = trySubscribe(one, topic("a"))
	require.Equal(t, "user alice has 2 destinations, the limit is 2", gateway.TextOf(err))
	require.Equal(t, gateway.Limit, gateway.KindOf(err))
	_, _, err = trySubscribe(one, queue("b"))
	require.NoError(t, err)
	_, _, err = trySubscribe(one, queue("b"))
	require.Equal(t, "user alice has 3 subscriptions, the limit is 3", gateway.TextOf(err))
	b.Close()
	_, _, err = trySubscribe(one, topic("a"))
	require.Error(t, err, "somebody else of hers still has b")
	a.Close()
	_, _, err = trySubscribe(one, topic("a"))
	require.NoError(t, err)
	one.Close()
	two.Close()
	three, err := w.connect("alice", "192.0.2.2:1")
	require.NoError(t, err)
	for _, d := range []string{"c", "d"} {
		_, _, err = trySubscribe(three, queue(d))
		require.NoError(t, err, "all was given back")
	}
}

// When queues that somebody has made are gone, others may be made; their owner knows it.
func TestQueuesThatAreGoneCountNoMore(t *testing.T) {
	t.Parallel()
	var late atomic.Int64 // a clock that is set
	r := newRealm(t, quotas(quota.Quotas{PerUser: quota.Quota{Destinations: 2}}), func(c *core.Config) {
		c.Now = func() time.Time { return time.Now().Add(time.Duration(late.Load())) }
	})
	r.Move(0, "n2")
	r.Move(1, "n2")
	s, w := r.open(alice, 0), r.worlds[0]
	for _, d := range []string{"kept", "consumed"} {
		require.NoError(t, w.try(s, queue(d), true))
	}
	require.Equal(t, "user alice has 2 destinations, the limit is 2", gateway.TextOf(w.try(s, queue("new"), true)))
	c := r.worlds[1].subscribe(r.worlds[1].session(), queue("consumed"), 1, false)
	c.ack(c.next(1)...)
	c.Close()
	r.Move(0, "n3") // which knows of no empty queue
	r.Move(1, "n3")
	require.NoError(t, w.try(s, queue("kept"), true))
	late.Store(int64(time.Minute))
	gatewaytest.Eventually(t, func() bool { return w.try(s, queue("new"), true) == nil }, "room for another one")
	require.Error(t, w.try(s, queue("newer"), true))
}

// Whoever makes queues by sending to them is bounded, too, also over connections.
func TestQueuesMadeBySendsAreLimited(t *testing.T) {
	w := newWorld(t, quotas(quota.Quotas{PerUser: quota.Quota{Destinations: 3}}))
	w.send(w.session(), queue("there"), true, "before")
	for i := range 3 {
		s, err := w.connect("alice", "192.0.2.1:1")
		require.NoError(t, err)
		require.NoError(t, w.try(s, queue(fmt.Sprint(i)), true))
		s.Close()
	}
	s, err := w.connect("alice", "192.0.2.1:1")
	require.NoError(t, err)
	for _, persistent := range []bool{true, false} {
		err := w.try(s, queue("new"), persistent)
		require.Equal(t, gateway.Limit, gateway.KindOf(err))
		require.Equal(t, "user alice has 3 destinations, the limit is 3", gateway.TextOf(err))
	}
	require.NoError(t, w.try(s, queue("there"), true), "she did not make it")
	require.NoError(t, w.try(s, queue("0"), true))
	require.NoError(t, w.try(s, topic("t"), true))
	bob, err := w.connect("bob", "192.0.2.1:1")
	require.NoError(t, err)
	require.NoError(t, w.try(bob, queue("new"), true))

	// A queue that is there by her subscription alone is hers when she sends to it.
	carol, err := w.connect("carol", "192.0.2.1:1")
	require.NoError(t, err)
	for i := range 3 {
		sub, _, err := trySubscribe(carol, queue(fmt.Sprint("c", i)))
		require.NoError(t, err)
		require.NoError(t, w.try(carol, queue(fmt.Sprint("c", i)), true))
		sub.Close()
	}
	_, _, err = trySubscribe(carol, queue("c3"))
	require.Equal(t, "user carol has 3 destinations, the limit is 3", gateway.TextOf(err))
}

func TestPublishersAreAskedToPauseAndNothingIsRefused(t *testing.T) {
	var clock atomic.Int64
	start := time.Now()
	w := newWorld(t, quotas(quota.Quotas{PerUser: quota.Quota{PublishMessages: 10}, PerAddress: quota.Quota{PublishBytes: 100_000}}), func(c *core.Config) {
		c.Now = func() time.Time { return start.Add(time.Duration(clock.Load())) }
	})
	s, err := w.connect("alice", "192.0.2.1:1")
	require.NoError(t, err)
	other, err := w.connect("alice", "192.0.2.2:1")
	require.NoError(t, err)
	for range 10 {
		require.Zero(t, s.(gateway.Paced).Pause())
		require.NoError(t, w.try(s, queue("q"), false))
	}
	require.Zero(t, s.(gateway.Paced).Pause())
	for range 5 {
		require.NoError(t, w.try(s, topic("t"), false))
	}
	require.Equal(t, 500*time.Millisecond, s.(gateway.Paced).Pause())
	require.Equal(t, 500*time.Millisecond, other.(gateway.Paced).Pause(), "it is the user's")
	clock.Store(int64(200 * time.Millisecond))
	require.Equal(t, 300*time.Millisecond, s.(gateway.Paced).Pause())
	clock.Store(int64(time.Hour))
	require.Zero(t, s.(gateway.Paced).Pause())
	require.EqualValues(t, 5, w.reached("user", "publish_messages"))

	var o outcome
	big := message(queue("q"), string(make([]byte, 250_000)), false)
	s.Send(big, &o, 1)
	require.NoError(t, o.wait(t, 1)[1])
	require.InDelta(t, 1.5, s.(gateway.Paced).Pause().Seconds(), 0.01)
	require.Zero(t, other.(gateway.Paced).Pause(), "another address")
	require.EqualValues(t, 1, w.reached("address", "publish_bytes"))

	// What is owed is not forgiven by another connection.
	s.Close()
	s, err = w.connect("bob", "192.0.2.1:1")
	require.NoError(t, err)
	require.InDelta(t, 1.5, s.(gateway.Paced).Pause().Seconds(), 0.01)
	w.broker.SetQuotas(quota.Quotas{})
	require.Zero(t, s.(gateway.Paced).Pause())
	require.NoError(t, w.tryCommit(s, queue("q"), queue("q")))
	w.broker.SetQuotas(quota.Quotas{PerUser: quota.Quota{PublishMessages: 1}})
	require.NoError(t, w.tryCommit(s, queue("q"), queue("q"), queue("q")))
	require.Equal(t, 2*time.Second, s.(gateway.Paced).Pause(), "messages of transactions count")
}

// woken is a subscription that counts its wakes.
type woken struct {
	gateway.Subscription
	wakes atomic.Int64
}

func wakeable(t *testing.T, s gateway.Session, d gateway.Destination, prefetch int, auto bool) *woken {
	c := &woken{}
	var err error
	c.Subscription, err = s.Subscribe(gateway.SubscribeOptions{Destination: d, Prefetch: prefetch, AutoAck: auto, Wake: func() { c.wakes.Add(1) }})
	require.NoError(t, err)
	return c
}

func TestDeliveriesInFlightAreBounded(t *testing.T) {
	w := newWorld(t, quotas(quota.Quotas{PerUser: quota.Quota{InFlight: 10}}))
	s, err := w.connect("alice", "192.0.2.1:1")
	require.NoError(t, err)
	w.send(s, queue("q"), false, numbers(0, 100)...)
	w.send(s, queue("r"), false, numbers(0, 100)...)
	q := wakeable(t, s, queue("q"), 1000, false)
	r := wakeable(t, s, queue("r"), 1000, false)
	first := take(q)
	require.LessOrEqual(t, len(first), 10)
	rest := take(r)
	require.Equal(t, 10, len(first)+len(rest), "both together")
	require.Empty(t, take(q))
	require.Empty(t, take(r))
	require.Equal(t, 100-len(first), w.hoarded("q", q), "those that wait are there for others")
	require.Zero(t, len(take(q))+len(take(r)))

	wakes := q.wakes.Load() + r.wakes.Load()
	q.Ack(tags(first[:3]), nil, 0)
	require.Greater(t, q.wakes.Load()+r.wakes.Load(), wakes)
	require.Equal(t, 3, len(take(q))+len(take(r)))
	require.NotZero(t, w.reached("user", "in_flight"))

	// One that is acknowledged twice frees nothing.
	var o outcome
	q.Ack([]uint64{first[3].Tag, first[3].Tag}, &o, 1)
	require.Equal(t, gateway.NotFound, gateway.KindOf(o.wait(t, 1)[1]))
	q.Ack(tags(first[:1]), &o, 2)
	require.Equal(t, gateway.NotFound, gateway.KindOf(o.wait(t, 2)[2]))
	require.Zero(t, len(take(q))+len(take(r)))

	// What ends gives back.
	q.Close()
	got := take(r)
	require.NotEmpty(t, got)
	require.NoError(t, r.Release(tags(got), gateway.Return{Redelivered: true}))
	require.Len(t, take(r), len(got))
	s.Close()
	again, err := w.connect("alice", "192.0.2.1:1")
	require.NoError(t, err)
	require.Len(t, take(wakeable(t, again, queue("r"), 1000, false)), 10)
}

// hoarded is how many messages of a queue another user gets.
func (w *world) hoarded(name string, _ gateway.Subscription) int {
	s, err := w.connect("bob", "192.0.2.2:1")
	require.NoError(w, err)
	w.broker.SetQuotas(quota.Quotas{PerUser: quota.Quota{InFlight: 10}, Overrides: []quota.For{{Users: []string{"bob"}}}})
	sub, err := s.Subscribe(gateway.SubscribeOptions{Destination: queue(name), Prefetch: 1000, Wake: func() {}})
	require.NoError(w, err)
	n := len(take(sub))
	s.Close()
	return n
}

// A transaction's acknowledgements free room when it commits.
func TestTransactionsFreeRoomWhenTheyCommit(t *testing.T) {
	w := newWorld(t, quotas(quota.Quotas{Total: quota.Quota{InFlight: 4}}))
	s, err := w.connect("alice", "192.0.2.1:1")
	require.NoError(t, err)
	w.send(s, queue("q"), false, numbers(0, 10)...)
	sub := wakeable(t, s, queue("q"), 100, false)
	got := take(sub)
	require.Len(t, got, 4)
	sub.Extend(4)
	require.Empty(t, take(sub))
	var o outcome
	sub.Extend(-4)
	s.Commit(&gateway.Transaction{Acks: []gateway.TransactionAck{{Subscription: sub.Subscription, Tags: tags(got)}}}, &o, 1)
	require.NoError(t, o.wait(t, 1)[1])
	require.Equal(t, numbers(4, 8), bodies(take(sub)))
}

// More subscriptions than may have anything in flight: all of them get their turns.
func TestManySubscriptionsShareLittleRoom(t *testing.T) {
	for _, auto := range []bool{true, false} {
		w := newWorld(t, quotas(quota.Quotas{PerUser: quota.Quota{InFlight: 3}}))
		s, err := w.connect("alice", "192.0.2.1:1")
		require.NoError(t, err)
		var inFlight, most, done atomic.Int64
		var doors sync.WaitGroup
		const n, each = 20, 50
		for i := range n {
			for _, d := range []gateway.Destination{queue(fmt.Sprint("q", i)), topic(fmt.Sprint("t", i))} {
				wake := make(chan struct{}, 1)
				sub, err := s.Subscribe(gateway.SubscribeOptions{Destination: d, Prefetch: 100, AutoAck: auto, Wake: func() {
					select {
					case wake <- struct{}{}:
					default:
					}
				}})
				require.NoError(t, err)
				w.send(s, d, false, numbers(0, each)...)
				doors.Go(func() {
					buf, heard := make([]gateway.Delivery, 8), 0
					for heard < each {
						n := sub.Next(buf, 1<<20)
						if n == 0 {
							<-wake
							continue
						}
						now := inFlight.Add(int64(n))
						for m := most.Load(); m < now && !most.CompareAndSwap(m, now); m = most.Load() {
						}
						heard += n
						inFlight.Add(-int64(n))
						sub.Written(n)
						if !auto {
							sub.Ack(tags(buf[:n]), nil, 0)
						}
						done.Add(int64(n))
					}
				})
			}
		}
		gatewaytest.Eventually(t, func() bool { return done.Load() == 2*n*each }, "everybody hears everything")
		doors.Wait()
		require.LessOrEqual(t, most.Load(), int64(3))
	}
}

// Limits may come and go while deliveries are in flight: those of before count for nothing.
func TestQuotasChangeAtRunTime(t *testing.T) {
	w := newWorld(t)
	s, err := w.connect("alice", "192.0.2.1:1")
	require.NoError(t, err)
	w.send(s, queue("q"), false, numbers(0, 100)...)
	sub := wakeable(t, s, queue("q"), 20, false)
	before := take(sub)
	require.Len(t, before, 20)
	w.broker.SetQuotas(quota.Quotas{PerUser: quota.Quota{InFlight: 5, Connections: 1}})
	require.NoError(t, w.try(s, queue("q"), false), "what is open stays")
	_, err = w.connect("alice", "192.0.2.1:1")
	require.Error(t, err)
	sub.Ack(tags(before), nil, 0)
	after := take(sub)
	require.Len(t, after, 5)
	wakes := sub.wakes.Load()
	w.broker.SetQuotas(quota.Quotas{})
	require.Greater(t, sub.wakes.Load(), wakes)
	sub.Ack(tags(after[:1]), nil, 0)
	require.Len(t, take(sub), 16)
	require.Equal(t, 20, w.broker.Connections()[0].Subscriptions[0].InFlight)
	w.broker.SetQuotas(quota.Quotas{PerUser: quota.Quota{InFlight: 30}})
	sub.Ack(tags(after[1:]), nil, 0)
	require.Len(t, take(sub), 4)
}

// Room in flight is the same whoever owns the queue, and also when its owner changes.
func TestDeliveriesInFlightAreBoundedInAClusterToo(t *testing.T) {
	r := newRealm(t, quotas(quota.Quotas{PerUser: quota.Quota{InFlight: 6}}))
	r.Move(shard("q"), "n2")
	s, w := r.open(alice, 0), r.worlds[0]
	w.send(s, queue("q"), true, numbers(0, 30)...)
	one, two := wakeable(t, s, queue("q"), 100, false), wakeable(t, s, queue("q"), 100, false)
	var got, heard []gateway.Delivery
	more := func(n int) {
		t.Helper()
		gatewaytest.Eventually(t, func() bool {
			heard = append(heard, take(one)...)
			got = append(got, take(two)...)
			return len(heard)+len(got) >= n
		}, "%d deliveries", n)
		r.Settle()
		require.Equal(t, n, len(heard)+len(got)+len(take(one))+len(take(two)))
	}
	more(6)
	r.Move(shard("q"), "n1")
	r.Settle()
	require.Zero(t, len(take(one))+len(take(two)), "the client still has six")
	var o outcome
	one.Ack(tags(heard), &o, 1)
	two.Ack(tags(got), &o, 2)
	require.NoError(t, o.wait(t, 2)[1])
	heard, got = nil, nil
	more(6)
}
