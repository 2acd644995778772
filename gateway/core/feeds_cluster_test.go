package core_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/core"
	"github.com/sluice-mq/sluice/gateway/gatewaytest"
)

// newLastingRealm is a realm with a registry for each node, whose shards have owners.
func newLastingRealm(t *testing.T, change ...func(*core.Config)) (*realm, []*gatewaytest.Registry) {
	var registries []*gatewaytest.Registry
	r := newRealm(t, append(change, func(c *core.Config) {
		registry := c.Store.(*gatewaytest.Node).Registry()
		registries = append(registries, registry)
		c.Registry = registry
	})...)
	r.Move(0, "n1")
	r.Move(1, "n2")
	r.Settle()
	return r, registries
}

// lasting subscribes durably at a node.
func (r *realm) lasting(node int, s gateway.Session, o gateway.SubscribeOptions) *consumer {
	r.Helper()
	return r.worlds[node].lasting(s, o)
}

// B6 146: whatever node it is sent at, once the subscription is promised it is kept, once.
func TestDurableSubscriptionsKeepWhatIsSentAtAnyNode(t *testing.T) {
	r, _ := newLastingRealm(t)
	for home := range 3 {
		name := fmt.Sprint("d", home)
		first := r.open(alice, home)
		r.lasting(home, first, durably("t", name)).Close()
		first.Close()
		var want []string
		for node := range 3 {
			for i := range 10 {
				body := fmt.Sprintf("%d from %d", i, node)
				want = append(want, body)
				r.worlds[node].send(r.worlds[node].session(), topic("t"), i%2 == 0, body)
			}
		}
		at := (home + 1) % 3
		s := r.open(client{"alice", "192.0.2.1", "client-1"}, at)
		c := r.lasting(at, s, durably("t", name))
		got := c.next(len(want))
		require.ElementsMatch(t, want, bodies(got), "made at %d, taken at %d", home, at)
		require.Equal(t, topic("t"), got[0].Message.Destination)
		c.none()
		s.Close()
	}
}

// B6 148: a client that is on all nodes with one client-id holds its subscription on each, and they compete; on one node there is one.
func TestDurableConsumersOnSeveralNodesCompete(t *testing.T) {
	r, _ := newLastingRealm(t)
	var subs []*consumer
	var sessions []gateway.Session
	for node := range 3 {
		s := r.open(alice, node)
		o := durably("t", "d")
		subs = append(subs, r.lasting(node, s, o))
		o.Wake = func() {}
		_, err := s.Subscribe(o)
		require.Equal(t, gateway.Conflict, gateway.KindOf(err))
		sessions = append(sessions, s)
	}
	for node := range 3 {
		r.worlds[node].send(r.worlds[node].session(), topic("t"), true, numbers(100*node, 100*node+100)...)
	}
	var got []string
	gatewaytest.Eventually(t, func() bool {
		for _, c := range subs {
			got = append(got, c.all()...)
		}
		return len(got) >= 300
	}, "all of them")
	require.ElementsMatch(t, numbers(0, 300), got)
	subs[0].Close()
	require.Equal(t, gateway.Conflict, gateway.KindOf(forget(t, sessions[0], "d")), "it has consumers elsewhere")
	for _, c := range subs {
		c.Close()
	}
	require.NoError(t, forget(t, sessions[0], "d"))
	r.Settle()
	for node := range 3 {
		r.worlds[node].send(r.worlds[node].session(), topic("t"), true, "x")
		require.Empty(t, r.worlds[node].broker.Bindings())
	}
	waiting := 0
	for _, w := range r.worlds {
		waiting += w.waiting()
	}
	require.Zero(t, waiting)
}

// Only the node where it was sent feeds queues: also where subscribers on others hear it.
func TestQueuesAreFedOnce(t *testing.T) {
	r, _ := newLastingRealm(t)
	c := r.lasting(0, r.worlds[0].session(), gateway.SubscribeOptions{Destination: queue("Consumer.A.t"), AutoAck: true, Prefetch: 1000})
	var live []*consumer
	for node := range 3 {
		live = append(live, r.hear(r.worlds[node].session(), gateway.SubscribeOptions{Destination: topic("t")}))
	}
	for node := range 3 {
		r.publish(node, "t", numbers(100*node, 100*node+100)...)
	}
	require.ElementsMatch(t, numbers(0, 300), bodies(c.next(300)))
	r.Settle()
	c.none()
	for _, l := range live {
		require.ElementsMatch(t, numbers(0, 300), l.all())
	}
}

