package core_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/core"
	"github.com/sluice-mq/sluice/gateway/gatewaytest"
)

// newLasting is a world with a registry.
func newLasting(t *testing.T, change ...func(*core.Config)) *world {
	disk := gatewaytest.NewDisk(3)
	w := newWorldOn(t, disk, append(change, func(c *core.Config) { c.Registry = disk.Registry() })...)
	return w
}

// as opens a session of a client.
func (w *world) as(clientID string) gateway.Session {
	w.Helper()
	s, err := w.broker.Open(context.Background(), gateway.Login{Remote: "10.0.0.1:5", ClientID: clientID, Credentials: gateway.Credentials{Login: "u"}})
	require.NoError(w, err)
	return s
}

// lasting subscribes durably and waits until that is promised.
func (w *world) lasting(s gateway.Session, o gateway.SubscribeOptions) *consumer {
	w.Helper()
	if o.Prefetch == 0 {
		o.Prefetch = 100
	}
	o.Wake = func() {}
	sub, err := s.Subscribe(o)
	require.NoError(w, err)
	promised(w, sub)
	return &consumer{T: w.T, Subscription: sub}
}

// promised waits until other nodes know of a subscription.
func promised(t testing.TB, sub gateway.Subscription) {
	t.Helper()
	if a, ok := sub.(gateway.Announced); ok {
		var o outcome
		a.Announced(&o, 1)
		require.NoError(t, o.wait(t, 1)[1])
	}
}

func durably(topicName, name string) gateway.SubscribeOptions {
	return gateway.SubscribeOptions{Destination: topic(topicName), Durable: name, AutoAck: true}
}

// forget ends a durable subscription.
func forget(t testing.TB, s gateway.Session, name string) error {
	t.Helper()
	var o outcome
	s.Forget(name, &o, 1)
	return o.wait(t, 1)[1]
}

// none fails if anything waits for a consumer.
func (c *consumer) none() {
	c.Helper()
	require.Zero(c, c.Next(make([]gateway.Delivery, 1), 1<<20))
}

// B6 146, 150: what is sent while nobody is there waits, with the topic as its destination, also across restarts.
func TestDurableSubscriptionsKeepWhatIsSentWhileNobodyIsThere(t *testing.T) {
	w := newLasting(t)
	producer := w.session()
	w.send(producer, topic("t"), true, "before")
	c := w.lasting(w.as("c"), durably("t", "sub"))
	w.send(producer, topic("t"), true, "1")
	w.send(producer, topic("t"), false, "2")
	got := c.next(2)
	require.ElementsMatch(t, []string{"1", "2"}, bodies(got))
	for _, d := range got {
		require.Equal(t, topic("t"), d.Message.Destination)
		require.Zero(t, d.Redeliveries)
	}
	var o outcome
	c.Ack(nil, &o, 1)
	require.NoError(t, o.wait(t, 1)[1])
	c.Close()
	live := w.subscribe(w.session(), topic("t"), 10, true)
	w.send(producer, topic("t"), true, "3", "4")
	require.Equal(t, []string{"3", "4"}, bodies(live.next(2)))
	for range 2 {
		w.crash()
		producer = w.session()
	}
	w.send(producer, topic("t"), true, "5")
	w.send(producer, topic("other"), true, "x")
	c = w.lasting(w.as("c"), durably("t", "sub"))
	got = c.next(3)
	require.Equal(t, []string{"3", "4", "5"}, bodies(got))
	require.Equal(t, topic("t"), got[0].Message.Destination)
	c.none()
	gatewaytest.Eventually(t, func() bool { return w.waiting() == 0 }, "nothing waits any more")
}

