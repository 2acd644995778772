package core_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/core"
	"github.com/sluice-mq/sluice/gateway/gatewaytest"
	"github.com/sluice-mq/sluice/gateway/quota"
	watch "github.com/sluice-mq/sluice/gateway/tap"
)

// clerk is an Auditor that keeps what it is told.
type clerk struct {
	commands atomic.Bool
	mu       sync.Mutex
	events   []gateway.Event
}

func (c *clerk) Record(e *gateway.Event) {
	c.mu.Lock()
	c.events = append(c.events, *e)
	c.mu.Unlock()
}

func (c *clerk) Commands() bool { return c.commands.Load() }

// written returns what was written down since the last time, shortly.
func (c *clerk) written() (lines []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range c.events {
		line := string(e.Kind) + " " + e.Principal.Name
		if e.Destination.Name != "" {
			line += " " + e.Destination.String()
		}
		for _, word := range []string{e.Subject, e.Claimed} {
			if word != "" {
				line += " " + word
			}
		}
		if e.Err != nil {
			line += ": " + e.Err.Error()
		}
		lines = append(lines, line)
	}
	c.events = nil
	return lines
}

func newAudited(t *testing.T, change ...func(*core.Config)) (*world, *society, *clerk) {
	rules, c := &society{rules: []string{"* * *"}, groups: map[string][]string{}}, &clerk{}
	return newWorld(t, append(change, func(cfg *core.Config) { cfg.Authenticator, cfg.Authorizer, cfg.Auditor = rules, rules, c })...), rules, c
}

func TestWhatClientsDoIsWrittenDown(t *testing.T) {
	w, rules, c := newAudited(t)
	s, err := w.broker.Open(context.Background(), gateway.Login{
		Remote: "192.0.2.1:1", Listener: "192.0.2.99:61613", ClientID: "id", Protocol: "stomp/1.2", Library: "stomp.py",
		Credentials: gateway.Credentials{Login: "alice", Passcode: "geheim", Token: "geheim"},
	})
	require.NoError(t, err)
	c.mu.Lock()
	e := c.events[0]
	c.mu.Unlock()
	require.Equal(t, w.broker.Connections()[0].Session, e.Session)
	require.Equal(t, []string{"192.0.2.1:1", "192.0.2.99:61613", "id", "stomp/1.2", "stomp.py"}, []string{e.Remote, e.Listener, e.ClientID, e.Protocol, e.Library})
	require.NotContains(t, fmt.Sprintf("%+v", e), "geheim")
	require.Equal(t, []string{"connect alice"}, c.written())

	_, err = w.connectAs("alice", "id")
	require.Error(t, err)
	require.Equal(t, []string{"login_refused alice alice: Broker: n1 - Client: id already connected from tcp://192.0.2.1:1"}, c.written())
	rules.nobody = []string{"eve"}
	_, err = w.connectAs("eve", "")
	require.Error(t, err)
	require.Equal(t, []string{"login_refused  eve: User name [eve] or password is invalid."}, c.written())

	sub, err := s.Subscribe(gateway.SubscribeOptions{Destination: queue("q"), Name: "one", Prefetch: 10, Wake: func() {}})
	require.NoError(t, err)
	w.send(s, queue("q"), true, "1", "2")
	got := take(sub)
	require.Len(t, got, 2)
	sub.Close()
	require.Equal(t, []string{"subscribe alice queue://q one", "unsubscribe alice queue://q one"}, c.written(), "messages are not written down")
	_, _, err = trySubscribe(s, queue("r"))
	require.NoError(t, err)
	rules.allow("alice read queue://q")
	w.broker.Reauthorize()
	require.Error(t, w.try(s, queue("q"), true))
	require.Equal(t, []string{
		"subscribe alice queue://r",
		"denied alice queue://r read: User alice is not authorized to read from: queue://r",
		"unsubscribe alice queue://r: User alice is not authorized to read from: queue://r",
		"denied alice queue://q write: User alice is not authorized to write to: queue://q",
	}, c.written())
	s.Close()
	require.Equal(t, []string{"disconnect alice in 2 out 2"}, c.written())
}

// connectAs opens a session with a client-id.
func (w *world) connectAs(user, id string) (gateway.Session, error) {
	return w.broker.Open(context.Background(), gateway.Login{Remote: "192.0.2.2:1", ClientID: id, Credentials: gateway.Credentials{Login: user}})
}

