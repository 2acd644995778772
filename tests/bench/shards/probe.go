package main

import (
	"encoding/binary"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// lone opens one journal in a fresh cluster.
func lone(c *cell) (*cluster, *journals, error) {
	cl, err := startCluster(c)
	if err != nil {
		return nil, nil, err
	}
	m, err := newModel(c, cl, newWindows(c))
	if err != nil {
		return nil, nil, err
	}
	return cl, m.(*journals), m.prepare()
}

// runFence lets a second writer take over a journal and a stale one go on.
func runFence(c *cell) (result, error) {
	cl, m, err := lone(c)
	if err != nil {
		return result{}, err
	}
	defer cl.close()
	var mu sync.Mutex
	stored, refused := map[string]int{}, map[string]int{}
	writer := func(name string, node int) (*appender, error) {
		nc, err := cl.connect(node)
		if err != nil {
			return nil, err
		}
		a, err := newAppender(nc, func(_ pending, _ uint64, err error) {
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				refused[name]++
			} else {
				stored[name]++
			}
		})
		if err == nil {
			a.fence = true
		}
		return a, err
	}
	outcome := func(name string, n int) error {
		return poll(10*time.Second, "answers to "+name, func() bool {
			mu.Lock()
			defer mu.Unlock()
			return stored[name]+refused[name] == n
		})
	}
	appendN := func(a *appender, n int) error {
		for range n {
			if err := a.append(m.shards[0].name+".m.x", make([]byte, 100), pending{}); err != nil {
				return err
			}
		}
		return nil
	}
	stale, err := writer("old", 0)
	if err != nil {
		return result{}, err
	}
	fresh, err := writer("new", c.Replicas-1)
	if err != nil {
		return result{}, err
	}
	steps := []struct {
		a    *appender
		n    int
		name string
		want int
	}{{stale, 1000, "old", 1000}, {fresh, 1000, "new", 1000}, {stale, 500, "old", 1500}, {fresh, 1000, "new", 2000}}
	for i, s := range steps {
		if i == 1 {
			fresh.last = 1000 // it has read the journal
		}
		if err := appendN(s.a, s.n); err != nil {
			return result{}, err
		}
		if err := outcome(s.name, s.want); err != nil {
			return result{}, err
		}
	}
	return result{Extra: map[string]float64{
		"old_stored": float64(stored["old"]), "old_refused": float64(refused["old"]),
		"new_stored": float64(stored["new"]), "new_refused": float64(refused["new"]),
	}}, nil
}

// fill stores n messages, round robin over the queues, and leaves them unread.
func fill(c *cell, m *journals, n int) ([]*queue, error) {
	qs := newQueues(c.Queues, c.Shards, &counts{})
	for _, q := range qs {
		if err := m.leave(q); err != nil {
			return nil, err
		}
	}
	for i := range n {
		q := qs[i%len(qs)]
		m.windows[q.shard] <- struct{}{}
		if err := m.send(q, q.body(c.Size)); err != nil {
			return nil, err
		}
	}
	return qs, poll(waitLimit, "receipts", func() bool {
		for _, w := range m.windows {
			if len(w) > 0 {
				return false
			}
		}
		return true
	})
}

// runRead reads one queue's messages back out of an interleaved journal, three ways.
func runRead(c *cell) (result, error) {
	cl, m, err := lone(c)
	if err != nil {
		return result{}, err
	}
	defer cl.close()
	qs, err := fill(c, m, c.Backlog)
	if err != nil {
		return result{}, err
	}
	j, q := m.shards[0], qs[len(qs)/2]
	seqs := j.index[q].seqs[len(j.index[q].seqs)/2:] // the second half: not from the first sequence on
	subject := j.name + ".m." + q.name
	r := result{Extra: map[string]float64{"queue_msgs": float64(len(seqs))}}
	ways := map[string]func(*journal) (int, error){
		"single": func(j *journal) (int, error) {
			n := 0
			for at := 0; at < len(seqs); at += readChunk {
				got, err := j.read.single(seqs[at:min(at+readChunk, len(seqs))])
				if err != nil {
					return n, err
				}
				n += len(got)
			}
			return n, nil
		},
		"subject": func(j *journal) (int, error) {
			n := 0
			for next := seqs[0]; n < len(seqs); {
				got, err := j.read.batch(next, readChunk, subject)
				if err != nil || len(got) == 0 {
					return n, err
				}
				n, next = n+len(got), got[len(got)-1].seq+1
			}
			return n, nil
		},
		"span": func(j *journal) (int, error) {
			n := 0
			for next := seqs[0]; next <= seqs[len(seqs)-1]; {
				got, err := j.read.span(next, readChunk)
				if err != nil || len(got) == 0 {
					return n, err
				}
				for _, s := range got {
					if binary.LittleEndian.Uint32(s.data) == q.id {
						n++
					}
				}
				next = got[len(got)-1].seq + 1
			}
			return n, nil
		},
	}
	for name, f := range ways {
		for _, state := range []string{"cold", "warm"} {
			if state == "cold" {
				if _, err := restart(cl, j); err != nil {
					return r, err
				}
			}
			cpu, begin := cpuTime(), time.Now()
			n, err := f(j)
			if err != nil || n < len(seqs) {
				return r, fmt.Errorf("%s: %d of %d: %w", name, n, len(seqs), err)
			}
			r.Extra[name+"_"+state+"_per_s"] = float64(n) / time.Since(begin).Seconds()
			r.Extra[name+"_"+state+"_us"] = float64((cpuTime() - cpu).Microseconds()) / float64(n)
		}
	}
	return r, nil
}