// B6 146: two subscriptions of one client, and those of two clients, are each their own.
func TestDurableSubscriptionsAreEachTheirOwn(t *testing.T) {
	w := newLasting(t)
	one, two := w.as("1"), w.as("2")
	subs := map[string]*consumer{
		"1a": w.lasting(one, durably("a", "s")), "1b": w.lasting(one, durably("b", "t")), "2a": w.lasting(two, durably("a", "s")), "2p": w.lasting(two, durably(">", "p")),
	}
	for _, c := range subs {
		c.Close()
	}
	s := w.session()
	w.send(s, topic("a"), true, "A1", "A2")
	w.send(s, topic("b"), true, "B")
	subs = map[string]*consumer{
		"1a": w.lasting(one, durably("a", "s")), "1b": w.lasting(one, durably("b", "t")), "2a": w.lasting(two, durably("a", "s")), "2p": w.lasting(two, durably(">", "p")),
	}
	for name, want := range map[string][]string{"1a": {"A1", "A2"}, "1b": {"B"}, "2a": {"A1", "A2"}, "2p": {"A1", "A2", "B"}} {
		require.ElementsMatch(t, want, bodies(subs[name].next(len(want))), name)
		subs[name].none()
	}
	require.Len(t, w.broker.Bindings(), 4)
}

// Names with colons are nobody else's.
func TestDurableSubscriptionsAreTheClientsOwn(t *testing.T) {
	w := newLasting(t)
	one, two := w.as("a:b"), w.as("a")
	w.lasting(one, durably("t", "c")).Close()
	w.send(one, topic("t"), true, "x")
	w.lasting(two, durably("t", "b:c")).none()
	require.Equal(t, gateway.NotFound, gateway.KindOf(forget(t, two, "c")))
	require.Equal(t, []string{"x"}, bodies(w.lasting(one, durably("t", "c")).next(1)))
}

// The words are ActiveMQ's.
func TestDurableSubscriptionsThatCannotBe(t *testing.T) {
	w := newLasting(t)
	s := w.as("c")
	held := w.lasting(s, durably("t", "sub"))
	for _, x := range []struct {
		s    gateway.Session
		o    gateway.SubscribeOptions
		kind gateway.ErrorKind
		text string
	}{
		{s, durably("t", "sub"), gateway.Conflict, "Durable consumer is in use for client: c and subscriptionName: sub"},
		{s, gateway.SubscribeOptions{Destination: queue("q"), Durable: "x"}, gateway.Invalid, "Invalid Subscription: cannot durably subscribe to a Queue destination!"},
		{w.session(), durably("t", "x"), gateway.Invalid, "You cannot create a durable subscriber without specifying a unique clientID on a Connection"},
		{s, gateway.SubscribeOptions{Destination: topic("t"), Durable: "x", Selector: "a ="}, gateway.Invalid, ""},
	} {
		x.o.Wake = func() {}
		_, err := x.s.Subscribe(x.o)
		require.Equal(t, x.kind, gateway.KindOf(err))
		require.Contains(t, gateway.TextOf(err), x.text)
	}
	err := forget(t, s, "sub")
	require.Equal(t, gateway.Conflict, gateway.KindOf(err))
	require.Equal(t, "Durable consumer is in use", gateway.TextOf(err))
	err = forget(t, s, "never")
	require.Equal(t, gateway.NotFound, gateway.KindOf(err))
	require.Equal(t, "No durable subscription exists for clientID: c and subscriptionName: never", gateway.TextOf(err))
	held.Close()
	w.lasting(s, durably("t", "sub")).Close()
}

// B6 146: a forgotten subscription keeps nothing, and what it had kept is gone.
func TestForgottenSubscriptionsKeepNothing(t *testing.T) {
	w := newLasting(t)
	s := w.as("c")
	w.lasting(s, durably("t", "sub")).Close()
	w.send(s, topic("t"), true, "1", "2")
	w.send(s, topic("t"), false, "3")
	require.Equal(t, 3, w.waiting())
	require.NoError(t, forget(t, s, "sub"))
	require.Zero(t, w.waiting())
	w.send(s, topic("t"), true, "4")
	require.Zero(t, w.waiting())
	require.Empty(t, w.broker.Bindings())
	w.crash()
	s = w.as("c")
	require.Zero(t, w.waiting())
	c := w.lasting(s, durably("t", "sub"))
	c.none()
}

