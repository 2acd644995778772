package core_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/gatewaytest"
	"github.com/sluice-mq/sluice/gateway/manage"
)

// refused has a consumer refuse the next message.
func (w *world) refused(c *consumer) {
	w.Helper()
	var o outcome
	c.Nack(tags(c.next(1)), &o, 0)
	require.NoError(w, o.wait(w, 1)[0])
}

// retried takes all dead messages back.
func (w *world) retried() manage.Outcome {
	w.Helper()
	done, err := w.broker.Retry(context.Background(), queue("ActiveMQ.DLQ"), manage.Selection{})
	require.NoError(w, err)
	return done
}

// A dead message of a temporary queue goes back while its client is there, in memory as all that is there; then it stays where the dead are, for an operator to move or remove.
func TestADeadMessageOfATemporaryQueueGoesBackWhileItsClientIsThere(t *testing.T) {
	all := everywhere(t)
	one := all[0]
	for _, w := range all {
		for _, name := range []string{"1", "2", "3", "4"} {
			asks := w.session()
			c := w.subscribe(asks, temp(asks, name), 10, false)
			w.send(w.session(), temp(asks, name), true, "answer")
			w.refused(c)
			require.Equal(t, manage.Outcome{Done: 1}, w.retried())
			got := c.next(1)
			require.Equal(t, temp(asks, name), got[0].Message.Destination)
			require.Empty(t, got[0].Message.Header)
			var o outcome
			c.Nack(tags(got), &o, 0)
			require.NoError(t, o.wait(t, 1)[0])
			asks.Close()
			gatewaytest.Eventually(t, func() bool { return w.retried() == manage.Outcome{Left: 1} }, "its client has gone")
			done, err := w.broker.Move(context.Background(), queue("ActiveMQ.DLQ"), queue("late"), manage.Selection{})
			require.NoError(t, err)
			require.Equal(t, manage.Outcome{Done: 1}, done)
		}
	}
	for i := range 3 {
		for seq := uint64(1); seq <= one.store.Journal(i).State().Last; seq++ {
			require.NoError(t, one.store.Journal(i).Replay(t.Context(), func(_ uint64, _ int, r *gateway.Record) error {
				require.True(t, r.Message == nil || r.Message.Destination.Kind == gateway.KindQueue, "nothing of a temporary queue is on disk")
				return nil
			}))
		}
	}
}

// A dead message of a virtual topic's consumer goes back to that consumer's queue alone, and still says which topic it was sent to; it does so also if nobody subscribes any more.
func TestADeadMessageOfAVirtualTopicGoesBackToItsConsumer(t *testing.T) {
	w := newLasting(t)
	s := w.session()
	a := w.lasting(s, gateway.SubscribeOptions{Destination: queue("Consumer.a.t")})
	b := w.lasting(s, gateway.SubscribeOptions{Destination: queue("Consumer.b.t"), AutoAck: true})
	live := w.subscribe(s, topic("t"), 10, true)
	w.send(s, topic("t"), true, "x")
	b.next(1)
	live.next(1)
	w.refused(a)
	for range 2 {
		require.Equal(t, manage.Outcome{Done: 1}, w.retried())
		got := a.next(1)
		require.Equal(t, queue("Consumer.a.t"), got[0].Message.Destination)
		require.Equal(t, gateway.Header{{Name: "original-destination", Value: "/topic/t"}}, got[0].Message.Header)
		var o outcome
		a.Nack(tags(got), &o, 0)
		require.NoError(t, o.wait(t, 1)[0])
	}
	a.Close()
	require.Equal(t, manage.Outcome{Done: 1}, w.retried())
	b.none()
	live.none()
	w.restart()
	require.Equal(t, []string{"x"}, bodies(w.subscribe(w.session(), queue("Consumer.a.t"), 1, true).next(1)))
}

// What was kept for a durable subscription that has ended since stays where the dead are.
func TestADeadMessageOfAnEndedSubscriptionStays(t *testing.T) {
	w := newLasting(t)
	s := w.as("c")
	c := w.lasting(s, gateway.SubscribeOptions{Destination: topic("t"), Durable: "d"})
	w.send(w.session(), topic("t"), true, "x")
	w.refused(c)
	c.Close()
	var o outcome
	s.Forget("d", &o, 0)
	require.NoError(t, o.wait(t, 1)[0])
	require.Equal(t, manage.Outcome{Left: 1}, w.retried())
	c = w.lasting(s, gateway.SubscribeOptions{Destination: topic("t"), Durable: "d"})
	require.Equal(t, manage.Outcome{Done: 1}, w.retried(), "made anew, it is there again")
	require.Equal(t, []string{"x"}, bodies(c.next(1)))
}
