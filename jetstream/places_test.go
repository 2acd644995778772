package jetstream_test

import (
	"strings"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/gatewaytest"
	"github.com/sluice-mq/sluice/jetstream/embed"
)

// Several who read a log one page after another, while it grows, each get all of it, however it was appended and how much they take at once.
func TestReadersGoOnInTheFiles(t *testing.T) {
	b := newBundles(t)
	nc, err := b.server.Connect(embed.Store, "who counts")
	require.NoError(t, err)
	defer nc.Close()
	var asked atomic.Int64
	_, err = nc.Subscribe("$JS.API.DIRECT.GET.L_one", func(*nats.Msg) { asked.Add(1) })
	require.NoError(t, err)
	require.NoError(t, nc.Flush())
	logs, large := b.store.Logs(), strings.Repeat("x", 700<<10)
	var all []string
	rapid.Check(t, func(r *rapid.T) {
		add := func(bodies ...string) {
			require.NoError(t, logIt(logs, "P.T", bodies...))
			all = append(all, bodies...)
		}
		begin := len(all)
		for range rapid.IntRange(1, 4).Draw(r, "appends") {
			switch rapid.IntRange(0, 9).Draw(r, "how") {
			case 0:
				add(large+"1", large+"2") // an atomic batch
			case 1, 2, 3:
				add(numbers(len(all), rapid.IntRange(2, 300).Draw(r, "bundle"))...)
			default:
				for range rapid.IntRange(1, 40).Draw(r, "messages") {
					add(numbers(len(all), 1)...)
				}
			}
		}
		for range 2 {
			most := rapid.IntRange(1, 150).Draw(r, "messages")
			for at := begin; at < len(all); {
				p, err := logs.Read(t.Context(), "P.T", gateway.LogQuery{From: uint64(at), Messages: most, Bytes: rapid.SampledFrom([]int{1, 300, 1 << 20, 4 << 20}).Draw(r, "bytes")})
				require.NoError(t, err)
				require.EqualValues(t, at, p.At)
				require.NotEmpty(t, p.Messages)
				require.LessOrEqual(t, len(p.Messages), most)
				for _, m := range p.Messages {
					require.EqualValues(t, at, m.Offset)
					require.True(t, all[at] == string(m.Body), "%d", at)
					at++
				}
			}
		}
	})
	page := func(at int) int {
		p, err := logs.Read(t.Context(), "P.T", gateway.LogQuery{From: uint64(at), Messages: 10, Bytes: 1 << 20})
		require.NoError(t, err)
		for i, m := range p.Messages {
			require.True(t, all[at+i] == string(m.Body))
		}
		return len(p.Messages)
	}
	end := len(all)
	for range 300 {
		require.NoError(t, logIt(logs, "P.T", "single"))
		all = append(all, "single")
	}
	end += page(end)
	end += page(end)
	require.NoError(t, nc.Flush())
	gatewaytest.Eventually(t, func() bool { return asked.Load() > 0 }, "the server was asked at first")
	before := asked.Load()
	for end < len(all) {
		end += page(end)
	}
	require.NoError(t, nc.Flush())
	require.LessOrEqual(t, asked.Load(), before+2, "the server is not asked for what is read one after another")
}

// A log whose front goes while somebody reads it, and which is opened again, is read on.
func TestReadersGoOnWhenBlocksGo(t *testing.T) {
	b := newBundles(t)
	body := strings.Repeat("x", 100<<10)
	for range 120 { // more than a block
		require.NoError(t, logIt(b.store.Logs(), "P.T", body))
	}
	read := func(at uint64) (gateway.LogPage, uint64) {
		p, err := b.store.Logs().Read(t.Context(), "P.T", gateway.LogQuery{From: at, Messages: 5, Bytes: 1 << 20})
		require.NoError(t, err)
		return p, p.At + uint64(len(p.Messages))
	}
	_, at := read(0)
	_, at = read(at)
	require.EqualValues(t, 10, at)
	b.raw(func(nc *nats.Conn) {
		_, err := nc.RequestWithContext(t.Context(), "$JS.API.STREAM.PURGE.L_one", []byte(`{"seq":101}`))
		require.NoError(t, err)
	})
	p, at := read(at)
	require.EqualValues(t, 100, p.At, "it is gone")
	require.EqualValues(t, 105, at)
	b.close()
	b.open()
	for at < 120 {
		var next uint64
		p, next = read(at)
		require.Equal(t, at, p.At)
		require.Greater(t, next, at)
		at = next
	}
	require.NoError(t, logIt(b.store.Logs(), "P.T", "later"))
	p, _ = read(at)
	require.Equal(t, "later", string(p.Messages[0].Body))
}
