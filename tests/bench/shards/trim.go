package main

import (
	"fmt"
	"os"
	"time"
)

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
