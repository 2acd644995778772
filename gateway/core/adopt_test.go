package core_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/core"
	"github.com/sluice-mq/sluice/gateway/gatewaytest"
)

// has waits until a node owns a queue with so many messages waiting and in flight.
func (r *realm) has(node, q string, waiting, inFlight int) {
	r.Helper()
	var last core.QueueState
	gatewaytest.Eventually(r.T, func() bool {
		for i, w := range r.worlds {
			if name(i) == node {
				last, _ = w.broker.Queue(q)
			}
		}
		return last.Waiting == waiting && last.InFlight == inFlight
	}, "%d waiting and %d in flight at %s", waiting, inFlight, node)
}

// nothing is there for a consumer now.
func (c *consumer) nothing() {
	c.Helper()
	var buf [1]gateway.Delivery
	require.Zero(c, c.Next(buf[:], 1<<20))
}

// acked acknowledges and returns what the receipt would say.
func (c *consumer) acked(ds ...gateway.Delivery) error {
	var o outcome
	c.Ack(tags(ds), &o, 0)
	return o.wait(c.T, 1)[0]
}

// The owner changes, and changes again, while clients on all nodes have messages: they keep them. None is handed out again, and what they
// may have beyond them is what they might before.
func TestDeliveriesStayWithTheirClientsWhenTheOwnerChanges(t *testing.T) {
	r := newRealm(t)
	r.Move(shard("q"), "n1")
	s := r.worlds[0].session()
	var clients []*consumer
	var held [][]gateway.Delivery
	for i := range 3 {
		clients = append(clients, r.worlds[i].subscribe(r.worlds[i].session(), queue("q"), 4, false))
	}
	r.has("n1", "q", 0, 0)
	r.Settle()
	r.worlds[0].send(s, queue("q"), true, numbers(0, 12)...)
	seen := map[string]bool{}
	for _, c := range clients {
		held = append(held, c.next(4))
		for _, d := range held[len(held)-1] {
			seen[string(d.Message.Body)] = true
		}
	}
	require.Len(t, seen, 12)
	r.worlds[0].send(s, queue("q"), true, "more", "and more", "and still more", "the last")
	for _, to := range []string{"n2", "", "n3", "n1", "n2"} {
		r.Move(shard("q"), to)
		if to != "" {
			r.has(to, "q", 4, 12)
		}
	}
	for i, c := range clients {
		c.nothing()
		require.NoError(t, c.acked(held[i][0]))
		held[i] = append(held[i][1:], c.next(1)...)
	}
	r.has("n2", "q", 1, 12)
	clients[2].Close() // what it had is handed out again, in its old place and marked, and only that
	got := r.worlds[0].subscribe(s, queue("q"), 10, false).next(5)
	var want []string
	for _, d := range held[2] {
		want = append(want, string(d.Message.Body))
	}
	require.Equal(t, append(want, "the last"), bodies(got))
	for _, d := range got[:3] {
		require.EqualValues(t, 1, d.Redeliveries)
	}
	for i, c := range clients[:2] {
		require.NoError(t, c.acked(held[i]...))
	}
	r.has("n2", "q", 0, 5)
}

