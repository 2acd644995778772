package core_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/core"
	"github.com/sluice-mq/sluice/gateway/gatewaytest"
	"github.com/sluice-mq/sluice/gateway/policy"
)

// table is that of policies for queues.
func table(policies ...policy.Policy) *policy.Table { return policy.NewTable(policies) }

// on makes a policy for all queues that a pattern matches.
func on(pattern string, p policy.Policy) policy.Policy {
	p.On = []gateway.Destination{queue(pattern)}
	return p
}

func withPolicies(policies ...policy.Policy) func(*core.Config) {
	return func(c *core.Config) { c.Policies = table(policies...) }
}

// consume subscribes with wishes.
func (w *world) consume(s gateway.Session, o gateway.SubscribeOptions) *consumer {
	w.Helper()
	c := &consumer{T: w.T}
	o.Wake = func() {}
	sub, err := s.Subscribe(o)
	require.NoError(w, err)
	c.Subscription = sub
	return c
}

// post sends one message and waits for its promise.
func (w *world) post(s gateway.Session, m *gateway.Message) error {
	w.Helper()
	var o outcome
	s.Send(m, &o, 0)
	return o.wait(w, 1)[0]
}

// numbered is a message with a property n.
func numbered(d gateway.Destination, n int) *gateway.Message {
	m := message(d, fmt.Sprint(n), true)
	m.Header = gateway.Header{{Name: "n", Value: fmt.Sprint(n)}}
	return m
}

// dead is what waits in a dead-letter queue, by its body.
func (w *world) dead(name string, n int) map[string]*gateway.Message {
	w.Helper()
	found := map[string]*gateway.Message{}
	for _, d := range w.subscribe(w.session(), queue(name), n, true).next(n) {
		found[string(d.Message.Body)] = d.Message
	}
	return found
}

func header(m *gateway.Message, name string) string {
	v, _ := m.Header.Get(name)
	return v
}

func TestSelectorsChooseAndLeaveTheRestForOthers(t *testing.T) {
	w := newWorld(t)
	s := w.session()
	for i := range 20 {
		require.NoError(t, w.post(s, numbered(queue("q"), i)))
	}
	some := w.consume(s, gateway.SubscribeOptions{Destination: queue("q"), Selector: "n IN ('3', '17')", Prefetch: 10})
	got := some.next(2)
	require.Equal(t, []string{"3", "17"}, bodies(got))
	some.ack(got...)
	rest := w.consume(s, gateway.SubscribeOptions{Destination: queue("q"), Prefetch: 100, AutoAck: true})
	require.Len(t, rest.next(18), 18)
	_, err := s.Subscribe(gateway.SubscribeOptions{Destination: queue("q"), Selector: "n >", Wake: func() {}})
	require.Equal(t, gateway.Invalid, gateway.KindOf(err))
}

func TestPrioritiesAreThoseOfThePolicyAlsoWhenItChanges(t *testing.T) {
	w := newWorld(t)
	s := w.session()
	for i, p := range []uint8{1, 9, 4, 9} {
		m := numbered(queue("q"), i)
		m.Priority = p
		require.NoError(t, w.post(s, m))
	}
	w.broker.SetPolicies(table(on("q", policy.Policy{Priorities: true})))
	c := w.subscribe(s, queue("q"), 1, false)
	var order []string
	for range 4 {
		got := c.next(1)
		order = append(order, bodies(got)...)
		c.ack(got...)
	}
	require.Equal(t, []string{"1", "3", "2", "0"}, order)
}

func TestExclusiveQueueHasOneConsumer(t *testing.T) {
	w := newWorld(t, withPolicies(on("q", policy.Policy{Exclusive: true})))
	s := w.session()
	first, second := w.subscribe(s, queue("q"), 100, true), w.subscribe(s, queue("q"), 100, true)
	w.send(s, queue("q"), true, numbers(0, 10)...)
	require.Len(t, first.next(10), 10)
	first.Close()
	w.send(s, queue("q"), true, numbers(10, 12)...)
	require.Equal(t, numbers(10, 12), bodies(second.next(2)))
}

