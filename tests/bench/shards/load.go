package main

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// queue is one queue with its one producer and its sink. The sink checks that
// the producer's numbers come once, in order and without gaps.
type queue struct {
	name  string
	id    uint32
	shard int
	sent  uint64 // numbers given out; owned by the producer

	timed bool // the sink keeps latencies

	mu     sync.Mutex
	next   uint64 // number the sink expects
	counts *counts
}

// counts is what all sinks saw.
type counts struct {
	sunk, doubled, flagged, reordered atomic.Int64

	mu        sync.Mutex
	latencies []time.Duration // of queues that are timed
}

// takeLatencies returns the median and the 99th percentile in ms, and forgets them.
func (c *counts) takeLatencies() (p50, p99 float64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.latencies
	c.latencies = nil
	if len(l) == 0 {
		return 0, 0
	}
	slices.Sort(l)
	return l[len(l)/2].Seconds() * 1e3, l[len(l)*99/100].Seconds() * 1e3
}

// newQueues makes n queues; the first are the busy ones.
func newQueues(n, shards int, c *counts) []*queue {
	qs := make([]*queue, n)
	for i := range qs {
		name := fmt.Sprintf("site%d.app.queue%d", i%17, i)
		h := fnv.New32a()
		h.Write([]byte(name))
		qs[i] = &queue{name: name, id: uint32(i), shard: int(h.Sum32() % uint32(shards)), counts: c}
	}
	return qs
}

// body is the next message of the queue's producer.
func (q *queue) body(size int) []byte {
	b := make([]byte, max(size, 20))
	binary.LittleEndian.PutUint32(b, q.id)
	binary.LittleEndian.PutUint64(b[4:], q.sent)
	binary.LittleEndian.PutUint64(b[12:], uint64(time.Now().UnixNano()))
	q.sent++
	return b
}

// number is a message's place among its producer's.
func number(body []byte) uint64 { return binary.LittleEndian.Uint64(body[4:]) }

// sink takes a delivery. Redelivered says that the owner flagged it.
func (q *queue) sink(body []byte, redelivered bool) {
	n := number(body)
	q.mu.Lock()
	switch {
	case n == q.next:
		q.next++
		q.counts.sunk.Add(1)
	case n < q.next && redelivered:
		q.counts.flagged.Add(1)
	case n < q.next:
		q.counts.doubled.Add(1)
	default:
		q.counts.reordered.Add(1)
		q.counts.sunk.Add(1)
		q.next = n + 1
	}
	q.mu.Unlock()
	if q.timed {
		q.counts.mu.Lock()
		q.counts.latencies = append(q.counts.latencies, time.Since(time.Unix(0, int64(binary.LittleEndian.Uint64(body[12:])))))
		q.counts.mu.Unlock()
	}
}

// model is one way to keep queues in streams.
type model interface {
	// prepare makes the streams.
	prepare() error
	// open makes the queues ready to be read.
	open(qs []*queue) error
	// send stores the next message of a queue; receipt is called once when it is safe.
	send(q *queue, body []byte) error
	// gone is how many messages were delivered, acknowledged and removed.
	gone() int64
	// empty reports whether the streams hold nothing alive.
	empty() bool
	// leave says that nobody reads the queue until drain.
	leave(q *queue) error
	// drain reads the queue's backlog from here on.
	drain(q *queue) error
	// clear forgets what the existing queues held.
	clear(qs []*queue) error
}

// window bounds the sends without a receipt.
type window chan struct{}

func newModel(c *cell, cl *cluster, w []window) (model, error) {
	com, err := newCommitter(c)
	if err != nil {
		return nil, err
	}
	switch c.Model {
	case "S", "D":
		return &workQueues{c: c, cl: cl, windows: w, com: com}, nil
	case "J":
		return &journals{c: c, cl: cl, windows: w, com: com}, nil
	}
	return nil, fmt.Errorf("unknown model %q", c.Model)
}

// runRate publishes to the busy queues for a while and waits until all is gone.
func runRate(c *cell) (result, error) {
	cl, err := startCluster(c)
	if err != nil {
		return result{}, err
	}
	defer cl.close()
	ws := newWindows(c)
	m, err := newModel(c, cl, ws)
	if err != nil {
		return result{}, err
	}
	begin := time.Now()
	if err := m.prepare(); err != nil {
		return result{}, err
	}
	setup := time.Since(begin)
	cnt := &counts{}
	qs := newQueues(max(c.Existing, c.Queues), c.Shards, cnt)
	if err := touch(m, ws, qs); err != nil {
		return result{}, err
	}
	begin = time.Now()
	if err := m.open(qs[:c.Queues]); err != nil {
		return result{}, err
	}
	setup += time.Since(begin)
	return measure(c, m, ws, qs[:c.Queues], cnt, setup)
}

func newWindows(c *cell) []window {
	ws := make([]window, c.Shards)
	for i := range ws {
		ws[i] = make(window, max(c.Window/c.Shards, 1))
	}
	return ws
}

// touch gives every queue the one message that makes it exist.
func touch(m model, ws []window, qs []*queue) error {
	for _, q := range qs {
		ws[q.shard] <- struct{}{}
		if err := m.send(q, q.body(64)); err != nil {
			return err
		}
	}
	return m.clear(qs)
}

// measure sends for the cell's duration and waits until the last message is gone.
func measure(c *cell, m model, ws []window, busy []*queue, cnt *counts, setup time.Duration) (result, error) {
	goneBefore, sunkBefore := m.gone(), cnt.sunk.Load()
	cpu, begin := cpuTime(), time.Now()
	sent, err := publishAll(c, m, ws, busy)
	if err != nil {
		return result{}, err
	}
	err = poll(120*time.Second, "messages to be gone", func() bool { return m.gone()-goneBefore >= sent && m.empty() })
	took, used := time.Since(begin), cpuTime()-cpu
	if err != nil {
		return result{}, fmt.Errorf("%w: %d sent, %d sunk, %d gone", err, sent, cnt.sunk.Load()-sunkBefore, m.gone()-goneBefore)
	}
	heap, rss := memory()
	return result{
		Rate: float64(sent) / took.Seconds(), CPU: float64(used.Microseconds()) / float64(sent),
		HeapMB: heap, RSSMB: rss, SetupMS: float64(setup.Milliseconds()),
		Lost: int(sent - (cnt.sunk.Load() - sunkBefore)), Doubled: int(cnt.doubled.Load()), Reordered: int(cnt.reordered.Load()),
	}, nil
}

// publishAll runs one producer per shard, round robin over the shard's queues.
func publishAll(c *cell, m model, ws []window, busy []*queue) (int64, error) {
	byShard := make([][]*queue, c.Shards)
	for _, q := range busy {
		byShard[q.shard] = append(byShard[q.shard], q)
	}
	var wg sync.WaitGroup
	var sent atomic.Int64
	errs := make([]error, c.Shards)
	stop := time.Now().Add(c.Duration)
	for i, qs := range byShard {
		if len(qs) == 0 {
			continue
		}
		wg.Go(func() {
			n := 0
			for ; time.Now().Before(stop) && errs[i] == nil; n++ {
				// A producer never runs more than ten windows ahead of the sinks.
				for sent.Load()-m.gone() > int64(10*c.Window) && time.Now().Before(stop) {
					time.Sleep(time.Millisecond)
				}
				ws[i] <- struct{}{}
				q := qs[n%len(qs)]
				errs[i] = m.send(q, q.body(c.Size))
				if n%64 == 63 {
					sent.Add(64)
				}
			}
			sent.Add(int64(n % 64))
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return 0, err
		}
	}
	return sent.Load(), nil
}
