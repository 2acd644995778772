package jetstream_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/gatewaytest"
	"github.com/sluice-mq/sluice/jetstream"
	"github.com/sluice-mq/sluice/jetstream/embed"
)

// bundles is a single node of which tests see the server.
type bundles struct {
	*testing.T
	dir    string
	server *embed.Server
	store  *jetstream.Store
}

func newBundles(t *testing.T) *bundles {
	b := &bundles{T: t, dir: t.TempDir()}
	b.open()
	t.Cleanup(b.close)
	keepLog(t, b.store, "P.T", "one", time.Hour)
	return b
}

func (b *bundles) open() {
	var err error
	b.server, err = embed.Start(b.Context(), embed.Config{Name: "n1", Dir: b.dir, MaxPayload: jetstream.MaxRecord, Logger: quiet()})
	require.NoError(b, err)
	b.store, err = jetstream.Open(b.Context(), jetstream.Config{Dir: b.dir, Server: b.server, Node: "n1", Shards: 1, Logger: quiet(), Sync: true})
	require.NoError(b, err)
}

func (b *bundles) close() {
	require.NoError(b, b.store.Close(context.Background()))
	b.server.Stop()
}

// raw does something with the log's stream behind the store's back.
func (b *bundles) raw(do func(nc *nats.Conn)) {
	nc, err := b.server.Connect(embed.Store, "test")
	require.NoError(b, err)
	defer nc.Close()
	do(nc)
}

func (b *bundles) publish(records ...[]byte) {
	b.raw(func(nc *nats.Conn) {
		for _, r := range records {
			m, err := nc.RequestWithContext(b.Context(), "l.one", r)
			require.NoError(b, err)
			require.NotContains(b, string(m.Data), "error")
		}
	})
}

func messagesOf(bodies ...string) (all []*gateway.Message) {
	for _, body := range bodies {
		all = append(all, &gateway.Message{Destination: gateway.Destination{Kind: gateway.KindTopic, Name: "P.T"}, Body: []byte(body), Persistent: true})
	}
	return all
}

func numbers(from, n int) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprint(from+i))
	}
	return all
}

// A crash leaves no part of what was appended together: if its bundle is there the slots are written that are missing, whoever comes first, and what is appended next stands behind them.
func TestABundleThatACrashHasCutOffIsCompleted(t *testing.T) {
	t.Parallel()
	for name, first := range map[string]func(b *bundles){
		"who reads": func(b *bundles) {
			require.Equal(b, append([]string{"a"}, numbers(0, 5)...), logged(b, b.store.Logs(), "P.T"))
		},
		"who appends": func(*bundles) {},
	} {
		for there := 1; there <= 5; there++ {
			t.Run(fmt.Sprint(name, ", ", there, " of 5"), func(t *testing.T) {
				b := newBundles(t)
				require.NoError(t, logIt(b.store.Logs(), "P.T", "a"))
				b.publish(jetstream.Bundled(messagesOf(numbers(0, 5)...))[:there]...)
				b.close()
				b.open()
				first(b)
				require.NoError(t, logIt(b.store.Logs(), "P.T", "b", "c"))
				require.Equal(t, append(append([]string{"a"}, numbers(0, 5)...), "b", "c"), logged(t, b.store.Logs(), "P.T"))
			})
		}
	}
}

// Whatever was appended, alone, together, or together and too large for a bundle, is read from any place on, and as much as is asked for.
func TestBundlesAreReadFromAnyPlace(t *testing.T) {
	t.Parallel()
	b := newBundles(t)
	var all []string
	add := func(bodies ...string) {
		require.NoError(t, logIt(b.store.Logs(), "P.T", bodies...))
		all = append(all, bodies...)
	}
	large := strings.Repeat("x", 700<<10)
	for _, n := range []int{1, 3, 2, 1, 1, 400, 7, 1, 1000, 2} {
		add(numbers(len(all), n)...)
	}
	add(large+"1", large+"2")
	add(numbers(len(all), 3)...)
	rapid.Check(t, func(r *rapid.T) {
		from := rapid.IntRange(0, len(all)+2).Draw(r, "from")
		q := gateway.LogQuery{From: uint64(from), Messages: rapid.IntRange(0, 1500).Draw(r, "messages"), Bytes: rapid.SampledFrom([]int{0, 1, 100, 5000, 4 << 20}).Draw(r, "bytes")}
		p, err := b.store.Logs().Read(t.Context(), "P.T", q)
		require.NoError(r, err)
		require.Equal(r, uint64(len(all)), p.Next)
		require.Equal(r, uint64(min(from, len(all))), p.At)
		bytes := 0
		for i, m := range p.Messages {
			require.Equal(r, p.At+uint64(i), m.Offset)
			require.Equal(r, all[m.Offset], string(m.Body))
			bytes += m.Size()
		}
		left := len(all) - int(p.At)
		switch n := len(p.Messages); {
		case q.Messages == 0 || left == 0:
			require.Zero(r, n)
		case n > 1:
			require.LessOrEqual(r, bytes, q.Bytes)
		default:
			require.Equal(r, 1, n)
		}
		if q.Bytes > 2<<20 {
			require.Len(r, p.Messages, min(q.Messages, left))
		}
	})
}

