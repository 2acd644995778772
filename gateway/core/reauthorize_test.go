package core_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/core"
	"github.com/sluice-mq/sluice/gateway/gatewaytest"
)

func TestReauthorizeEndsWhatMayNotBeReadAnyMore(t *testing.T) {
	w, rules := newSociety(t, "* * *")
	s, endedSession := w.login("alice", "192.0.2.1:1")
	gone, endedGone, err := trySubscribe(s, queue("gone"))
	require.NoError(t, err)
	stays, endedStays, err := trySubscribe(s, queue("stays"))
	require.NoError(t, err)
	pattern, endedPattern, err := trySubscribe(s, topic("gone.>"))
	require.NoError(t, err)
	w.send(s, queue("gone"), true, numbers(0, 5)...)
	w.send(s, queue("stays"), true, "1")
	require.Len(t, take(gone), 5)
	held := take(stays)
	require.Len(t, held, 1)
	w.send(s, topic("gone.a"), false, "x")

	rules.allow("alice read queue://stays", "bob * *")
	w.broker.Reauthorize()
	denied := <-endedGone
	require.Equal(t, gateway.Denied, denied.Kind)
	require.Equal(t, "User alice is not authorized to read from: queue://gone", denied.Text)
	require.Equal(t, "User alice is not authorized to read from: topic://gone.>", (<-endedPattern).Text)
	require.Empty(t, endedStays)
	require.Empty(t, endedSession)
	require.Empty(t, take(gone))
	require.Empty(t, take(pattern))
	require.Equal(t, "User alice is not authorized to write to: queue://stays", gateway.TextOf(w.try(s, queue("stays"), true)))

	var o outcome
	stays.Ack(tags(held), &o, 1)
	require.NoError(t, o.wait(t, 1)[1], "it goes on as if nothing had been")
	bob, _ := w.login("bob", "192.0.2.2:1")
	got := w.subscribe(bob, queue("gone"), 10, false).next(5)
	require.Equal(t, numbers(0, 5), bodies(got))
	require.NotZero(t, got[0].Redeliveries)
}

func TestReauthorizeEndsSessionsOfNobody(t *testing.T) {
	w, rules := newSociety(t, "* * *")
	_, endedIdle := w.login("alice", "192.0.2.1:1")
	busy, endedBusy := w.login("alice", "192.0.2.1:2")
	_, endedSub, err := trySubscribe(busy, queue("q"))
	require.NoError(t, err)
	other, endedOther := w.login("bob", "192.0.2.1:3")
	quiet, err := w.broker.Open(context.Background(), gateway.Login{Remote: "192.0.2.1:4", Credentials: gateway.Credentials{Login: "alice"}})
	require.NoError(t, err)
	_, endedQuiet, err := trySubscribe(quiet, queue("q"))
	require.NoError(t, err)
	rules.mu.Lock()
	rules.nobody = []string{"alice"}
	rules.mu.Unlock()
	w.broker.Reauthorize()
	for _, ended := range []chan *gateway.Error{endedIdle, endedBusy, endedQuiet} {
		e := <-ended
		require.Equal(t, gateway.Unauthenticated, e.Kind)
		require.Equal(t, "User name [alice] or password is invalid.", e.Text)
		require.Empty(t, ended)
	}
	require.Empty(t, endedSub, "its session was told")
	require.Empty(t, endedOther)
	require.Equal(t, gateway.Unavailable, gateway.KindOf(w.try(busy, queue("q"), true)))
	require.NoError(t, w.try(other, queue("q"), true))
	require.Equal(t, 1, w.broker.Stats().Sessions)
	require.Zero(t, w.broker.Stats().Subscriptions)
}

func TestSessionsEndWithTheirProof(t *testing.T) {
	var late atomic.Int64
	rules := &society{rules: []string{"* * *"}, expires: time.Now().Add(time.Hour)}
	w := newWorld(t, func(c *core.Config) {
		c.Authenticator, c.Authorizer = rules, rules
		c.Now = func() time.Time { return time.Now().Add(time.Duration(late.Load())) }
	})
	s, ended := w.login("alice", "192.0.2.1:1")
	renewed, endedRenewed := w.login("bob", "192.0.2.1:1")
	require.NoError(t, w.try(s, queue("q"), true))
	late.Store(int64(time.Hour))
	e := <-ended
	require.Equal(t, gateway.Unauthenticated, e.Kind)
	require.Equal(t, "the token has expired", e.Text)
	<-endedRenewed
	require.Equal(t, gateway.Unavailable, gateway.KindOf(w.try(renewed, queue("q"), true)))
	_, err := w.broker.Open(context.Background(), gateway.Login{Remote: "192.0.2.1:1", Credentials: gateway.Credentials{Login: "alice"}})
	require.Equal(t, "the token has expired", gateway.TextOf(err))
}

// A renewal may bring another end.
func TestReauthorizeTakesInWhenTheProofExpires(t *testing.T) {
	var late atomic.Int64
	rules := &society{rules: []string{"* * *"}, expires: time.Now().Add(time.Hour)}
	w := newWorld(t, func(c *core.Config) {
		c.Authenticator, c.Authorizer = rules, rules
		c.Now = func() time.Time { return time.Now().Add(time.Duration(late.Load())) }
	})
	s, ended := w.login("alice", "192.0.2.1:1")
	rules.mu.Lock()
	rules.expires = time.Time{}
	rules.mu.Unlock()
	w.broker.Reauthorize()
	require.True(t, s.Principal().Expires.IsZero())
	late.Store(int64(2 * time.Hour))
	rules.mu.Lock()
	rules.expires = time.Now().Add(3 * time.Hour)
	rules.mu.Unlock()
	_, endedNext := w.login("carol", "192.0.2.1:1") // the sweep that ends her would end the other, too
	late.Store(int64(4 * time.Hour))
	<-endedNext
	require.Empty(t, ended)
}

