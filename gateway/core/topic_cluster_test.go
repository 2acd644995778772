package core_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/core"
	"github.com/sluice-mq/sluice/gateway/gatewaytest"
)

// client is somebody who connects to nodes.
type client struct{ user, host, clientID string }

var alice = client{"alice", "192.0.2.1", "client-1"}

// open connects a client to a node, from a port of its own.
func (r *realm) open(c client, node int) gateway.Session {
	r.Helper()
	r.ports++
	s, err := r.worlds[node].broker.Open(context.Background(), gateway.Login{
		ClientID: c.clientID, Remote: fmt.Sprintf("%s:%d", c.host, 1024+r.ports), Credentials: gateway.Credentials{Login: c.user},
	})
	require.NoError(r, err)
	return s
}

// hear subscribes to topics.
func (r *realm) hear(s gateway.Session, o gateway.SubscribeOptions) *consumer {
	r.Helper()
	o.AutoAck, o.Prefetch, o.Wake = true, 1000, func() {}
	sub, err := s.Subscribe(o)
	require.NoError(r, err)
	return &consumer{T: r.T, Subscription: sub}
}

// named are the options of a subscription with a name.
func named(name, topicName string) gateway.SubscribeOptions {
	return gateway.SubscribeOptions{Destination: topic(topicName), Name: name}
}

// all takes what is there.
func (c *consumer) all() []string {
	var all []gateway.Delivery
	buf := make([]gateway.Delivery, 1000)
	for {
		n := c.Next(buf, 1<<30)
		c.Written(n)
		if n == 0 {
			return bodies(all)
		}
		all = append(all, buf[:n]...)
	}
}

// publish sends bodies to a topic at a node, once all has settled, and waits until they are there.
func (r *realm) publish(node int, topicName string, bodies ...string) {
	r.Helper()
	r.Settle()
	r.worlds[node].send(r.worlds[node].session(), topic(topicName), false, bodies...)
	r.Settle()
}

func TestTopicsReachTheSubscribersOfAllNodes(t *testing.T) {
	r := newRealm(t)
	names := []string{"a.b", "a.*", ">", "a.c"}
	subs := map[string]*consumer{}
	for node := range 3 {
		for _, n := range names {
			subs[fmt.Sprint(n, node)] = r.hear(r.worlds[node].session(), gateway.SubscribeOptions{Destination: topic(n)})
		}
	}
	for node := range 3 {
		want := numbers(100*node, 100*node+100)
		r.publish(node, "a.b", want...)
		for key, c := range subs {
			if strings.HasPrefix(key, "a.c") {
				require.Empty(t, c.all(), key)
			} else {
				require.Equal(t, want, c.all(), "%s, sent at node %d", key, node)
			}
		}
	}
	for _, c := range subs {
		c.Close()
	}
	before := r.worlds[0].broker.Stats().TopicRelayed
	require.EqualValues(t, 200, before)
	r.publish(0, "a.b", "x")
	require.Equal(t, before, r.worlds[0].broker.Stats().TopicRelayed, "nobody is there")
}

// A message is the same on all nodes.
func TestMessagesOfTopicsKeepWhatTheirNodeGaveThem(t *testing.T) {
	r := newRealm(t)
	here := r.hear(r.worlds[0].session(), gateway.SubscribeOptions{Destination: topic("t")})
	there := r.hear(r.worlds[1].session(), gateway.SubscribeOptions{Destination: topic("t")})
	r.Settle()
	m := message(topic("t"), "body", true)
	m.Header = gateway.Header{{Name: "n", Value: "v"}}
	r.worlds[0].session().Send(m, nil, 0)
	r.Settle()
	a, b := here.next(1)[0].Message, there.next(1)[0].Message
	require.NotEmpty(t, b.ID)
	require.NotZero(t, b.Timestamp)
	require.Equal(t, []any{a.ID, a.Timestamp, a.Destination, a.Header, string(a.Body), a.Persistent, a.Priority},
		[]any{b.ID, b.Timestamp, b.Destination, b.Header, string(b.Body), b.Persistent, b.Priority})
}

// A client that follows the alias to all nodes, with one client-id and one subscription id, hears each message once.
func TestAClientOnAllNodesHearsEachMessageOnce(t *testing.T) {
	r := newRealm(t)
	var subs []*consumer
	for node := range 3 {
		subs = append(subs, r.hear(r.open(alice, node), named("sub-1", "t")))
	}
	for node := range 3 {
		want := numbers(100*node, 100*node+100)
		r.publish(node, "t", want...)
		for i, c := range subs {
			if i == node {
				require.Equal(t, want, c.all(), "where it was sent")
			} else {
				require.Empty(t, c.all())
			}
		}
	}
	for node := range 3 {
		require.Zero(t, r.worlds[node].broker.Stats().TopicRelayed, "nothing had to travel")
	}
}

