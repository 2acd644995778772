package jetstream_test

import (
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
)

// Very many who read at once, some of whom go away meanwhile, are served one after another. The server closes a connection for which too much waits, and then nobody
// could read any log any more.
func TestManyReadAtOnce(t *testing.T) {
	s, shut := openStore(t, t.TempDir(), false, 1)
	defer shut()
	keepLog(t, s, "P.T", "one", 0)
	for range 24 {
		require.NoError(t, logIt(s.Logs(), "P.T", strings.Repeat("x", 900<<10)))
	}
	var all sync.WaitGroup
	for i := range 150 {
		all.Go(func() {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if i%3 == 0 { // he is gone before he has it
				reading := make(chan struct{})
				go func() { // waited for below
					defer close(reading)
					_, _ = s.Logs().Read(ctx, "P.T", gateway.LogQuery{Messages: 24, Bytes: 32 << 20})
				}()
				cancel()
				<-reading
				return
			}
			p, err := s.Logs().Read(ctx, "P.T", gateway.LogQuery{Messages: 6, Bytes: 32 << 20})
			if err != nil || len(p.Messages) != 6 {
				t.Errorf("%d messages, %v", len(p.Messages), err)
			}
		})
	}
	all.Wait()
	require.Len(t, logged(t, s.Logs(), "P.T"), 1, "they can be read afterwards")
}
