package native_test

import (
	"context"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/gatewaytest"
	"github.com/sluice-mq/sluice/jetstream/embed"
)

func itoa(n uint64) string { return strconv.FormatUint(n, 10) }

// closed is a connection's option and what tells that it has ended.
func closed() (natsgo.Option, chan error) {
	ended := make(chan error, 1)
	return natsgo.ClosedHandler(func(nc *natsgo.Conn) { ended <- nc.LastError() }), ended
}

func await(t *testing.T, ended chan error) error {
	t.Helper()
	select {
	case err := <-ended:
		return err
	case <-time.After(patience):
		t.Fatal("the connection has not ended")
		return nil
	}
}

// The broker hears of each client who it says it is and where it comes from, and who is not let in learns no more than that.
func TestLogins(t *testing.T) {
	g := newGuarded(t, guardedOptions{})
	for _, option := range []natsgo.Option{natsgo.UserInfo("alice", "x"), natsgo.UserInfo("nobody", "of nobody"), natsgo.Token("x"), natsgo.UserInfo("$SYS", "of $SYS")} {
		_, err := natsgo.Connect("nats://"+g.gate.Addr().String(), option)
		require.ErrorIs(t, err, natsgo.ErrAuthorization)
	}
	g.as("alice")
	g.people.mu.Lock()
	defer g.people.mu.Unlock()
	l := g.people.logins[len(g.people.logins)-1]
	require.Equal(t, gateway.Credentials{Login: "alice", Passcode: "of alice"}, l.Credentials)
	require.Equal(t, "nats", l.Protocol)
	require.Equal(t, g.gate.Addr().String(), l.Listener)
	require.Contains(t, l.Remote, "127.0.0.1:")
	require.Contains(t, l.Library, "go ")
}

// Each connection has a session of its own at the broker, which ends with it.
func TestEachConnectionHasASession(t *testing.T) {
	g := newGuarded(t, guardedOptions{})
	before := g.sessions()
	one, two := g.as("alice"), g.as("alice")
	require.Equal(t, before+3, g.sessions(), "two connections and the door")
	one.Close()
	require.Eventually(t, func() bool { return g.sessions() == before+2 }, patience, time.Millisecond)
	two.Close()
	require.Eventually(t, func() bool { return g.sessions() == before+1 }, patience, time.Millisecond)
}

// Who is nobody any more is disconnected; others stay.
func TestAUserWhoIsRemovedIsDisconnected(t *testing.T) {
	g := newGuarded(t, guardedOptions{})
	option, ended := closed()
	g.as("alice", option)
	bob := g.as("bob")
	g.people.change(func() { delete(g.people.groups, "alice") })
	g.gate.Reauthorize()
	_ = await(t, ended)
	require.NoError(t, bob.Flush())
	_, err := g.login("alice")
	require.ErrorIs(t, err, natsgo.ErrAuthorization)
	g.people.change(func() { g.people.groups["alice"] = []string{"new"} })
	_, err = g.js("alice").Publish(ctx(t), "queue.a", nil)
	require.NoError(t, err)
}

// When the broker ends a session its connection ends, and when it ends the door's all of the user's do.
func TestSessionsThatTheBrokerEnds(t *testing.T) {
	g := newGuarded(t, guardedOptions{})
	for _, protocol := range []string{"nats", "nats/door"} {
		option, ended := closed()
		g.as("alice", option)
		bob := g.as("bob")
		g.end("alice", protocol)
		_ = await(t, ended)
		require.NoError(t, bob.Flush())
		_, err := g.js("alice").Publish(ctx(t), "queue.a", nil)
		require.NoError(t, err)
	}
}

// A proof that expires ends the connection.
func TestAProofThatExpiresEndsTheConnection(t *testing.T) {
	p := &people{until: map[string]time.Time{"alice": time.Now().Add(500 * time.Millisecond)}}
	g := newGuarded(t, guardedOptions{people: p})
	told := make(chan error, 1)
	option, ended := closed()
	g.as("alice", option, natsgo.ErrorHandler(func(_ *natsgo.Conn, _ *natsgo.Subscription, err error) { told <- err }))
	_ = await(t, ended)
	require.ErrorIs(t, await(t, told), natsgo.ErrAuthExpired)
}

// A user whose groups have changed since begins anew, with what it may do now.
func TestAUserWithOtherGroupsBeginsAnew(t *testing.T) {
	rules := gatewaytest.Rules(func(p gateway.Principal, _ gateway.Action, d gateway.Destination) error {
		if len(p.Groups) == 1 && p.Groups[0] == "ops" {
			return nil
		}
		return gateway.Errorf(gateway.Denied, "User %s is not authorized to write to: %s", p.Name, d)
	})
	g := newGuarded(t, guardedOptions{rules: rules})
	option, ended := closed()
	old := g.js("alice", option)
	_, err := old.Publish(ctx(t), "queue.a", nil)
	require.ErrorContains(t, err, "not authorized")
	g.people.change(func() { g.people.groups["alice"] = []string{"ops"} })
	now := g.js("alice")
	_, err = now.Publish(ctx(t), "queue.a", nil)
	require.NoError(t, err)
	_ = await(t, ended)
}

