package main

import (
	"errors"
	"time"
)

// besideRate is how many messages per second the busy queues get beside the backlog.
const besideRate = 2000

// runBacklog fills one queue that nobody reads, then reads it, while others are busy.
func runBacklog(c *cell) (result, error) {
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
	if err := m.prepare(); err != nil {
		return result{}, err
	}
	cnt := &counts{}
	qs := newQueues(max(c.Existing, c.Queues+1), c.Shards, cnt)
	if err := touch(m, ws, qs); err != nil {
		return result{}, err
	}
	busy, unread := qs[1:c.Queues+1], qs[0]
	for _, q := range busy {
		q.timed = true
	}
	if err := errors.Join(m.open(busy), m.leave(unread)); err != nil {
		return result{}, err
	}
	r := result{Extra: map[string]float64{}}
	heapBefore, _ := memory()
	cpu, begin := cpuTime(), time.Now()
	_, err = beside(c, m, ws, busy, func() error {
		for range c.Backlog {
			ws[unread.shard] <- struct{}{}
			if err := m.send(unread, unread.body(c.Size)); err != nil {
				return err
			}
		}
		return poll(waitLimit, "receipts", func() bool { return len(ws[unread.shard]) == 0 })
	})
	if err != nil {
		return result{}, err
	}
	r.Extra["1fill_per_s"] = float64(c.Backlog) / time.Since(begin).Seconds()
	r.Extra["1fill_us"] = float64((cpuTime() - cpu).Microseconds()) / float64(c.Backlog)
	r.Extra["2busy_fill_p50ms"], r.Extra["2busy_fill_p99ms"] = cnt.takeLatencies()
	r.HeapMB, r.RSSMB = memory()
	r.Extra["3heap_per_msg_B"] = (r.HeapMB - heapBefore) * 1e6 / float64(c.Backlog)
	goneBefore := m.gone()
	cpu, begin = cpuTime(), time.Now()
	sent, err := beside(c, m, ws, busy, func() error { return readBacklog(c, m, unread, goneBefore, begin, r.Extra) })
	if err != nil {
		return result{}, err
	}
	took := time.Since(begin)
	r.Extra["3drain_per_s"] = float64(c.Backlog) / took.Seconds()
	r.Rate = float64(c.Backlog+sent) / took.Seconds()
	r.CPU = float64((cpuTime() - cpu).Microseconds()) / float64(c.Backlog+sent)
	r.Extra["4busy_drain_p50ms"], r.Extra["4busy_drain_p99ms"] = cnt.takeLatencies()
	r.Lost, r.Doubled, r.Reordered = c.Backlog-int(unread.next-1), int(cnt.doubled.Load()), int(cnt.reordered.Load())
	return r, nil
}

// readBacklog reads the backlog until all of it is gone and notes when its first message came.
func readBacklog(c *cell, m model, unread *queue, goneBefore int64, begin time.Time, extra map[string]float64) error {
	first, before := make(chan float64, 1), unread.next
	go func() {
		for {
			unread.mu.Lock()
			seen := unread.next > before
			unread.mu.Unlock()
			if seen {
				first <- time.Since(begin).Seconds() * 1e3
				return
			}
			time.Sleep(20 * time.Microsecond)
		}
	}()
	if err := m.drain(unread); err != nil {
		return err
	}
	err := poll(4*waitLimit, "backlog to be gone", func() bool {
		unread.mu.Lock()
		defer unread.mu.Unlock()
		return unread.next == uint64(c.Backlog+1) && m.gone()-goneBefore >= int64(c.Backlog)
	})
	extra["3first_ms"] = <-first
	return err
}

// beside runs f while the busy queues get their paced messages; it returns how many.
func beside(c *cell, m model, ws []window, busy []*queue, f func() error) (int, error) {
	stop, result, n := make(chan struct{}), make(chan error, 1), 0
	go func() {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				result <- nil
				return
			case <-tick.C:
			}
			for range besideRate / 100 {
				q := busy[n%len(busy)]
				n++
				ws[q.shard] <- struct{}{}
				if err := m.send(q, q.body(c.Size)); err != nil {
					result <- err
					return
				}
			}
		}
	}()
	err := f()
	close(stop)
	return n, errors.Join(err, <-result)
}
