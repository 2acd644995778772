package core_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
)

// B4 121 on queues, as ActiveMQ does it: what a client sends it does not get itself; it waits for others, whoever owns the queue, also as a dead message, and whatever selector there is.
func TestB4_121_NoLocalOnQueues(t *testing.T) {
	for _, w := range everywhere(t) {
		own, other := w.session(), w.session()
		for _, o := range []gateway.SubscribeOptions{
			{Destination: queue("q")}, {Destination: queue("q"), Selector: "n = '1' OR n = '1'"}, {Destination: queue("q"), Also: []gateway.Destination{queue("p")}}, {Destination: queue("q.>")},
			{Destination: temp(own, "t")},
		} {
			to := o.Destination
			if to.IsPattern() {
				to = queue("q.x")
			}
			o.NoLocal, o.Prefetch = true, 10
			c := w.join(own, o)
			say := func(s gateway.Session, body string) {
				m := message(to, body, true)
				m.Header = gateway.Header{{Name: "n", Value: "1"}}
				require.NoError(t, w.post(s, m))
			}
			say(own, "own")
			say(other, "other")
			got := c.next(1)
			require.Equal(t, []string{"other"}, bodies(got))
			c.ack(got...)
			require.Empty(t, take(c))
			o.Browse = true
			if !to.Kind.IsTemp() {
				require.Empty(t, w.look(own, o), "nor does it see it")
			}
			c.Close()
			if to.Kind.IsTemp() {
				continue
			}
			rest := w.subscribe(other, to, 10, false)
			got = rest.next(1)
			require.Equal(t, []string{"own"}, bodies(got))
			rest.ack(got...)
			rest.Close()
		}
	}
}
