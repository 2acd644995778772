package core_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/core"
	"github.com/sluice-mq/sluice/gateway/gatewaytest"
)

// temp is a temporary queue of a session.
func temp(s gateway.Session, name string) gateway.Destination {
	return gateway.Destination{Kind: gateway.KindTempQueue, Name: s.ID() + ":" + name}
}

func tempTopic(s gateway.Session, name string) gateway.Destination {
	return gateway.Destination{Kind: gateway.KindTempTopic, Name: s.ID() + ":" + name}
}

// B6 143: a reply comes to the temporary queue of whoever asked, persistent or not, before and after it subscribes.
func TestB6_143_TempQueueReply(t *testing.T) {
	w := newWorld(t)
	asker, answerer := w.session(), w.session()
	w.send(answerer, temp(asker, "r"), true, "early")
	c := w.subscribe(asker, temp(asker, "r"), 10, false)
	w.send(answerer, temp(asker, "r"), false, "1", "2")
	w.send(answerer, temp(asker, "r"), true, "3")
	got := c.next(4)
	require.Equal(t, []string{"early", "1", "2", "3"}, bodies(got))
	require.Equal(t, temp(asker, "r"), got[0].Message.Destination)
	c.ack(got...)
	for i := range 3 {
		for seq := uint64(1); seq <= w.store.Journal(i).State().Last; seq++ {
			require.NoError(t, w.store.Journal(i).Replay(t.Context(), func(_ uint64, _ int, r *gateway.Record) error {
				require.Nil(t, r.Message, "nothing of it is on disk")
				return nil
			}))
		}
	}
}

// B6 144: nobody else can subscribe to it or browse it, and it is gone with its session; then whoever sends there is told so.
func TestB6_144_TempDestinationsBelongToTheirSession(t *testing.T) {
	w := newWorld(t)
	owner, other := w.session(), w.session()
	for _, d := range []gateway.Destination{temp(owner, "q"), tempTopic(owner, "t")} {
		for _, browse := range []bool{false, true} {
			_, err := other.Subscribe(gateway.SubscribeOptions{Destination: d, Prefetch: 1, Wake: func() {}, Browse: browse})
			if browse && d.Kind.IsTopic() {
				require.Equal(t, gateway.Invalid, gateway.KindOf(err), "no topic can be browsed")
				continue
			}
			require.Equal(t, gateway.Denied, gateway.KindOf(err), "%s", d)
		}
		_, err := other.Subscribe(gateway.SubscribeOptions{Destination: queue("a"), Also: []gateway.Destination{d}, Prefetch: 1, Wake: func() {}})
		require.Equal(t, gateway.Denied, gateway.KindOf(err), "as a part of a composite")
	}
	q, tt := w.subscribe(owner, temp(owner, "q"), 10, false), w.subscribe(owner, tempTopic(owner, "t"), 10, false)
	all := w.subscribe(other, topic(">"), 10, false)
	queues := w.join(other, gateway.SubscribeOptions{Destination: queue(">"), Prefetch: 10})
	w.send(other, temp(owner, "q"), true, "1")
	w.send(other, tempTopic(owner, "t"), true, "2")
	require.Equal(t, []string{"1"}, bodies(q.next(1)))
	require.Equal(t, []string{"2"}, bodies(tt.next(1)))
	require.Empty(t, take(all))
	require.Empty(t, take(queues))
	w.send(other, temp(owner, "q"), false, "3")
	require.NoError(t, w.tryCommit(other, temp(owner, "q"), queue("x")))
	owner.Close()
	for _, d := range []gateway.Destination{temp(owner, "q"), tempTopic(owner, "t"), temp(owner, "never")} {
		err := w.try(other, d, true)
		require.Equal(t, gateway.NotFound, gateway.KindOf(err))
		require.Equal(t, "The destination "+d.String()+" does not exist.", err.Error())
		require.Equal(t, gateway.NotFound, gateway.KindOf(w.tryCommit(other, queue("x"), d)))
	}
	require.Equal(t, 1, w.waiting(), "only what went to x")
}

// What does not fit into memory is refused: there is no other place for it.
func TestTempQueuesAreBounded(t *testing.T) {
	w := newWorld(t, func(c *core.Config) { c.QueueMemory = 1000 })
	owner, other := w.session(), w.session()
	c := w.subscribe(owner, temp(owner, "q"), 0, false)
	defer c.Close()
	var err error
	for range 20 {
		if err = w.try(other, temp(owner, "q"), true); err != nil {
			break
		}
	}
	require.Equal(t, gateway.Limit, gateway.KindOf(err))
	require.NoError(t, w.try(other, queue("q"), true))
}

// B6 143 AcrossConnections: whoever owns the place, and wherever the two are.
func TestB6_143_TempAcrossNodes(t *testing.T) {
	r := newRealm(t)
	r.Move(0, "n1")
	r.Move(1, "n2")
	for to := range 3 {
		for from := range 3 {
			asker, answerer := r.worlds[to].session(), r.worlds[from].session()
			tt := r.worlds[to].subscribe(asker, tempTopic(asker, "t"), 10, false)
			r.Settle()
			for k := range 4 {
				d := temp(asker, fmt.Sprint(k))
				r.worlds[from].send(answerer, d, k%2 == 0, "0", "1")
				c := r.worlds[to].subscribe(asker, d, 10, false)
				r.worlds[from].send(answerer, d, k%2 == 0, "2")
				require.Equal(t, numbers(0, 3), bodies(c.next(3)))
			}
			r.worlds[from].send(answerer, tempTopic(asker, "t"), false, "t")
			require.Equal(t, []string{"t"}, bodies(tt.next(1)))
			_, err := answerer.Subscribe(gateway.SubscribeOptions{Destination: temp(asker, "0"), Wake: func() {}})
			require.Equal(t, gateway.Denied, gateway.KindOf(err))
			asker.Close()
			gatewaytest.Eventually(t, func() bool {
				r.Settle()
				return gateway.KindOf(r.worlds[from].try(answerer, temp(asker, "0"), true)) == gateway.NotFound
			}, "gone")
			require.Equal(t, gateway.NotFound, gateway.KindOf(r.worlds[from].try(answerer, tempTopic(asker, "t"), true)))
		}
	}
	gatewaytest.Eventually(t, func() bool { return r.worlds[0].waiting()+r.worlds[1].waiting()+r.worlds[2].waiting() == 0 }, "nothing waits")
}

// What waits in a temporary queue moves with its place.
func TestTempQueueMovesWithItsOwner(t *testing.T) {
	r := newRealm(t)
	r.Move(0, "n1")
	r.Move(1, "n1")
	asker := r.worlds[2].session()
	c := r.worlds[2].subscribe(asker, temp(asker, "q"), 1, false)
	r.worlds[1].send(r.worlds[1].session(), temp(asker, "q"), true, "0", "1", "2")
	first := c.next(1)
	r.Move(0, "n2")
	r.Move(1, "n2")
	c.Ack(tags(first), nil, 0)
	seen := map[string]bool{}
	for len(seen) < 2 {
		d := c.next(1)[0]
		seen[string(d.Message.Body)] = true
		c.Ack(tags([]gateway.Delivery{d}), nil, 0)
		delete(seen, "0") // it may come twice
	}
}
