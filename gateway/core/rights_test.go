package core_test

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/core"
	"github.com/sluice-mq/sluice/gateway/gatewaytest"
)

func TestWhatMayNotBeDoneIsRefusedInActiveMQsWords(t *testing.T) {
	w, _ := newSociety(t, "alice write queue://in", "alice create queue://*", "alice read queue://out")
	s, _ := w.login("alice", "192.0.2.1:1")
	require.NoError(t, w.try(s, queue("in"), true))
	err := w.try(s, queue("out"), true)
	require.Equal(t, gateway.Denied, gateway.KindOf(err))
	require.Equal(t, "User alice is not authorized to write to: queue://out", gateway.TextOf(err))
	require.Equal(t, "User alice is not authorized to write to: topic://in", gateway.TextOf(w.try(s, topic("in"), false)))
	require.Equal(t, "User alice is not authorized to write to: queue://out", gateway.TextOf(w.tryCommit(s, queue("in"), queue("out"))))
	require.Equal(t, 1, w.broker.Depth("in"), "nothing of the transaction has happened")
	_, _, err = trySubscribe(s, queue("in"))
	require.Equal(t, "User alice is not authorized to read from: queue://in", gateway.TextOf(err))
	_, _, err = trySubscribe(s, queue("out"))
	require.NoError(t, err)
	require.EqualValues(t, 4, w.broker.Stats().ActionsDenied)
}

// To write to one destination is not to write to the next one.
func TestARightIsForItsDestinationAlone(t *testing.T) {
	w, _ := newSociety(t, "alice write queue://a", "alice create *", "alice write topic://a")
	s, _ := w.login("alice", "192.0.2.1:1")
	for range 3 {
		require.NoError(t, w.try(s, queue("a"), false))
		require.Error(t, w.try(s, queue("b"), false))
		require.NoError(t, w.try(s, topic("a"), false))
		require.Error(t, w.try(s, topic("b"), false))
	}
	require.Equal(t, 3, w.broker.Depth("a"))
}

func TestPatternsDeliverOnlyWhatMayBeRead(t *testing.T) {
	w, _ := newSociety(t, "* write *", "* create *", "alice read topic://site.a", "bob read *")
	alice, _ := w.login("alice", "192.0.2.1:1")
	bob, _ := w.login("bob", "192.0.2.1:1")
	hers, _, err := trySubscribe(alice, topic("site.>"))
	require.NoError(t, err)
	his, _, err := trySubscribe(bob, topic("site.>"))
	require.NoError(t, err)
	_, _, err = trySubscribe(alice, topic("elsewhere.>"))
	require.Equal(t, "User alice is not authorized to read from: topic://elsewhere.>", gateway.TextOf(err))
	for _, name := range []string{"site.a", "site.b", "site.a", "site.c"} {
		w.send(bob, topic(name), false, name)
	}
	require.Equal(t, []string{"site.a", "site.a"}, bodies(take(hers)))
	require.Len(t, take(his), 4)
}

func TestQueuesThatDoNotExistNeedTheRightToCreate(t *testing.T) {
	w, _ := newSociety(t, "* read *", "* write *", "maker create *")
	s, _ := w.login("alice", "192.0.2.1:1")
	maker, _ := w.login("maker", "192.0.2.1:1")
	refusal := "User alice is not authorized to create: queue://q"
	for _, persistent := range []bool{true, false} {
		require.Equal(t, refusal, gateway.TextOf(w.try(s, queue("q"), persistent)))
	}
	require.Equal(t, refusal, gateway.TextOf(w.tryCommit(s, queue("q"))))
	_, _, err := trySubscribe(s, queue("q"))
	require.Equal(t, refusal, gateway.TextOf(err))
	require.Zero(t, w.broker.Stats().Queues, "a refused send makes no queue")

	w.send(maker, queue("q"), true, "1")
	require.NoError(t, w.try(s, queue("q"), true), "there is a message in it")
	require.NoError(t, w.tryCommit(s, queue("q"), queue("q")))
	sub, _, err := trySubscribe(s, queue("q"))
	require.NoError(t, err)
	require.Len(t, take(sub), 4)

	_, _, err = trySubscribe(maker, queue("r"))
	require.NoError(t, err)
	require.NoError(t, w.try(s, queue("r"), false), "somebody subscribes to it")
	w.restart()
	s, _ = w.login("alice", "192.0.2.1:1")
	require.NoError(t, w.try(s, queue("q"), false), "its messages are still there")
}

func TestKeptDestinationsExist(t *testing.T) {
	rules := &society{rules: []string{"* read *", "* write *"}}
	w := newWorld(t, func(c *core.Config) {
		c.Authenticator, c.Authorizer, c.Kept = rules, rules, []gateway.Destination{queue("grid.>"), topic("t")}
	})
	s, _ := w.login("alice", "192.0.2.1:1")
	require.NoError(t, w.try(s, queue("grid.accounting"), true))
	require.NoError(t, w.try(s, topic("t"), true))
	_, _, err := trySubscribe(s, queue("grid.other"))
	require.NoError(t, err)
	require.Equal(t, "User alice is not authorized to create: queue://other", gateway.TextOf(w.try(s, queue("other"), true)))
}

