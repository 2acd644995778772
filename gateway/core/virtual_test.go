package core_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/core"
	"github.com/sluice-mq/sluice/gateway/feed"
)

// B6 142: from the first SUBSCRIBE on a consumer's queue collects what its topic is sent, also while nobody is there, whatever the delivery mode.
func TestVirtualTopicsFeedTheirQueues(t *testing.T) {
	w := newLasting(t)
	s := w.session()
	w.send(s, topic("rucio.events"), true, "before")
	c := w.lasting(s, gateway.SubscribeOptions{Destination: queue("Consumer.panda.rucio.events"), AutoAck: true})
	c.none()
	w.send(s, topic("rucio.events"), true, "1")
	m := c.next(1)[0].Message
	require.Equal(t, queue("Consumer.panda.rucio.events"), m.Destination)
	origin, _ := m.Header.Get("original-destination")
	require.Equal(t, "/topic/rucio.events", origin)
	c.Close()
	live := w.subscribe(s, topic("rucio.events"), 10, true)
	w.send(s, topic("rucio.events"), true, "2")
	w.send(s, topic("rucio.events"), false, "3")
	w.send(s, topic("rucio.events.more"), true, "x")
	shown := live.next(2)
	_, has := shown[0].Message.Header.Get("original-destination")
	require.False(t, has, "subscribers of the topic see it as it was sent")
	other := w.subscribe(s, queue("Consumer.other.rucio.events"), 10, true)
	other.none()
	w.restart()
	s = w.session()
	w.send(s, topic("rucio.events"), true, "4")
	c = w.lasting(s, gateway.SubscribeOptions{Destination: queue("Consumer.panda.rucio.events")})
	got := c.next(3)
	require.ElementsMatch(t, []string{"2", "3", "4"}, bodies(got))
	require.Equal(t, []string{"4"}, bodies(w.subscribe(s, queue("Consumer.other.rucio.events"), 10, true).next(1)))
}

// All copies of a message, and the one for subscribers, have one id.
func TestCopiesHaveTheIDOfTheMessage(t *testing.T) {
	w := newLasting(t)
	s := w.as("c")
	var subs []*consumer
	for _, o := range []gateway.SubscribeOptions{
		{Destination: queue("Consumer.a.t")}, {Destination: queue("Consumer.b.t")}, {Destination: topic("t"), Durable: "d"}, {Destination: topic("t")},
	} {
		subs = append(subs, w.lasting(s, o))
	}
	own := message(topic("t"), "x", true)
	own.Header = gateway.Header{{Name: "original-destination", Value: "zzz"}}
	var o outcome
	s.Send(own, &o, 1)
	require.NoError(t, o.wait(t, 1)[1])
	for _, c := range subs {
		m := c.next(1)[0].Message
		require.Equal(t, own.ID, m.ID)
		origin, _ := m.Header.Get("original-destination")
		require.Equal(t, "zzz", origin, "its sender's own stays, as in ActiveMQ")
		c.none()
	}
}

// A wildcard binds the pattern: each topic has its queue, also those that come later.
func TestVirtualTopicsOfAPattern(t *testing.T) {
	w := newLasting(t)
	require.NoError(t, w.broker.Bind(context.Background(), feed.Binding{Topic: "x.>", Queue: "Consumer.A.{topic}"}))
	s := w.session()
	w.lasting(s, gateway.SubscribeOptions{Destination: queue("Consumer.A.x.y")}).Close() // once for both
	for _, name := range []string{"x", "x.y", "x.y.z", "y"} {
		w.send(s, topic(name), true, name)
	}
	require.Equal(t, 3, w.waiting())
	for _, name := range []string{"x", "x.y", "x.y.z"} {
		c := w.subscribe(s, queue("Consumer.A."+name), 10, true)
		require.Equal(t, []string{name}, bodies(c.next(1)))
		c.none()
	}
	for _, bad := range []feed.Binding{{}, {Topic: "x"}, {Topic: "x.>", Queue: "q"}, {Topic: "x", Queue: "q.{topic}"}, {Topic: "x", Queue: "q", Name: "n"}, {Topic: "x", Queue: "q", Selector: "a ="}} {
		require.Equal(t, gateway.Invalid, gateway.KindOf(w.broker.Bind(context.Background(), bad)), "%+v", bad)
	}
}