// It goes on at another node when the one where it hears dies.
func TestAClientGoesOnAtAnotherNode(t *testing.T) {
	r := newRealm(t)
	first, second := r.hear(r.open(alice, 1), named("sub-1", "t")), r.hear(r.open(alice, 2), named("sub-1", "t"))
	r.publish(0, "t", "1")
	require.Equal(t, []string{"1"}, first.all(), "the first node by name that has it")
	r.Link("n1", "n2", false)
	r.Link("n3", "n2", false)
	r.publish(0, "t", "2")
	require.Equal(t, []string{"2"}, second.all())
	r.Link("n1", "n2", true)
	r.Link("n3", "n2", true)
	r.publish(0, "t", "3")
	require.Equal(t, []string{"3"}, first.all())
	first.Close()
	r.publish(0, "t", "4")
	require.Equal(t, []string{"4"}, second.all())
	third := r.hear(r.open(alice, 0), named("sub-1", "t"))
	r.publish(0, "t", "5")
	require.Equal(t, []string{"5"}, third.all(), "its own node comes first")
	require.Empty(t, second.all())
}

// On one node every subscription hears, as on one ActiveMQ broker.
func TestSubscriptionsOfAClientOnOneNodeAllHear(t *testing.T) {
	r := newRealm(t)
	plain := client{user: "alice", host: "192.0.2.1"}
	a, b := r.hear(r.open(plain, 1), named("s", "t")), r.hear(r.open(plain, 1), named("s", "t"))
	c := r.hear(r.open(plain, 2), named("s", "t"))
	r.publish(0, "t", "1")
	require.Equal(t, [][]string{{"1"}, {"1"}, nil}, [][]string{a.all(), b.all(), c.all()})
	a.Close()
	r.publish(0, "t", "2")
	require.Equal(t, [][]string{{"2"}, nil}, [][]string{b.all(), c.all()}, "one of it is still there")
}

// Whatever sets clients apart makes them two, which both hear. Ports and client-ids do not: they are
// another one for each connection.
func TestWhatSetsClientsApart(t *testing.T) {
	reference := named("s", "a.b")
	noLocal := reference
	noLocal.NoLocal = true
	for _, c := range []struct {
		what    string
		client  client
		options gateway.SubscribeOptions
		same    bool
	}{
		{"nothing", alice, reference, true},
		{"the client-id", client{alice.user, alice.host, "another"}, reference, false},
		{"the user", client{"bob", alice.host, alice.clientID}, reference, false},
		{"the host", client{alice.user, "192.0.2.2", alice.clientID}, reference, false},
		{"the name", alice, named("S", "a.b"), false},
		{"the destination", alice, named("s", "a.*"), false},
		{"what it leaves out", alice, noLocal, false},
		{"where words end", client{"alic", "e192.0.2.1", alice.clientID}, reference, false},
		{"no name", alice, named("", "a.b"), false},
	} {
		t.Run(c.what, func(t *testing.T) {
			r := newRealm(t)
			one, other := r.hear(r.open(alice, 1), reference), r.hear(r.open(c.client, 2), c.options)
			r.publish(0, "a.b", "1")
			require.Equal(t, []string{"1"}, one.all())
			require.Equal(t, c.same, len(other.all()) == 0)
		})
	}
	r := newRealm(t)
	one, other := r.hear(r.open(alice, 1), named("", "t")), r.hear(r.open(alice, 2), named("", "t"))
	r.publish(0, "t", "1")
	require.Equal(t, [][]string{{"1"}, {"1"}}, [][]string{one.all(), other.all()}, "without a name nobody is the same")
}

func TestTopicDeliveryOfTheWholeCluster(t *testing.T) {
	r := newRealm(t, func(c *core.Config) { c.TopicDelivery = core.ClusterWide })
	var subs []*consumer
	for node := range 3 {
		subs = append(subs, r.hear(r.open(alice, node), named("sub-1", "t")))
	}
	r.publish(1, "t", "1")
	for _, c := range subs {
		require.Equal(t, []string{"1"}, c.all())
	}
}

func TestTopicDeliveryOfEachNode(t *testing.T) {
	r := newRealm(t, func(c *core.Config) { c.TopicDelivery = core.Local })
	var subs []*consumer
	for node := range 3 {
		subs = append(subs, r.hear(r.open(alice, node), named("sub-1", "t")))
	}
	r.publish(1, "t", "1")
	require.Equal(t, [][]string{nil, {"1"}, nil}, [][]string{subs[0].all(), subs[1].all(), subs[2].all()})
	require.Zero(t, r.worlds[1].broker.Stats().TopicRelayed)
}

