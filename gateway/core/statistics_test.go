package core_test

import (
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/core"
	"github.com/sluice-mq/sluice/gateway/gatewaytest"
	"github.com/sluice-mq/sluice/gateway/jmsmap"
)

func numbersOf(t *testing.T, d gateway.Delivery) map[string]any {
	form, _ := d.Message.Header.Get(jmsmap.Header)
	require.Equal(t, jmsmap.JSON, form)
	m, err := jmsmap.ParseJSON(d.Message.Body)
	require.NoError(t, err)
	all := map[string]any{}
	for _, e := range m {
		all[e.Name] = e.Value
	}
	return all
}

// B6 153: who asks for statistics gets them at its reply-to, from whichever node owns the queue.
func TestB6_153_Statistics(t *testing.T) {
	r := newRealm(t)
	r.Move(0, "n1")
	r.Move(1, "n2")
	w := r.worlds[2]
	s := w.session()
	w.send(s, queue("s.a"), true, "1", "2")
	w.send(s, queue("s.b"), false, "1")
	w.send(s, queue("s"), false, "1")
	w.send(s, queue("x"), false, "1")
	c := w.subscribe(s, temp(s, "r"), 100, true)
	ask := func(name string, header ...string) error {
		header = append(header, "reply-to", "/remote-temp-queue/"+s.ID()+":r", "correlation-id", "7")
		return w.put(s, scheduled(queue(name), "", false, header...))
	}
	require.NoError(t, ask("ActiveMQ.Statistics.Destination.s.>", "ActiveMQ.Statistics.Destination.List.End.With.Null", "true"))
	got := c.next(4)
	for i, want := range []string{"queue://s", "queue://s.a", "queue://s.b"} {
		n := numbersOf(t, got[i])
		require.Equal(t, want, n["destinationName"])
		require.Contains(t, n, "memoryUsage")
		id, _ := got[i].Message.Header.Get("correlation-id")
		require.Equal(t, "7", id)
	}
	require.EqualValues(t, 2, numbersOf(t, got[1])["size"])
	require.Empty(t, numbersOf(t, got[3]))
	require.NoError(t, ask("ActiveMQ.Statistics.Destinations.a"), "the dot is the name's own here")
	require.NoError(t, ask("ActiveMQ.Statistics.Destinationx"))
	require.Equal(t, "queue://s.a", numbersOf(t, c.next(1)[0])["destinationName"])
	require.Equal(t, "queue://x", numbersOf(t, c.next(1)[0])["destinationName"])
	require.NoError(t, ask("ActiveMQ.Statistics.Broker"))
	require.Contains(t, numbersOf(t, c.next(1)[0]), "memoryUsage")
	require.Equal(t, gateway.NotFound, gateway.KindOf(ask("ActiveMQ.Statistics.Nothing")))
}

// Nobody learns of a queue that he may not read, nor has numbers sent to where he may not write.
func TestStatisticsRights(t *testing.T) {
	w, _ := newSociety(t, "root * *", "bob write queue://ActiveMQ.Statistics.*", "bob read queue://mine", "bob create *", "bob write queue://mine")
	root, _ := w.login("root", "r")
	bob, _ := w.login("bob", "b")
	w.send(root, queue("secret"), true, "1")
	w.send(root, queue("m.secret"), true, "1")
	ask := func(name, reply string) error {
		return w.put(bob, scheduled(queue("ActiveMQ.Statistics."+name), "", false, "reply-to", reply))
	}
	require.Equal(t, gateway.Denied, gateway.KindOf(ask("Destinationsecret", "/queue/mine")))
	require.Equal(t, gateway.Denied, gateway.KindOf(ask("Destinationmine", "/queue/secret")))
	c := w.subscribe(bob, queue("mine"), 10, true)
	require.NoError(t, ask("Destinationmine", "/queue/mine"))
	require.NoError(t, ask("Destination>", "/queue/mine"))
	require.Equal(t, "queue://mine", numbersOf(t, c.next(1)[0])["destinationName"])
	for _, d := range take(c) {
		require.Equal(t, "queue://mine", numbersOf(t, d)["destinationName"])
	}
}

