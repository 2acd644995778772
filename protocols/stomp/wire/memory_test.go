package wire

import (
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Who keeps one field of a frame must not keep all its other lines: else an id of
// one byte could hold the megabytes that were sent with it.
func TestAFieldDoesNotKeepTheWholeHeader(t *testing.T) {
	rest := strings.Repeat("x:"+strings.Repeat("y", 9<<10)+"\n", 50) + strings.Repeat("no colon\n", 50)
	text := "SUBSCRIBE\nid:1\n" + rest + "\n\x00"
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var kept []string
	for range 100 {
		r := NewReader(strings.NewReader(text), AfterLogin(1<<20))
		var f Frame
		require.NoError(t, r.Next(&f))
		id, _ := f.Header.Get("id")
		kept = append(kept, id)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	require.Less(t, int64(after.HeapAlloc)-int64(before.HeapAlloc), int64(4<<20))
	runtime.KeepAlive(kept)
	runtime.KeepAlive(text)
}
