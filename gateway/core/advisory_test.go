package core_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/advisory"
	"github.com/sluice-mq/sluice/gateway/gatewaytest"
	"github.com/sluice-mq/sluice/gateway/policy"
)

// told is an advisory in short: "Consumer.Queue.q ConsumerInfo 1", "Queue q made".
func told(m *gateway.Message) string {
	var body map[string]struct {
		Operation   *int `json:"operationType"`
		Destination struct {
			String string `json:"string"`
		} `json:"destination"`
	}
	words := []string{strings.TrimPrefix(m.Destination.Name, advisory.Prefix)}
	if err := json.Unmarshal(m.Body, &body); err != nil {
		return strings.Join(append(words, string(m.Body)), " ")
	}
	for kind, info := range body {
		switch {
		case info.Operation == nil:
			words = append(words, kind)
		case *info.Operation == 0:
			words = append(words, info.Destination.String, "made")
		default:
			words = append(words, info.Destination.String, "removed")
		}
	}
	if n := header(m, "consumerCount"); n != "" {
		words = append(words, n)
	}
	return strings.Join(words, " ")
}

// hears takes the next advisories.
func (c *consumer) hears(want ...string) {
	c.Helper()
	var got []string
	for _, d := range c.next(len(want)) {
		got = append(got, told(d.Message))
	}
	require.Equal(c, want, got)
}

// hearsNoMore tells something that is heard last.
func (c *consumer) hearsNoMore(w *world) {
	c.Helper()
	w.send(w.session(), topic(advisory.Prefix+"Consumer.Queue.last"), false, "last")
	c.hears("Consumer.Queue.last last")
}

// listen subscribes to advisories.
func (w *world) listen(pattern string) *consumer {
	w.Helper()
	return w.subscribe(w.session(), topic(advisory.Prefix+pattern), 1000, true)
}

func TestConsumersAreTold(t *testing.T) {
	w := newWorld(t)
	early := w.subscribe(w.session(), queue("q"), 10, true)
	a := w.listen("Consumer.>")
	a.hears("Consumer.Queue.q ConsumerInfo 1")
	s := w.session()
	second := w.subscribe(s, queue("q"), 10, true)
	pattern := w.subscribe(s, queue("*"), 10, true)
	w.subscribe(s, topic("t"), 10, true)
	a.hears("Consumer.Queue.q ConsumerInfo 2", "Consumer.Queue.* ConsumerInfo 1", "Consumer.Topic.t ConsumerInfo 1")
	early.Close()
	a.hears("Consumer.Queue.q RemoveInfo 2") // one by its name, one by the pattern
	pattern.Close()
	second.Close()
	s.Close()
	a.hears("Consumer.Queue.* RemoveInfo 0", "Consumer.Queue.q RemoveInfo 0", "Consumer.Topic.t RemoveInfo 0")
	composite := w.consume(w.session(), gateway.SubscribeOptions{Destination: queue("a"), Also: []gateway.Destination{topic("b")}, Prefetch: 5})
	a.hears("Consumer.Queue.a ConsumerInfo 1", "Consumer.Topic.b ConsumerInfo 1")
	composite.Close()
	a.hears("Consumer.Queue.a RemoveInfo 0", "Consumer.Topic.b RemoveInfo 0")
	w.listen("Consumer.Queue.x") // who listens is no news
	a.hearsNoMore(w)
	require.Zero(t, w.broker.Stats().AdvisoriesLost)
	require.EqualValues(t, 11, w.broker.Stats().AdvisoriesTold)
}

