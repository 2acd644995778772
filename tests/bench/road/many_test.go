package road

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// BenchmarkManyQueues runs as many queues at once, each with a producer and a
// consumer of its own and one final receipt. Order is checked per queue.
func BenchmarkManyQueues(b *testing.B) {
	for _, n := range []int{10, 100} {
		b.Run(fmt.Sprintf("persistent/%d", n), func(b *testing.B) {
			addr := node(b)
			each := max(b.N/n, 1)
			start := time.Now()
			var all sync.WaitGroup
			for i := range n {
				all.Go(func() { pair(b, addr, fmt.Sprintf("/queue/many.%d", i), each) })
			}
			all.Wait()
			b.ReportMetric(float64(each*n)/time.Since(start).Seconds(), "msg/s")
		})
	}
}

func pair(b *testing.B, addr, destination string, n int) {
	consumer, producer := dial(b, addr), dial(b, addr)
	consumer.write([]byte("SUBSCRIBE\nid:1\nack:auto\ndestination:" + destination + "\n\n\x00"))
	s := scenario{destination, true, 0}
	var sent sync.WaitGroup
	sent.Go(func() { s.send(producer, n, 1024, nil) })
	for i := range n {
		f := consumer.expect("MESSAGE")
		if got, _, _ := bytes.Cut(f.Body, []byte{' '}); string(got) != strconv.Itoa(i) {
			b.Errorf("%s: message %q where %d was due", destination, got, i)
			return
		}
	}
	sent.Wait()
	producer.expect("RECEIPT")
	_ = consumer.nc.Close()
	_ = producer.nc.Close()
}

// BenchmarkLatency sends a persistent message at a time, a thousand a second, and
// measures from the send to the delivery.
func BenchmarkLatency(b *testing.B) {
	addr := node(b)
	consumer, producer := dial(b, addr), dial(b, addr)
	consumer.write([]byte("SUBSCRIBE\nid:1\nack:auto\ndestination:/queue/latency\nreceipt:s\n\n\x00"))
	consumer.expect("RECEIPT")
	took := make([]time.Duration, 0, b.N)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	body := bytes.Repeat([]byte{'x'}, 1024)
	for range b.N {
		<-tick.C
		at := time.Now()
		producer.write(fmt.Appendf(nil, "SEND\ndestination:/queue/latency\npersistent:true\ncontent-length:%d\n\n%s\x00", len(body), body))
		consumer.expect("MESSAGE")
		took = append(took, time.Since(at))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-us")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-us")
}

// BenchmarkConnect connects, logs in and disconnects with a receipt.
func BenchmarkConnect(b *testing.B) {
	addr := node(b)
	for b.Loop() {
		c := dial(b, addr)
		c.write([]byte("DISCONNECT\nreceipt:bye\n\n\x00"))
		c.expect("RECEIPT")
		require.NoError(b, c.nc.Close())
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "connects/s")
}

// BenchmarkIdleConnections reports what an idle, logged-in connection costs in
// memory, both ends of it in this process.
func BenchmarkIdleConnections(b *testing.B) {
	if os.Getenv("SLUICE_ROAD_ADDR") != "" {
		b.Skip("the node must run in this process")
	}
	addr := node(b)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	const n = 1000
	open := make([]net.Conn, 0, n)
	for range n {
		open = append(open, dial(b, addr).nc)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	used := after.HeapInuse + after.StackInuse - before.HeapInuse - before.StackInuse
	b.ReportMetric(float64(used)/n/1024, "KiB/connection")
	for _, c := range open {
		_ = c.Close()
	}
}
