package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// replayBatch is how many records are asked for at once; two requests are under way.
const replayBatch = 4096

// replay reads a stream from a sequence up to another through a consumer that
// needs no acks. It returns how many records came.
func replay(nc *nats.Conn, stream string, from, to uint64, fn func(seq uint64, body []byte)) (int, error) {
	cfg := map[string]any{
		"ack_policy": "none", "deliver_policy": "by_start_sequence", "opt_start_seq": max(from, 1), "mem_storage": true,
		"num_replicas": 1, "inactive_threshold": int64(time.Minute), "max_waiting": 8,
	}
	var made struct {
		Name       string
		NumPending uint64 `json:"num_pending"`
	}
	if err := api(nc, "CONSUMER.CREATE."+stream, map[string]any{"stream_name": stream, "config": cfg}, &made); err != nil {
		return 0, err
	}
	p := &replayer{nc: nc, next: "$JS.API.CONSUMER.MSG.NEXT." + stream + "." + made.Name, inbox: nats.NewInbox(), fn: fn, to: to,
		left: made.NumPending, done: make(chan error, 1)}
	if p.left == 0 {
		return 0, nil
	}
	sub, err := nc.Subscribe(p.inbox, p.record)
	if err != nil {
		return 0, err
	}
	defer sub.Unsubscribe()
	if err := errors.Join(sub.SetPendingLimits(-1, -1), p.pull(), p.pull()); err != nil {
		return 0, err
	}
	select {
	case err := <-p.done:
		return p.n, err
	case <-time.After(waitLimit):
		return p.n, fmt.Errorf("replay of %s stands still", stream)
	}
}

// replayer takes the records of one replay in its subscription's goroutine.
type replayer struct {
	nc          *nats.Conn
	next, inbox string
	fn          func(uint64, []byte)
	to, left    uint64
	n           int
	done        chan error
}

func (p *replayer) pull() error {
	return p.nc.PublishRequest(p.next, p.inbox, fmt.Appendf(nil, `{"batch":%d,"expires":%d}`, replayBatch, int64(readTimeout)))
}

func (p *replayer) record(m *nats.Msg) {
	if p.left == 0 {
		return
	}
	seq := ackSequence(m.Reply)
	if seq == 0 {
		p.left = 0
		p.done <- fmt.Errorf("replay: %v", m.Header)
		return
	}
	p.fn(seq, m.Data)
	p.n++
	if p.left--; p.left == 0 || seq >= p.to {
		p.left = 0
		p.done <- nil
	} else if p.n%replayBatch == 0 {
		if err := p.pull(); err != nil {
			p.left = 0
			p.done <- err
		}
	}
}

// ackSequence reads the stream sequence of $JS.ACK.<stream>.<consumer>.<n>.<seq>...
func ackSequence(reply string) uint64 {
	f := strings.Split(reply, ".")
	if len(f) < 9 {
		return 0
	}
	seq, err := strconv.ParseUint(f[len(f)-4], 10, 64)
	if err != nil {
		return 0
	}
	return seq
}

// image is what an owner knows of a journal after reading it.
type image struct {
	first, last uint64
	live        map[uint64]bool
	byQueue     map[uint32][]uint64
	holes       int
}

func newImage() *image { return &image{live: map[uint64]bool{}, byQueue: map[uint32][]uint64{}} }

// record takes one record; records come in order.
func (im *image) record(seq uint64, body []byte) {
	if im.first == 0 {
		im.first = seq
	} else if seq != im.last+1 {
		im.holes++
	}
	im.last = seq
	switch id := binary.LittleEndian.Uint32(body); id {
	case settleMark:
		for body = body[4:]; len(body) >= 8; body = body[8:] {
			delete(im.live, binary.LittleEndian.Uint64(body))
		}
	case epochMark:
	default:
		im.byQueue[id] = append(im.byQueue[id], seq)
		im.live[seq] = true
	}
}

