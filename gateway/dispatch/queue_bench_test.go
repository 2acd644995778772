package dispatch

import (
	"math/rand/v2"
	"runtime"
	"testing"
	"unsafe"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/stretchr/testify/require"
)

// BenchmarkStoredDeliverAck is the steady path of one message: in, out, settled.
func BenchmarkStoredDeliverAck(b *testing.B) {
	for _, bench := range []struct {
		name         string
		depth, batch int
	}{{"depth1", 1, 1}, {"depth100", 100, 1}, {"depth1000batch100", 1000, 100}} {
		b.Run(bench.name, func(b *testing.B) {
			q := NewQueue(Config{WindowMessages: 1024, WindowBytes: 8 << 20})
			var fx Effects
			q.Subscribe(1, Consumer{Prefetch: bench.depth}, 0, &fx)
			m := &gateway.Message{Body: make([]byte, 100), Persistent: true}
			tags := make([]uint64, 0, bench.depth+1)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				fx.Reset()
				q.Stored(Entry{Tag: uint64(i + 1), Seq: uint64(i + 1), Message: m, Size: 164}, 1, &fx)
				if len(fx.Deliver) != 1 {
					b.Fatal("not delivered at once")
				}
				tags = append(tags, fx.Deliver[0].Entry.Tag)
				if len(tags) < bench.depth {
					continue
				}
				if err := q.Ack(1, tags[:bench.batch], 1, &fx); err != nil {
					b.Fatal(err)
				}
				tags = append(tags[:0], tags[bench.batch:]...)
			}
		})
	}
}

// BenchmarkAckAnyOrder acknowledges at random among ten thousand in flight.
func BenchmarkAckAnyOrder(b *testing.B) {
	const depth = 10_000
	q := NewQueue(Config{WindowMessages: 1024, WindowBytes: 8 << 20})
	var fx Effects
	q.Subscribe(1, Consumer{Prefetch: depth}, 0, &fx)
	m := &gateway.Message{Persistent: true}
	next := uint64(0)
	store := func() uint64 {
		next++
		q.Stored(Entry{Tag: next, Seq: next, Message: m, Size: 164}, 1, &fx)
		return next
	}
	held := make([]uint64, depth)
	for i := range held {
		held[i] = store()
	}
	random := rand.New(rand.NewPCG(1, 2))
	b.ReportAllocs()
	for b.Loop() {
		fx.Reset()
		i := random.IntN(depth)
		if err := q.Ack(1, held[i:i+1], 1, &fx); err != nil {
			b.Fatal(err)
		}
		held[i] = store()
	}
}

// BenchmarkTickBacklog is the sweep of a million waiting messages without expiry.
func BenchmarkTickBacklog(b *testing.B) {
	q := NewQueue(Config{WindowMessages: 1024, WindowBytes: 8 << 20})
	var fx Effects
	for i := range uint64(1_000_000) {
		q.Stored(Entry{Tag: i + 1, Seq: i + 1, Size: 164}, 1, &fx)
	}
	for b.Loop() {
		q.Tick(2, &fx)
		if low, ok := q.LowestSeq(); !ok || low != 1 {
			b.Fatal("lost the front")
		}
	}
}

// BenchmarkBacklogMillion fills a queue with a million messages that only the
// journal has, then drains it through loads.
func BenchmarkBacklogMillion(b *testing.B) {
	const million = 1_000_000
	m := &gateway.Message{Body: make([]byte, 100), Persistent: true}
	msgs := make([]*gateway.Message, loadMost)
	for i := range msgs {
		msgs[i] = m
	}
	var fx Effects
	var tags []uint64
	for b.Loop() {
		before := heapBytes()
		q := NewQueue(Config{WindowMessages: 1024, WindowBytes: 8 << 20})
		for i := range uint64(million) {
			q.Stored(Entry{Tag: i + 1, Seq: i + 1, Size: 164}, 1, &fx)
		}
		b.ReportMetric(float64(heapBytes()-before)/(1<<20), "MB/backlog")
		q.Subscribe(1, Consumer{Prefetch: 1000}, 1, &fx)
		for n := 0; n < million; {
			tags = tags[:0]
			for i := range fx.Deliver {
				tags = append(tags, fx.Deliver[i].Entry.Tag)
			}
			n += len(tags)
			load := append([]uint64(nil), fx.Load...)
			fx.Reset()
			if err := q.Ack(1, tags, 1, &fx); err != nil {
				b.Fatal(err)
			}
			if len(load) > 0 {
				q.Loaded(load, msgs[:len(load)], 1, &fx)
			} else if len(fx.Deliver) == 0 && len(fx.Load) == 0 && n < million {
				b.Fatal("stuck")
			}
		}
		require.True(b, q.Empty())
	}
}

func heapBytes() int64 {
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return int64(s.HeapAlloc)
}

// Six thousand queues exist; most are empty.
func TestIdleQueueIsSmall(t *testing.T) {
	require.LessOrEqual(t, int(unsafe.Sizeof(Entry{})), 48)
	const queues = 100
	all := make([]*Queue, queues)
	before := heapBytes()
	var fx Effects
	m := &gateway.Message{}
	for i := range all {
		q := NewQueue(Config{WindowMessages: 1024, WindowBytes: 8 << 20})
		q.Subscribe(1, Consumer{Prefetch: 10}, 0, &fx)
		for tag := range uint64(1000) {
			q.Stored(Entry{Tag: tag + 1, Seq: tag + 1, Message: m, Size: 1}, 1, &fx)
			if tag >= 9 {
				require.NoError(t, q.Ack(1, []uint64{tag - 8}, 1, &fx))
			}
		}
		q.Unsubscribe(1, nil, 1, &fx)
		fx.Reset()
		q.Subscribe(2, Consumer{Prefetch: 10}, 1, &fx)
		load := append([]uint64(nil), fx.Load...)
		q.Loaded(load, bodies(len(load)), 1, &fx)
		for tag := range uint64(9) {
			require.NoError(t, q.Ack(2, []uint64{992 + tag}, 1, &fx))
		}
		q.Unsubscribe(2, nil, 1, &fx)
		q.Tick(2, &fx)
		require.True(t, q.Empty())
		fx.Reset()
		all[i] = q
	}
	each := (heapBytes() - before) / queues
	t.Logf("an idle queue takes %d bytes", each)
	require.Less(t, each, int64(1024))
	runtime.KeepAlive(all)
}
