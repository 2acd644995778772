package core_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/core"
	"github.com/sluice-mq/sluice/gateway/gatewaytest"
)

// audience is three brokers and whoever listens to them, with what they may, and in quiet times must, hear.
type audience struct {
	*rapid.T
	*gatewaytest.Cluster
	brokers []*core.Broker
	senders []gateway.Session
	linked  [3][3]bool
	subs    []*listener
	sent    []publication
	// heardAt is the node where a client heard a message, by both.
	heardAt map[string]int
}

// publication is a message that was sent: its body is its place.
type publication struct {
	node  int
	topic string
}

// listener is a subscription.
type listener struct {
	gateway.Subscription
	node   int
	client string // and what it subscribes to; empty: of nobody in particular
	topic  string
	local  bool
	last   [3]int // message heard of each sender
}

func newAudience(t *rapid.T) *audience {
	a := &audience{T: t, Cluster: gatewaytest.NewCluster(1), heardAt: make(map[string]int)}
	for i := range 3 {
		store := a.Node(name(i))
		b, err := core.New(context.Background(), core.Config{
			Node: name(i), Store: store, Cluster: store, Authenticator: gatewaytest.Everyone{}, Authorizer: gatewaytest.Everyone{},
			Logger: slog.New(slog.DiscardHandler),
		})
		require.NoError(t, err)
		s, err := b.Open(context.Background(), gateway.Login{Remote: "192.0.2.9:1"})
		require.NoError(t, err)
		a.brokers, a.senders = append(a.brokers, b), append(a.senders, s)
	}
	for i := range 3 {
		a.link(i, (i+1)%3, true)
	}
	return a
}

func (a *audience) close() {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for _, b := range a.brokers {
		_ = b.Close(ctx) // the shard has no owner
	}
	a.Close()
}

func (a *audience) link(i, k int, up bool) {
	a.Link(name(i), name(k), up)
	a.linked[i][k], a.linked[k][i] = up, up
}

func (a *audience) subscribe() {
	l := &listener{
		node: rapid.IntRange(0, 2).Draw(a.T, "node"), topic: rapid.SampledFrom([]string{"a.b", "a.c", "a.*", ">"}).Draw(a.T, "topic"),
		local: rapid.IntRange(0, 9).Draw(a.T, "local") == 0, last: [3]int{-1, -1, -1},
	}
	o := gateway.SubscribeOptions{Destination: topic(l.topic), Prefetch: 1000, AutoAck: true, Local: l.local, Wake: func() {}}
	user := rapid.SampledFrom([]string{"", "u", "v"}).Draw(a.T, "user")
	if user != "" {
		o.Name, l.client = "s", user+" "+l.topic
	}
	s, err := a.brokers[l.node].Open(context.Background(), gateway.Login{Remote: "192.0.2.1:" + strconv.Itoa(len(a.subs)), Credentials: gateway.Credentials{Login: user}})
	require.NoError(a, err)
	l.Subscription, err = s.Subscribe(o)
	require.NoError(a, err)
	a.subs = append(a.subs, l)
}

func (a *audience) unsubscribe() {
	if len(a.subs) == 0 {
		return
	}
	i := rapid.IntRange(0, len(a.subs)-1).Draw(a.T, "which")
	a.take(a.subs[i])
	a.subs[i].Subscription.Close()
	a.subs = slices.Delete(a.subs, i, i+1)
}

func (a *audience) publish() {
	p := publication{rapid.IntRange(0, 2).Draw(a.T, "from"), rapid.SampledFrom([]string{"a.b", "a.c", "d"}).Draw(a.T, "to")}
	a.sent = append(a.sent, p)
	a.senders[p.node].Send(message(topic(p.topic), strconv.Itoa(len(a.sent)-1), false), nil, 0)
}

// take takes what a subscription has: in the order of each sender, nothing twice, and no more than one node has it for a client.
func (a *audience) take(l *listener) (numbers []int) {
	for {
		var d [1]gateway.Delivery
		if l.Next(d[:], 1<<20) == 0 {
			return numbers
		}
		l.Written(1)
		n, err := strconv.Atoi(string(d[0].Message.Body))
		require.NoError(a, err)
		from := a.sent[n].node
		require.Greater(a, n, l.last[from], "twice or out of order")
		l.last[from] = n
		if l.client != "" && !l.local {
			key := fmt.Sprint(n, " ", l.client)
			if node, ok := a.heardAt[key]; ok {
				require.Equal(a, node, l.node, "message %s was heard on two nodes", key)
			}
			a.heardAt[key] = l.node
		}
		require.False(a, l.local && from != l.node)
		numbers = append(numbers, n)
	}
}

// covers is the model's own idea of patterns.
func covers(pattern, topic string) bool {
	return pattern == topic || pattern == ">" || pattern == "a.*" && topic != "d"
}

// must reports whether a subscription hears a message that was sent in quiet times.
func (a *audience) must(l *listener, p publication) bool {
	if !covers(l.topic, p.topic) {
		return false
	}
	if l.node == p.node {
		return true
	}
	if l.local || !a.linked[p.node][l.node] {
		return false
	}
	for _, other := range a.subs {
		if l.client == "" || other.client != l.client || other.local {
			continue
		}
		if other.node == p.node || other.node < l.node && a.linked[p.node][other.node] {
			return false
		}
	}
	return true
}

// quietly publishes while nothing else happens: everybody hears exactly what they must.
func (a *audience) quietly() {
	a.Settle()
	for _, l := range a.subs {
		a.take(l)
	}
	first := len(a.sent)
	for range rapid.IntRange(1, 6).Draw(a.T, "messages") {
		a.publish()
	}
	a.Settle()
	for _, l := range a.subs {
		var want []int
		for n := first; n < len(a.sent); n++ {
			if a.must(l, a.sent[n]) {
				want = append(want, n)
			}
		}
		got := a.take(l)
		slices.Sort(got)
		require.Equal(a, want, got, "%q on %s at %s", l.client, l.topic, name(l.node))
	}
}

// Whoever comes and goes and whichever links break: nothing is heard twice or out of order, and in quiet times
// everybody hears everything, a client with subscriptions on several nodes on one of them.
func TestTopicsOfAClusterAsTheModelHasThem(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		a := newAudience(rt)
		defer a.close()
		for range rapid.IntRange(1, 60).Draw(rt, "steps") {
			switch rapid.IntRange(0, 9).Draw(rt, "what") {
			case 0, 1, 2:
				a.subscribe()
			case 3:
				a.unsubscribe()
			case 4, 5, 6:
				a.publish()
			case 7:
				i := rapid.IntRange(0, 2).Draw(rt, "link")
				a.link(i, (i+1)%3, !a.linked[i][(i+1)%3])
			default:
				a.quietly()
			}
		}
		a.quietly()
	})
}