// Everybody hears of everything once: as what was there when it came, or as what came later.
func TestConsumersAreToldOnceHoweverTheyCome(t *testing.T) {
	w := newWorld(t)
	const sessions, each = 8, 20
	done := make(chan struct{}, sessions)
	for i := range sessions {
		s := w.session()
		go func() {
			for k := range each {
				_, err := s.Subscribe(gateway.SubscribeOptions{Destination: queue(fmt.Sprintf("q.%d.%d", i, k)), Prefetch: 1, Wake: func() {}})
				if err != nil {
					break
				}
			}
			done <- struct{}{}
		}()
	}
	var all []*consumer
	for range 10 {
		all = append(all, w.listen("Consumer.Queue.q.>"))
	}
	for range sessions {
		<-done
	}
	for _, a := range all {
		var got []string
		for _, d := range a.next(sessions * each) {
			got = append(got, told(d.Message))
		}
		slices.Sort(got)
		require.Len(t, slices.Compact(got), sessions*each)
		require.Zero(t, a.Next(make([]gateway.Delivery, 1), 1))
	}
}

func TestConnectionsAreTold(t *testing.T) {
	w := newWorld(t)
	before := w.as("before")
	a := w.listen("Connection")
	a.next(2) // with the listener's own
	after := w.as("after")
	require.Contains(t, string(a.next(1)[0].Message.Body), `"clientId":"after"`)
	after.Close()
	before.Close()
	a.hears("Connection RemoveInfo", "Connection RemoveInfo")
}

func TestDestinationsAreTold(t *testing.T) {
	w := newWorld(t)
	s := w.session()
	w.send(s, queue("old"), false, "x")
	w.send(s, topic("old"), false, "x")
	queues, topics, temps := w.listen("Queue"), w.listen("Topic"), w.listen("TempTopic")
	queues.hears("Queue old made")
	topics.hears("Topic old made")
	w.send(s, queue("q"), false, "x", "y")
	w.send(s, topic("t"), false, "x", "y")
	w.send(w.session(), topic("t"), false, "z")
	queues.hears("Queue q made")
	topics.hears("Topic t made")
	c := w.subscribe(s, topic("heard"), 5, true)
	topics.hears("Topic heard made")
	c.Close()
	topics.hears("Topic heard removed")
	temp := gateway.Destination{Kind: gateway.KindTempTopic, Name: s.ID() + ":x"}
	w.subscribe(s, temp, 5, true).Close()
	w.subscribe(s, temp, 5, true)
	temps.hears("TempTopic " + temp.Name + " made")
	again := w.listen("TempTopic")
	again.hears("TempTopic " + temp.Name + " made")
	s.Close()
	temps.hears("TempTopic " + temp.Name + " removed")
	require.Zero(t, queues.Next(make([]gateway.Delivery, 1), 1))
}

func TestWhatBecomesOfMessagesIsTold(t *testing.T) {
	everything := policy.Advisories{Slow: true, Discarded: true, Delivered: true, Consumed: true, NoConsumers: true}
	w := newWorld(t, withPolicies(
		policy.Policy{On: []gateway.Destination{topic("small")}, Pending: 2, Advisories: everything},
		policy.Policy{On: []gateway.Destination{queue("q"), topic("t")}, Advisories: everything, DeadLetter: policy.DeadLetter{Queue: "dead"}},
	))
	s := w.session()
	a := map[string]*consumer{}
	for _, kind := range []string{"Expired", "MessageDLQd", "MessageDelivered", "MessageConsumed", "MessageDiscarded", "NoConsumer", "SlowConsumer"} {
		a[kind] = w.listen(kind + ".>")
	}
	w.send(s, queue("q"), false, "unheard")
	a["NoConsumer"].hears("NoConsumer.Queue.q unheard")
	a["MessageDelivered"].hears("MessageDelivered.Queue.q ActiveMQBytesMessage")
	c := w.subscribe(s, queue("q"), 10, false)
	c.ack(c.next(1)...)
	a["MessageConsumed"].hears("MessageConsumed.Queue.q ActiveMQBytesMessage")
	auto := w.subscribe(w.session(), topic("t"), 10, true)
	w.send(s, topic("t"), true, "x")
	auto.next(1)
	a["MessageConsumed"].hears("MessageConsumed.Topic.t ActiveMQBytesMessage")
	auto.Close()
	w.send(s, topic("t"), false, "nobody")
	a["NoConsumer"].hears("NoConsumer.Topic.t nobody")
	w.send(s, queue("q"), true, "refused")
	c.Nack(tags(c.next(1)), nil, 0)
	a["MessageDLQd"].hears("MessageDLQd.Queue.q ActiveMQBytesMessage")
	expired := message(topic("t"), "old", false)
	expired.Expires = 1
	require.NoError(t, w.post(s, expired))
	a["Expired"].hears("Expired.Topic.t ActiveMQBytesMessage")
	expired = message(queue("other"), "old", false)
	expired.Expires = 1
	require.NoError(t, w.post(s, expired))
	a["Expired"].hears("Expired.Queue.other ActiveMQBytesMessage")

	small := w.subscribe(w.session(), topic("small"), 2, false)
	w.send(s, topic("small"), false, "1", "2")
	small.next(2)
	w.send(s, topic("small"), false, "3", "4", "5")
	first := a["MessageDiscarded"].next(1)[0].Message
	require.Equal(t, "1", header(first, "discardedCount"))
	require.Equal(t, "topic://small", header(first, "orignalDestination"))
	require.Equal(t, []string{"4", "5"}, func() []string { small.Extend(2); return bodies(small.next(2)) }())

	w.send(s, topic("t"), false, "nobody again")
	slow := w.subscribe(w.session(), topic("t"), 2, false)
	w.send(s, topic("t"), false, "1", "2")
	slow.next(2)
	w.send(s, topic("t"), false, numbers(3, 10)...)
	a["SlowConsumer"].hears("SlowConsumer.Topic.t ConsumerInfo")
}