// The door of a user who has left is closed, and opened again for the next connection, with the consumers that it had.
func TestDoorsOfUsersWhoHaveLeftAreClosed(t *testing.T) {
	g := newGuarded(t, guardedOptions{idle: time.Millisecond})
	before := g.sessions()
	for range 3 {
		js := g.js("alice")
		_, err := js.CreateOrUpdateConsumer(ctx(t), "QUEUES", jetstream.ConsumerConfig{Durable: "w", FilterSubject: "queue.a"})
		require.NoError(t, err)
		_, err = js.Publish(ctx(t), "queue.a", nil)
		require.NoError(t, err)
		js.Conn().Close()
		require.Eventually(t, func() bool { return g.sessions() == before }, patience, time.Millisecond)
	}
	require.Equal(t, uint64(3), g.gate.Stats().Received)
	w, err := g.js("alice").Consumer(ctx(t), "QUEUES", "w")
	require.NoError(t, err)
	require.Len(t, fetch(t, w, 3), 3)
}

// noStreams are rules by which nobody has streams.
type noStreams struct{ gateway.Authorizer }

func (n noStreams) Rights(p gateway.Principal) gateway.Rights {
	return noStreamsRights{n.Authorizer.Rights(p)}
}

type noStreamsRights struct{ gateway.Rights }

func (noStreamsRights) Operate(operation string) error {
	return gateway.Errorf(gateway.Denied, "User is not authorized for: %s", operation)
}

func TestStreamsAreARight(t *testing.T) {
	g := newGuarded(t, guardedOptions{authorizer: func(a gateway.Authorizer) gateway.Authorizer { return noStreams{a} }})
	js := g.js("alice")
	_, err := js.CreateStream(ctx(t), jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}})
	require.ErrorContains(t, err, "User is not authorized for: streams")
	_, err = js.CreateOrUpdateConsumer(ctx(t), "QUEUES", jetstream.ConsumerConfig{Durable: "w", FilterSubject: "queue.a"})
	require.NoError(t, err)
}

// Streams of users are there again after a restart, before the users are.
func TestStreamsOfUsersSurviveARestart(t *testing.T) {
	dir := t.TempDir()
	for round := range 2 {
		t.Run(strconv.Itoa(round), func(t *testing.T) {
			g := newGuarded(t, guardedOptions{dir: dir})
			js := g.js("alice")
			if round == 0 {
				makeStream(t, js, jetstream.StreamConfig{Name: "ORDERS", Subjects: []string{"orders.>"}})
				publish(t, js, "ORDERS", "orders.x", 3)
				_, err := js.CreateOrUpdateConsumer(ctx(t), "QUEUES", jetstream.ConsumerConfig{Durable: "w", FilterSubject: "queue.a"})
				require.NoError(t, err)
				return
			}
			s, err := js.Stream(ctx(t), "ORDERS")
			require.NoError(t, err)
			require.Equal(t, uint64(3), s.CachedInfo().State.Msgs)
			_, err = js.Consumer(ctx(t), "QUEUES", "w")
			require.NoError(t, err)
		})
	}
	require.FileExists(t, filepath.Join(dir, "native-users.json"))
}

// What a user costs is written into docs/nats.md.
func TestWhatUsersCost(t *testing.T) {
	const n = 50
	p := &people{groups: map[string][]string{}}
	for i := range n {
		p.groups["u"+strconv.Itoa(i)] = nil
	}
	g := newGuarded(t, guardedOptions{people: p, idle: time.Millisecond, embed: func(c *embed.Config) { c.Streams.Memory = 1 << 20 }})
	measure := func() (goroutines int, bytes uint64) {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return runtime.NumGoroutine(), m.HeapInuse + m.StackInuse
	}
	g0, b0 := measure()
	began := time.Now()
	var all []*natsgo.Conn
	for i := range n {
		all = append(all, g.as("u"+strconv.Itoa(i)))
	}
	took := time.Since(began)
	g1, b1 := measure()
	perUser := (g1 - g0) / n
	t.Logf("%d users: %d goroutines and %d KiB each, client included; the door opens in %v", n, perUser, (int64(b1)-int64(b0))/n/1024, took/n)
	require.Less(t, perUser, 120)
	for _, nc := range all {
		nc.Close()
	}
	require.Eventually(t, func() bool { g2, _ := measure(); return g2 < g0+n }, patience, 10*time.Millisecond, "they are gone when the users are")
}

// Who waits for a door that does not open is not let in for ever.
func TestDrainWhileUsersCome(t *testing.T) {
	g := newGuarded(t, guardedOptions{})
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			if nc, err := g.login([]string{"alice", "bob", "eve"}[i%3]); err == nil {
				nc.Close()
			}
		}
	}()
	require.Eventually(t, func() bool { return g.sessions() > 0 }, patience, time.Millisecond)
	require.NoError(t, g.gate.Drain(context.Background()))
	close(stop)
	<-done
	_, err := g.gate.Enter(ctx(t), 1, gateway.Login{Credentials: gateway.Credentials{Login: "alice", Passcode: "of alice"}})
	require.Equal(t, gateway.Unavailable, gateway.KindOf(err))
	require.Zero(t, g.sessions())
}

func (g *guarded) sessions() int { return g.broker.Stats().Sessions }
