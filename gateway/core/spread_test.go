package core_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/core"
	"github.com/sluice-mq/sluice/gateway/gatewaytest"
	"github.com/sluice-mq/sluice/gateway/policy"
)

// composite is a message to several destinations.
func composite(body string, persistent bool, to ...gateway.Destination) *gateway.Message {
	m := message(to[0], body, persistent)
	m.Also = to[1:]
	return m
}

func origin(m *gateway.Message) string {
	v, _ := m.Header.Get("original-destination")
	return v
}

// B6 141: each destination gets it once, and it says where it was sent, as ActiveMQ does.
func TestCompositeSendReachesEachOnce(t *testing.T) {
	w := newLasting(t)
	s := w.as("c")
	a, b, c := w.subscribe(s, queue("a"), 10, true), w.subscribe(s, topic("b"), 10, true), w.subscribe(s, queue("c"), 10, true)
	d := w.lasting(s, durably("b", "d"))
	for _, persistent := range []bool{true, false} {
		var o outcome
		m := composite("x", persistent, queue("a"), topic("b"), queue("c"), queue("a"))
		s.Send(m, &o, 1)
		require.NoError(t, o.wait(t, 1)[1])
		for _, x := range []struct {
			c  *consumer
			to gateway.Destination
		}{{a, queue("a")}, {b, topic("b")}, {c, queue("c")}, {d, topic("b")}} {
			got := x.c.next(1)[0].Message
			require.Equal(t, x.to, got.Destination)
			require.Equal(t, "/queue/a,topic://b,queue://c,queue://a", origin(got))
			require.Equal(t, m.ID, got.ID)
			require.Empty(t, got.Also)
			require.Empty(t, x.c.all(), "%s, persistent: %t", x.to, persistent)
		}
	}
}

// What is persistent of it is stored as a whole, whatever happens, and right behind what was sent before.
func TestCompositeSendIsStoredAsAWhole(t *testing.T) {
	w := newWorld(t)
	s := w.session()
	w.store.Full.Store(true)
	var o outcome
	s.Send(composite("refused", true, queue("a"), queue("b"), queue("c"), queue("d")), &o, 1)
	require.Equal(t, gateway.NoSpace, gateway.KindOf(o.wait(t, 1)[1]))
	w.store.Full.Store(false)
	require.Zero(t, w.waiting())
	goOn := w.store.Stop()
	var stored outcome
	for i, b := range numbers(0, 50) {
		s.Send(message(queue("a"), "before"+b, true), nil, 0)
		s.Send(composite(b, true, queue("a"), queue("b"), queue("c"), queue("d")), &stored, uint64(i))
		s.Send(message(queue("d"), "behind"+b, true), nil, 0)
	}
	goOn()
	for _, err := range stored.wait(t, 50) {
		require.NoError(t, err)
	}
	w.crash()
	s = w.session()
	got := bodies(w.subscribe(s, queue("a"), 200, true).next(100))
	for i, b := range numbers(0, 50) {
		require.Equal(t, []string{"before" + b, b}, got[2*i:2*i+2])
	}
	require.Equal(t, numbers(0, 50), bodies(w.subscribe(s, queue("b"), 200, true).next(50)))
}

func TestCompositeSendsNeedEachRight(t *testing.T) {
	rules := gatewaytest.Rules(func(_ gateway.Principal, act gateway.Action, d gateway.Destination) error {
		if act == gateway.Write && d.Name == "closed" || act == gateway.Create && d.Name == "unmade" {
			return gateway.Errorf(gateway.Denied, "no")
		}
		return nil
	})
	w := newWorld(t, func(c *core.Config) { c.Authenticator, c.Authorizer = gatewaytest.Everyone{}, rules })
	s := w.session()
	var o outcome
	s.Send(composite("x", true, queue("a"), queue("closed")), &o, 1)
	s.Send(composite("x", true, queue("a"), queue("unmade")), &o, 2)
	s.Send(composite("x", true, queue("a"), queue("b.*")), &o, 3)
	s.Send(composite("x", true, queue("a"), gateway.Destination{Kind: gateway.KindQueue, Name: "\x01c:d"}), &o, 4)
	s.Commit(&gateway.Transaction{Sends: []*gateway.Message{composite("x", true, queue("a"), queue("closed"))}}, &o, 5)
	s.Send(composite("x", true, append(make([]gateway.Destination, 0), manyQueues(257)...)...), &o, 6)
	errs := o.wait(t, 6)
	for token, kind := range map[uint64]gateway.ErrorKind{1: gateway.Denied, 2: gateway.Denied, 3: gateway.Invalid, 4: gateway.Invalid, 5: gateway.Denied, 6: gateway.Limit} {
		require.Equal(t, kind, gateway.KindOf(errs[token]), "%d", token)
	}
	require.Zero(t, w.waiting())
}