// What the store alone has is read before it is told that it has expired.
func TestExpiryOfWhatIsOnlyInTheStoreIsTold(t *testing.T) {
	now := &clock{}
	w := newWorld(t, now.config, withPolicies(on("q", policy.Policy{DeadLetter: policy.DeadLetter{Off: true}})))
	m := message(queue("q"), "old", true)
	m.Expires = 1_700_000_000_000 + 60_000
	require.NoError(t, w.post(w.session(), m))
	w.restart()
	a := w.listen("Expired.Queue.q")
	now.advance(2 * time.Minute)
	a.hears("Expired.Queue.q ActiveMQBytesMessage")
	gatewaytest.Eventually(t, func() bool { return w.waiting() == 0 }, "it is gone")
}

// Whoever has a pattern for everything does not hear advisories, nobody retains them, and they come to durable subscriptions.
func TestWhoNamesAdvisoriesHearsThem(t *testing.T) {
	w := newLasting(t, withPolicies(policy.Policy{On: []gateway.Destination{topic(">")}, Retain: policy.Retain{Messages: 5}, Advisories: policy.Advisories{Delivered: true, NoConsumers: true}}))
	all := w.subscribe(w.session(), topic(">"), 100, true)
	kept := w.lasting(w.as("c"), durably("ActiveMQ.Advisory.Consumer.>", "d"))
	named := w.subscribe(w.session(), topic("ActiveMQ.>"), 100, true)
	named.next(4) // three connections, and a consumer
	w.subscribe(w.session(), queue("q"), 1, true)
	require.Contains(t, string(kept.next(1)[0].Message.Body), "ConsumerInfo")
	w.send(w.session(), topic("t"), false, "x")
	require.Equal(t, []string{"x"}, bodies(all.next(1)))
	late := w.consume(w.session(), gateway.SubscribeOptions{Destination: topic("ActiveMQ.Advisory.Consumer.Queue.q"), Prefetch: 10, AutoAck: true, Retroactive: true})
	late.hears("Consumer.Queue.q ConsumerInfo 1")
	require.Zero(t, late.Next(make([]gateway.Delivery, 1), 1))
}