// A link is cut for longer than the owner keeps what the client at its other end has: somebody else gets it. What the first one
// acknowledges nevertheless, with a receipt, does not come back when the second one goes, in whatever way.
func TestAcknowledgedMessagesDoNotComeBackFromAnotherConsumer(t *testing.T) {
	ways := map[string]func(r *realm, second *consumer, got []gateway.Delivery){
		"its connection dies": func(_ *realm, second *consumer, _ []gateway.Delivery) { second.Close() },
		"it gives them back": func(r *realm, second *consumer, got []gateway.Delivery) {
			require.NoError(r, second.Release(tags(got), gateway.Return{Redelivered: true}))
		},
		"it refuses them": func(r *realm, second *consumer, got []gateway.Delivery) {
			var o outcome
			second.Nack(tags(got), &o, 0)
			require.NoError(r, o.wait(r.T, 1)[0])
		},
		"it acknowledges them": func(r *realm, second *consumer, got []gateway.Delivery) { require.NoError(r, second.acked(got...)) },
		"the owner changes":    func(r *realm, _ *consumer, _ []gateway.Delivery) { r.Move(shard("q"), "n2") },
		"the owner changes and it dies": func(r *realm, second *consumer, _ []gateway.Delivery) {
			r.Move(shard("q"), "n2")
			r.has("n2", "q", 0, 0)
			second.Close()
		},
	}
	for way, end := range ways {
		for _, inTransaction := range []bool{false, true} {
			t.Run(way, func(t *testing.T) {
				r := newRealm(t)
				r.Move(shard("q"), "n1")
				s := r.worlds[1].session()
				first := r.worlds[1].subscribe(s, queue("q"), 3, false)
				r.worlds[0].send(r.worlds[0].session(), queue("q"), true, "a", "b", "c")
				got := first.next(3)
				second := r.worlds[2].subscribe(r.worlds[2].session(), queue("q"), 10, false)
				r.Link("n1", "n2", false)
				again := second.next(3)
				r.Link("n1", "n2", true)
				r.Settle()
				if inTransaction {
					var o outcome
					s.Commit(&gateway.Transaction{Acks: []gateway.TransactionAck{{Subscription: first.Subscription, Tags: tags(got)}}}, &o, 0)
					require.NoError(t, o.wait(t, 1)[0])
				} else {
					require.NoError(t, first.acked(got...))
				}
				end(r, second, again)
				r.Settle()
				if way == "the owner changes" || way == "the owner changes and it dies" {
					r.has("n2", "q", 0, 0)
				} else {
					r.has("n1", "q", 0, 0)
				}
				first.nothing()
				for _, w := range r.worlds {
					require.Zero(t, w.broker.Stats().DeadLettered)
				}
			})
		}
	}
}

// The link to the owner breaks and is there again, before anybody else got what clients at its other end have.
func TestDeliveriesStayWithTheirClientsOverACutLink(t *testing.T) {
	r := newRealm(t)
	r.Move(shard("q"), "n1")
	s := r.worlds[1].session()
	c := r.worlds[1].subscribe(s, queue("q"), 2, false)
	r.worlds[0].send(r.worlds[0].session(), queue("q"), true, "a", "b", "c", "d")
	got := c.next(2)
	for range 3 {
		r.Link("n1", "n2", false)
		r.Settle()
		r.has("n1", "q", 4, 0)
		r.Link("n1", "n2", true)
		r.has("n1", "q", 2, 2)
		r.Settle()
		c.nothing()
	}
	require.NoError(t, c.acked(got[0]))
	require.Equal(t, []string{"c"}, bodies(c.next(1)))
	require.NoError(t, c.Release(tags(got[1:]), gateway.Return{Redelivered: true}))
	again := c.next(1)
	require.Equal(t, []string{"b"}, bodies(again))
	require.EqualValues(t, 1, again[0].Redeliveries)
}

// Refused while nobody owns the queue: the next owner buries it, as the one before would have.
func TestRefusalsWaitForAnOwner(t *testing.T) {
	for _, to := range []string{"n2", "n3"} {
		r := newRealm(t)
		r.Move(0, "n1")
		r.Move(1, "n1")
		s := r.worlds[1].session()
		c := r.worlds[1].subscribe(s, queue("q"), 5, false)
		r.worlds[0].send(r.worlds[0].session(), queue("q"), true, "a", "b", "c")
		got := c.next(3)
		r.Move(shard("q"), "")
		r.Move(1-shard("q"), to)
		gatewaytest.Eventually(t, func() bool { _, known := r.worlds[0].broker.Queue("q"); return !known }, "nobody owns it")
		var o outcome
		c.Nack(tags(got[:1]), &o, 0)
		s.Commit(&gateway.Transaction{Acks: []gateway.TransactionAck{{Subscription: c.Subscription, Tags: tags(got[1:2]), Nack: true}}}, &o, 1)
		require.Equal(t, gateway.NotFound, gateway.KindOf(c.acked(got[0])), "it is refused already")
		require.Zero(t, o.count())
		r.Move(shard("q"), to)
		for _, err := range o.wait(t, 2) {
			require.NoError(t, err)
		}
		r.has(to, "q", 0, 1)
		c.nothing()
		dead := r.worlds[0].subscribe(r.worlds[0].session(), queue("ActiveMQ.DLQ"), 5, false)
		require.ElementsMatch(t, []string{"a", "b"}, bodies(dead.next(2)))
	}
}

