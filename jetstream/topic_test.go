package jetstream_test

import (
	"context"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/core"
	"github.com/sluice-mq/sluice/gateway/gatewaytest"
)

// serveBroker has a broker serve a node's store.
func serveBroker(m *member) (err error) {
	m.broker, err = core.New(context.Background(), core.Config{
		Node: m.name, Store: m.store, Cluster: m.store, Authenticator: gatewaytest.Everyone{}, Authorizer: gatewaytest.Everyone{}, Logger: quiet(),
	})
	return err
}

func topic(name string) gateway.Destination {
	return gateway.Destination{Kind: gateway.KindTopic, Name: name}
}

func session(t testing.TB, m *member) gateway.Session {
	t.Helper()
	s, err := m.broker.Open(context.Background(), gateway.Login{Remote: "192.0.2.1:5"})
	require.NoError(t, err)
	return s
}

func hear(t testing.TB, m *member, id string) gateway.Subscription {
	t.Helper()
	sub, err := session(t, m).Subscribe(gateway.SubscribeOptions{Destination: topic("t"), Name: id, Prefetch: 1 << 20, AutoAck: true, Wake: func() {}})
	require.NoError(t, err)
	return sub
}

// heardBy takes what a subscription has.
func heardBy(sub gateway.Subscription) (bodies []string) {
	buf := make([]gateway.Delivery, 256)
	for {
		n := sub.Next(buf, 1<<30)
		sub.Written(n)
		if n == 0 {
			return bodies
		}
		for _, d := range buf[:n] {
			bodies = append(bodies, string(d.Message.Body))
		}
	}
}

// attune sends until all of these hear it, and then until they have heard all of it.
func attune(t testing.TB, send func() string, subs []gateway.Subscription) {
	t.Helper()
	for _, sub := range subs {
		gatewaytest.Eventually(t, func() bool { send(); return len(heardBy(sub)) > 0 }, "interest to arrive")
	}
	last := send()
	for _, sub := range subs {
		gatewaytest.Eventually(t, func() bool {
			got := heardBy(sub)
			return len(got) > 0 && strings.TrimRight(got[len(got)-1], "\x00") == last
		}, "the last one")
	}
}

// A client on all nodes hears each message once, in order, over the links of real servers; when its node dies it goes on at another.
func TestTopicsOverLinks(t *testing.T) {
	t.Parallel()
	all := cluster(t, serveBroker)
	once := []gateway.Subscription{hear(t, all[0], "1"), hear(t, all[1], "1"), hear(t, all[2], "1")}
	somewhere := []gateway.Subscription{hear(t, all[1], "2"), hear(t, all[2], "2")}
	everywhere := []gateway.Subscription{hear(t, all[0], ""), hear(t, all[1], ""), hear(t, all[2], "")}
	sender := session(t, all[0])
	number := 0
	send := func() string {
		number++
		body := strconv.Itoa(number)
		sender.Send(&gateway.Message{Destination: topic("t"), Body: []byte(body)}, nil, 0)
		return body
	}
	want := func(sub gateway.Subscription, bodies []string) {
		t.Helper()
		var got []string
		gatewaytest.Eventually(t, func() bool { got = append(got, heardBy(sub)...); return len(got) >= len(bodies) }, "%d messages", len(bodies))
		require.Equal(t, bodies, got)
	}
	attune(t, send, everywhere)
	for _, sub := range append(once, somewhere...) { // they subscribed before those
		heardBy(sub)
	}
	for range 3 { // more than may be on its way at once
		var sent []string
		for range 10_000 {
			sent = append(sent, send())
		}
		for _, sub := range everywhere {
			want(sub, sent)
		}
		want(once[0], sent)
		want(somewhere[0], sent)
	}
	for _, sub := range []gateway.Subscription{once[1], once[2], somewhere[1]} {
		require.Empty(t, heardBy(sub))
	}

	all[1].kill()
	var first string
	gatewaytest.Eventually(t, func() bool {
		send()
		if got := heardBy(somewhere[1]); len(got) > 0 {
			first = got[0]
		}
		return first != ""
	}, "the other node to take over")
	require.Empty(t, heardBy(once[2]))
	heardBy(once[0])
	want(once[0], []string{send()})
}

// BenchmarkTopicToHundred is a topic with 100 subscribers on the sender's node, or spread over three. All three are in this process.
// An operation is a message with 100 deliveries.
func BenchmarkTopicToHundred(b *testing.B) {
	const portion = 4096 // is sent before anybody looks
	for _, nodes := range []int{1, 3} {
		b.Run(fmt.Sprint("nodes=", nodes), func(b *testing.B) {
			all := cluster(b, serveBroker)
			var subs []gateway.Subscription
			for i := range 100 {
				subs = append(subs, hear(b, all[i%nodes], strconv.Itoa(i)))
			}
			sender := session(b, all[0])
			sent := 0
			send := func() string {
				sent++
				body := strconv.Itoa(sent)
				sender.Send(&gateway.Message{Destination: topic("t"), Body: append(make([]byte, 0, 100), body...)[:100]}, nil, 0)
				return body
			}
			attune(b, send, subs)
			buf := make([]gateway.Delivery, 256)
			b.ReportAllocs()
			b.ResetTimer()
			for left := b.N; left > 0; left -= portion {
				n := min(left, portion)
				for range n {
					send()
				}
				for heard := 0; heard < n*len(subs); {
					before := heard
					for _, sub := range subs {
						k := sub.Next(buf, 1<<30)
						sub.Written(k)
						heard += k
					}
					if heard == before {
						runtime.Gosched()
					}
				}
			}
		})
	}
}
