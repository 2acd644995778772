package core_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/core"
	"github.com/sluice-mq/sluice/gateway/gatewaytest"
)

// BenchmarkTopic is the way of a message to the subscribers of its topic on one node.
func BenchmarkTopic(b *testing.B) {
	for _, subscribers := range []int{1, 100} {
		b.Run(fmt.Sprint(subscribers), func(b *testing.B) {
			s := benchBroker(b, func(c *core.Config) { c.Authorizer = gatewaytest.Everyone{} })
			var err error
			subs := make([]gateway.Subscription, subscribers)
			for i := range subs {
				subs[i], err = s.Subscribe(gateway.SubscribeOptions{Destination: topic("t"), Prefetch: 1000, AutoAck: true, Wake: func() {}})
				require.NoError(b, err)
			}
			buf := make([]gateway.Delivery, 256)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				s.Send(message(topic("t"), "body", false), nil, 0)
				if i%256 == 255 {
					for _, sub := range subs {
						sub.Written(sub.Next(buf, 1<<30))
					}
				}
			}
		})
	}
}