// asks sends a question, and returns the answers: as many as there are before the end of the list.
func (w *world) asks(s gateway.Session, to gateway.Destination) (all []map[string]any) {
	w.Helper()
	c := w.subscribe(s, temp(s, "numbers"), 1000, true)
	defer c.Close()
	require.NoError(w, w.put(s, scheduled(to, "", false, "reply-to", "/remote-temp-queue/"+s.ID()+":numbers")))
	require.NoError(w, w.put(s, scheduled(temp(s, "numbers"), "end", false)))
	for {
		d := c.next(1)[0]
		if string(d.Message.Body) == "end" {
			return all
		}
		all = append(all, numbersOf(w.T, d))
	}
}

// A queue counts what came, what was handed out, and what went, whatever became of it; in a cluster its owner does, and who asks elsewhere hears the same.
func TestCountsOfAQueue(t *testing.T) {
	at := newWallClock()
	r := newRealm(t, func(c *core.Config) { c.Now = at.now })
	r.Move(0, "n1")
	r.Move(1, "n1")
	for i, persistent := range []bool{true, false} {
		w, name := r.worlds[i], "q"+strconv.Itoa(i)
		s := w.session()
		w.send(s, queue(name), persistent, numbers(0, 40)...)
		at.advance(3 * time.Second)
		c := w.subscribe(s, queue(name), 10, false)
		got := c.next(10)
		c.ack(got[:4]...)
		c.Nack(tags(got[4:5]), nil, 0)
		require.NoError(t, c.Release(tags(got[5:6]), gateway.Return{Redelivered: true}))
		c.next(6) // the one that came back, and five more
		require.NoError(t, w.put(s, func() *gateway.Message {
			m := scheduled(queue(name), "late", persistent)
			m.Expires = at.now().Add(time.Second).UnixMilli()
			return m
		}()))
		at.advance(2 * time.Second)
		for _, node := range r.worlds {
			var n map[string]any
			gatewaytest.Eventually(t, func() bool {
				all := node.asks(node.session(), queue("ActiveMQ.Statistics.Destination"+name))
				require.Len(t, all, 1)
				n = all[0]
				return n["expiredCount"] == int64(1) && n["dequeueCount"] == int64(6)
			}, "it expires")
			require.Equal(t, "n1", n["brokerName"], "who counts says who it is")
			for key, want := range map[string]any{"enqueueCount": int64(41), "dispatchCount": int64(16), "inflightCount": int64(10), "size": int64(35), "consumerCount": int64(1), "minEnqueueTime": 3000.0} {
				require.Equal(t, want, n[key], "%s of %s", key, name)
			}
			require.Positive(t, n["averageMessageSize"])
		}
		c.Close()
	}
}

// A topic's numbers are those of all nodes together; durable subscriptions count among its consumers.
func TestCountsOfATopic(t *testing.T) {
	r, _ := newLastingRealm(t)
	var subs []*consumer
	for i, w := range r.worlds[:2] {
		subs = append(subs, w.subscribe(w.session(), topic([]string{"a.t", "a.>"}[i]), 100, i == 0))
	}
	d := r.lasting(2, r.open(alice, 2), durably("a.t", "d"))
	r.Settle()
	w := r.worlds[2]
	w.send(w.session(), topic("a.t"), false, numbers(0, 5)...)
	w.send(w.session(), topic("a.u"), false, "1")
	for i, c := range subs {
		c.next(5 + i)
	}
	d.next(5)
	for _, w := range r.worlds {
		all := w.asks(w.session(), topic("ActiveMQ.Statistics.Destinationa.*"))
		require.Len(t, all, 2)
		for key, want := range map[string]any{"destinationName": "topic://a.t", "enqueueCount": int64(5), "dispatchCount": int64(15), "consumerCount": int64(3), "size": int64(0)} {
			require.Equal(t, want, all[0][key], key)
		}
		require.Equal(t, int64(1), all[1]["enqueueCount"])
		require.Equal(t, int64(1), all[1]["consumerCount"])
	}
	require.Empty(t, w.asks(w.session(), topic("ActiveMQ.Statistics.Destinationnobody")))
	require.Empty(t, w.asks(w.session(), queue("ActiveMQ.Statistics.Destinationa.t")), "queues are others")
}