// runReplay fills a journal of which nine in ten messages are settled, restarts
// the server and measures how an owner gets its index back.
func runReplay(c *cell) (result, error) {
	cl, m, err := lone(c)
	if err != nil {
		return result{}, err
	}
	defer func() { cl.close() }()
	if _, err := fill(c, m, c.Backlog); err != nil {
		return result{}, err
	}
	j := m.shards[0]
	for seq := uint64(2); seq <= uint64(c.Backlog); seq++ { // the first stays: nothing is trimmed
		if seq%10 != 0 {
			j.settle(seq)
		}
	}
	want := int64(c.Backlog - c.Backlog/10 - 1)
	if err := poll(waitLimit, "settlements", func() bool { return j.goneN.Load() == want }); err != nil {
		return result{}, err
	}
	last := j.base + uint64(len(j.sizes)) - 1
	r := result{Extra: map[string]float64{"records": float64(last)}}
	for _, way := range []string{"graceful", "no_index_db"} {
		cl.close()
		if way == "no_index_db" {
			if err := os.Remove(filepath.Join(j.dir, "index.db")); err != nil {
				return r, err
			}
		}
		took, err := restart(cl, j)
		if err != nil {
			return r, err
		}
		r.Extra["server_"+way+"_ms"] = took.Seconds() * 1e3
	}
	return r, replayWays(c, cl, j, last, r.Extra)
}

// replayWays reads the journal in each way and compares what they found.
func replayWays(c *cell, cl *cluster, j *journal, last uint64, extra map[string]float64) error {
	nc, err := cl.connect(0)
	if err != nil {
		return err
	}
	full, other, kept := newImage(), newImage(), newImage()
	perMillion := 1e6 / float64(last)
	timed := func(name string, f func() error) error {
		cpu, begin := cpuTime(), time.Now()
		err := f()
		extra[name+"_cpu_s_per_M"] = (cpuTime() - cpu).Seconds() * perMillion
		extra[name+"_s_per_M"] = time.Since(begin).Seconds() * perMillion
		return err
	}
	err = errors.Join(
		timed("consumer", func() error {
			_, err := replay(nc, j.name, 1, last, full.record)
			return err
		}),
		timed("batch_get", func() error { return j.read.scan(1, last, other.record) }),
		timed("checkpoint_write", func() error { return writeCheckpoint(c.Dir, full) }),
		timed("checkpoint_read", func() error { return readCheckpoint(c.Dir, kept) }),
	)
	want := c.Backlog/10 + 1
	if err == nil && (len(full.live) != want || len(other.live) != want || len(kept.live) != want || full.holes+other.holes > 0) {
		err = fmt.Errorf("%d live by consumer, %d by batches, %d by checkpoint of %d; %d holes",
			len(full.live), len(other.live), len(kept.live), want, full.holes+other.holes)
	}
	extra["live"] = float64(len(full.live))
	if st, serr := os.Stat(filepath.Join(c.Dir, "checkpoint")); serr == nil {
		extra["checkpoint_B_per_live"] = float64(st.Size()) / float64(len(full.live))
	}
	return err
}

// writeCheckpoint stores the live sequences by queue; what follows them is replayed.
func writeCheckpoint(dir string, im *image) error {
	b := binary.AppendUvarint(nil, im.last)
	for id, seqs := range im.byQueue {
		b = binary.AppendUvarint(b, uint64(id))
		count := len(b)
		b = binary.LittleEndian.AppendUint32(b, 0)
		n, before := uint32(0), uint64(0)
		for _, s := range seqs {
			if im.live[s] {
				b, before, n = binary.AppendUvarint(b, s-before), s, n+1
			}
		}
		binary.LittleEndian.PutUint32(b[count:], n)
	}
	return os.WriteFile(filepath.Join(dir, "checkpoint"), b, 0o600)
}

func readCheckpoint(dir string, im *image) error {
	b, err := os.ReadFile(filepath.Join(dir, "checkpoint"))
	if err != nil {
		return err
	}
	next := func() uint64 { v, n := binary.Uvarint(b); b = b[n:]; return v }
	im.last = next()
	for len(b) > 0 {
		id := uint32(next())
		count := binary.LittleEndian.Uint32(b)
		b = b[4:]
		for seq := uint64(0); count > 0; count-- {
			seq += next()
			im.live[seq] = true
			im.byQueue[id] = append(im.byQueue[id], seq)
		}
	}
	return nil
}