func TestEveryMessageIsWrittenDownIfThatIsWanted(t *testing.T) {
	w, _, c := newAudited(t)
	s, _ := w.login("alice", "192.0.2.1:1")
	early := w.subscribe(s, queue("early"), 10, false)
	w.send(s, queue("early"), true, "1")
	before := early.next(1)
	c.commands.Store(true)
	sub := w.subscribe(s, queue("q"), 10, false)
	auto := w.subscribe(s, topic("t"), 10, true)
	c.written()
	w.send(s, queue("q"), true, "a", "b", "c")
	w.send(s, topic("t"), false, "d")
	got := sub.next(3)
	heard := auto.next(1)
	early.Ack(tags(before), nil, 0)
	var o outcome
	sub.Ack(tags(got[:1]), nil, 0)
	sub.Nack(tags(got[1:2]), &o, 1)
	o.wait(t, 1)
	s.Commit(&gateway.Transaction{
		Sends: []*gateway.Message{message(queue("early"), "e", true), message(topic("u"), "f", false)},
		Acks:  []gateway.TransactionAck{{Subscription: sub.Subscription, Tags: tags(got[2:])}},
	}, &o, 2)
	require.NoError(t, o.wait(t, 2)[2])
	lines := c.written()
	last := strings.TrimSuffix(got[0].Message.ID, "2") // the ids end in numbers
	want := []string{
		"send alice queue://q " + got[0].Message.ID, "send alice queue://q " + got[1].Message.ID, "send alice queue://q " + got[2].Message.ID,
		"send alice topic://t " + heard[0].Message.ID, "ack alice topic://t " + heard[0].Message.ID,
		"ack alice queue://q " + got[0].Message.ID, "nack alice queue://q " + got[1].Message.ID,
		"ack alice queue://q " + got[2].Message.ID,
		"send alice queue://early " + last + "6", "send alice topic://u " + last + "7", "commit alice",
	}
	require.ElementsMatch(t, want, lines)
	w.store.Full.Store(true)
	require.Error(t, w.try(s, queue("q"), true))
	require.Equal(t, []string{"send alice queue://q " + last + "8: the store has no space left"}, c.written())
	w.store.Full.Store(false)
	s.Send(message(topic("t"), "g", false), nil, 0)
	require.Equal(t, []string{"send alice topic://t " + last + "9"}, c.written())
}

// A client that is refused again and again does not flood what is written down.
func TestRefusalsAreWrittenDownWithRestraint(t *testing.T) {
	var clock atomic.Int64
	start := time.Unix(1_700_000_000, 0)
	w, rules, c := newAudited(t, quotas(quota.Quotas{PerUser: quota.Quota{Subscriptions: 1}}), func(cfg *core.Config) {
		cfg.Now = func() time.Time { return start.Add(time.Duration(clock.Load())) }
	})
	s, _ := w.login("alice", "192.0.2.1:1")
	_, _, err := trySubscribe(s, topic("t"))
	require.NoError(t, err)
	rules.allow("alice read *", "alice create *")
	w.broker.Reauthorize()
	c.written()
	for range 1000 {
		require.Error(t, w.try(s, queue("q"), true))
	}
	lines := c.written()
	require.Len(t, lines, 10)
	require.Equal(t, "denied alice queue://q write: User alice is not authorized to write to: queue://q", lines[9])
	_, _, err = trySubscribe(s, topic("u"))
	require.Error(t, err)
	require.Equal(t, []string{"limit alice topic://u subscriptions: user alice has 1 subscriptions, the limit is 1"}, c.written(), "another kind")
	clock.Store(int64(time.Second))
	require.Error(t, w.try(s, queue("q"), true))
	require.Equal(t, []string{"denied alice 990 refusals were left out", lines[9]}, c.written())
	for range 20 {
		require.Error(t, w.try(s, queue("q"), true))
	}
	c.written()
	s.Close()
	require.Equal(t, []string{"denied alice 11 refusals were left out", "disconnect alice in 0 out 0"}, c.written())
	rules.nobody = []string{"eve"}
	for range 100 {
		_, err := w.connectAs("eve", "")
		require.Error(t, err)
	}
	require.Len(t, c.written(), 10)
}

