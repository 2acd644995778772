package core_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/core"
	"github.com/sluice-mq/sluice/gateway/gatewaytest"
	"github.com/sluice-mq/sluice/gateway/manage"
)

// kill has all messages of a queue refused.
func (w *world) kill(s gateway.Session, name string, n int) {
	w.Helper()
	c := w.subscribe(s, queue(name), n, false)
	var o outcome
	c.Nack(tags(c.next(n)), &o, 0)
	require.NoError(w, o.wait(w, 1)[0])
	c.Close()
}

// Dead messages go back to where they were sent, as often as it takes, on one node and from any node of a cluster.
func TestDeadMessagesAreRetried(t *testing.T) {
	for _, w := range everywhere(t) {
		s := w.session()
		for i := range 5 {
			require.NoError(t, w.post(s, numbered(queue("a"), i)))
			require.NoError(t, w.post(s, numbered(queue("b"), i)))
		}
		for range 2 { // the second time its ids are known everywhere
			w.kill(s, "a", 5)
			w.kill(s, "b", 5)
			done, err := w.broker.Retry(context.Background(), queue("ActiveMQ.DLQ"), manage.Selection{Selector: "n = '2'"})
			require.NoError(t, err)
			require.Equal(t, manage.Outcome{Done: 2}, done)
			done, err = w.broker.Retry(context.Background(), queue("ActiveMQ.DLQ"), manage.Selection{Most: 3})
			require.NoError(t, err)
			require.Equal(t, manage.Outcome{Done: 3}, done)
			done, err = w.broker.Retry(context.Background(), queue("ActiveMQ.DLQ"), manage.Selection{})
			require.NoError(t, err)
			require.Equal(t, manage.Outcome{Done: 5}, done)
		}
		for _, name := range []string{"a", "b"} {
			c := w.subscribe(s, queue(name), 10, true)
			seen := map[string]bool{}
			for _, d := range c.next(5) {
				seen[string(d.Message.Body)] = true
				require.Len(t, d.Message.Header, 1, "it is what it was: %v", d.Message.Header)
				require.Zero(t, d.Redeliveries)
			}
			require.Len(t, seen, 5)
			c.Close()
		}
	}
}

// What does not say where it comes from stays.
func TestWhatHasNoOriginIsNotRetried(t *testing.T) {
	w := newWorld(t)
	s := w.session()
	w.send(s, queue("ActiveMQ.DLQ"), true, "x")
	done, err := w.broker.Retry(context.Background(), queue("ActiveMQ.DLQ"), manage.Selection{})
	require.NoError(t, err)
	require.Equal(t, manage.Outcome{Left: 1}, done)
	require.Equal(t, []string{"x"}, bodies(w.subscribe(s, queue("ActiveMQ.DLQ"), 1, true).next(1)))
}

func TestMessagesAreMovedAndRemoved(t *testing.T) {
	all := everywhere(t)
	one := all[0]
	for i, w := range all {
		from, to := queue(fmt.Sprint("from", i)), queue(fmt.Sprint("to", i))
		s := w.session()
		w.send(s, from, true, numbers(0, 600)...)
		w.send(s, from, false, numbers(600, 610)...)
		busy := w.subscribe(s, from, 10, false)
		busy.next(10)
		done, err := w.broker.Move(context.Background(), from, to, manage.Selection{})
		require.NoError(t, err)
		require.Equal(t, manage.Outcome{Done: 600}, done, "what somebody has stays")
		c := w.subscribe(s, to, 1000, true)
		seen := map[string]bool{}
		for _, d := range c.next(600) {
			seen[string(d.Message.Body)] = true
			require.Equal(t, to, d.Message.Destination)
		}
		require.Len(t, seen, 600)
		w.send(s, to, true, "late")
		require.Equal(t, []string{"late"}, bodies(c.next(1)))
		busy.Close()
		got := w.subscribe(s, from, 1, false)
		id := got.next(1)[0].Message.ID
		got.Close()
		done, err = w.broker.Remove(context.Background(), from, manage.Selection{ID: id})
		require.NoError(t, err)
		require.Equal(t, manage.Outcome{Done: 1}, done)
		done, err = w.broker.Remove(context.Background(), from, manage.Selection{})
		require.NoError(t, err)
		require.Equal(t, manage.Outcome{Done: 9}, done)
	}
	gatewaytest.Eventually(t, func() bool { return one.waiting() == 0 }, "nothing is left")
	one.crash()
	require.Zero(t, one.waiting(), "removed for good")
	_, err := one.broker.Move(context.Background(), queue("x"), queue("x"), manage.Selection{})
	require.Equal(t, gateway.Invalid, gateway.KindOf(err))
	_, err = one.broker.Remove(context.Background(), topic("x"), manage.Selection{})
	require.Equal(t, gateway.Invalid, gateway.KindOf(err))
	_, err = one.broker.Remove(context.Background(), queue("x"), manage.Selection{Selector: "a >"})
	require.Equal(t, gateway.Invalid, gateway.KindOf(err))
}

