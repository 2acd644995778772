package core_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/core"
	"github.com/sluice-mq/sluice/gateway/gatewaytest"
)

// join subscribes with options and pulls as a door does.
func (w *world) join(s gateway.Session, o gateway.SubscribeOptions) *consumer {
	w.Helper()
	c := &consumer{T: w.T, woken: make(chan struct{}, 1)}
	o.Wake = func() {}
	sub, err := s.Subscribe(o)
	require.NoError(w, err)
	c.Subscription = sub
	return c
}

func sorted(ds []gateway.Delivery) []string {
	all := bodies(ds)
	slices.Sort(all)
	return all
}

// B6 140: /queue/a.b.> gets what is sent to a.b and to all below it, with the queue's own name, also of queues that come later.
func TestB6_140_WildcardOnQueues(t *testing.T) {
	w := newWorld(t)
	s := w.session()
	w.send(s, queue("a.b"), true, "1")
	w.send(s, queue("a.b.c"), true, "2")
	w.send(s, queue("a.x"), true, "no")
	w.send(s, topic("a.b"), true, "no")
	c := w.join(w.session(), gateway.SubscribeOptions{Destination: queue("a.b.>"), Prefetch: 10})
	got := c.next(2)
	require.Equal(t, []string{"1", "2"}, sorted(got))
	for _, d := range got {
		require.Contains(t, []string{"a.b", "a.b.c"}, d.Message.Destination.Name)
	}
	w.send(s, queue("a.b.c.d"), false, "3")
	w.send(s, queue("a.bc"), false, "no")
	got = append(got, c.next(1)...)
	require.Equal(t, "3", string(got[2].Message.Body))
	c.ack(got...)
	gatewaytest.Eventually(t, func() bool { return w.broker.Depth("a.b.c.d") == 0 && w.broker.Depth("a.b") == 0 }, "settled")
	require.Equal(t, 1, w.broker.Depth("a.x"))
	w.restart()
	require.Equal(t, 2, w.waiting())
}

// A wildcard consumer of virtual topics is an ordinary one; places that are not ordinary queues match no pattern.
func TestB6_140_WildcardsMatchNoInnerPlaces(t *testing.T) {
	w := newWorld(t, func(c *core.Config) { c.Registry = gatewaytest.NewDisk(3).Registry() })
	s, err := w.broker.Open(t.Context(), gateway.Login{ClientID: "c", Remote: "test"})
	require.NoError(t, err)
	sub, err := s.Subscribe(gateway.SubscribeOptions{Destination: topic("T.x"), Durable: "d", Prefetch: 0, Wake: func() {}})
	require.NoError(t, err)
	defer sub.Close()
	c := w.join(w.session(), gateway.SubscribeOptions{Destination: queue("Consumer.A.T.>"), Prefetch: 10})
	all := w.join(w.session(), gateway.SubscribeOptions{Destination: queue(">"), Prefetch: 0})
	defer all.Close()
	w.send(w.session(), topic("T.x"), true, "1")
	got := c.next(1)
	require.Equal(t, queue("Consumer.A.T.x"), got[0].Message.Destination)
	require.Equal(t, 1, w.broker.Depth(gateway.Destination{Kind: gateway.KindSubscription, Name: "c:d"}.Place()), "only the subscription has it")
}

// B6 141: a composite subscription joins queues and topics.
func TestB6_141_CompositeSubscription(t *testing.T) {
	w := newWorld(t)
	c := w.join(w.session(), gateway.SubscribeOptions{Destination: queue("a"), Also: []gateway.Destination{topic("b"), queue("c"), queue("a")}, Prefetch: 10})
	s := w.session()
	w.send(s, queue("a"), true, "1")
	w.send(s, topic("b"), true, "2")
	w.send(s, queue("c"), false, "3")
	got := c.next(3)
	require.Equal(t, []string{"1", "2", "3"}, sorted(got))
	var o outcome
	c.Ack(tags(got), &o, 1)
	require.NoError(t, o.wait(t, 1)[1])
	c.Ack([]uint64{got[0].Tag}, &o, 2)
	require.Equal(t, gateway.NotFound, gateway.KindOf(o.wait(t, 2)[2]))
	require.Zero(t, w.waiting())
}

