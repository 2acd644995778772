package native_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/core"
	"github.com/sluice-mq/sluice/gateway/gatewaytest"
	"github.com/sluice-mq/sluice/jetstream/embed"
	"github.com/sluice-mq/sluice/tests/ports"
)

// guardedNodes are n nodes of a cluster whose native clients log in. Their brokers have links.
func guardedNodes(t *testing.T, n int, o guardedOptions) (all []*guarded) {
	t.Helper()
	at := ports.Of(t, n).Addresses()
	brokers := gatewaytest.NewCluster(2)
	name := func(i int) string { return fmt.Sprintf("n%d", i+1) }
	t.Cleanup(brokers.Close)
	tls, err := embed.Trust("the secret of the cluster")
	require.NoError(t, err)
	for i := range n {
		of := o
		of.dir = t.TempDir()
		of.abandon = true
		of.embed = func(c *embed.Config) {
			c.Name, c.Cluster = name(i), &embed.Cluster{Name: "c", Address: at[i], Routes: at, TLS: tls}
		}
		of.core = func(c *core.Config) {
			store := brokers.Node(name(i))
			c.Store, c.Cluster = store, store
		}
		all = append(all, newGuarded(t, of))
	}
	for i := range n {
		for k := range i {
			brokers.Link(name(i), name(k), true)
		}
	}
	for s := range 2 {
		brokers.Move(s, name(s%n))
	}
	for _, g := range all {
		require.Eventually(t, func() bool { return g.server.Peers() == n }, patience, time.Millisecond)
	}
	return all
}

// until repeats something until a subscription has heard it, and then hears no more of it.
func until(t *testing.T, sub *natsgo.Subscription, say func()) {
	t.Helper()
	require.Eventually(t, func() bool {
		say()
		_, err := sub.NextMsg(20 * time.Millisecond)
		return err == nil
	}, patience, time.Millisecond)
	for _, err := sub.NextMsg(200 * time.Millisecond); err == nil; _, err = sub.NextMsg(200 * time.Millisecond) {
	}
}

// In a cluster a user's clients may be anywhere: each hears what is said to topics once, from whichever node and whomever, if it may read it; requests are answered across.
func TestUsersOfACluster(t *testing.T) {
	t.Parallel()
	both := map[gateway.Action][]string{gateway.Write: {"topic://x", "queue://a"}, gateway.Read: {"topic://x", "queue://a"}}
	g := guardedNodes(t, 2, guardedOptions{rules: allow(may{"alice": both, "bob": both})})
	var alice, bob [2]*natsgo.Conn
	var ears []*natsgo.Subscription
	var deaf []*natsgo.Subscription
	for i := range g {
		alice[i], bob[i] = g[i].as("alice"), g[i].as("bob")
		for _, nc := range []*natsgo.Conn{alice[i], bob[i]} {
			ears = append(ears, listen(t, nc, "topic.x"), listen(t, nc, ">"))
		}
		deaf = append(deaf, listen(t, g[i].as("eve"), ">"))
	}
	for _, from := range []*natsgo.Conn{alice[0], alice[1], bob[0], bob[1]} { // until all know of all
		for _, ear := range ears {
			until(t, ear, func() { require.NoError(t, from.Publish("topic.x", nil)) })
		}
	}
	drainAll := func() {
		for _, ear := range ears {
			for _, err := ear.NextMsg(100 * time.Millisecond); err == nil; _, err = ear.NextMsg(50 * time.Millisecond) {
			}
		}
	}
	drainAll()
	for i, from := range []*natsgo.Conn{alice[0], alice[1], bob[0], bob[1]} {
		for k := range 5 {
			require.NoError(t, from.Publish("topic.x", fmt.Append(nil, i, k)))
		}
		for n, ear := range ears {
			for k := range 5 {
				require.Equal(t, fmt.Sprint(i, k), string(hear(t, ear).Data), "from %d at %d", i, n)
			}
		}
	}
	require.NoError(t, send(g[1].other("alice"), topic("x"), "STOMP"))
	for _, ear := range ears {
		require.Equal(t, "STOMP", string(hear(t, ear).Data))
	}
	empty(t, append(ears, deaf...)...)

	// Requests from here are answered there, by the same user and by another.
	for _, responder := range []*natsgo.Conn{alice[1], bob[1]} {
		sub, err := responder.Subscribe("topic.x", func(m *natsgo.Msg) {
			if m.Reply != "" {
				_ = m.Respond([]byte("answer"))
			}
		})
		require.NoError(t, err)
		require.NoError(t, responder.Flush())
		var m *natsgo.Msg
		require.Eventually(t, func() bool { m, err = alice[0].Request("topic.x", nil, time.Second); return err == nil }, patience, time.Millisecond)
		require.Equal(t, "answer", string(m.Data))
		require.NoError(t, sub.Unsubscribe())
	}
	drainAll()

	// Queues are the cluster's, and consumers are known on both nodes.
	publisher, err := jetstream.New(alice[0])
	require.NoError(t, err)
	for range 4 {
		_, err := publisher.Publish(ctx(t), "queue.a", nil)
		require.NoError(t, err)
	}
	at := make([]jetstream.JetStream, 2)
	for i := range at {
		at[i], err = jetstream.New(bob[i])
		require.NoError(t, err)
	}
	w, err := at[0].CreateOrUpdateConsumer(ctx(t), "QUEUES", jetstream.ConsumerConfig{Durable: "w", FilterSubject: "queue.a"})
	require.NoError(t, err)
	require.Eventually(t, func() bool { _, err := at[1].Consumer(ctx(t), "QUEUES", "w"); return err == nil }, patience, time.Millisecond)
	there, err := at[1].Consumer(ctx(t), "QUEUES", "w")
	require.NoError(t, err)
	for _, c := range []jetstream.Consumer{w, there} {
		for _, m := range fetch(t, c, 2) {
			require.NoError(t, m.DoubleAck(ctx(t)))
		}
	}
	_, err = publisher.Consumer(ctx(t), "QUEUES", "w")
	require.ErrorIs(t, err, jetstream.ErrConsumerNotFound)
}