// Of a bundle that is too old nothing is left, though slots of it are: the log begins behind it.
func TestALogBeginsBehindABundleThatIsGone(t *testing.T) {
	b := newBundles(t)
	require.NoError(t, logIt(b.store.Logs(), "P.T", numbers(0, 10)...))
	require.NoError(t, logIt(b.store.Logs(), "P.T", numbers(10, 10)...))
	b.raw(func(nc *nats.Conn) {
		_, err := nc.RequestWithContext(t.Context(), "$JS.API.STREAM.PURGE.L_one", []byte(`{"seq":5}`))
		require.NoError(t, err)
	})
	for _, from := range []uint64{0, 3, 4, 7, 10} {
		p, err := b.store.Logs().Read(t.Context(), "P.T", gateway.LogQuery{From: from, Messages: 100, Bytes: 1 << 20})
		require.NoError(t, err)
		require.Equal(t, uint64(10), p.At)
		require.Len(t, p.Messages, 10)
		require.Equal(t, "10", string(p.Messages[0].Body))
	}
}

// What stands before a record that cannot be read is read; who begins with that is told so.
func TestWhatIsBeforeADamagedRecordIsRead(t *testing.T) {
	b := newBundles(t)
	require.NoError(t, logIt(b.store.Logs(), "P.T", "a"))
	require.NoError(t, logIt(b.store.Logs(), "P.T", "b", "c"))
	b.publish([]byte("no record"))
	b.close()
	b.open()
	require.Equal(t, []string{"a", "b", "c"}, logged(t, b.store.Logs(), "P.T"))
	_, err := b.store.Logs().Read(t.Context(), "P.T", gateway.LogQuery{From: 3, Messages: 10, Bytes: 1000})
	require.ErrorContains(t, err, "cannot be read")
}

// room lets the log's stream take that many more records, 0 as many as come, and returns its last sequence.
func (b *bundles) room(most int) (last uint64) {
	b.raw(func(nc *nats.Conn) {
		js, err := natsjs.New(nc)
		require.NoError(b, err)
		stream, err := js.Stream(b.Context(), "L_one")
		require.NoError(b, err)
		cfg, state := stream.CachedInfo().Config, stream.CachedInfo().State
		cfg.Discard, cfg.MaxMsgs, last = natsjs.DiscardNew, -1, state.LastSeq
		if most > 0 {
			cfg.MaxMsgs = int64(state.Msgs) + int64(most)
		}
		_, err = js.UpdateStream(b.Context(), cfg)
		require.NoError(b, err)
	})
	return last
}

// When the stream of a single node refuses something, what was published behind it is refused as well, and nobody is told that it is there; what comes
// after that is taken. What was appended together is all there, or nothing of it.
func TestWhatIsRefusedTakesAlongWhatFollows(t *testing.T) {
	t.Parallel()
	b := newBundles(t)
	var mu sync.Mutex
	require.NoError(t, logIt(b.store.Logs(), "P.T", "first", "of all"))
	taken := map[string]bool{}
	var refused atomic.Int64
	var all sync.WaitGroup
	stop := make(chan struct{})
	for w := range 4 {
		all.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				batch := numbers((w*1_000_000+i)*10, 1+(i+w)%9)
				if logIt(b.store.Logs(), "P.T", batch...) != nil {
					refused.Add(1)
					continue
				}
				mu.Lock()
				for _, body := range batch {
					taken[body] = true
				}
				mu.Unlock()
			}
		})
	}
	for round := range 20 {
		refused.Store(0)
		last := b.room(7 + round)
		gatewaytest.Eventually(t, func() bool { return refused.Load() > 10 }, "there is no room")
		b.room(0)
		gatewaytest.Eventually(t, func() bool {
			p, err := b.store.Logs().Read(t.Context(), "P.T", gateway.LogQuery{})
			return err == nil && p.Next > last+100
		}, "the log goes on")
	}
	close(stop)
	all.Wait()
	require.NoError(t, logIt(b.store.Logs(), "P.T", "the", "end"))
	var found []string
	for at := uint64(0); ; {
		p, err := b.store.Logs().Read(t.Context(), "P.T", gateway.LogQuery{From: at, Messages: 1000, Bytes: 1 << 20})
		require.NoError(t, err)
		for _, m := range p.Messages {
			found = append(found, string(m.Body))
		}
		if at += uint64(len(p.Messages)); at == p.Next {
			break
		}
		require.NotEmpty(t, p.Messages, "at %d of %d", at, p.Next)
	}
	require.Equal(t, []string{"the", "end"}, found[len(found)-2:])
	there := map[string]bool{}
	for _, body := range found {
		require.False(t, there[body], "%s is there twice", body)
		there[body] = true
	}
	for body := range taken {
		require.True(t, there[body], "%s is lost", body)
	}
	for i := 0; i < len(found); i++ { // a batch stands side by side
		var first int
		if _, err := fmt.Sscan(found[i], &first); err != nil || first%10 != 0 {
			continue
		}
		w := first / 10_000_000
		n := 1 + (first/10-w*1_000_000+w)%9
		require.True(t, slices.Equal(numbers(first, n), found[i:min(i+n, len(found))]), "%v at %d", found[i:min(i+n, len(found))], i)
	}
}
