package nats_test

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/core"
	"github.com/sluice-mq/sluice/gateway/policy"
)

// A consumer's BackOff says when a delivery counts as lost, and the queue's policy when, and how often, the message comes again: a worker that says nothing waits for both. A
// consumer with MaxDeliver has a policy of its own, in the place of the queue's.
func TestBackOffTogetherWithARedeliveryPolicy(t *testing.T) {
	const delay = 300 * time.Millisecond
	backOff := []time.Duration{150 * time.Millisecond, 250 * time.Millisecond}
	h := newHouse(t, options{core: core.Config{Policies: policy.NewTable([]policy.Policy{{
		On: []gateway.Destination{queue("ruled.*")}, Redelivery: &gateway.Redelivery{Maximum: 2, Delay: delay},
	}})}})
	dead := h.subscribe(h.session(), queue("ActiveMQ.DLQ"))
	for _, c := range []struct {
		queue                  string
		maxDeliver, deliveries int
		least                  time.Duration // from the first to the second
	}{
		{"ruled.a", -1, 3, backOff[0] + delay}, {"ruled.b", 4, 4, backOff[0]}, {"free", 3, 3, backOff[0]},
	} {
		js := h.jetStream()
		w, err := js.CreateOrUpdateConsumer(ctx(t), "QUEUES", jetstream.ConsumerConfig{
			Durable: "w-" + c.queue[len(c.queue)-1:], FilterSubject: "queue." + c.queue, BackOff: backOff, MaxDeliver: c.maxDeliver,
		})
		require.NoError(t, err)
		_, err = js.Publish(ctx(t), "queue."+c.queue, []byte(c.queue))
		require.NoError(t, err)
		var at []time.Time
		for i := range c.deliveries {
			m := fetch(t, w, 1)[0]
			at = append(at, time.Now())
			require.EqualValues(t, i+1, deliveries(t, m), c.queue)
		}
		require.GreaterOrEqual(t, at[1].Sub(at[0]), c.least-50*time.Millisecond, c.queue)
		require.Equal(t, c.queue, string(dead.next(1)[0].Body))
	}
}