// What was kept for a durable subscription goes back to that alone.
func TestADeadMessageOfADurableSubscriptionGoesBackToIt(t *testing.T) {
	disk := gatewaytest.NewDisk(3)
	w := newWorldOn(t, disk, func(c *core.Config) { c.Registry = disk.Registry() })
	var subs []*consumer
	for _, client := range []string{"one", "two"} {
		s, err := w.broker.Open(context.Background(), gateway.Login{Remote: "test", ClientID: client})
		require.NoError(t, err)
		subs = append(subs, w.consume(s, gateway.SubscribeOptions{Destination: topic("t"), Durable: "d", Prefetch: 10}))
	}
	w.send(w.session(), topic("t"), true, "x")
	subs[1].ack(subs[1].next(1)...)
	var o outcome
	subs[0].Nack(tags(subs[0].next(1)), &o, 0)
	require.NoError(t, o.wait(t, 1)[0])
	done, err := w.broker.Retry(context.Background(), queue("ActiveMQ.DLQ"), manage.Selection{})
	require.NoError(t, err)
	require.Equal(t, manage.Outcome{Done: 1}, done)
	got := subs[0].next(1)
	require.Equal(t, topic("t"), got[0].Message.Destination)
	require.Empty(t, got[0].Message.Header)
	subs[0].ack(got...)
	gatewaytest.Eventually(t, func() bool { return w.waiting() == 0 }, "nobody else got it")
}

// Who looks into a queue sees all that is there in order, from any node, and changes nothing; it may be the middle of a change of owner.
func TestOperatorsLookIntoQueues(t *testing.T) {
	t.Parallel()
	r := newRealm(t)
	r.Move(0, "n1")
	r.Move(1, "n1")
	one := newWorld(t)
	for _, w := range append([]*world{one}, r.worlds...) {
		q := queue("q" + fmt.Sprint(w.session().ID()))
		s := w.session()
		for i := range 600 {
			require.NoError(t, w.post(s, numbered(q, i)))
		}
		held := w.subscribe(s, q, 3, false)
		held.next(3)
		look := func(which manage.Selection) (got []string) {
			require.NoError(t, w.broker.Look(t.Context(), q, which, func(m *gateway.Message, _ uint32) error {
				if got = append(got, string(m.Body)); len(got) == 300 && w != one {
					at := "n2"
					r.Move(0, at)
					r.Move(1, at)
					r.Settle()
				}
				return nil
			}))
			return got
		}
		for range 2 {
			require.Equal(t, numbers(0, 600), look(manage.Selection{}))
		}
		require.Equal(t, numbers(0, 7), look(manage.Selection{Most: 7}))
		require.Equal(t, []string{"599"}, look(manage.Selection{Selector: "n = '599'"}))
		require.Empty(t, look(manage.Selection{ID: "none"}))
		held.Close()
	}
	enough := errors.New("enough")
	require.NoError(t, one.broker.Look(t.Context(), queue("q"), manage.Selection{}, func(*gateway.Message, uint32) error { return enough }))
	one.send(one.session(), queue("q"), true, "x", "y")
	require.ErrorIs(t, one.broker.Look(t.Context(), queue("q"), manage.Selection{}, func(*gateway.Message, uint32) error { return enough }), enough)
	for _, d := range []gateway.Destination{topic("t"), queue("a.>"), queue("")} {
		err := one.broker.Look(t.Context(), d, manage.Selection{}, nil)
		require.Equal(t, gateway.Invalid, gateway.KindOf(err), "%s", d)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, one.broker.Look(ctx, queue("q"), manage.Selection{}, nil), context.Canceled)
}

// The owner of a queue may change while it is worked off: what is left is done at the next one.
func TestOperationsOutliveTheirOwner(t *testing.T) {
	t.Parallel()
	r := newRealm(t)
	for round := range 3 {
		r.Move(0, "n1")
		r.Move(1, "n1")
		r.Settle()
		w, q := r.worlds[2], queue(fmt.Sprint("from", round))
		w.send(w.session(), q, true, numbers(0, 1500)...)
		type result struct {
			manage.Outcome
			err error
		}
		done := make(chan result, 1)
		go func() {
			o, err := w.broker.Move(context.Background(), q, queue("to"), manage.Selection{})
			done <- result{o, err}
		}()
		at := fmt.Sprint("n", 1+round%3)
		r.Move(0, at)
		r.Move(1, at)
		got := <-done
		left, err := w.broker.Move(context.Background(), q, queue("to"), manage.Selection{})
		require.NoError(t, err)
		if got.err == nil {
			require.Equal(t, manage.Outcome{Done: 1500}, got.Outcome, "nothing was left out in silence")
			require.Zero(t, left.Done)
		}
	}
}
