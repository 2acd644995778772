package lease_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/protocols/pubsub/lease"
	"github.com/sluice-mq/sluice/protocols/pubsub/resource"
	"github.com/sluice-mq/sluice/protocols/pubsub/wire"
)

// society are nodes that ask one another.
type society struct {
	*bench
	mu      sync.Mutex
	alive   []string
	answers map[string]func(context.Context, []byte) []byte
	// hung nodes do not answer.
	hung  map[string]bool
	asked atomic.Int64
	reads atomic.Int64
}

// end is a node's end of it.
type end struct {
	*society
	node string
}

func (e end) Ask(ctx context.Context, node string, question []byte) ([]byte, error) {
	e.asked.Add(1)
	e.mu.Lock()
	answer, hung := e.answers[node], e.hung[node]
	e.mu.Unlock()
	if answer == nil || hung {
		<-ctx.Done()
		return nil, gateway.WrapError(gateway.Unavailable, ctx.Err(), "nobody answers")
	}
	return answer(ctx, question), nil
}

func (e end) Answer(answer func(context.Context, []byte) []byte) (func(), error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.answers[e.node] = answer
	return func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		delete(e.answers, e.node)
	}, nil
}

func (s *society) nodes() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.alive)
}

func (s *society) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

// Read counts.
func (s *society) Read(ctx context.Context, topic string, q gateway.LogQuery) (gateway.LogPage, error) {
	s.reads.Add(1)
	return s.logs.Read(ctx, topic, q)
}

// node starts one.
func (s *society) node(t *testing.T, name string, arrivals func(string, func()) func()) *lease.Keeper {
	k, err := lease.New(lease.Config{
		Directory: s.directory, Logs: s, Node: name, Nodes: s.nodes, Others: end{s, name}, Now: s.clock.Now, Look: 5 * time.Millisecond, Arrivals: arrivals, Patience: 10 * time.Second,
		Translate: func(m *gateway.Message) wire.Message { return wire.Message{ID: strconv.FormatUint(m.Offset, 10)} },
		Open:      func(context.Context) (gateway.Session, error) { return appender{logs: s.logs}, nil },
	})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- k.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	require.Eventually(t, func() bool { s.mu.Lock(); defer s.mu.Unlock(); return s.answers[name] != nil }, 10*time.Second, time.Millisecond)
	return k
}

func gather(t *testing.T, names ...string) *society {
	b := open(t, resource.Lease{})
	b.stop()
	return &society{bench: b, alive: names, answers: map[string]func(context.Context, []byte) []byte{}, hung: map[string]bool{}}
}

func (s *society) leader() string {
	c, _ := s.directory.Standing(s.sub, s.of)
	return c.Leader
}

// Any node answers for a subscription, whichever keeps its leases; when that one is gone another one does, also if it is gone in the middle of an answer.
func TestNodesPassOnWhatTheyAreAsked(t *testing.T) {
	s := gather(t, "a", "b", "c")
	keepers := map[string]*lease.Keeper{}
	for _, name := range s.alive {
		keepers[name] = s.node(t, name, nil)
	}
	for range 3 {
		s.publish(t, "")
	}
	var all []wire.Received
	for _, name := range []string{"a", "b", "c"} {
		got, err := keepers[name].Pull(t.Context(), s.sub, s.of, 1, 0)
		require.NoError(t, err)
		all = append(all, got...)
	}
	require.Len(t, all, 3)
	require.Equal(t, int64(2), s.asked.Load())
	for i, name := range []string{"b", "c", "a"} {
		faults, err := keepers[name].Acknowledge(t.Context(), s.sub, s.of, idsOf(all[i:i+1]))
		require.NoError(t, err)
		require.Empty(t, faults)
	}
	led := s.leader()
	others := slices.DeleteFunc(s.nodes(), func(n string) bool { return n == led })
	s.publish(t, "")
	s.set(func() { s.hung[led] = true })
	pulled, before := make(chan []wire.Received, 1), s.asked.Load()
	go func() {
		got, _ := keepers[others[0]].Pull(t.Context(), s.sub, s.of, 5, 0)
		pulled <- got
	}()
	require.Eventually(t, func() bool { return s.asked.Load() > before || len(pulled) > 0 }, 10*time.Second, time.Millisecond)
	s.set(func() { s.alive = others })
	require.Len(t, <-pulled, 1)
	require.NotEqual(t, led, s.leader())
	_, err := keepers[led].Pull(t.Context(), s.sub, s.of, 5, 0)
	require.NoError(t, err, "it asks the others")
	s.set(func() { s.alive = nil })
	for _, k := range keepers {
		_, err := k.Pull(t.Context(), s.sub, s.of, 5, 0)
		require.Equal(t, gateway.Unavailable, gateway.KindOf(err), "who has lost the others hands out nothing")
	}
}

