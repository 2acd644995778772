package main

import (
	"encoding/binary"
	"fmt"
	"time"
)

// readBack is a way to read one queue's messages; it returns how many came.
type readBack func(r *reader, q *queue, subject string, seqs []uint64) (int, error)

func readSingle(r *reader, _ *queue, _ string, seqs []uint64) (int, error) {
	n := 0
	for at := 0; at < len(seqs); at += readChunk {
		got, err := r.single(seqs[at:min(at+readChunk, len(seqs))])
		if err != nil {
			return n, err
		}
		n += len(got)
	}
	return n, nil
}

func readBySubject(r *reader, _ *queue, subject string, seqs []uint64) (int, error) {
	n := 0
	for next := seqs[0]; n < len(seqs); {
		got, err := r.batch(next, readChunk, subject)
		if err != nil || len(got) == 0 {
			return n, err
		}
		n, next = n+len(got), got[len(got)-1].seq+1
	}
	return n, nil
}

func readSpan(r *reader, q *queue, _ string, seqs []uint64) (int, error) {
	n := 0
	for next := seqs[0]; next <= seqs[len(seqs)-1]; {
		got, err := r.span(next, readChunk)
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
}

// runRead reads one queue's messages back out of an interleaved journal, three
// ways, each right after a restart and once more.
func runRead(c *cell) (result, error) {
	cl, m, err := lone(c)
	if err != nil {
		return result{}, err
	}
	defer func() { cl.close() }()
	qs, err := fill(c, m, c.Backlog)
	if err != nil {
		return result{}, err
	}
	j, q := m.shards[0], qs[len(qs)/2]
	seqs := j.index[q].seqs[len(j.index[q].seqs)/2:] // the second half: not from the first sequence on
	r := result{Extra: map[string]float64{"queue_msgs": float64(len(seqs))}}
	for name, f := range map[string]readBack{"single": readSingle, "subject": readBySubject, "span": readSpan} {
		for _, state := range []string{"cold", "warm"} {
			if state == "cold" {
				if _, err := restart(cl, j); err != nil {
					return r, err
				}
			}
			cpu, begin := cpuTime(), time.Now()
			n, err := f(j.read, q, j.name+".m."+q.name, seqs)
			if err != nil || n < len(seqs) {
				return r, fmt.Errorf("%s: %d of %d: %w", name, n, len(seqs), err)
			}
			r.Extra[name+"_"+state+"_per_s"] = float64(n) / time.Since(begin).Seconds()
			r.Extra[name+"_"+state+"_us"] = float64((cpuTime() - cpu).Microseconds()) / float64(n)
		}
	}
	return r, nil
}