func TestTopicsThatDoNotExistNeedTheRightToCreate(t *testing.T) {
	w, _ := newSociety(t, "* read *", "* write *", "maker create *")
	s, _ := w.login("alice", "192.0.2.1:1")
	maker, _ := w.login("maker", "192.0.2.1:1")
	refusal := "User alice is not authorized to create: topic://t"
	require.Equal(t, refusal, gateway.TextOf(w.try(s, topic("t"), false)))
	_, _, err := trySubscribe(s, topic("t"))
	require.Equal(t, refusal, gateway.TextOf(err))
	_, _, err = trySubscribe(s, topic(">"))
	require.NoError(t, err, "a pattern makes nothing")
	require.Error(t, w.try(s, topic("t"), false))
	w.send(maker, topic("t"), false, "1")
	require.NoError(t, w.try(s, topic("t"), false), "it was sent to")
	sub, _, err := trySubscribe(maker, topic("u"))
	require.NoError(t, err)
	require.NoError(t, w.try(s, topic("u"), false), "somebody subscribes to it")
	sub.Close()
	other, _ := w.login("alice", "192.0.2.1:1")
	require.Error(t, w.try(other, topic("u"), false))
}

// society makes a realm with rules.
func newSocietyRealm(t *testing.T, rules ...string) (*realm, *society) {
	s := &society{rules: rules, groups: make(map[string][]string)}
	return newRealm(t, func(c *core.Config) { c.Authenticator, c.Authorizer = s, s }), s
}

func TestTheOwnerIsAskedWhetherAQueueExists(t *testing.T) {
	t.Parallel()
	var late atomic.Int64 // a clock that is set
	rules := &society{rules: []string{"* read *", "* write *", "maker create *"}}
	r := newRealm(t, func(c *core.Config) {
		c.Authenticator, c.Authorizer = rules, rules
		c.Now = func() time.Time { return time.Now().Add(time.Duration(late.Load())) }
	})
	r.Move(0, "n2")
	r.Move(1, "n2")
	maker := r.open(client{"maker", "192.0.2.1", ""}, 0)
	r.worlds[0].send(maker, queue("q"), true, "1") // they are owned now
	r.worlds[0].send(maker, queue("a.q"), true, "1")
	late.Store(int64(time.Minute)) // and have all gathered
	for node := range 3 {
		s := r.open(client{"alice", "192.0.2.1", ""}, node)
		w := r.worlds[node]
		for _, persistent := range []bool{true, false} {
			require.Equal(t, "User alice is not authorized to create: queue://new", gateway.TextOf(w.try(s, queue("new"), persistent)), name(node))
			require.NoError(t, w.try(s, queue("q"), persistent), name(node))
		}
		require.Equal(t, "User alice is not authorized to create: queue://new", gateway.TextOf(w.tryCommit(s, queue("q"), queue("new"))))
		require.NoError(t, w.tryCommit(s, queue("q"), queue("a.q")))
		_, _, err := trySubscribe(s, queue("new"))
		require.Equal(t, "User alice is not authorized to create: queue://new", gateway.TextOf(err))
		sub, _, err := trySubscribe(s, queue("q"))
		require.NoError(t, err)
		sub.Close()
	}
	gatewaytest.Eventually(t, func() bool { return r.worlds[1].broker.Depth("q") == 1+3*3 }, "what was not refused is there")
	r.Move(shard("q"), "")
	r.Settle()
	_, _, err := trySubscribe(r.open(client{"alice", "192.0.2.1", ""}, 0), queue("q"))
	require.Equal(t, gateway.Unavailable, gateway.KindOf(err), "nobody can tell")
}

// Whoever comes back to a new owner one after another must not be refused because others have not come yet.
func TestANewOwnerRefusesNobodyBeforeAllHaveGathered(t *testing.T) {
	r, _ := newSocietyRealm(t, "* read *", "* write *", "maker create *")
	r.Move(shard("q"), "n1")
	_, _, err := trySubscribe(r.open(client{"maker", "192.0.2.1", ""}, 2), queue("q"))
	require.NoError(t, err)
	s := r.open(client{"alice", "192.0.2.1", ""}, 1)
	r.Settle()
	for i := range 10 {
		r.Move(shard("q"), name(i%3))
		require.NoError(t, r.worlds[1].try(s, queue("q"), true))
	}
}

