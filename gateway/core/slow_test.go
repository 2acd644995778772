package core_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/core"
	"github.com/sluice-mq/sluice/gateway/gatewaytest"
	"github.com/sluice-mq/sluice/gateway/policy"
)

// awaits lets time pass until advisories are heard, whatever their order.
func (c *consumer) awaits(now *clock, want ...string) {
	c.Helper()
	var got []string
	gatewaytest.Eventually(c, func() bool {
		now.advance(10 * time.Second)
		for _, d := range take(c.Subscription) {
			got = append(got, told(d.Message))
		}
		return len(got) >= len(want)
	}, "%v are heard, not only %v", want, &got)
	slices.Sort(got)
	require.Equal(c, want, got)
}

func slowPolicy() func(*core.Config) {
	return withPolicies(policy.Policy{On: []gateway.Destination{queue("w.>"), topic("w.>")}, Advisories: policy.Advisories{Slow: true}})
}

// A consumer that has all it may have and settles nothing is slow if more waits, whether its client has read it or not, and is told once until it goes on.
func TestSlowConsumersOfQueuesAreTold(t *testing.T) {
	t.Parallel()
	now := &clock{}
	w := newLasting(t, now.config, slowPolicy())
	s := w.as("c")
	a := w.listen("SlowConsumer.>")
	full := w.subscribe(s, queue("w.full"), 2, false)
	w.send(s, queue("w.full"), true, numbers(0, 5)...)
	had := full.next(2)
	w.subscribe(s, queue("w.unread"), 2, true)
	w.send(s, queue("w.unread"), false, numbers(0, 5)...)
	w.send(s, queue("w.exact"), true, numbers(0, 2)...)
	w.subscribe(s, queue("w.exact"), 2, false).next(2)
	w.send(s, queue("w.roomy"), true, numbers(0, 5)...)
	w.subscribe(s, queue("w.roomy"), 10, false).next(5)
	w.send(s, queue("quiet"), true, numbers(0, 5)...)
	w.subscribe(s, queue("quiet"), 2, false).next(2)
	d := durably("w.t", "d")
	d.AutoAck, d.Prefetch = false, 2
	lasting := w.lasting(s, d)
	w.send(s, topic("w.t"), true, numbers(0, 5)...)
	lasting.next(2)
	extended := w.subscribe(s, queue("w.extended"), 2, false)
	w.send(s, queue("w.extended"), true, numbers(0, 3)...)
	extended.Extend(2)
	extended.next(3)
	a.awaits(now, "SlowConsumer.Queue.w.full ConsumerInfo", "SlowConsumer.Queue.w.unread ConsumerInfo", "SlowConsumer.Topic.w.t ConsumerInfo")

	full.ack(had...)
	full.next(2)
	a.awaits(now, "SlowConsumer.Queue.w.full ConsumerInfo")
	w.send(s, queue("w.exact"), true, "one more")
	a.awaits(now, "SlowConsumer.Queue.w.exact ConsumerInfo")
	a.none()
}

// Whichever node has the queue, the consumer or the listener.
func TestSlowConsumersOfAClusterAreTold(t *testing.T) {
	t.Parallel()
	now := &clock{}
	r := newRealm(t, now.config, slowPolicy())
	r.Move(shard("w.q"), "n2")
	a := r.worlds[2].listen("SlowConsumer.>")
	r.Settle()
	for _, at := range []int{0, 1} {
		w := r.worlds[at]
		s := w.session()
		c := w.subscribe(s, queue("w.q"), 2, false)
		w.send(s, queue("w.q"), true, numbers(0, 5)...)
		c.next(2)
		a.awaits(now, "SlowConsumer.Queue.w.q ConsumerInfo")
		c.ack(take(c.Subscription)...)
		c.Close()
		r.Settle()
	}
}