// The prefetch is for all together, and what comes back goes to others.
func TestUnionPrefetch(t *testing.T) {
	w := newWorld(t)
	s := w.session()
	for i := range 5 {
		w.send(s, queue(fmt.Sprintf("p.%d", i)), true, numbers(0, 20)...)
	}
	for _, prefetch := range []int{1, 3, 7, 50} {
		c := w.join(w.session(), gateway.SubscribeOptions{Destination: queue("p.*"), Prefetch: prefetch})
		got := c.next(prefetch)
		require.Empty(t, take(c), "prefetch %d", prefetch)
		require.NoError(t, c.Release(tags(got[:1]), gateway.Return{}))
		again := c.next(1)
		c.Extend(2)
		more := c.next(2)
		require.Empty(t, take(c))
		require.NotEmpty(t, more)
		require.NotEmpty(t, again)
		c.Close()
	}
	c := w.join(w.session(), gateway.SubscribeOptions{Destination: queue("p.*"), Prefetch: 10})
	seen := make(map[string]int)
	for range 100 {
		d := c.next(1)[0]
		require.Equal(t, fmt.Sprint(seen[d.Message.Destination.Name]), string(d.Message.Body), "in order per queue")
		seen[d.Message.Destination.Name]++
		c.ack(d)
	}
	require.Zero(t, w.waiting())
}

// One that acknowledges nothing itself gets everything, and nothing twice.
func TestUnionAutoAck(t *testing.T) {
	w := newWorld(t)
	c := w.join(w.session(), gateway.SubscribeOptions{Destination: queue("u.>"), Also: []gateway.Destination{topic("v")}, Prefetch: 3, AutoAck: true})
	s := w.session()
	for i := range 10 {
		w.send(s, queue(fmt.Sprintf("u.%d", i)), true, numbers(10*i, 10*i+10)...)
		w.send(s, topic("v"), false, "t")
	}
	require.Len(t, c.next(110), 110)
	gatewaytest.Eventually(t, func() bool { return w.waiting() == 0 }, "settled")
	c.Close()
	c.Close()
}

// A wildcard delivers only what its user may read, also after the rules have changed.
func TestUnionRights(t *testing.T) {
	w, rules := newSociety(t, "* write *", "* create *", "alice read queue://r.a", "alice read queue://r.b")
	s, _ := w.login("bob", "b")
	alice, _ := w.login("alice", "a")
	sub, ended, err := trySubscribe(alice, queue("r.>"))
	require.NoError(t, err)
	for _, q := range []string{"r.a", "r.b", "r.c"} {
		require.NoError(t, w.try(s, queue(q), true))
	}
	c := &consumer{T: t, Subscription: sub}
	got := c.next(2)
	require.ElementsMatch(t, []string{"r.a", "r.b"}, []string{got[0].Message.Destination.Name, got[1].Message.Destination.Name})
	rules.allow("* write *", "* create *", "alice read queue://r.c")
	w.broker.Reauthorize()
	d := c.next(1)[0]
	require.Equal(t, "r.c", d.Message.Destination.Name)
	require.Equal(t, 1, w.broker.Depth("r.a"), "came back")
	require.Empty(t, ended)
	rules.allow("* write *")
	w.broker.Reauthorize()
	require.Equal(t, gateway.Denied, (<-ended).Kind)
}

// In a transaction deliveries of several queues settle together.
func TestUnionTransaction(t *testing.T) {
	w := newWorld(t)
	s := w.session()
	c := w.join(s, gateway.SubscribeOptions{Destination: queue("a"), Also: []gateway.Destination{queue("b")}, Prefetch: 10})
	w.send(w.session(), queue("a"), true, "1", "2")
	w.send(w.session(), queue("b"), true, "3", "4")
	got := c.next(4)
	var o outcome
	s.Commit(&gateway.Transaction{Acks: []gateway.TransactionAck{{Subscription: c.Subscription, Tags: tags(got[:3])}}}, &o, 1)
	require.NoError(t, o.wait(t, 1)[1])
	gatewaytest.Eventually(t, func() bool { return w.waiting() == 1 }, "settled")
	c.Close()
	last := w.join(s, gateway.SubscribeOptions{Destination: queue(">"), Prefetch: 10}).next(1)[0]
	require.Equal(t, uint32(1), last.Redeliveries)
}

