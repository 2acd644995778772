package doors

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// BenchmarkTopic sends messages of 1 KiB by one way and takes them by another.
func BenchmarkTopic(b *testing.B) {
	for _, ways := range [][2]string{{"tcp", "tcp"}, {"tcp", "ws"}, {"ws", "tcp"}, {"ws", "ws"}, {"tls", "tls"}, {"wss", "wss"}} {
		b.Run(ways[0]+"-"+ways[1], func(b *testing.B) {
			w := newWorld(b)
			consumer, producer := w.dial(ways[1]), w.dial(ways[0])
			consumer.send("SUBSCRIBE\nid:0\ndestination:/topic/t\nreceipt:sub\n\n\x00")
			consumer.expect("RECEIPT")
			frame := "SEND\ndestination:/topic/t\ncontent-length:1024\n\n" + strings.Repeat("x", 1024) + "\x00"
			batch := strings.Repeat(frame, 50)
			b.SetBytes(1024)
			b.ResetTimer()
			began, used := time.Now(), processor(b)
			done := make(chan error, 1)
			go func() {
				for left := b.N; left > 0; left -= min(left, 50) {
					if _, err := fmt.Fprint(producer.nc, batch[:min(left, 50)*len(frame)]); err != nil {
						done <- err
						return
					}
				}
				done <- nil
			}()
			for range b.N {
				consumer.expect("MESSAGE")
			}
			require.NoError(b, <-done)
			b.ReportMetric(float64(b.N)/time.Since(began).Seconds(), "msg/s")
			// On a machine that does other things as well this is what can be compared; it has both clients in it.
			b.ReportMetric(float64((processor(b)-used).Microseconds())/float64(b.N), "cpu-us/msg")
		})
	}
}

// processor is the time that this process has used.
func processor(b *testing.B) time.Duration {
	var u syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