func manyQueues(n int) (all []gateway.Destination) {
	for _, b := range numbers(0, n) {
		all = append(all, queue("q"+b))
	}
	return all
}

// Composites, forwarded ones and what topics feed are part of a transaction.
func TestTransactionsSendCopies(t *testing.T) {
	w := newLasting(t, func(c *core.Config) {
		c.Policies = policy.NewTable([]policy.Policy{{On: []gateway.Destination{queue("in")}, ForwardTo: []gateway.Destination{queue("audit"), topic("news")}}})
	})
	s := w.as("c")
	w.lasting(s, durably("t", "d")).Close()
	w.lasting(s, durably("news", "n")).Close()
	live := w.subscribe(s, topic("t"), 10, true)
	var o outcome
	s.Commit(&gateway.Transaction{Sends: []*gateway.Message{
		composite("comp", true, queue("a"), topic("t")), message(queue("in"), "in", true), message(topic("t"), "plain", true), message(topic("t"), "light", false),
	}}, &o, 1)
	require.NoError(t, o.wait(t, 1)[1])
	require.ElementsMatch(t, []string{"comp", "plain", "light"}, bodies(live.next(3)))
	w.restart()
	s = w.as("c")
	for _, x := range []struct {
		o    gateway.SubscribeOptions
		want []string
	}{
		{gateway.SubscribeOptions{Destination: queue("a")}, []string{"comp"}}, {durably("t", "d"), []string{"comp", "plain", "light"}},
		{gateway.SubscribeOptions{Destination: queue("in")}, []string{"in"}}, {gateway.SubscribeOptions{Destination: queue("audit")}, []string{"in"}}, {durably("news", "n"), []string{"in"}},
	} {
		c := w.lasting(s, x.o)
		require.ElementsMatch(t, x.want, bodies(c.next(len(x.want))))
		c.none()
	}
}

// The administrator's composites: forwarded, alone or as well, also in a circle, without a right of the sender's.
func TestForwardedMessages(t *testing.T) {
	rules := gatewaytest.Rules(func(_ gateway.Principal, act gateway.Action, d gateway.Destination) error {
		if act == gateway.Write && d.Name == "two" {
			return gateway.Errorf(gateway.Denied, "no")
		}
		return nil
	})
	w := newLasting(t, func(c *core.Config) {
		c.Authenticator, c.Authorizer = gatewaytest.Everyone{}, rules
		c.Policies = policy.NewTable([]policy.Policy{
			{On: []gateway.Destination{topic("fork")}, ForwardTo: []gateway.Destination{queue("one"), queue("two")}, ForwardOnly: true},
			{On: []gateway.Destination{queue("one")}, ForwardTo: []gateway.Destination{queue("two"), topic("fork")}},
		})
	})
	s := w.session()
	live, one, two := w.subscribe(s, topic("fork"), 10, true), w.subscribe(s, queue("one"), 10, true), w.subscribe(s, queue("two"), 10, true)
	w.send(s, topic("fork"), true, "x")
	m := one.next(1)[0].Message
	require.Equal(t, []any{queue("one"), "/topic/fork"}, []any{m.Destination, origin(m)})
	m = two.next(1)[0].Message
	require.Equal(t, queue("two"), m.Destination)
	for _, c := range []*consumer{live, one, two} {
		c.none()
	}
	w.broker.SetPolicies(nil)
	w.send(s, topic("fork"), false, "y")
	require.Equal(t, []string{"y"}, bodies(live.next(1)))
	one.none()
}
