package listen_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sluice-mq/sluice/protocols/internal/listen"
)

const soon = 10 * time.Second

// running is a listener whose Serve runs; the test ends only when Serve has returned.
type running struct {
	*listen.Listener
	cancel context.CancelFunc
	served chan error
}

func start(t *testing.T, cfg listen.Config, handle func(context.Context, net.Conn)) *running {
	t.Helper()
	t.Cleanup(func() { goleak.VerifyNone(t) })
	cfg.Address = "127.0.0.1:0"
	l, err := listen.Listen(cfg)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{Listener: l, cancel: cancel, served: make(chan error, 1)}
	stopped := make(chan struct{})
	go func() { defer close(stopped); r.served <- l.Serve(ctx, handle) }()
	t.Cleanup(func() { cancel(); <-stopped })
	return r
}

func (r *running) dial(t *testing.T) net.Conn {
	t.Helper()
	c, err := net.DialTimeout("tcp", r.Addr().String(), soon)
	require.NoError(t, err)
	require.NoError(t, c.SetDeadline(time.Now().Add(soon)))
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func (r *running) end(t *testing.T) error {
	t.Helper()
	select {
	case err := <-r.served:
		return err
	case <-time.After(soon):
		t.Fatal("Serve did not return")
		return nil
	}
}

func echo(_ context.Context, c net.Conn) { _, _ = io.Copy(c, c) }

func requireEcho(t *testing.T, c net.Conn, line string) {
	t.Helper()
	_, err := io.WriteString(c, line+"\n")
	require.NoError(t, err)
	got, err := bufio.NewReader(c).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, line+"\n", got)
}

func TestServesManyAtOnce(t *testing.T) {
	r := start(t, listen.Config{}, echo)
	conns := make([]net.Conn, 20)
	for i := range conns {
		conns[i] = r.dial(t)
	}
	for _, c := range conns {
		requireEcho(t, c, "hello")
	}
	require.Equal(t, listen.Stats{Open: 20, Accepted: 20, Unknown: 20}, r.Stats())
}

func TestStopAcceptingLetsOpenConnectionsGoOn(t *testing.T) {
	r := start(t, listen.Config{}, echo)
	c := r.dial(t)
	requireEcho(t, c, "before")
	r.StopAccepting()
	r.StopAccepting()
	_, err := net.DialTimeout("tcp", r.Addr().String(), soon)
	require.Error(t, err)
	requireEcho(t, c, "after")

	short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, r.Wait(short), context.DeadlineExceeded)
	require.NoError(t, c.Close())
	require.NoError(t, r.Wait(t.Context()))
	require.NoError(t, r.end(t))
	require.Zero(t, r.Stats().Open)
}

func TestCancelClosesConnectionsUnderTheirHandlers(t *testing.T) {
	r := start(t, listen.Config{}, echo)
	c := r.dial(t)
	requireEcho(t, c, "x")
	r.cancel()
	require.ErrorIs(t, r.end(t), context.Canceled)
	_, err := c.Read(make([]byte, 1))
	require.Error(t, err)
	require.False(t, errors.Is(err, context.DeadlineExceeded))
}

func TestCancelClosesConnectionsAlsoWhenNoMoreAreAccepted(t *testing.T) {
	r := start(t, listen.Config{}, echo)
	c := r.dial(t)
	requireEcho(t, c, "hello")
	r.StopAccepting()
	r.cancel()
	require.NoError(t, r.end(t))
	_, err := c.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF)
}

func TestAboveTheLimitTheDoorSaysWhy(t *testing.T) {
	r := start(t, listen.Config{Limits: listen.Limits{MaxConnections: 1}, Refuse: func(c net.Conn, _ string) {
		_, _ = io.WriteString(c, "no room\n")
	}}, echo)
	first := r.dial(t)
	requireEcho(t, first, "in")

	second := r.dial(t)
	// What the client has already said must not cost it the answer.
	_, err := second.Write(bytes.Repeat([]byte("CONNECT"), 1000))
	require.NoError(t, err)
	words, err := io.ReadAll(second)
	require.NoError(t, err)
	require.Equal(t, "no room\n", string(words))
	require.Equal(t, listen.Stats{Open: 1, Accepted: 1, Unknown: 1, Refused: listen.Refusals{Limit: 1}}, r.Stats())

	require.NoError(t, first.Close())
	require.NoError(t, r.Wait(t.Context()))
	requireEcho(t, r.dial(t), "in again")
}

func TestAboveTheLimitWithoutWords(t *testing.T) {
	r := start(t, listen.Config{Limits: listen.Limits{MaxConnections: 1}}, echo)
	requireEcho(t, r.dial(t), "in")
	_, err := r.dial(t).Read(make([]byte, 1))
	require.Error(t, err)
}

func TestAFloodOfRefusalsIsBounded(t *testing.T) {
	var mu sync.Mutex
	now, most := 0, 0
	release := make(chan struct{})
	r := start(t, listen.Config{Limits: listen.Limits{MaxConnections: 1}, Refuse: func(net.Conn, string) {
		mu.Lock()
		now++
		most = max(most, now)
		mu.Unlock()
		<-release
		mu.Lock()
		now--
		mu.Unlock()
	}}, echo)
	requireEcho(t, r.dial(t), "in")
	for range 60 {
		r.dial(t)
	}
	require.Eventually(t, func() bool { return r.Stats().Refused.Limit == 60 }, soon, time.Millisecond)
	close(release)
	r.cancel()
	_ = r.end(t)
	mu.Lock()
	defer mu.Unlock()
	require.Positive(t, most)
	require.LessOrEqual(t, most, 16)
}

func TestAPanicEndsItsConnectionAlone(t *testing.T) {
	var log syncBuffer
	r := start(t, listen.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))}, func(ctx context.Context, c net.Conn) {
		line, err := bufio.NewReader(c).ReadString('\n')
		if err == nil && line == "boom\n" {
			panic("the handler is broken")
		}
		_, _ = io.WriteString(c, line)
	})
	bystander, victim := r.dial(t), r.dial(t)
	_, err := io.WriteString(victim, "boom\n")
	require.NoError(t, err)
	_, err = victim.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF)
	requireEcho(t, bystander, "still here")
	require.NoError(t, r.Wait(t.Context()))
	require.Contains(t, log.String(), "the handler is broken")
	require.Contains(t, log.String(), "listener_test.go", "the stack shows where")
}

func TestAddressInUseIsSaidInWords(t *testing.T) {
	r := start(t, listen.Config{}, echo)
	_, err := listen.Listen(listen.Config{Address: r.Addr().String()})
	require.ErrorContains(t, err, "listen on "+r.Addr().String()+": ")
	require.ErrorContains(t, err, "address already in use")
}

// syncBuffer is a bytes.Buffer for several goroutines.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