// B6 148: another topic, selector or no-local makes it anew, without what it has kept.
func TestChangedSubscriptionsAreMadeAnew(t *testing.T) {
	w := newLasting(t)
	s, producer := w.as("c"), w.session()
	sends := func(body string) {
		for _, name := range []string{"a", "b"} {
			for _, color := range []string{"red", "blue"} {
				m := message(topic(name), name+color+body, true)
				m.Header = gateway.Header{{Name: "color", Value: color}}
				var o outcome
				producer.Send(m, &o, 1)
				require.NoError(t, o.wait(t, 1)[1])
			}
		}
	}
	for i, o := range []gateway.SubscribeOptions{
		durably("a", "s"), durably("b", "s"), {Destination: topic("b"), Durable: "s", Selector: "color = 'red'", AutoAck: true},
		{Destination: topic(">"), Durable: "s", Selector: "color = 'blue'"}, {Destination: topic("a"), Durable: "s", NoLocal: true},
	} {
		c := w.lasting(s, o)
		c.none()
		c.Close()
		sends(fmt.Sprint(i))
		want := [][]string{{"ared", "ablue"}, {"bred", "bblue"}, {"bred"}, {"ablue", "bblue"}, {"ared", "ablue"}}[i]
		for k := range want {
			want[k] += fmt.Sprint(i)
		}
		if i%2 == 0 {
			w.crash()
			s, producer = w.as("c"), w.session()
		}
		c = w.lasting(s, o)
		require.Equal(t, want, bodies(c.next(len(want))), "%d", i)
		c.none()
		c.Close()
		sends("again")
	}
	require.Len(t, w.broker.Bindings(), 1)
	w.send(s, topic("a"), true, "own")
	c := w.lasting(s, gateway.SubscribeOptions{Destination: topic("a"), Durable: "s", NoLocal: true, AutoAck: true})
	require.Len(t, c.next(4), 4)
	c.none()
}

// B6 148: several share one if they say so.
func TestSharedSubscriptionsCompete(t *testing.T) {
	w := newLasting(t)
	s := w.as("c")
	o := durably("t", "sub")
	o.Shared = true
	a, b := w.lasting(s, o), w.lasting(s, o)
	o.Wake, o.Shared = func() {}, false
	_, err := s.Subscribe(o)
	require.Equal(t, gateway.Conflict, gateway.KindOf(err))
	o.Shared, o.Selector = true, "a = 1"
	_, err = s.Subscribe(o)
	require.Equal(t, gateway.Conflict, gateway.KindOf(err), "another one while it is in use")
	w.send(s, topic("t"), true, numbers(0, 20)...)
	var got []string
	gatewaytest.Eventually(t, func() bool {
		got = append(append(got, a.all()...), b.all()...)
		return len(got) == 20
	}, "all of them")
	require.ElementsMatch(t, numbers(0, 20), got)
	a.Close()
	require.Equal(t, gateway.Conflict, gateway.KindOf(forget(t, s, "sub")))
	b.Close()
	require.NoError(t, forget(t, s, "sub"))
}

// B6 150: what a durable consumer refuses is dead, and says where it was sent.
func TestRefusedByADurableConsumer(t *testing.T) {
	w := newLasting(t)
	s := w.as("c")
	c := w.lasting(s, gateway.SubscribeOptions{Destination: topic("t"), Durable: "sub"})
	w.send(s, topic("t"), true, "x")
	var o outcome
	c.Nack(tags(c.next(1)), &o, 1)
	require.NoError(t, o.wait(t, 1)[1])
	dead := w.subscribe(w.session(), queue("ActiveMQ.DLQ"), 1, true).next(1)[0].Message
	origin, _ := dead.Header.Get("original-destination")
	require.Equal(t, "/topic/t", origin)
}