// Whoever owns queues, and wherever they are made, a wildcard finds them; owners change without loss.
func TestUnionInACluster(t *testing.T) {
	r := newRealm(t)
	r.Move(0, "n1")
	r.Move(1, "n2")
	c := r.worlds[2].join(r.worlds[2].session(), gateway.SubscribeOptions{Destination: queue("w.>"), Prefetch: 1000})
	var want []string
	for i := range 40 {
		body := fmt.Sprintf("%02d", i)
		r.worlds[i%3].send(r.worlds[i%3].session(), queue("w."+body), i%2 == 0, body)
		want = append(want, body)
		if i == 20 {
			r.Move(0, "n3")
			r.Move(1, "n1")
		}
	}
	got := c.next(40)
	require.Equal(t, want, sorted(got))
	c.ack(got...)
	for _, q := range []string{"w.05", "w.new", "w"} {
		r.worlds[0].send(r.worlds[0].session(), queue(q), true, q)
		d := c.next(1)[0]
		require.Equal(t, q, d.Message.Destination.Name)
		c.ack(d)
	}
	c.Close()
	gatewaytest.Eventually(t, func() bool { return r.worlds[0].waiting()+r.worlds[1].waiting()+r.worlds[2].waiting() == 0 }, "empty queues")
}

// A link that breaks and comes back loses no queue.
func TestUnionAfterABrokenLink(t *testing.T) {
	r := newRealm(t)
	r.Move(0, "n1")
	r.Move(1, "n1")
	c := r.worlds[1].join(r.worlds[1].session(), gateway.SubscribeOptions{Destination: queue("w.>"), Prefetch: 10})
	r.Link("n1", "n2", false)
	r.worlds[0].send(r.worlds[0].session(), queue("w.1"), true, "1")
	r.Link("n1", "n2", true)
	c.ack(c.next(1)...)
}

// Whatever is sent, given back, settled and closed: each message is settled once, in order within its queue, and never more than the prefetch are out.
func TestUnionModel(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.session()
	round := 0
	rapid.Check(t, func(rt *rapid.T) {
		round++
		p := fmt.Sprintf("m%d.", round)
		prefetch := rapid.IntRange(1, 12).Draw(rt, "prefetch")
		o := gateway.SubscribeOptions{Destination: queue(p + "*"), Also: []gateway.Destination{queue("x")}, Prefetch: prefetch}
		c := w.join(s, o)
		sent, settled := make(map[string]int), make(map[string]int)
		var out []gateway.Delivery
		total := 0
		for range rapid.IntRange(1, 60).Draw(rt, "steps") {
			switch rapid.IntRange(0, 4).Draw(rt, "step") {
			case 0, 1:
				q := rapid.SampledFrom([]string{p + "a", p + "b", p + "c", p + "d", p + "e", "x"}).Draw(rt, "queue")
				for range rapid.IntRange(1, 9).Draw(rt, "many") {
					w.send(s, queue(q), rapid.Bool().Draw(rt, "persistent"), fmt.Sprint(sent[q]))
					sent[q]++
					total++
				}
			case 2:
				out = append(out, take(c)...)
				require.LessOrEqual(t, len(out), prefetch)
			case 3:
				n := rapid.IntRange(0, len(out)).Draw(rt, "acks")
				c.ack(out[:n]...)
				for _, d := range out[:n] {
					settled[d.Message.Destination.Name]++
				}
				total -= n
				out = out[n:]
			case 4:
				if rapid.Bool().Draw(rt, "close") {
					c.Close()
					c = w.join(s, o)
				} else {
					require.NoError(t, c.Release(tags(out), gateway.Return{}))
				}
				out = nil
			}
		}
		require.NoError(t, c.Release(tags(out), gateway.Return{}))
		for ; total > 0; total-- {
			d := c.next(1)[0]
			q := d.Message.Destination.Name
			require.NotEmpty(t, d.Message.Body)
			settled[q]++
			c.ack(d)
		}
		require.Equal(t, sent, settled)
		c.Close()
		require.Zero(t, w.waiting())
	})
}
