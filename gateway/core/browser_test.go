package core_test

import (
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/gatewaytest"
)

// look browses and returns the bodies, when the end was told.
func (w *world) look(s gateway.Session, o gateway.SubscribeOptions) []string {
	w.Helper()
	ended := make(chan *gateway.Error, 2)
	o.Browse, o.Wake, o.Ended = true, func() {}, func(e *gateway.Error) { ended <- e }
	sub, err := s.Subscribe(o)
	require.NoError(w, err)
	defer sub.Close()
	var got []gateway.Delivery
	gatewaytest.Eventually(w, func() bool {
		some := take(sub)
		sub.Written(len(some))
		got = append(got, some...)
		return len(ended) > 0
	}, "the end of the browser")
	require.Nil(w, <-ended)
	require.Empty(w, take(sub))
	require.Empty(w, ended, "told once")
	return bodies(got)
}

// B4 114: a browser shows what is there, in order, also what others have, and changes nothing; then it ends.
func TestB4_114_QueueBrowser(t *testing.T) {
	w := newWorld(t)
	s := w.session()
	require.Empty(t, w.look(s, gateway.SubscribeOptions{Destination: queue("none")}))
	w.send(s, queue("q"), true, numbers(0, 1000)...)
	w.send(s, queue("q"), false, numbers(1000, 2000)...)
	c := w.subscribe(w.session(), queue("q"), 10, false)
	had := c.next(10)
	require.Equal(t, numbers(0, 2000), w.look(s, gateway.SubscribeOptions{Destination: queue("q"), Prefetch: 1}))
	require.Equal(t, numbers(0, 2000), w.look(s, gateway.SubscribeOptions{Destination: queue("q"), AutoAck: true, Prefetch: 5}))
	require.Equal(t, 2000, w.waiting())
	c.ack(had...)
	w.restart()
	require.Equal(t, numbers(10, 2000), w.look(w.session(), gateway.SubscribeOptions{Destination: queue("q")}))
	next := w.subscribe(w.session(), queue("q"), 1, false).next(1)[0]
	require.Equal(t, "10", string(next.Message.Body))
}

// A browser with a selector shows what it selects, whatever is before it.
func TestB4_114_BrowserSelects(t *testing.T) {
	w := newWorld(t)
	s := w.session()
	var o outcome
	for i := range 5000 {
		m := message(queue("q"), fmt.Sprint(i), true)
		m.Header = gateway.Header{{Name: "n", Value: fmt.Sprint(i % 1000)}}
		s.Send(m, &o, uint64(i))
	}
	o.wait(t, 5000)
	require.Equal(t, []string{"999", "1999", "2999", "3999", "4999"}, w.look(s, gateway.SubscribeOptions{Destination: queue("q"), Selector: "n = '999'"}))
	require.Equal(t, []string{"999"}, w.look(s, gateway.SubscribeOptions{Destination: queue("e"), Also: []gateway.Destination{queue("q")}, Selector: "n = '999'"})[:1])
}

// B4 116: topics cannot be browsed, and nobody browses what he may not read.
func TestB4_116_WhatCannotBeBrowsed(t *testing.T) {
	w, _ := newSociety(t, "alice * *")
	alice, _ := w.login("alice", "a")
	bob, _ := w.login("bob", "b")
	_, err := alice.Subscribe(gateway.SubscribeOptions{Destination: topic("t"), Browse: true, Wake: func() {}})
	require.Equal(t, gateway.Invalid, gateway.KindOf(err))
	_, err = bob.Subscribe(gateway.SubscribeOptions{Destination: queue("q"), Browse: true, Wake: func() {}})
	require.Equal(t, gateway.Denied, gateway.KindOf(err))
}

// heldStore reads no messages before it is let go.
type heldStore struct {
	gateway.Store
	reading atomic.Int64
	letGo   chan struct{}
}

func (h *heldStore) Journal(i int) gateway.Journal { return heldJournal{h.Store.Journal(i), h} }

type heldJournal struct {
	gateway.Journal
	store *heldStore
}

func (j heldJournal) Load(queue string, seqs []uint64, done func([]*gateway.Message, error)) {
	j.store.reading.Add(1)
	go func() {
		<-j.store.letGo
		j.Journal.Load(queue, seqs, done)
	}()
}

// However many look at once, few pages are read at a time, so that those who send and receive do not wait behind all of them.
func TestManyBrowsersTakeTurns(t *testing.T) {
	var held *heldStore
	w := newWorld(t)
	w.wrap = func(s gateway.Store) gateway.Store {
		held = &heldStore{Store: s, letGo: make(chan struct{})}
		return held
	}
	w.send(w.session(), queue("q"), true, "1")
	w.restart() // the body is on disk only
	const many = 100
	s := w.session()
	ended := make(chan *gateway.Error, many)
	var all []gateway.Subscription
	for range many {
		sub, err := s.Subscribe(gateway.SubscribeOptions{Destination: queue("q"), Browse: true, Wake: func() {}, Ended: func(e *gateway.Error) { ended <- e }})
		require.NoError(t, err)
		all = append(all, sub)
	}
	few := int64(max(2, runtime.GOMAXPROCS(0)))
	gatewaytest.Eventually(t, func() bool { return held.reading.Load() == few }, "the first to look")
	require.Never(t, func() bool { return held.reading.Load() > few }, 100*time.Millisecond, 5*time.Millisecond)
	close(held.letGo)
	shown := 0
	gatewaytest.Eventually(t, func() bool {
		for _, sub := range all {
			shown += len(take(sub))
		}
		return len(ended) == many
	}, "the end of all")
	require.Equal(t, many, shown)
	for range many {
		require.Nil(t, <-ended)
	}
}