// Streams of a user's own can be used from every node, although the user came to one of them first.
func TestStreamsOfUsersOfACluster(t *testing.T) {
	t.Parallel()
	g := guardedNodes(t, 3, guardedOptions{})
	js := g[0].js("alice")
	var err error
	require.Eventually(t, func() bool {
		c, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_, err = js.CreateStream(c, jetstream.StreamConfig{Name: "ORDERS", Subjects: []string{"orders.>"}, Replicas: 3})
		return err == nil
	}, patience, 100*time.Millisecond)
	for i := range g {
		from := g[i].js("alice")
		require.Eventually(t, func() bool {
			c, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			_, err := from.Publish(c, "orders.x", nil, jetstream.WithMsgID(fmt.Sprint(i)))
			return err == nil
		}, patience, time.Millisecond)
	}
	s, err := g[2].js("alice").Stream(ctx(t), "ORDERS")
	require.NoError(t, err)
	require.Equal(t, uint64(3), s.CachedInfo().State.Msgs)
	c, err := s.CreateOrUpdateConsumer(ctx(t), jetstream.ConsumerConfig{Durable: "d", AckPolicy: jetstream.AckExplicitPolicy})
	require.NoError(t, err)
	for _, m := range fetch(t, c, 3) {
		require.NoError(t, m.DoubleAck(ctx(t)))
	}
	_, err = g[1].js("bob").Stream(ctx(t), "ORDERS")
	require.ErrorIs(t, err, jetstream.ErrStreamNotFound)
}

// Requests are answered across nodes, in both directions between STOMP and native clients, wherever each of them is: to temporary queues and to inboxes. What a user was told on one
// node its connection to another one can answer, too.
func TestClusterAnswersBetweenProtocols(t *testing.T) {
	t.Parallel()
	g := guardedNodes(t, 2, guardedOptions{rules: answersOf})
	bob := [2]jetstream.JetStream{g[0].js("bob"), g[1].js("bob")}
	for from := range g {
		asks := g[from].other("alice")
		d, replyTo := mine(asks)
		answers := subscribe(t, asks, d)
		for at := range g {
			requests := listen(t, bob[at].Conn(), "topic.svc")
			until(t, requests, func() { asked(t, asks, nil) })
			asked(t, asks, replyTo)
			to := hear(t, requests).Reply
			for _, js := range bob {
				require.Eventually(t, func() bool { // as soon as the doors know one another
					_, err := js.Publish(ctx(t), to, []byte("to a temporary queue"))
					return err == nil
				}, patience, 50*time.Millisecond)
				require.Equal(t, "to a temporary queue", string(answers.next().Body))
			}
			require.NoError(t, requests.Unsubscribe())

			// And the other way round.
			there := g[at].other("alice")
			service := subscribe(t, there, topic("back"))
			native := listen(t, bob[from].Conn(), "_INBOX.of.bob")
			some := make([]gateway.Delivery, 1)
			require.Eventually(t, func() bool {
				require.NoError(t, bob[from].Conn().PublishRequest("topic.back", "_INBOX.of.bob", nil))
				for n := service.sub.Next(some, 1<<20); n > 0; n = service.sub.Next(some, 1<<20) {
					service.sub.Written(n)
					require.NoError(t, send(there, answerTo(t, some[0].Message), "to an inbox"))
				}
				answer, err := native.NextMsg(50 * time.Millisecond)
				return err == nil && string(answer.Data) == "to an inbox"
			}, patience, time.Millisecond)
		}
	}
}