// older is a node whose links are those of builds that know nothing of adoption.
type older struct{ *gatewaytest.Node }

// Send implements gateway.Peers.
func (o older) Send(node string, f *gateway.Frame) {
	if f.Kind < gateway.FrameAdopt {
		o.Node.Send(node, f)
	}
}

// Between builds of which one knows nothing of adoption it is as it was: what clients have comes again, marked; what they acknowledge
// is settled wherever it is, and what they refuse is not.
func TestOwnersOfOlderBuildsHandOutAgain(t *testing.T) {
	r := newRealm(t, func(cfg *core.Config) { cfg.Cluster = older{cfg.Cluster.(*gatewaytest.Node)} })
	r.Move(shard("q"), "n1")
	c := r.worlds[1].subscribe(r.worlds[1].session(), queue("q"), 6, false)
	r.worlds[0].send(r.worlds[0].session(), queue("q"), true, "a", "b", "c")
	got := c.next(3)
	gatewaytest.Eventually(t, func() bool { return r.Handed(shard("q"), "q") }, "the note that all three were handed out")
	r.Move(shard("q"), "n3")
	again := c.next(3)
	require.Equal(t, []string{"a", "b", "c"}, bodies(again))
	require.NoError(t, c.acked(got[0]))
	var o outcome
	c.Nack(tags(got[1:2]), &o, 0)
	require.Equal(t, gateway.Unavailable, gateway.KindOf(o.wait(t, 1)[0]))
	c.Close()
	third := r.worlds[0].subscribe(r.worlds[0].session(), queue("q"), 5, false).next(2)
	require.Equal(t, []string{"b", "c"}, bodies(third))
	for _, d := range append(again, third...) {
		require.Positive(t, d.Redeliveries)
	}
}

// Clients that may have more do not get what others have: a new owner waits for all of them, on this node and on others.
func TestNobodyGetsWhatAnotherHas(t *testing.T) {
	r := newRealm(t)
	r.Move(shard("q"), "n1")
	var clients []*consumer
	for _, i := range []int{1, 1, 2, 1} {
		clients = append(clients, r.worlds[i].subscribe(r.worlds[i].session(), queue("q"), 3, false))
	}
	r.has("n1", "q", 0, 0) // then all nodes have been told of it
	r.Settle()
	r.worlds[0].send(r.worlds[0].session(), queue("q"), true, numbers(0, 12)...)
	var held [][]gateway.Delivery
	for _, c := range clients {
		held = append(held, c.next(3))
	}
	for _, c := range clients {
		c.Extend(17) // from here on each could take more
	}
	r.Settle()
	moved := func(to string) {
		r.Move(shard("q"), to)
		r.has(to, "q", 0, 12)
		r.Settle()
		for _, c := range clients {
			c.nothing()
		}
	}
	for range 5 {
		moved("n3")
		moved("n2")
		moved("n1")
	}
	r.Link("n1", "n2", false)
	r.Link("n3", "n2", false)
	r.Settle()
	clients = append(clients[:2:2], clients[3]) // the other one is not linked to the new owner, which hands out what it has
	r.Move(shard("q"), "n2")
	var more int
	gatewaytest.Eventually(t, func() bool {
		for _, c := range clients {
			var buf [12]gateway.Delivery
			for _, d := range buf[:c.Next(buf[:], 1<<20)] {
				require.Contains(t, bodies(held[2]), string(d.Message.Body))
				more++
			}
		}
		return more == 3
	}, "what is with a node that is cut off")
}
