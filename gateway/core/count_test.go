package core_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/core"
	"github.com/sluice-mq/sluice/gateway/feed"
	"github.com/sluice-mq/sluice/gateway/manage"
	"github.com/sluice-mq/sluice/gateway/policy"
)

// A policy's prefetch is for those who ask for none, on queues, topics and durable subscriptions, and for the first of several destinations that has one.
func TestPoliciesSayThePrefetchOfWhoAsksForNone(t *testing.T) {
	w := newLasting(t)
	w.broker.SetPolicies(policy.NewTable([]policy.Policy{{On: []gateway.Destination{queue("p.>"), topic("p.>")}, Prefetch: 2}}))
	for name, x := range map[string]struct {
		o    gateway.SubscribeOptions
		want int
	}{
		"asked":        {gateway.SubscribeOptions{Destination: queue("p.a"), Prefetch: 7}, 7},
		"not asked":    {gateway.SubscribeOptions{Destination: queue("p.a"), Prefetch: 7, PrefetchUnset: true}, 2},
		"a topic":      {gateway.SubscribeOptions{Destination: topic("p.a"), Prefetch: 7, PrefetchUnset: true}, 2},
		"a pattern":    {gateway.SubscribeOptions{Destination: topic("p.>"), Prefetch: 7, PrefetchUnset: true}, 2},
		"durable":      {gateway.SubscribeOptions{Destination: topic("p.a"), Durable: "d", Prefetch: 7, PrefetchUnset: true}, 2},
		"another":      {gateway.SubscribeOptions{Destination: queue("a"), Prefetch: 7, PrefetchUnset: true}, 7},
		"several":      {gateway.SubscribeOptions{Destination: queue("a"), Also: []gateway.Destination{queue("p.b")}, Prefetch: 7, PrefetchUnset: true}, 2},
		"some browser": {gateway.SubscribeOptions{Destination: queue("p.a"), Browse: true, Prefetch: 7, PrefetchUnset: true}, 7},
	} {
		s := w.as("client")
		x.o.Wake = func() {}
		_, err := s.Subscribe(x.o)
		require.NoError(t, err, name)
		require.Equal(t, x.want, w.broker.Connections()[0].Subscriptions[0].Prefetch, name)
		s.Close()
	}
	s := w.session()
	w.send(s, queue("p.a"), true, numbers(0, 5)...)
	sub, err := s.Subscribe(gateway.SubscribeOptions{Destination: queue("p.a"), Prefetch: 1000, PrefetchUnset: true, Wake: func() {}})
	require.NoError(t, err)
	c := &consumer{T: t, Subscription: sub}
	require.Equal(t, numbers(0, 2), bodies(c.next(2)))
	c.none()
}

// Every node knows what waits for a binding, whichever has it.
func TestWhatIsKeptIsCountedFromAnyNode(t *testing.T) {
	r, _ := newLastingRealm(t)
	names := []string{"a", "b", "c", "d"} // of several shards
	var subs []*consumer
	s := r.open(alice, 1)
	for _, name := range names {
		subs = append(subs, r.lasting(1, s, durably("t", name)))
	}
	asked := func(name string) (all []manage.Kept) {
		for _, w := range r.worlds {
			for _, b := range w.broker.Bindings() {
				if d, one := b.Destination(); b.Name == name {
					require.True(t, one)
					kept, err := w.broker.Kept(t.Context(), d)
					require.NoError(t, err)
					all = append(all, kept)
				}
			}
		}
		return all
	}
	for _, c := range subs[1:] {
		c.Close()
	}
	r.Settle()
	r.worlds[2].send(r.worlds[2].session(), topic("t"), true, numbers(0, 7)...)
	for i, name := range names {
		want := manage.Kept{Messages: 7, Waiting: 7}
		if i == 0 {
			want.Consumers = 1
			kept := asked(name)[0] // it acknowledges by itself what was handed out
			want.Messages, want.Waiting = kept.Messages, kept.Waiting
		}
		require.Equal(t, []manage.Kept{want, want, want}, asked(name), name)
	}
	of := core.ByKind{}
	for _, w := range r.worlds {
		of.Durable += w.broker.Stats().Of.Durable
	}
	require.GreaterOrEqual(t, of.Durable, 21)
	_, err := r.worlds[0].broker.Kept(t.Context(), topic("t"))
	require.Equal(t, gateway.Invalid, gateway.KindOf(err))
	many := feed.Binding{Topic: "a.>", Queue: "Consumer.x.{topic}"}
	_, one := many.Destination()
	require.False(t, one)
}