// An advisory that shows something of messages is heard by who may read those as well.
func TestAdvisoriesShowNothingThatMayNotBeRead(t *testing.T) {
	w, people := newSociety(t, "* write *", "* create *", "alice read topic://ActiveMQ.Advisory.*", "alice read queue://open", "bob read queue://open")
	alice, _ := w.login("alice", "192.0.2.1:1")
	bob, _ := w.login("bob", "192.0.2.1:2")
	_, _, err := trySubscribe(bob, topic("ActiveMQ.Advisory.Consumer.Queue.open"))
	require.Equal(t, gateway.Denied, gateway.KindOf(err))
	_, _, err = trySubscribe(alice, topic("ActiveMQ.Advisory.Expired.Queue.secret"))
	require.Equal(t, gateway.Denied, gateway.KindOf(err))
	sub, _, err := trySubscribe(alice, topic("ActiveMQ.Advisory.Expired.>"))
	require.NoError(t, err)
	a := &consumer{T: t, Subscription: sub}
	expire := func(name string) {
		m := message(queue(name), "x", false)
		m.Expires = 1
		require.NoError(t, w.post(bob, m))
	}
	expire("secret")
	expire("open")
	a.hears("Expired.Queue.open ActiveMQBytesMessage")
	people.allow("* write *", "* create *", "* read *")
	w.broker.Reauthorize()
	expire("secret")
	a.hears("Expired.Queue.secret ActiveMQBytesMessage")
}

// What nobody hears is not told, and what is too much is counted.
func TestWithoutAListenerNothingIsTold(t *testing.T) {
	w := newWorld(t)
	a := w.listen("Connection")
	a.next(1)
	a.Close()
	w.session().Close()
	b := w.listen("Connection")
	b.next(w.broker.Stats().Sessions)
	require.EqualValues(t, 0, w.broker.Stats().AdvisoriesTold)
}

func TestAdvisoriesOfAllNodesAreHeardOnAll(t *testing.T) {
	r := newRealm(t)
	r.Move(0, "n1")
	r.Move(1, "n2")
	early := r.worlds[2].subscribe(r.worlds[2].session(), topic("t"), 5, true)
	r.worlds[1].subscribe(r.worlds[1].session(), topic("t"), 5, true)
	var all []*consumer
	for _, w := range r.worlds {
		a := w.listen("Consumer.>")
		for _, d := range a.next(2) {
			require.Contains(t, told(d.Message), "Consumer.Topic.t ConsumerInfo")
		}
		promised(t, a.Subscription)
		all = append(all, a)
	}
	third := r.worlds[0].subscribe(r.worlds[0].session(), topic("t"), 5, true)
	for _, a := range all {
		a.hears("Consumer.Topic.t ConsumerInfo 3")
	}
	early.Close()
	for _, a := range all {
		a.hears("Consumer.Topic.t RemoveInfo 2")
	}
	third.Close()
	for i, a := range all {
		a.hears("Consumer.Topic.t RemoveInfo 1")
		require.Zero(t, a.Next(make([]gateway.Delivery, 1), 1), "at node %d", i)
	}
}

// A topic that several nodes know is told once, and so it is of a queue, wherever its owner is.
func TestDestinationsAreToldOnceInACluster(t *testing.T) {
	r := newRealm(t)
	r.Move(0, "n1")
	r.Move(1, "n2")
	for _, w := range r.worlds {
		w.send(w.session(), topic("everywhere"), false, "x")
		w.send(w.session(), queue("q"), true, "x")
	}
	for _, w := range r.worlds {
		topics, queues := w.listen("Topic"), w.listen("Queue")
		topics.hears("Topic everywhere made")
		queues.hears("Queue q made")
		promised(t, topics.Subscription)
		require.Zero(t, topics.Next(make([]gateway.Delivery, 1), 1))
		require.Zero(t, queues.Next(make([]gateway.Delivery, 1), 1))
		topics.Close()
		queues.Close()
	}
	a := r.worlds[2].listen("Topic")
	a.hears("Topic everywhere made")
	promised(t, a.Subscription)
	for _, w := range r.worlds {
		w.send(w.session(), topic("new"), false, "x")
		r.Settle()
	}
	a.hears("Topic new made")
	r.worlds[0].send(r.worlds[0].session(), topic("newer"), false, "x")
	a.hears("Topic newer made")
}