// Whatever is sent meanwhile: what may not be read is not delivered once Reauthorize has returned.
func TestNothingUnreadableIsDeliveredAfterReauthorize(t *testing.T) {
	w, rules := newSociety(t, "* write *", "* create *", "alice read topic://t.*")
	readers := make([]gateway.Subscription, 4)
	for i := range readers {
		s, _ := w.login("alice", "192.0.2.1:1")
		sub, _, err := trySubscribe(s, topic("t.>"))
		require.NoError(t, err)
		readers[i] = sub
	}
	var stop atomic.Bool
	var senders sync.WaitGroup
	for i := range 3 {
		s, _ := w.login("bob", "192.0.2.1:1")
		senders.Go(func() {
			for n := 0; !stop.Load(); n++ {
				s.Send(message(topic(fmt.Sprintf("t.%d", (n+i)%4)), "x", false), nil, 0)
			}
		})
	}
	for round := range 120 {
		allowed := topic(fmt.Sprintf("t.%d", round%4))
		rules.allow("* write *", "* create *", "alice read "+allowed.String())
		w.broker.Reauthorize()
		for range 3 {
			for _, sub := range readers {
				got := take1(sub, 200)
				for _, d := range got {
					require.Equal(t, allowed, d.Message.Destination, "round %d", round)
				}
				sub.Ack(tags(got), nil, 0)
			}
		}
	}
	stop.Store(true)
	senders.Wait()
}

// take1 takes at most n.
func take1(sub gateway.Subscription, n int) []gateway.Delivery {
	buf := make([]gateway.Delivery, n)
	return buf[:sub.Next(buf, 1<<20)]
}

// A subscription that goes on loses nothing while rules come and go around it.
func TestReauthorizeLeavesNoGap(t *testing.T) {
	w, rules := newSociety(t, "* * *")
	reader, _ := w.login("alice", "192.0.2.1:1")
	pattern, _, err := trySubscribe(reader, topic("t.>"))
	require.NoError(t, err)
	held, _, err := trySubscribe(reader, queue("q"))
	require.NoError(t, err)
	sender, _ := w.login("bob", "192.0.2.1:1")
	var done atomic.Bool
	var changes sync.WaitGroup
	changes.Go(func() {
		for i := 0; !done.Load(); i++ {
			rules.allow(fmt.Sprintf("* read topic://other%d", i), "* write *", "* create *", "alice read topic://t.1", "alice read queue://q")
			w.broker.Reauthorize()
		}
	})
	var heard, consumed []string
	for i := range 2000 {
		sender.Send(message(topic("t.1"), fmt.Sprint(i), false), nil, 0)
		sender.Send(message(topic("t.2"), "secret", false), nil, 0)
		sender.Send(message(queue("q"), fmt.Sprint(i), false), nil, 0)
		for _, d := range take(pattern) {
			if d.Message.Destination.Name == "t.1" {
				heard = append(heard, string(d.Message.Body))
			}
			pattern.Ack([]uint64{d.Tag}, nil, 0)
		}
		got := take(held)
		held.Ack(tags(got), nil, 0)
		consumed = append(consumed, bodies(got)...)
	}
	done.Store(true)
	changes.Wait()
	heard = append(heard, slices.DeleteFunc(bodies(take(pattern)), func(b string) bool { return b == "secret" })...)
	gatewaytest.Eventually(t, func() bool {
		got := take(held)
		held.Ack(tags(got), nil, 0)
		consumed = append(consumed, bodies(got)...)
		return len(consumed) >= 2000
	}, "all messages of the queue")
	require.Equal(t, numbers(0, 2000), heard)
	require.Equal(t, numbers(0, 2000), consumed)
}

// A subscription on another node's queue ends like one here, and what its client has comes back.
func TestReauthorizeEndsSubscriptionsOnOtherNodes(t *testing.T) {
	r, rules := newSocietyRealm(t, "* * *")
	r.Move(shard("q"), "n2")
	for node := range 2 {
		s := r.open(alice, node)
		ended := make(chan *gateway.Error, 1)
		sub, err := s.Subscribe(gateway.SubscribeOptions{Destination: queue("q"), Prefetch: 10, Wake: func() {}, Ended: func(e *gateway.Error) { ended <- e }})
		require.NoError(t, err)
		bob := r.open(client{"bob", "192.0.2.2", ""}, 2)
		r.worlds[2].send(bob, queue("q"), true, numbers(0, 3)...)
		(&consumer{T: t, Subscription: sub}).next(3)
		rules.allow("bob * *")
		r.worlds[node].broker.Reauthorize()
		require.Equal(t, "User alice is not authorized to read from: queue://q", (<-ended).Text)
		require.Empty(t, take(sub))
		c := r.worlds[2].subscribe(bob, queue("q"), 10, false)
		got := c.next(3)
		require.Equal(t, numbers(0, 3), bodies(got))
		c.ack(got...)
		c.Close()
		s.Close()
		rules.allow("* * *")
	}
}