// Messages that come from other nodes are looked at as well.
func TestPatternsOnOtherNodesHearOnlyWhatMayBeRead(t *testing.T) {
	r, rules := newSocietyRealm(t, "* write *", "* create *", "alice read topic://site.a", "alice read topic://site.b")
	sub, _, err := trySubscribe(r.open(alice, 1), topic("site.>"))
	require.NoError(t, err)
	for _, name := range []string{"site.a", "site.secret", "site.b"} {
		r.publish(0, name, name)
	}
	require.Equal(t, []string{"site.a", "site.b"}, bodies(take(sub)))
	rules.allow("* write *", "* create *", "alice read topic://site.b", "alice read topic://site.secret")
	r.publish(0, "site.a", "waits and may not be read any more")
	r.worlds[1].broker.Reauthorize()
	for _, name := range []string{"site.a", "site.secret", "site.b"} {
		r.publish(0, name, name)
	}
	require.Equal(t, []string{"site.secret", "site.b"}, bodies(take(sub)))
}

// Two with one login and other groups are not one client: what one of them may not read, the other still hears.
func TestMembersOfAGroupWithOtherRightsHearForThemselves(t *testing.T) {
	mine, other := &society{groups: map[string][]string{"alice": {"ops", "users"}}}, &society{groups: map[string][]string{"alice": {"users", "ops"}}}
	for _, s := range []*society{mine, other} {
		s.allow("* write *", "* create *", "ops read topic://site.a", "users read topic://site.b")
	}
	r := newRealm(t, func(c *core.Config) {
		c.Authenticator, c.Authorizer = mine, mine
		if c.Node == "n3" {
			c.Authenticator, c.Authorizer = other, other
		}
	})
	second := r.hear(r.open(alice, 1), named("s", "site.>"))
	third := r.hear(r.open(alice, 2), named("s", "site.>"))
	r.publish(0, "site.a", "1")
	require.Equal(t, []string{"1"}, second.all())
	require.Empty(t, third.all(), "the same groups in another order are the same client")

	third.Close()
	other.groups["alice"] = []string{"users"}
	third = r.hear(r.open(client{"alice", "192.0.2.1", "client-2"}, 2), named("t", "site.>"))
	fourth := r.hear(r.open(client{"alice", "192.0.2.1", "client-2"}, 1), named("t", "site.>"))
	r.publish(0, "site.a", "2")
	require.Equal(t, []string{"2"}, fourth.all(), "it may read it")
	require.Empty(t, third.all(), "it may not")
	r.publish(0, "site.b", "3")
	require.Equal(t, []string{"3"}, third.all())
}

// The rules may change between the look at them and the session's coming into being.
func TestWhoeverIsOnTheWayInGetsTheNewRules(t *testing.T) {
	w, rules := newSociety(t, "alice * *")
	once := false
	rules.asked = func() {
		if !once {
			once = true
			rules.allow("alice read *")
			w.broker.Reauthorize()
		}
	}
	s, _ := w.login("alice", "192.0.2.1:1")
	require.Error(t, w.try(s, queue("q"), true))

	once = false
	rules.asked = func() {
		if !once {
			once = true
			rules.mu.Lock()
			rules.nobody = []string{"bob"}
			rules.mu.Unlock()
			w.broker.Reauthorize()
		}
	}
	_, err := w.broker.Open(context.Background(), gateway.Login{Remote: "192.0.2.1:1", Credentials: gateway.Credentials{Login: "bob"}})
	require.Equal(t, gateway.Unauthenticated, gateway.KindOf(err))
	require.False(t, slices.ContainsFunc(w.broker.Connections(), func(c core.Connection) bool { return c.Principal.Name == "bob" }))
}

// The rules may change while a subscription is on its way: it never hears by the old ones.
func TestSubscriptionsOnTheirWayGetTheNewRules(t *testing.T) {
	w, rules := newSociety(t)
	var changed atomic.Bool
	rules.looked = func() {
		if changed.CompareAndSwap(false, true) {
			rules.allow("alice read topic://t.2", "bob * *")
			w.broker.Reauthorize()
		}
	}
	rules.allow("alice * *", "bob * *")
	s, _ := w.login("alice", "192.0.2.1:1")
	bob, _ := w.login("bob", "192.0.2.1:1")
	for _, d := range []gateway.Destination{queue("q"), topic("t.1")} {
		changed.Store(true)
		rules.allow("alice * *", "bob * *")
		w.broker.Reauthorize()
		changed.Store(false)
		_, _, err := trySubscribe(s, d)
		require.Equal(t, gateway.Denied, gateway.KindOf(err), d)
		require.Zero(t, w.broker.Stats().Subscriptions)
	}
	changed.Store(true)
	rules.allow("alice * *", "bob * *")
	w.broker.Reauthorize()
	changed.Store(false)
	sub, _, err := trySubscribe(s, topic("t.>"))
	require.NoError(t, err)
	w.send(bob, topic("t.1"), false, "1")
	w.send(bob, topic("t.2"), false, "2")
	require.Equal(t, []string{"2"}, bodies(take(sub)))
}