// A message that came back comes later, on the next process as well, and is dead after so many times.
func TestRedeliveryWaitsAndEndsAcrossARestart(t *testing.T) {
	clock := &clock{}
	rule := gateway.Redelivery{Maximum: 2, Delay: time.Minute, Backoff: 2}
	w := newWorld(t, withPolicies(on("q", policy.Policy{Redelivery: &rule})), clock.config)
	s := w.session()
	w.send(s, queue("q"), true, "late")
	c := w.subscribe(s, queue("q"), 1, false)
	require.NoError(t, c.Release(tags(c.next(1)), gateway.Return{Redelivered: true}))
	w.send(s, queue("q"), true, "other")
	got := c.next(1)
	require.Equal(t, []string{"other"}, bodies(got), "the one that came back has to wait")
	c.ack(got...)
	w.restart()
	s = w.session()
	c = w.subscribe(s, queue("q"), 1, false)
	w.send(s, queue("q"), true, "third")
	got = c.next(1)
	require.Equal(t, []string{"third"}, bodies(got), "it waits on the next process, too")
	c.ack(got...)
	clock.advance(time.Minute + time.Second)
	got = c.next(1)
	require.Equal(t, []string{"late"}, bodies(got))
	require.EqualValues(t, 1, got[0].Redeliveries)
	require.NoError(t, c.Release(tags(got), gateway.Return{Redelivered: true}))
	clock.advance(2*time.Minute + time.Second)
	got = c.next(1)
	require.EqualValues(t, 2, got[0].Redeliveries)
	require.NoError(t, c.Release(tags(got), gateway.Return{Redelivered: true}))
	m := w.dead("ActiveMQ.DLQ", 1)["late"]
	require.Equal(t, "/queue/q", header(m, "original-destination"))
	require.Equal(t, "3", header(m, "sluice-dead-redeliveries"))
	require.Contains(t, header(m, "dlqDeliveryFailureCause"), "exceeds redelivery policy limit")
	require.EqualValues(t, 1, w.broker.Stats().Exhausted)
}

func TestNackDoesWhatThePolicySays(t *testing.T) {
	w := newWorld(t, withPolicies(
		on("back", policy.Policy{Nack: policy.NackRequeue, Redelivery: &gateway.Redelivery{Maximum: 1}}),
		on("gone", policy.Policy{Nack: policy.NackDrop}),
	))
	s := w.session()
	for _, name := range []string{"back", "gone", "dead"} {
		w.send(s, queue(name), true, name)
		c := w.subscribe(s, queue(name), 1, false)
		var o outcome
		c.Nack(tags(c.next(1)), &o, 0)
		require.NoError(t, o.wait(t, 1)[0])
		if name == "back" {
			again := c.next(1)
			require.EqualValues(t, 1, again[0].Redeliveries)
			c.Nack(tags(again), &o, 1)
			require.NoError(t, o.wait(t, 2)[1], "now it is dead, and where the dead are")
		}
	}
	found := w.dead("ActiveMQ.DLQ", 2)
	require.NotNil(t, found["back"])
	require.NotNil(t, found["dead"])
	require.Equal(t, "a consumer refused it", header(found["dead"], "sluice-dead-reason"))
	require.Empty(t, header(found["dead"], "dlqDeliveryFailureCause"), "ActiveMQ gives no cause for these")
	gatewaytest.Eventually(t, func() bool { return w.waiting() == 0 }, "nothing is left")
}

func TestDeadLettersGoWhereThePolicySays(t *testing.T) {
	w := newWorld(t, withPolicies(
		on("mem", policy.Policy{DeadLetter: policy.DeadLetter{Queue: "DLQ.{name}", KeepNonPersistent: true}}),
		on("off", policy.Policy{DeadLetter: policy.DeadLetter{Off: true}}),
		on("exp", policy.Policy{DeadLetter: policy.DeadLetter{DropExpired: true}}),
	))
	s := w.session()
	for _, name := range []string{"mem", "off"} {
		w.send(s, queue(name), name == "off", name)
		c := w.subscribe(s, queue(name), 1, false)
		var o outcome
		c.Nack(tags(c.next(1)), &o, 0)
		require.NoError(t, o.wait(t, 1)[0])
	}
	for _, name := range []string{"exp", "plain"} {
		m := message(queue(name), name, true)
		m.Expires = 1
		require.NoError(t, w.post(s, m))
	}
	gatewaytest.Eventually(t, func() bool { return w.broker.Stats().Expired == 2 }, "both have expired")
	kept := w.dead("DLQ.mem", 1)["mem"]
	require.True(t, kept.Persistent)
	require.Equal(t, "NON_PERSISTENT", header(kept, "originalDeliveryMode"))
	m := w.dead("ActiveMQ.DLQ", 1)["plain"]
	require.Equal(t, "1", header(m, "originalExpiration"))
	require.Equal(t, "java.lang.Throwable: Message Expired. Expiration:1", header(m, "dlqDeliveryFailureCause"))
	gatewaytest.Eventually(t, func() bool { return w.waiting() == 0 }, "nothing is left")
}