// What is unacknowledged comes again, and a right that is gone ends it.
func TestDurableSubscriptionsEndWithTheRight(t *testing.T) {
	allowed := map[string]bool{"a.x": true, "a.y": true}
	rules := gatewaytest.Rules(func(_ gateway.Principal, act gateway.Action, d gateway.Destination) error {
		if act == gateway.Read && d.Kind == gateway.KindTopic && !d.IsPattern() && !allowed[d.Name] {
			return gateway.Errorf(gateway.Denied, "no")
		}
		return nil
	})
	w := newLasting(t, func(c *core.Config) { c.Authenticator, c.Authorizer = gatewaytest.Everyone{}, rules })
	s := w.as("c")
	ended := make(chan *gateway.Error, 2)
	exact := durably("a.x", "exact")
	exact.Ended = func(e *gateway.Error) { ended <- e }
	w.lasting(s, exact)
	pattern := w.lasting(s, durably("a.*", "pattern"))
	producer := w.session()
	w.send(producer, topic("a.x"), true, "x1")
	w.send(producer, topic("a.z"), true, "z1")
	w.send(producer, topic("a.y"), true, "y1")
	require.ElementsMatch(t, []string{"x1", "y1"}, bodies(pattern.next(2)))
	pattern.none()
	w.send(producer, topic("a.x"), true, "x2")
	w.send(producer, topic("a.y"), true, "y2")
	delete(allowed, "a.x")
	w.broker.Reauthorize()
	require.Equal(t, gateway.Denied, (<-ended).Kind)
	require.Equal(t, []string{"y2"}, bodies(pattern.next(1)))
	pattern.none()
	exact.Wake = func() {}
	_, err := s.Subscribe(exact)
	require.Equal(t, gateway.Denied, gateway.KindOf(err))
	require.Equal(t, gateway.Denied, gateway.KindOf(forget(t, s, "exact")))
	allowed["a.x"] = true
	w.broker.Reauthorize()
	require.ElementsMatch(t, []string{"x1", "x2"}, bodies(w.lasting(s, exact).next(2)), "they waited")
}

// A subscription that cannot be written down is not promised.
func TestSubscriptionsThatCannotBeWrittenDown(t *testing.T) {
	w := newLasting(t)
	r := w.config.Registry.(*gatewaytest.Registry)
	s := w.as("c")
	r.Break(errors.New("broken"))
	o := durably("t", "sub")
	o.Wake = func() {}
	_, err := s.Subscribe(o)
	require.Equal(t, gateway.Unavailable, gateway.KindOf(err))
	_, err = s.Subscribe(gateway.SubscribeOptions{Destination: queue("Consumer.A.t"), Wake: func() {}})
	require.Equal(t, gateway.Unavailable, gateway.KindOf(err))
	r.Break(nil)
	w.lasting(s, o).Close()
	w.send(s, topic("t"), true, "x")
	r.Break(errors.New("broken"))
	require.Equal(t, gateway.Unavailable, gateway.KindOf(forget(t, s, "sub")))
	c := w.lasting(s, o)
	w.send(s, topic("t"), true, "y")
	got := c.next(1)
	require.Contains(t, []string{"x", "y"}, string(got[0].Message.Body), "it is still there")
}

// Without a registry there are none, and nothing else changes.
func TestWithoutARegistry(t *testing.T) {
	w := newWorld(t)
	o := durably("t", "sub")
	o.Wake = func() {}
	_, err := w.as("c").Subscribe(o)
	require.Equal(t, gateway.Unavailable, gateway.KindOf(err))
	w.subscribe(w.session(), queue("Consumer.A.t"), 1, true)
	w.send(w.session(), topic("t"), true, "x")
	require.Zero(t, w.waiting())
}

// The receipt for a subscription comes when this node knows of it, or a second later.
func TestAnnouncedWaitsForTheRegistry(t *testing.T) {
	t.Parallel()
	w := newLasting(t)
	goOn := w.config.Registry.(*gatewaytest.Registry).Hold()
	o := durably("t", "sub")
	o.Wake, o.Prefetch = func() {}, 10
	sub, err := w.as("c").Subscribe(o)
	require.NoError(t, err)
	var done outcome
	start := time.Now()
	sub.(gateway.Announced).Announced(&done, 1)
	require.NoError(t, done.wait(t, 1)[1])
	require.GreaterOrEqual(t, time.Since(start), time.Second)
	goOn()
	w.send(w.session(), topic("t"), true, "x")
	require.Equal(t, []string{"x"}, bodies((&consumer{T: t, Subscription: sub}).next(1)))
}