// Bindings can be listed and ended.
func TestBindingsCanBeEnded(t *testing.T) {
	w := newLasting(t)
	s := w.as("c")
	w.lasting(s, gateway.SubscribeOptions{Destination: queue("Consumer.A.t")}).Close()
	held := w.lasting(s, gateway.SubscribeOptions{Destination: topic("t"), Durable: "d"})
	all := w.broker.Bindings()
	require.Len(t, all, 2)
	require.Equal(t, []string{"c", "d", "", "u"}, []string{all[0].Client, all[0].Name, all[0].Queue, all[0].User})
	require.Equal(t, "Consumer.A.t", all[1].Queue)
	w.send(s, topic("t"), true, "kept")
	ctx := context.Background()
	require.Equal(t, gateway.Conflict, gateway.KindOf(w.broker.Unbind(ctx, all[0].ID())))
	held.Close()
	require.NoError(t, w.broker.Unbind(ctx, all[0].ID()))
	require.NoError(t, w.broker.Unbind(ctx, all[1].ID()))
	require.Equal(t, gateway.NotFound, gateway.KindOf(w.broker.Unbind(ctx, all[1].ID())))
	w.send(s, topic("t"), true, "not kept")
	require.Equal(t, []string{"kept"}, bodies(w.subscribe(s, queue("Consumer.A.t"), 10, true).next(1)))
	require.Zero(t, w.waiting())
}

// The rules say which queues collect what.
func TestVirtualTopicsByTheRules(t *testing.T) {
	w := newLasting(t, func(c *core.Config) {
		c.VirtualTopics = []feed.VirtualTopic{{Topics: []string{"VirtualTopic.>"}, Queues: "Consumer.*."}, {Topics: []string{"a.*"}, Queues: "site.*.of."}}
	})
	s := w.session()
	for _, name := range []string{"Consumer.A.VirtualTopic.t", "Consumer.A.t", "Consumer.A", "Consumer", "Consumer.A.", "site.x.of.a.b", "site.x.of.a.b.c", "site.x.off.a.b", "Consumer.*.VirtualTopic.t.x"} {
		sub, err := s.Subscribe(gateway.SubscribeOptions{Destination: queue(name), Wake: func() {}})
		if err == nil {
			sub.Close()
		}
	}
	var bound []string
	for _, b := range w.broker.Bindings() {
		bound = append(bound, b.Topic+" to "+b.Queue)
	}
	require.Equal(t, []string{"VirtualTopic.t to Consumer.A.VirtualTopic.t", "a.b to site.x.of.a.b"}, bound)
	w.config.VirtualTopics = []feed.VirtualTopic{}
	w.restart()
	w.send(w.session(), topic("a.b"), true, "x")
	require.Zero(t, w.waiting(), "there is no such rule any more")
}

// B6 142: 30,000 messages, none lost and none twice, with consumers that come and go.
func TestVirtualTopicsLoseNothing(t *testing.T) {
	w := newLasting(t)
	const all = 30_000
	c := w.lasting(w.session(), gateway.SubscribeOptions{Destination: queue("Consumer.A.t"), AutoAck: true, Prefetch: 1000})
	var o outcome
	s := w.session()
	for i, b := range numbers(0, all) {
		s.Send(message(topic("t"), b, i%2 == 0), &o, uint64(i))
	}
	seen := make(map[string]int)
	for len(seen) < all {
		for _, b := range c.all() {
			seen[b]++
		}
		if len(seen)%7 == 0 {
			c.Close()
			c = w.lasting(w.session(), gateway.SubscribeOptions{Destination: queue("Consumer.A.t"), AutoAck: true, Prefetch: 1000})
		}
	}
	for _, err := range o.wait(t, all) {
		require.NoError(t, err)
	}
	for b, n := range seen {
		require.Equal(t, 1, n, b)
	}
	c.none()
}