// The promise waits for a node that does not know of the subscription yet.
func TestSubscriptionsAreKnownEverywhereWhenPromised(t *testing.T) {
	r, registries := newLastingRealm(t)
	goOn := registries[2].Hold()
	o := durably("t", "d")
	o.Wake, o.Prefetch = func() {}, 10
	sub, err := r.open(alice, 0).Subscribe(o)
	require.NoError(t, err)
	var done outcome
	sub.(gateway.Announced).Announced(&done, 1)
	done.mu.Lock()
	early := len(done.done)
	done.mu.Unlock()
	require.Zero(t, early)
	goOn()
	require.NoError(t, done.wait(t, 1)[1])
	r.worlds[2].send(r.worlds[2].session(), topic("t"), true, "x")
	require.Equal(t, []string{"x"}, bodies((&consumer{T: t, Subscription: sub}).next(1)))
	goOn = registries[2].Hold()
	o.Durable = "e"
	sub, err = r.worlds[0].as("other").Subscribe(o)
	require.NoError(t, err)
	sub.(gateway.Announced).Announced(&done, 2)
	r.Link("n1", "n3", false)
	require.NoError(t, done.wait(t, 2)[2], "it does not wait for a node that is gone")
	goOn()
}

// Owners change while a topic is sent to: durable subscriptions and virtual topics lose nothing, and nothing comes twice unmarked.
func TestFeedsSurviveOwners(t *testing.T) {
	r, _ := newLastingRealm(t)
	consumers := map[string]*consumer{
		"durable": r.lasting(2, r.open(alice, 2), gateway.SubscribeOptions{Destination: topic("t"), Durable: "d", AutoAck: true, Prefetch: 1000}),
		"virtual": r.lasting(1, r.worlds[1].session(), gateway.SubscribeOptions{Destination: queue("Consumer.A.t"), AutoAck: true, Prefetch: 1000}),
	}
	const all = 2000
	var o outcome
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		s := r.worlds[0].session()
		for i, b := range numbers(0, all) {
			s.Send(message(topic("t"), b, true), &o, uint64(i))
		}
	}()
	for i := range 12 {
		r.Move(i%2, name(i%3))
		r.Settle()
	}
	<-sent
	for _, err := range o.wait(t, all) {
		require.NoError(t, err)
	}
	for what, c := range consumers {
		seen, twice := make(map[string]bool), 0
		gatewaytest.Eventually(t, func() bool {
			buf := make([]gateway.Delivery, 100)
			n := c.Next(buf, 1<<20)
			for _, d := range buf[:n] {
				if seen[string(d.Message.Body)] && d.Redeliveries == 0 {
					twice++
				}
				seen[string(d.Message.Body)] = true
			}
			c.Written(n)
			return len(seen) == all
		}, "all of %s", what)
		require.Zero(t, twice, what)
	}
}

// A stream to a topic that is kept in several shards goes on while those change their owners: nothing is lost, and each subscription has it in order.
func TestAStreamToAKeptTopicSurvivesMoves(t *testing.T) {
	r, _ := newLastingRealm(t)
	w := r.worlds[0]
	s := w.as("c")
	var names []string
	shards := make(map[int]bool)
	for i := range 6 {
		name := fmt.Sprint("s", i)
		w.lasting(s, durably("t", name)).Close()
		names = append(names, name)
		shards[shard(gateway.Destination{Kind: gateway.KindSubscription, Name: "c:" + name}.Place())] = true
	}
	require.Len(t, shards, 2)
	live := w.subscribe(w.session(), topic("t"), 1000, true)
	var d door
	for i, b := range numbers(0, 300) {
		s.Send(message(topic("t"), b, true), &d, uint64(i))
		if i%50 == 25 {
			r.Move(i/50%2, name(i/50%3))
		}
	}
	for _, err := range d.wait(t, 300) {
		require.NoError(t, err)
	}
	require.Equal(t, numbers(0, 300), bodies(live.next(300)))
	for _, n := range names {
		o := durably("t", n)
		o.Prefetch = 1000
		c := w.lasting(s, o)
		got := bodies(c.next(300))
		require.Equal(t, numbers(0, 300), got, n)
	}
}