func TestLimitsThatMakeClientsWaitAreWrittenDownOnce(t *testing.T) {
	w, _, c := newAudited(t, quotas(quota.Quotas{PerUser: quota.Quota{InFlight: 2, PublishMessages: 3}}))
	s, _ := w.login("alice", "192.0.2.1:1")
	sub := w.subscribe(s, queue("q"), 10, false)
	c.written()
	w.send(s, queue("q"), false, numbers(0, 30)...)
	require.Equal(t, []string{"limit alice publish_messages: user alice waits: the limit of publish_messages is 3"}, c.written())
	got := sub.next(2)
	require.Empty(t, take(sub))
	sub.ack(got...)
	sub.next(2)
	require.Empty(t, take(sub))
	require.Equal(t, []string{"limit alice in_flight: user alice waits: the limit of in_flight is 2"}, c.written())
}

func TestConnectionsAreListedAndEndedByAdministrators(t *testing.T) {
	w, _, c := newAudited(t)
	s, err := w.broker.Open(context.Background(), gateway.Login{
		Remote: "192.0.2.1:1", ClientID: "id", Protocol: "stomp/1.2", Library: "stomp.py", Credentials: gateway.Credentials{Login: "alice"},
	})
	require.NoError(t, err)
	_, ended := w.login("bob", "192.0.2.2:1")
	sub, err := s.Subscribe(gateway.SubscribeOptions{Destination: queue("q"), Name: "one", Prefetch: 10, Wake: func() {}})
	require.NoError(t, err)
	w.send(s, queue("q"), false, "1", "2", "3")
	sub.Ack(tags(take(sub)[:1]), nil, 0)
	all := w.broker.Connections()
	require.Len(t, all, 2)
	require.Equal(t, []core.ConnectionSubscription{{Destination: queue("q"), Name: "one", Prefetch: 10, Out: 3, InFlight: 2}}, all[0].Subscriptions)
	require.Equal(t, []any{"alice", "id", "stomp.py", "stomp/1.2", "192.0.2.1:1", uint64(3), uint64(3)},
		[]any{all[0].Principal.Name, all[0].ClientID, all[0].Library, all[0].Protocol, all[0].Remote, all[0].In, all[0].Out})
	c.written()
	require.NoError(t, w.broker.Disconnect(all[1].Session, "go away"))
	require.Equal(t, "disconnected by an administrator: go away", (<-ended).Text)
	require.Equal(t, []string{"disconnect bob in 0 out 0: disconnected by an administrator: go away"}, c.written())
	require.Len(t, w.broker.Connections(), 1)
	require.Equal(t, gateway.NotFound, gateway.KindOf(w.broker.Disconnect(all[1].Session, "")))
	require.NoError(t, w.broker.Disconnect(all[0].Session, ""))
	require.Equal(t, 3, w.broker.Depth("q")+1)
}

func shown(t *testing.T, watching *watch.Tap, n int) (events []watch.Event) {
	t.Helper()
	for range n {
		select {
		case e := <-watching.Events():
			events = append(events, e)
		case <-time.After(gatewaytest.Wait):
			t.Fatal("no event")
		}
	}
	select {
	case e := <-watching.Events():
		t.Fatalf("one more: %+v", e)
	default:
	}
	return events
}

func TestTapsShowWhatHappensToMessages(t *testing.T) {
	w := newWorld(t)
	s, _ := w.login("alice", "192.0.2.1:1")
	early := w.subscribe(s, queue("a.early"), 10, false)
	w.send(s, queue("a.early"), false, "0")
	before := early.next(1)
	ctx, cancel := context.WithCancel(t.Context())
	watching, err := w.broker.Tap(ctx, watch.Options{Destination: queue("a.>"), Bodies: true, MaxBody: 4})
	require.NoError(t, err)
	early.ack(before...)
	sub, err := s.Subscribe(gateway.SubscribeOptions{Destination: queue("a.b"), Name: "one", Prefetch: 10, Wake: func() {}})
	require.NoError(t, err)
	m := message(queue("a.b"), "long body", false)
	m.Header = gateway.Header{{Name: "n", Value: "v"}}
	s.Send(m, nil, 0)
	w.send(s, topic("a.b"), false, "a topic")
	w.send(s, queue("b"), false, "another")
	w.send(s, queue("a.b"), false, "2")
	got := take(sub)
	require.Len(t, got, 2)
	sub.Ack(tags(got[:1]), nil, 0)
	sub.Nack(tags(got[1:]), nil, 0)
	e := shown(t, watching, 6)
	var kinds []string
	for _, x := range e {
		kinds = append(kinds, string(x.Kind)+" "+x.MessageID)
	}
	first, second := got[0].Message.ID, got[1].Message.ID
	require.Equal(t, []string{"sent " + first, "sent " + second, "delivered " + first, "delivered " + second, "acked " + first, "refused " + second}, kinds)
	require.Equal(t, watch.Event{
		Kind: watch.Delivered, Time: e[2].Time, Session: w.broker.Connections()[0].Session, User: "alice", Remote: "192.0.2.1:1", Subscription: "one",
		Destination: queue("a.b"), MessageID: first, Header: m.Header, Body: []byte("long"), BodySize: 9,
	}, e[2])
	cancel()
	_, open := <-watching.Events()
	require.False(t, open)
	w.send(s, queue("a.b"), false, "3")
}