// What comes while it looks is not shown; what is gone by then is not, either. It finds its place again when the owner changes.
func TestBrowserInACluster(t *testing.T) {
	r := newRealm(t)
	r.Move(0, "n1")
	r.Move(1, "n1")
	r.worlds[0].send(r.worlds[0].session(), queue("q"), true, numbers(0, 3000)...)
	for i := range 3 {
		require.Equal(t, numbers(0, 3000), r.worlds[i].look(r.worlds[i].session(), gateway.SubscribeOptions{Destination: queue("q")}))
	}
	ended := make(chan *gateway.Error, 2)
	sub, err := r.worlds[2].session().Subscribe(gateway.SubscribeOptions{
		Destination: queue("q"), Browse: true, Wake: func() {}, Ended: func(e *gateway.Error) { ended <- e },
	})
	require.NoError(t, err)
	got := (&consumer{T: t, Subscription: sub}).next(600)
	r.Move(0, "n2")
	r.Move(1, "n2")
	r.Settle()
	gatewaytest.Eventually(t, func() bool { got = append(got, take(sub)...); return len(ended) > 0 }, "the end")
	require.Nil(t, <-ended)
	require.Equal(t, numbers(0, 3000), bodies(got))
}

// A browser that has seen all ended without an error, and so it is written down.
func TestTheEndOfABrowserIsWrittenDown(t *testing.T) {
	w, _, c := newAudited(t)
	s, err := w.connectAs("alice", "id")
	require.NoError(t, err)
	ended := make(chan *gateway.Error, 1)
	sub, err := s.Subscribe(gateway.SubscribeOptions{Destination: queue("q"), Browse: true, Prefetch: 10, Wake: func() {}, Ended: func(err *gateway.Error) { ended <- err }})
	require.NoError(t, err)
	gatewaytest.Eventually(t, func() bool { sub.Next(make([]gateway.Delivery, 1), 1); return len(ended) == 1 }, "it has seen all")
	require.Nil(t, <-ended)
	sub.Close()
	require.Equal(t, []string{"connect alice", "subscribe alice queue://q", "unsubscribe alice queue://q"}, c.written())
}

// A browser of a pattern shows what is in all queues that match, each in its order, and nothing of others; without wildcards nothing changes.
func TestBrowsersOfPatterns(t *testing.T) {
	t.Parallel()
	for _, w := range everywhere(t) {
		s := w.session()
		root := "r" + fmt.Sprint(len(s.ID())) + fmt.Sprintf("%p", w)
		var want []string
		for i, name := range []string{"", ".a", ".b.c", ".d"} {
			bodies := numbers(1000*i, 1000*i+700)
			w.send(s, queue(root+name), i%2 == 0, bodies...)
			if i != 0 {
				want = append(want, bodies...)
			}
		}
		w.send(s, queue(root+"x.a"), true, "another")
		w.send(s, topic(root+".a"), true, "a topic")
		var got []string
		for _, pattern := range []string{".*", ".b.>"} {
			got = append(got, w.look(s, gateway.SubscribeOptions{Destination: queue(root + pattern)})...)
		}
		require.ElementsMatch(t, want, got)
		for i := 1; i < len(got); i++ {
			require.True(t, got[i-1][0] != got[i][0] || len(got[i-1]) != len(got[i]) || got[i-1] < got[i], "each in its order: %s %s", got[i-1], got[i])
		}
		require.Len(t, w.look(s, gateway.SubscribeOptions{Destination: queue(root + ".>")}), 2800)
		require.Empty(t, w.look(s, gateway.SubscribeOptions{Destination: queue(root + "none.>")}))
	}
}

// Of a pattern a browser shows what may be read.
func TestBrowsersOfPatternsSeeWhatTheyMay(t *testing.T) {
	w, _ := newSociety(t, "alice * *", "bob read queue://a.open", "bob read queue://a.>")
	alice, _ := w.login("alice", "a")
	bob, _ := w.login("bob", "b")
	w.send(alice, queue("a.open"), true, "1")
	w.send(alice, queue("a.secret"), true, "2")
	require.Equal(t, []string{"1"}, w.look(bob, gateway.SubscribeOptions{Destination: queue("a.>")}))
	require.ElementsMatch(t, []string{"1", "2"}, w.look(alice, gateway.SubscribeOptions{Destination: queue("a.>")}))
}
