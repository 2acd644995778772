//go:build linux

package powercut

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/jetstream/commit"
)

// way is one way to a receipt.
type way struct {
	name   string
	always bool // the server syncs every message
	mode   commit.Mode
}

var ways = []way{
	{"group", false, commit.Disk},
	{"always", true, commit.None},
	{"none", false, commit.None},
}

// load is how many producers keep how many records of 1 KiB outstanding each, on how many streams.
type load struct{ streams, producers, window int }

const (
	measured = time.Second
	size     = 1024
)

// sender publishes over one connection, as the gateway does, and is the Source that gives the receipts.
type sender struct {
	nc      *nats.Conn
	subject string
	inbox   string
	log     *commit.Log

	publish sync.Mutex // held over noting and publishing: answers come in the order of the notes

	mu             sync.Mutex
	flight         []note
	stored, sealed []note
	spent          []time.Duration
	failed         error
}

type note struct {
	sent time.Time
	back chan<- struct{}
}

func (s *sender) Seal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stored, s.sealed = s.sealed[:0], s.stored
}

func (s *sender) Committed(err error) {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.failed = err
	}
	for _, n := range s.sealed {
		s.spent = append(s.spent, now.Sub(n.sent))
		n.back <- struct{}{} // has room: a producer has no more records out than that
	}
	s.sealed = s.sealed[:0]
}

func (s *sender) answered(m *nats.Msg) {
	s.mu.Lock()
	if bytes.Contains(m.Data, []byte("error")) {
		s.failed = fmt.Errorf("the stream answered %s", m.Data)
	}
	s.stored = append(s.stored, s.flight[0])
	s.flight = s.flight[1:]
	s.mu.Unlock()
	s.log.Dirty()
}

func (s *sender) produce(window int, until time.Time) error {
	back := make(chan struct{}, window)
	body := make([]byte, size)
	out := 0
	for ; time.Now().Before(until); out++ {
		if out >= window {
			<-back
		}
		s.publish.Lock()
		s.mu.Lock()
		s.flight = append(s.flight, note{time.Now(), back})
		s.mu.Unlock()
		err := s.nc.PublishRequest(s.subject, s.inbox, body)
		s.publish.Unlock()
		if err != nil {
			return err
		}
	}
	for range min(out, window) {
		<-back
	}
	return nil
}

type figures struct {
	rate     float64 // receipts per second
	p50, p99 time.Duration
}

func measure(b *testing.B, w way, l load) figures {
	b.Helper()
	dir := b.TempDir()
	store, err := OpenStore(dir, w.always)
	require.NoError(b, err)
	defer store.Close()
	require.NoError(b, store.Create(false))
	c, err := commit.Start(commit.Config{Root: dir, Mode: w.mode})
	require.NoError(b, err)
	var senders []*sender
	for i := range l.streams {
		s := &sender{nc: store.Conn, subject: subjectOf(i), inbox: store.Conn.NewInbox()}
		s.log, err = c.Add(MsgsDir(dir, i), s)
		require.NoError(b, err)
		sub, err := store.Conn.Subscribe(s.inbox, s.answered)
		require.NoError(b, err)
		require.NoError(b, sub.SetPendingLimits(-1, -1))
		senders = append(senders, s)
	}

	begin := time.Now()
	errs := make([]error, l.producers*l.streams)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() { errs[i] = senders[i%l.streams].produce(l.window, begin.Add(measured)) })
	}
	wg.Wait()
	took := time.Since(begin)
	require.NoError(b, c.Close())
	require.NoError(b, errors.Join(errs...))
	var spent []time.Duration
	for _, s := range senders {
		require.NoError(b, s.failed)
		spent = append(spent, s.spent...)
	}
	slices.Sort(spent)
	n := len(spent)
	return figures{float64(n) / took.Seconds(), spent[n/2], spent[n*99/100]}
}

// BenchmarkReceipts compares the ways to a receipt, in turns. Run it with -benchtime=3x; the median of the turns is told.
func BenchmarkReceipts(b *testing.B) {
	name, proven, err := commit.Supported(b.TempDir())
	require.NoError(b, err)
	b.Logf("file system %s, proven %v", name, proven)
	for _, l := range []load{{1, 1, 1}, {1, 10, 1}, {1, 1, 256}, {1, 1, 4096}, {2, 1, 256}, {4, 5, 1}, {4, 1, 256}} {
		b.Run(fmt.Sprintf("%d-streams/%dx%d", l.streams, l.producers, l.window), func(b *testing.B) {
			turns := map[string][]figures{}
			for b.Loop() {
				for _, w := range ways {
					turns[w.name] = append(turns[w.name], measure(b, w, l))
				}
			}
			median := map[string]figures{}
			for _, w := range ways {
				f := turns[w.name]
				slices.SortFunc(f, func(a, b figures) int { return int(a.rate - b.rate) })
				m := f[len(f)/2]
				median[w.name] = m
				b.ReportMetric(m.rate, w.name+"/s")
				b.Logf("%-6s %8.0f/s  p50 %.2f ms  p99 %.2f ms", w.name, m.rate, m.p50.Seconds()*1e3, m.p99.Seconds()*1e3)
			}
			b.ReportMetric(median["group"].rate/median["always"].rate, "group/always")
			b.ReportMetric(median["group"].rate/median["none"].rate, "group/none")
		})
	}
}