func TestLivesAreBounded(t *testing.T) {
	clock := &clock{}
	w := newWorld(t, withPolicies(on("q", policy.Policy{DefaultTTL: time.Minute, MaximumTTL: time.Hour})), clock.config)
	s := w.session()
	now := time.Unix(1_700_000_000, 0).UnixMilli()
	long := message(queue("q"), "long", true)
	long.Expires = now + time.Hour.Milliseconds()*10
	require.NoError(t, w.post(s, message(queue("q"), "plain", true)))
	require.NoError(t, w.post(s, long))
	both := message(queue("p"), "both", true)
	both.Also = []gateway.Destination{queue("q")}
	require.NoError(t, w.post(s, both))
	got := w.subscribe(s, queue("q"), 10, true).next(3)
	require.Equal(t, now+time.Minute.Milliseconds(), got[0].Message.Expires)
	require.Equal(t, now+time.Hour.Milliseconds(), got[1].Message.Expires)
	require.Equal(t, now+time.Minute.Milliseconds(), got[2].Message.Expires)
	require.Zero(t, w.subscribe(s, queue("p"), 10, true).next(1)[0].Message.Expires)
}

// On any node, selectors, priorities, groups and exclusive consumers are kept, also by the next owner.
func TestWishesHoldInAClusterAndForTheNextOwner(t *testing.T) {
	rule := gateway.Redelivery{Maximum: -1, Delay: time.Hour}
	r := newRealm(t, withPolicies(on("q", policy.Policy{Priorities: true, Redelivery: &rule})))
	r.Move(shard("q"), "n2")
	s := r.worlds[2].session()
	even := r.worlds[0].consume(r.worlds[0].session(), gateway.SubscribeOptions{Destination: queue("q"), Selector: "n IN ('0', '2', '4', '6', '8')", Prefetch: 2})
	for i := range 10 {
		m := numbered(queue("q"), i)
		m.Priority = uint8(i)
		require.NoError(t, r.worlds[2].post(s, m))
	}
	got := even.next(2)
	require.NoError(t, even.Release(tags(got[:1]), gateway.Return{Redelivered: true}), "it comes in an hour")
	gatewaytest.Eventually(t, func() bool { st := r.worlds[1].broker.Stats(); return st.Waiting+st.InFlight+st.Delayed == 10 }, "all are known")
	got = append(got[1:], even.next(1)...)
	r.Settle()
	gatewaytest.Eventually(t, func() bool { return r.Marked(shard("q")) }, "the mark")
	r.Move(shard("q"), "n3")
	for range 3 {
		var o outcome
		even.Ack(tags(got[:1]), &o, 0)
		require.NoError(t, o.wait(t, 1)[0])
		if got = got[1:]; len(got) == 0 {
			got = even.next(1)
		}
	}
	rest := r.worlds[1].subscribe(r.worlds[1].session(), queue("q"), 100, false)
	require.Equal(t, []string{"9", "7", "5", "3", "1"}, bodies(rest.next(5)), "by priority")
	require.Len(t, got, 1)
	even.ack(got...)
	gatewaytest.Eventually(t, func() bool { st := r.worlds[2].broker.Stats(); return st.Waiting+st.InFlight == 5 && st.Delayed == 1 }, "five and the one that waits")
}

// The exclusive consumer that has something of a queue has it to itself at the next owner, too, whoever is attached there first.
func TestAnExclusiveConsumerStaysSoAtTheNextOwner(t *testing.T) {
	r := newRealm(t)
	for round := range 5 {
		q := queue(fmt.Sprint("x", round))
		r.Move(shard(q.Name), "n2")
		var all []*consumer
		for i := range 3 {
			all = append(all, r.worlds[i].consume(r.worlds[i].session(), gateway.SubscribeOptions{Destination: q, Exclusive: true, Prefetch: 3}))
		}
		r.worlds[0].send(r.worlds[0].session(), q, true, numbers(0, 9)...)
		owner, got := -1, []gateway.Delivery(nil)
		gatewaytest.Eventually(t, func() bool {
			for i, c := range all {
				buf := make([]gateway.Delivery, 3)
				if n := c.Next(buf, 1<<20); n > 0 {
					require.True(t, owner < 0 || owner == i, "round %d", round)
					owner, got = i, append(got, buf[:n]...)
				}
			}
			return len(got) == 3
		}, "somebody has three")
		r.Move(shard(q.Name), "n3")
		gatewaytest.Eventually(t, func() bool { st, _ := r.worlds[2].broker.Queue(q.Name); return st.InFlight == 3 }, "the next owner knows who has them")
		for i := range 3 {
			require.Equal(t, numbers(3*i, 3*i+3), bodies(got))
			all[owner].ack(got...)
			if i < 2 {
				got = all[owner].next(3)
			}
			for other, c := range all {
				require.True(t, other == owner || c.Next(make([]gateway.Delivery, 1), 1) == 0, "round %d", round)
			}
		}
	}
}