// A node stays the one that keeps the leases when others come, until nobody has used the subscription for a while.
func TestWhoKeepsLeasesStaysIt(t *testing.T) {
	s := gather(t, "a")
	k := s.node(t, "a", nil)
	s.publish(t, "")
	got, err := k.Pull(t.Context(), s.sub, s.of, 1, 0)
	require.NoError(t, err)
	var names []string
	for i := range 20 {
		names = append(names, fmt.Sprint("n", i))
	}
	s.set(func() { s.alive = append(s.alive, names...) })
	s.clock.pass(2 * time.Minute)
	s.publish(t, "")
	got, err = k.Pull(t.Context(), s.sub, s.of, 2, 0)
	require.NoError(t, err)
	require.Len(t, got, 2)
	_, err = k.Acknowledge(t.Context(), s.sub, s.of, idsOf(got))
	require.NoError(t, err)
	require.Equal(t, "a", s.leader())
	s.clock.pass(2 * time.Minute)
	require.Eventually(t, func() bool {
		books, leases := k.Stats()
		return s.leader() == "" && books == 0 && leases == 0
	}, 10*time.Second, time.Millisecond)
	c, _ := s.directory.Standing(s.sub, s.of)
	require.Equal(t, uint64(2), c.Offset)
}

// What nodes are asked that makes no sense is answered so, and nothing is done.
func TestStrangeQuestions(t *testing.T) {
	s := gather(t, "a")
	s.node(t, "a", nil)
	s.publish(t, "")
	ask := func(text string) string { return string(s.answers["a"](t.Context(), []byte(text))) }
	for _, q := range []string{
		"", "x", "[]", "{}", `{"project":"P"}`, `{"project":"P","subscription":"s","id":"another","most":5}`, `{"project":"P","subscription":"none","id":"` + s.sub.ID + `"}`, `{"most":"x"}`,
	} {
		require.Contains(t, ask(q), `"failed":true`, q)
	}
	one := `{"project":"P","subscription":"s","id":"` + s.sub.ID + `",`
	require.Contains(t, ask(one+`"ack_ids":["x",""]}`), `"faults":["`)
	require.NotContains(t, ask(one+`"most":-5,"wait":-5}`), "received")
	require.NotContains(t, ask(one+`"most":0}`), "received")
	require.Contains(t, ask(one+`"generation":99999,"most":1}`), `"messageId":"0"`)
}

// Who waits costs nothing until something comes.
func TestWaitingCostsNothing(t *testing.T) {
	s := gather(t, "a")
	wakes := make(chan func(), 1)
	stopped := make(chan struct{})
	k := s.node(t, "a", func(topic string, wake func()) func() {
		require.Equal(t, "P.t", topic)
		wakes <- wake
		return func() { close(stopped) }
	})
	done := make(chan []wire.Received, 1)
	go func() {
		got, _ := k.Pull(t.Context(), s.sub, s.of, 5, time.Minute)
		done <- got
	}()
	wake := <-wakes
	wake()
	require.Eventually(t, func() bool { return s.reads.Load() > 0 }, 10*time.Second, time.Millisecond)
	select {
	case got := <-done:
		t.Fatalf("there was nothing, and it brought %v", got)
	case <-time.After(700 * time.Millisecond): // there is nothing that says that nothing happens
	}
	require.LessOrEqual(t, s.reads.Load(), int64(3))
	s.publish(t, "")
	wake()
	require.Len(t, <-done, 1)
	require.NoError(t, s.directory.DeleteSubscription(t.Context(), s.sub.Name))
	<-stopped
}