// restart starts the only server again, gives the journal a new reader and
// returns how long the start took.
func restart(cl *cluster, j *journal) (time.Duration, error) {
	cl.close()
	begin := time.Now()
	s, err := server.NewServer(cl.options[0])
	if err != nil {
		return 0, err
	}
	s.Start()
	cl.servers, cl.conns = []*server.Server{s}, nil
	if err := cl.awaitReady(); err != nil {
		return 0, err
	}
	took := time.Since(begin)
	nc, err := cl.connect(0)
	if err != nil {
		return 0, err
	}
	j.read, err = newReader(nc, j.name)
	return took, err
}

// runTrim cuts a long dead front, at once or a block at a time, and looks how
// long appends stand still meanwhile and what is left on disk.
func runTrim(c *cell) (result, error) {
	cl, m, err := lone(c)
	if err != nil {
		return result{}, err
	}
	defer cl.close()
	qs, err := fill(c, m, c.Backlog)
	if err != nil {
		return result{}, err
	}
	j := m.shards[0]
	j.index, qs[0].timed = map[*queue]*backlog{}, true
	last := uint64(c.Backlog) * 9 / 10
	var cuts []uint64
	switch c.Trim {
	case "any":
		cuts = []uint64{last}
	default: // block by block
		for at := uint64(0); at < last; at += 20000 {
			floor, err := blockFloor(j.dir, at+20000)
			if err != nil {
				return result{}, err
			}
			cuts = append(cuts, floor)
		}
	}
	blocks, size := diskUse(j.dir)
	r := result{Extra: map[string]float64{"blocks_before": float64(blocks), "MB_before": size}}
	longest := time.Duration(0)
	begin := time.Now()
	_, err = beside(c, m, m.windows, qs[:1], func() error {
		for _, seq := range cuts {
			began := time.Now()
			if err := api(j.control, "STREAM.PURGE."+j.name, map[string]any{"seq": seq}, nil); err != nil {
				return err
			}
			longest = max(longest, time.Since(began))
		}
		return nil
	})
	if err != nil {
		return r, err
	}
	r.Extra["purge_all_ms"], r.Extra["purge_longest_ms"] = time.Since(begin).Seconds()*1e3, longest.Seconds()*1e3
	_, r.Extra["append_p99ms"] = qs[0].counts.takeLatencies()
	blocks, size = diskUse(j.dir)
	r.Extra["blocks_after"], r.Extra["MB_after"] = float64(blocks), size
	return r, nil
}

// diskUse counts a stream's blocks and their MB.
func diskUse(dir string) (blocks int, mb float64) {
	list, err := blockFiles(dir)
	if err != nil {
		return 0, 0
	}
	for _, b := range list {
		if st, err := os.Stat(fmt.Sprintf("%s/%d.blk", dir, b)); err == nil {
			mb += float64(st.Size()) / 1e6
		}
	}
	return len(list), mb
}

// runCut plays a power cut that kept the stream's index but not the newest
// block's tail: the server remembers the last sequence and goes on behind it.
func runCut(c *cell) (result, error) {
	cl, m, err := lone(c)
	if err != nil {
		return result{}, err
	}
	if _, err := fill(c, m, c.Backlog); err != nil {
		return result{}, err
	}
	j := m.shards[0]
	cl.close() // writes index.db
	blocks, err := blockFiles(j.dir)
	if err != nil {
		return result{}, err
	}
	newest := fmt.Sprintf("%s/%d.blk", j.dir, blocks[len(blocks)-1])
	st, err := os.Stat(newest)
	if err != nil {
		return result{}, err
	}
	if err := os.Truncate(newest, st.Size()-int64(10*c.Size)); err != nil {
		return result{}, err
	}
	if _, err := restart(cl, j); err != nil {
		return result{}, err
	}
	defer cl.close()
	nc, err := cl.connect(0)
	if err != nil {
		return result{}, err
	}
	answer, err := nc.Request(j.name+".m.after", []byte("after the cut"), readTimeout)
	if err != nil {
		return result{}, err
	}
	next, err := parseAck(answer.Data)
	if err != nil {
		return result{}, err
	}
	im := newImage()
	if _, err := replay(nc, j.name, 1, next, im.record); err != nil {
		return result{}, err
	}
	return result{Extra: map[string]float64{
		"stored": float64(c.Backlog), "readable": float64(len(im.live) - 1), "next_seq": float64(next), "holes": float64(im.holes),
	}}, nil
}