// barrier is a society that, if barred, has nobody list connections.
type barrier struct {
	*society
	barred atomic.Bool
}

func (b *barrier) Rights(p gateway.Principal) gateway.Rights {
	return barredRights{b.society.Rights(p), b.barred.Load()}
}

type barredRights struct {
	gateway.Rights
	barred bool
}

func (r barredRights) Operate(operation string) error {
	if r.barred && operation == "connections" {
		return gateway.Errorf(gateway.Denied, "no")
	}
	return nil
}

// Who may list connections hears of all subscriptions, others of their own user's, on all nodes.
func TestNumbersOfSubscriptions(t *testing.T) {
	b := &barrier{society: &society{rules: []string{"* * *"}, groups: make(map[string][]string)}}
	r := newRealm(t, func(c *core.Config) { c.Authenticator, c.Authorizer = b, b })
	r.Move(0, "n1")
	r.Move(1, "n2")
	open := func(i int, user string) gateway.Session {
		s, _ := r.worlds[i].login(user, user+strconv.Itoa(i))
		return s
	}
	for i, user := range []string{"root", "alice", "alice"} {
		s := open(i, user)
		sub, err := s.Subscribe(gateway.SubscribeOptions{Destination: queue("q" + strconv.Itoa(i)), Prefetch: 7, Selector: "n = 1", Exclusive: true, Wake: func() {}})
		require.NoError(t, err)
		c := &consumer{T: t, Subscription: sub}
		require.NoError(t, r.worlds[i].put(s, scheduled(queue("q"+strconv.Itoa(i)), "x", false, "n", "1")))
		c.next(1)
	}
	names := func(s gateway.Session, i int) (all []any) {
		for _, n := range r.worlds[i].asks(s, queue("ActiveMQ.Statistics.Subscription")) {
			if n["selector"] != nil {
				require.Equal(t, "convert_string_expressions:n = 1", n["selector"])
				require.Equal(t, []any{int32(7), true, int64(1), int64(1), int64(0)}, []any{n["prefetchSize"], n["exclusive"], n["dispatchedCounter"], n["dispatchedQueueSize"], n["dequeueCounter"]})
				all = append(all, n["destinationName"])
			}
		}
		return all
	}
	require.ElementsMatch(t, []any{"q0", "q1", "q2"}, names(open(2, "root"), 2))
	b.barred.Store(true)
	require.ElementsMatch(t, []any{"q1", "q2"}, names(open(0, "alice"), 0))
	require.Empty(t, names(open(1, "bob"), 1))
}

// Questions of a session are answered in their order, and not more of them wait than that.
func TestNotTooManyQuestions(t *testing.T) {
	w := newWorld(t)
	s := w.session()
	c := w.subscribe(s, temp(s, "r"), 1000, true)
	var o outcome
	for i := range 2000 {
		s.Send(scheduled(queue("ActiveMQ.Statistics.Broker"), "", false, "reply-to", "/remote-temp-queue/"+s.ID()+":r", "correlation-id", strconv.Itoa(i)), &o, uint64(i))
	}
	last, answered := -1, 0
	for i, err := range o.wait(w, 2000) {
		if err != nil {
			require.Equal(t, gateway.Limit, gateway.KindOf(err), i)
		} else {
			answered++
		}
	}
	for range answered {
		id, _ := c.next(1)[0].Message.Header.Get("correlation-id")
		n, err := strconv.Atoi(id)
		require.NoError(t, err)
		require.Greater(t, n, last)
		last = n
	}
}
