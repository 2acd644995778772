package app

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/sync/errgroup"
)

// fake is a door that notes what is done to it and drains when told.
type fake struct {
	trace   *trace
	name    string
	drained chan struct{}
	fails   chan error
	hold    bool // Drain lasts until its context ends
}

type trace struct {
	mu    sync.Mutex
	steps []string
}

func (t *trace) add(s string) { t.mu.Lock(); t.steps = append(t.steps, s); t.mu.Unlock() }
func (t *trace) all() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]string(nil), t.steps...)
}

func newFake(tr *trace, name string) *fake {
	return &fake{trace: tr, name: name, drained: make(chan struct{}), fails: make(chan error, 1)}
}

func (f *fake) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }

func (f *fake) Serve(ctx context.Context) error {
	select {
	case <-f.drained:
		return nil
	case err := <-f.fails:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (f *fake) Drain(ctx context.Context) error {
	f.trace.add("drain " + f.name)
	if f.hold {
		<-ctx.Done()
		return ctx.Err()
	}
	close(f.drained)
	return nil
}

// living is a life whose node has fake rooms and serves.
func living(t *testing.T, timeout time.Duration, doors ...*fake) (*life, *trace, context.CancelFunc) {
	t.Helper()
	t.Cleanup(func() { goleak.VerifyNone(t) })
	tr := &trace{}
	cfg := Default()
	cfg.ShutdownTimeout = Duration(timeout)
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	l := &life{cfg: cfg, log: slog.New(slog.DiscardHandler), node: &node{}}
	l.duty.life = l
	l.group, l.serving = errgroup.WithContext(ctx)
	for _, name := range []string{"server", "store", "broker"} {
		l.node.parts = append(l.node.parts, part{name, func(context.Context) error { tr.add("close " + name); return nil }})
	}
	for _, d := range doors {
		d.trace = tr
		l.node.doors = append(l.node.doors, l.open(Stomp, d))
	}
	l.health.enter(serving)
	return l, tr, cancel
}

func TestTheEndGoesInOrder(t *testing.T) {
	l, tr, cancel := living(t, soon, newFake(nil, "door"))
	require.Empty(t, l.health.Checks()[0].Reason)
	l.node.parts = append(l.node.parts, part{"witness", func(context.Context) error {
		tr.add("not ready: " + l.health.Checks()[0].Reason)
		return nil
	}})
	require.NoError(t, l.end(cancel))
	require.Equal(t, []string{"drain door", "not ready: stopping", "close broker", "close store", "close server"}, tr.all())
	require.True(t, l.health.Started())
}

func TestAClientThatDoesNotLeaveIsCutOff(t *testing.T) {
	held := newFake(nil, "held")
	held.hold = true
	l, tr, cancel := living(t, 100*time.Millisecond, held)
	require.NoError(t, l.end(cancel), "the store closed well, so the end is good")
	require.Equal(t, []string{"drain held", "close broker", "close store", "close server"}, tr.all())
}

func TestAPartThatHangsDoesNotHoldTheProcess(t *testing.T) {
	l, _, cancel := living(t, 100*time.Millisecond)
	release := make(chan struct{})
	defer close(release)
	l.node.parts = append(l.node.parts, part{"stuck", func(context.Context) error { <-release; return nil }})
	require.EqualError(t, l.end(cancel), "did not stop within 100ms")
}

func TestWhatFailsToCloseIsNamed(t *testing.T) {
	l, tr, cancel := living(t, soon)
	l.node.parts = append(l.node.parts, part{"journal", func(context.Context) error { return errors.New("disk gone") }})
	require.EqualError(t, l.end(cancel), "close the journal: disk gone")
	require.Equal(t, []string{"close broker", "close store", "close server"}, tr.all(), "the others close all the same")
}

func TestADoorThatFailsEndsTheNode(t *testing.T) {
	d := newFake(nil, "door")
	l, _, cancel := living(t, soon, d)
	d.fails <- errors.New("socket gone")
	<-l.serving.Done()
	require.EqualError(t, l.end(cancel), "stomp on 127.0.0.1:1: socket gone")
}

func TestTheFirstSignalStopsAndTheSecondQuits(t *testing.T) {
	defer goleak.VerifyNone(t)
	signals := make(chan os.Signal)
	quit := make(chan struct{})
	stop, done := watch(signals, slog.New(slog.DiscardHandler), 0, func() { close(quit) })
	require.NoError(t, stop.Err())
	signals <- syscall.SIGTERM
	<-stop.Done()
	select {
	case <-quit:
		t.Fatal("quit at the first signal")
	default:
	}
	signals <- syscall.SIGINT
	<-quit
	done()
}

// `timeout make run` signals the node twice at once: by timeout and by make.
func TestASignalAndItsEchoStopInOrder(t *testing.T) {
	signals := make(chan os.Signal)
	stop, done := watch(signals, slog.New(slog.DiscardHandler), time.Hour, func() { t.Error("quit at an echo") })
	for range 3 {
		signals <- syscall.SIGTERM
	}
	<-stop.Done()
	done()
}

func TestASignalDuringTheStartIsAGoodEnd(t *testing.T) {
	defer goleak.VerifyNone(t)
	cfg := Default()
	cfg.DataDir = t.TempDir()
	for i := range cfg.Listeners {
		cfg.Listeners[i].Address.Port = 0
	}
	signals := make(chan os.Signal, 1)
	signals <- syscall.SIGTERM
	require.NoError(t, run(cfg, slog.New(slog.DiscardHandler), outside{signals: signals, quit: func() { t.Error("quit") }}))
	signals <- syscall.SIGTERM
	require.NoError(t, run(cfg, slog.New(slog.DiscardHandler), outside{signals: signals, quit: func() { t.Error("quit") }}), "everything was given back")
}

func TestHealthTellsWhatIsWrong(t *testing.T) {
	var h health
	space := ""
	h.watch("store", func() string { return space })
	require.False(t, h.Started())
	require.Equal(t, "starting", h.Checks()[0].Reason)
	h.wait("for two of three")
	require.Equal(t, "starting: for two of three", h.Checks()[0].Reason)
	h.enter(serving)
	require.True(t, h.Started())
	require.Empty(t, h.Checks()[0].Reason)
	space = "no space"
	require.Equal(t, "no space", h.Checks()[1].Reason)
	h.enter(draining)
	require.Equal(t, "draining", h.Checks()[0].Reason)
	h.undrain()
	require.Empty(t, h.Checks()[0].Reason)
	h.enter(stopping)
	h.undrain()
	h.enter(serving)
	require.Equal(t, "stopping", h.Checks()[0].Reason, "there is no way back")
	require.True(t, h.Started())
}

func TestNotifyWithoutASocketSaysNothing(t *testing.T) {
	notifier{}.say("READY=1")
	notifier{socket: "/nowhere/socket"}.say("READY=1")
}
