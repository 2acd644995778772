package doors

import (
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// ask writes to a connection and reads until there is that.
func ask(t *testing.T, nc net.Conn, question, answer string) {
	t.Helper()
	_, err := io.WriteString(nc, question)
	require.NoError(t, err)
	buf := make([]byte, 512)
	for got := ""; !strings.Contains(got, answer); {
		k, err := nc.Read(buf)
		require.NoError(t, err)
		got += string(buf[:k])
	}
}

// Clients that come all at once, subscribe and leave take their goroutines and their memory with them, however often they come, whether they say goodbye or not.
func TestAStormLeavesNothingBehind(t *testing.T) {
	const n = 200
	everyWay(t, func(t *testing.T, w *world, way string) {
		storm := func() {
			all := make([]net.Conn, n)
			for i := range all {
				all[i] = w.open(way)
				ask(t, all[i], "CONNECT\naccept-version:1.2\nheart-beat:60000,60000\n\n\x00SUBSCRIBE\nid:0\ndestination:/topic/t\nreceipt:there\n\n\x00", "receipt-id:there")
			}
			for i, nc := range all {
				if i%2 == 0 {
					ask(t, nc, "DISCONNECT\nreceipt:bye\n\n\x00", "receipt-id:bye")
				}
				nc.Close()
			}
			require.Eventually(t, func() bool { return w.doors[way].Stats().Open == 0 }, soon, time.Millisecond)
		}
		before := runtime.NumGoroutine()
		for range 3 {
			storm()
			for end := time.Now().Add(soon); runtime.NumGoroutine() > before && time.Now().Before(end); { // Eventually has one of its own
				time.Sleep(time.Millisecond)
			}
			require.LessOrEqual(t, runtime.NumGoroutine(), before, "goroutines stay")
		}
	})
}

// What a client leaves behind is not a tenth of what it costs.
func TestClientsThatLeaveKeepNoMemory(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector's memory is not ours")
	}
	const n = 300
	w := newWorld(t)
	memory := func() int64 {
		for range 5 { // stacks shrink by half at a time
			runtime.GC()
		}
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc + m.StackInuse)
	}
	storm := func() {
		all := make([]net.Conn, n)
		for i := range all {
			nc, err := net.DialTimeout("tcp", w.doors["tcp"].Addr().String(), soon)
			require.NoError(t, err)
			defer nc.Close()
			all[i] = nc
			ask(t, nc, "CONNECT\naccept-version:1.2\nheart-beat:60000,60000\n\n\x00SUBSCRIBE\nid:0\ndestination:/topic/t\nreceipt:there\n\n\x00", "receipt-id:there")
		}
		for _, nc := range all {
			ask(t, nc, "DISCONNECT\nreceipt:bye\n\n\x00", "receipt-id:bye")
			nc.Close()
		}
		require.Eventually(t, func() bool { return w.doors["tcp"].Stats().Open == 0 }, soon, time.Millisecond)
	}
	storm() // maps and free goroutines keep the size that they had to have once
	before := memory()
	for range 3 {
		storm()
	}
	each := (memory() - before) / (3 * n)
	t.Logf("FIGURE %d bytes stay of each client that was there", each)
	require.Less(t, each, int64(1<<10))
}