// A local subscription neither hears other nodes, not even if somebody else there does, nor stands for its client.
func TestLocalSubscriptionsHearTheirNodeAlone(t *testing.T) {
	r := newRealm(t)
	local := named("s", "t")
	local.Local = true
	a, everybody := r.hear(r.open(alice, 1), local), r.hear(r.worlds[1].session(), named("", "t"))
	b := r.hear(r.open(alice, 2), named("s", "t"))
	r.publish(0, "t", "1")
	require.Equal(t, [][]string{nil, {"1"}, {"1"}}, [][]string{a.all(), everybody.all(), b.all()})
	r.publish(1, "t", "2")
	require.Equal(t, [][]string{{"2"}, {"2"}, {"2"}}, [][]string{a.all(), everybody.all(), b.all()})
}

// What leaves messages out does so on the subscriber's node; a client that left one out there does not get it elsewhere.
func TestFiltersRunWhereTheSubscriberIs(t *testing.T) {
	r := newRealm(t)
	odd := gateway.SubscribeOptions{Destination: topic("t"), Match: func(m *gateway.Message) bool { return m.Body[0]%2 == 1 }}
	c := r.hear(r.worlds[1].session(), odd)
	r.publish(0, "t", "1", "2", "3")
	require.Equal(t, []string{"1", "3"}, c.all())

	own := named("s", "u")
	own.NoLocal = true
	s := r.open(alice, 0)
	here, there := r.hear(s, own), r.hear(r.open(alice, 1), own)
	r.Settle()
	r.worlds[0].send(s, topic("u"), false, "mine")
	r.publish(0, "u", "another's")
	require.Equal(t, []string{"another's"}, here.all())
	require.Empty(t, there.all())
}

// A subscription that can hear nothing does not take its client's messages away.
func TestASubscriptionWithoutPrefetchStandsForNobody(t *testing.T) {
	r := newRealm(t)
	_, err := r.open(alice, 0).Subscribe(gateway.SubscribeOptions{Destination: topic("t"), Name: "s", Wake: func() {}})
	require.NoError(t, err)
	c := r.hear(r.open(alice, 1), named("s", "t"))
	r.publish(0, "t", "1")
	require.Equal(t, []string{"1"}, c.all())
}

// Clients use one client-id on all nodes at once.
func TestClientIDsAreUniquePerNodeAlone(t *testing.T) {
	r := newRealm(t)
	for node := range 3 {
		r.open(alice, node)
		_, err := r.worlds[node].broker.Open(context.Background(), gateway.Login{ClientID: alice.clientID})
		require.Equal(t, gateway.Conflict, gateway.KindOf(err))
	}
}

// A subscriber on another node that does not keep up slows the sender down, but for no longer than one here would.
func TestASlowSubscriberElsewhereSlowsTheSenderDown(t *testing.T) {
	var now clock
	r := newRealm(t, now.config)
	slow := r.hear(r.worlds[1].session(), gateway.SubscribeOptions{Destination: topic("t")})
	r.Settle()
	s := r.worlds[0].session()
	var o outcome
	const all = 25_000 + 16384 + 100
	for i := range all { // a quarter of 100,000 may wait for it without anybody's waiting, and then 16384 on the link
		s.Send(message(topic("t"), fmt.Sprint(i), false), &o, uint64(i))
	}
	gatewaytest.Eventually(t, func() bool { return o.count() >= 25_000+15*1024 }, "what may wait is taken")
	require.Less(t, o.count(), all)
	now.advance(time.Second + time.Millisecond)
	o.wait(t, all)
	require.Zero(t, r.worlds[0].broker.Stats().TopicDroppedLinks)
	r.Settle()
	require.Equal(t, numbers(0, all), slow.all())
}

// What is sent anywhere after a subscription was announced reaches it, and nobody waits for a node that does not answer.
func TestASubscriptionIsAnnouncedWhenAllNodesKnowOfIt(t *testing.T) {
	var now clock
	r := newRealm(t, now.config)
	r.Settle()
	publishers := []gateway.Session{r.worlds[1].session(), r.worlds[2].session()}
	for i := range 20 {
		name := fmt.Sprintf("t%d", i)
		c := r.hear(r.worlds[0].session(), gateway.SubscribeOptions{Destination: topic(name)})
		var o outcome
		c.Subscription.(gateway.Announced).Announced(&o, 1)
		require.NoError(t, o.wait(t, 1)[1])
		for _, p := range publishers { // at once
			p.Send(message(topic(name), "x", false), nil, 0)
		}
		r.Settle()
		require.Len(t, c.all(), 2)
	}
	r.strange("n4") // which never answers
	c := r.hear(r.worlds[0].session(), gateway.SubscribeOptions{Destination: topic("late")})
	var o outcome
	c.Subscription.(gateway.Announced).Announced(&o, 1)
	require.Zero(t, o.count())
	now.advance(time.Second + time.Millisecond)
	o.wait(t, 1)
}
