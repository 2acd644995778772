package lease_test

import (
	"context"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/protocols/pubsub/lease"
	"github.com/sluice-mq/sluice/protocols/pubsub/resource"
	"github.com/sluice-mq/sluice/protocols/pubsub/wire"
)

// long is a log of messages of a MiB, which are made when they are read, and what was in memory then.
type long struct {
	of  string
	end uint64

	mu      sync.Mutex
	most    uint64
	counted int
}

func (l *long) Read(_ context.Context, _ string, q gateway.LogQuery) (gateway.LogPage, error) {
	page := gateway.LogPage{Log: l.of, Next: l.end, At: min(q.From, l.end)}
	for at, bytes := page.At, 0; at < l.end && len(page.Messages) < q.Messages; at++ {
		m := &gateway.Message{Offset: at, Body: make([]byte, 1<<20)}
		if bytes += m.Size(); bytes > q.Bytes && len(page.Messages) > 0 {
			break
		}
		page.Messages = append(page.Messages, m)
	}
	l.count()
	return page, nil
}

// count looks now and then how much memory is in use.
func (l *long) count() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.counted++; l.counted%32 != 0 {
		return
	}
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	l.most = max(l.most, m.HeapAlloc)
}

// seen is how often it was read, and the most that was in memory.
func (l *long) seen() (counted int, most uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.counted, l.most
}

// Messages that somebody has, and those that a node takes over, do not stay in memory, however long they are.
func TestOpenMessagesAreNotHeld(t *testing.T) {
	b := open(t, resource.Lease{})
	b.stop()
	log := &long{of: b.of.ID, end: 200}
	node := func(name string) (*lease.Keeper, func()) {
		k, err := lease.New(lease.Config{
			Directory: b.directory, Logs: log, Node: name, Now: b.clock.Now, Look: 5 * time.Millisecond,
			Translate: func(*gateway.Message) wire.Message { return wire.Message{} },
			Open:      func(context.Context) (gateway.Session, error) { return appender{logs: b.logs}, nil },
		})
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- k.Run(ctx) }()
		return k, func() {
			cancel()
			<-ended
		}
	}
	k, stop := node("a")
	for all := 0; all < 200; {
		got, err := k.Pull(t.Context(), b.sub, b.of, 200, 0)
		require.NoError(t, err)
		require.NotEmpty(t, got)
		all += len(got)
	}
	require.Zero(t, k.Held())
	_, most := log.seen()
	require.Less(t, most, uint64(64<<20))
	stop()
	k, stop = node("b")
	defer stop()
	got, err := k.Pull(t.Context(), b.sub, b.of, 5, 0)
	require.NoError(t, err)
	require.Len(t, got, 5)
	counted, most := log.seen()
	require.Greater(t, counted, 300, "it was taken over message by message")
	require.Less(t, most, uint64(64<<20))
}