func TestTapsShowAPart(t *testing.T) {
	w := newWorld(t)
	alice, _ := w.login("alice", "192.0.2.1:1")
	bob, _ := w.login("bob", "192.0.2.1:1")
	sub := w.subscribe(bob, queue("q"), 100, true)
	his, err := w.broker.Tap(t.Context(), watch.Options{Session: w.broker.Connections()[1].Session})
	require.NoError(t, err)
	matching, err := w.broker.Tap(t.Context(), watch.Options{Match: func(m *gateway.Message) bool { return string(m.Body) == "7" }})
	require.NoError(t, err)
	some, err := w.broker.Tap(t.Context(), watch.Options{Every: 10})
	require.NoError(t, err)
	w.send(alice, queue("q"), false, numbers(0, 100)...)
	sub.next(100)
	require.Len(t, shown(t, his, 200), 200)
	require.Len(t, shown(t, matching, 3), 3)
	var n int
	ids := map[string]int{}
	for len(some.Events()) > 0 {
		ids[(<-some.Events()).MessageID]++
		n++
	}
	require.NotZero(t, n)
	require.Less(t, n, 100)
	for id, events := range ids {
		require.Equal(t, 3, events, "all of %s or nothing", id)
	}
}

// A reader that does not read loses events, and the messages flow.
func TestTapsHoldNothingUp(t *testing.T) {
	w := newWorld(t)
	s, _ := w.login("alice", "192.0.2.1:1")
	watching, err := w.broker.Tap(t.Context(), watch.Options{})
	require.NoError(t, err)
	w.send(s, queue("q"), false, numbers(0, 1000)...)
	require.EqualValues(t, 488, watching.Dropped())
	<-watching.Events()
	w.send(s, queue("q"), false, "last")
	var last watch.Event
	for len(watching.Events()) > 0 {
		last = <-watching.Events()
	}
	require.EqualValues(t, 488, last.Dropped)
	for range 7 {
		_, err := w.broker.Tap(t.Context(), watch.Options{})
		require.NoError(t, err)
	}
	_, err = w.broker.Tap(t.Context(), watch.Options{})
	require.Equal(t, "there are 8 taps, the limit is 8", gateway.TextOf(err))
	_, err = w.broker.Tap(t.Context(), watch.Options{Every: -1})
	require.Equal(t, gateway.Invalid, gateway.KindOf(err))
}

// Taps come and go while messages flow; the race detector looks on.
func TestTapsComeAndGo(t *testing.T) {
	w := newWorld(t)
	s, _ := w.login("alice", "192.0.2.1:1")
	sub := w.subscribe(s, queue("q"), 100, false)
	var done atomic.Bool
	var taps sync.WaitGroup
	for range 4 {
		taps.Go(func() {
			for !done.Load() {
				ctx, cancel := context.WithCancel(context.Background())
				watching, err := w.broker.Tap(ctx, watch.Options{Bodies: true})
				if err == nil {
					<-watching.Events()
				}
				cancel()
			}
		})
	}
	for i := range 3000 {
		w.send(s, queue("q"), false, fmt.Sprint(i))
		d := sub.next(1)
		require.Equal(t, fmt.Sprint(i), string(d[0].Message.Body))
		sub.Ack(tags(d), nil, 0)
	}
	done.Store(true)
	finished := make(chan struct{})
	go func() { taps.Wait(); close(finished) }()
	gatewaytest.Eventually(t, func() bool {
		w.send(s, queue("q"), false, "for those that wait")
		select {
		case <-finished:
			return true
		default:
			return false
		}
	}, "the end of all taps")
}
