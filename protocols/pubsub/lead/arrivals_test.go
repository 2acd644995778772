package lead_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/core"
	"github.com/sluice-mq/sluice/gateway/gatewaytest"
	"github.com/sluice-mq/sluice/protocols/pubsub/lead"
)

// Who listens is woken when something comes to the topic, and not for others; when nobody listens any more, the session is closed.
func TestListen(t *testing.T) {
	store := gatewaytest.NewMemory(gatewaytest.NewDisk(1))
	t.Cleanup(store.Close)
	b, err := core.New(t.Context(), core.Config{Node: "n1", Store: store, Authenticator: gatewaytest.Everyone{}, Authorizer: gatewaytest.Everyone{}})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.Close(context.Background())) })
	open := func(ctx context.Context) (gateway.Session, error) {
		return b.Open(ctx, gateway.Login{Protocol: "pubsub/push"})
	}
	var mu sync.Mutex
	var sessions []*watched
	listen := lead.Listen(func(ctx context.Context) (gateway.Session, error) {
		s, err := open(ctx)
		mu.Lock()
		defer mu.Unlock()
		sessions = append(sessions, &watched{Session: s})
		return sessions[len(sessions)-1], err
	}, nil)
	var here, there atomic.Int64
	stop := listen("P.t", func() { here.Add(1) })
	stopOther := listen("P.u", func() { there.Add(1) })
	within := func(what func() bool) { t.Helper(); require.Eventually(t, what, 20*time.Second, time.Millisecond) }
	within(func() bool { return here.Load() >= 1 && there.Load() >= 1 })
	from, err := open(t.Context())
	require.NoError(t, err)
	t.Cleanup(from.Close)
	for range 100 {
		woken := here.Load()
		from.Send(&gateway.Message{Destination: gateway.Destination{Kind: gateway.KindTopic, Name: "P.t"}}, nil, 0)
		within(func() bool { return here.Load() > woken })
	}
	require.LessOrEqual(t, there.Load(), int64(2), "it was woken for the beginning alone")
	mu.Lock()
	require.Len(t, sessions, 1, "one session is enough")
	first := sessions[0]
	mu.Unlock()
	stop()
	require.False(t, first.closed.Load())
	stopOther()
	require.True(t, first.closed.Load())
	stop = listen("P.t", func() { here.Add(1) })
	woken := here.Load()
	within(func() bool { return here.Load() > woken })
	stop()
	require.Len(t, sessions, 2)
}

type watched struct {
	gateway.Session
	closed atomic.Bool
}

func (w *watched) Close() {
	w.closed.Store(true)
	w.Session.Close()
}

// Without a session one is woken all the same: something may have come.
func TestListenWithoutASession(t *testing.T) {
	var woken atomic.Int64
	stop := lead.Listen(func(context.Context) (gateway.Session, error) { return nil, errors.New("not now") }, nil)("P.t", func() { woken.Add(1) })
	require.Eventually(t, func() bool { return woken.Load() >= 2 }, 20*time.Second, time.Millisecond)
	stop()
}

// What came while a node that is new did not know yet who listens is not waited for: all are woken when nodes come or go, and some times after that.
func TestListenWhileNodesComeAndGo(t *testing.T) {
	store := gatewaytest.NewMemory(gatewaytest.NewDisk(1))
	t.Cleanup(store.Close)
	b, err := core.New(t.Context(), core.Config{Node: "n1", Store: store, Authenticator: gatewaytest.Everyone{}, Authorizer: gatewaytest.Everyone{}})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.Close(context.Background())) })
	var nodes atomic.Pointer[[]string]
	nodes.Store(&[]string{"n1", "n2"})
	listen := lead.Listen(func(ctx context.Context) (gateway.Session, error) {
		return b.Open(ctx, gateway.Login{Protocol: "pubsub/push"})
	}, func() []string { return *nodes.Load() })
	var woken atomic.Int64
	stop := listen("P.t", func() { woken.Add(1) })
	defer stop()
	within := func(n int64) {
		t.Helper()
		require.Eventually(t, func() bool { return woken.Load() >= n }, 20*time.Second, time.Millisecond)
	}
	within(2) // it has subscribed, and everybody knows
	for _, now := range [][]string{{"n1"}, {"n1", "n2"}} {
		before := woken.Load()
		nodes.Store(&now)
		within(before + 3)
	}
}
