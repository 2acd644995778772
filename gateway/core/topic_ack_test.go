package core_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
)

// Acknowledging deliveries of a topic opens the window; a tag counts once, and what is refused is no dead letter.
func TestTopicDeliveriesAreAcknowledgedOnce(t *testing.T) {
	w := newWorld(t)
	s := w.session()
	c := w.subscribe(s, topic("t"), 2, false)
	w.send(s, topic("t"), false, "1", "2", "3")
	w.send(s, topic("t"), true, "4")
	got := c.next(2)
	require.Zero(t, c.Next(make([]gateway.Delivery, 1), 1), "beyond the prefetch")
	c.ack(got...)
	var o outcome
	c.Ack(tags(got[:1]), &o, 0)
	require.Equal(t, gateway.NotFound, gateway.KindOf(o.wait(t, 1)[0]))
	c.Nack(tags(c.next(2)), &o, 1)
	require.NoError(t, o.wait(t, 2)[1])
	w.send(s, queue("ActiveMQ.DLQ"), true, "of nobody")
	dead := w.subscribe(s, queue("ActiveMQ.DLQ"), 10, true).next(1)
	require.Equal(t, []string{"of nobody"}, bodies(dead))
}
