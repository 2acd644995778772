package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// producer sends a queue's numbered messages again and again until their receipt comes.
type producer struct {
	q        *queue
	mu       sync.Mutex
	open     [][]byte // without a receipt, in order
	receipts uint64
}

// takeover moves a journal from its owner to the node that leads it next.
type takeover struct {
	c         *cell
	cl        *cluster
	m         *journals
	node      int
	owner     *journal
	producers map[*queue]*producer
	byID      map[uint32]*queue
	eager     atomic.Bool // producers run far ahead of their receipts
}

// runTakeover moves the leader while producers send, and counts what the sinks saw.
func runTakeover(c *cell) (result, error) {
	cl, m, err := lone(c)
	if err != nil {
		return result{}, err
	}
	defer cl.close()
	cnt := &counts{}
	t := &takeover{c: c, cl: cl, m: m, owner: m.shards[0], producers: map[*queue]*producer{}, byID: map[uint32]*queue{}}
	qs := newQueues(c.Queues, 1, cnt)
	for _, q := range qs {
		t.producers[q], t.byID[q.id] = &producer{q: q}, q
	}
	t.watch(t.owner)
	if t.node, err = cl.leader(t.owner.name, nil); err != nil {
		return result{}, err
	}
	if err := t.produce(qs, c.Duration); err != nil {
		return result{}, err
	}
	r := result{Extra: map[string]float64{}}
	if err := t.move(r.Extra); err != nil {
		return r, err
	}
	if err := t.produce(qs, c.Duration/2); err != nil {
		return r, err
	}
	var sent, receipts uint64
	err = poll(waitLimit, "receipts", func() bool {
		sent, receipts = 0, 0
		for _, p := range t.producers {
			p.mu.Lock()
			sent, receipts = sent+p.q.sent, receipts+p.receipts
			p.mu.Unlock()
		}
		return sent == receipts && int64(sent) <= cnt.sunk.Load()
	})
	for _, q := range qs {
		r.Lost += int(q.sent - q.next)
	}
	r.Lost += int(cnt.reordered.Load()) // a gap means that what it skipped never came
	r.Doubled, r.Flagged, r.Reordered = int(cnt.doubled.Load()), int(cnt.flagged.Load()), int(cnt.reordered.Load())
	r.Extra["sent"] = float64(sent)
	return r, err
}

// watch connects an owner to the producers.
func (t *takeover) watch(j *journal) {
	j.window = nil
	j.failed = func(error) { j.stopped.Store(true) }
	j.receipt = func(p pending) {
		pr := t.producers[p.q]
		pr.mu.Lock()
		pr.open = pr.open[1:]
		pr.receipts++
		pr.mu.Unlock()
	}
}

// produce sends for a while, at most a window ahead of the receipts, or until the owner is refused.
func (t *takeover) produce(qs []*queue, d time.Duration) error {
	for stop := time.Now().Add(d); time.Now().Before(stop); {
		for _, q := range qs {
			p := t.producers[q]
			p.mu.Lock()
			full := len(p.open) >= max(t.c.Window/len(qs), 1)
			if t.eager.Load() {
				full = len(p.open) >= 10*t.c.Window/len(qs)
			}
			if !full {
				body := q.body(t.c.Size)
				p.open = append(p.open, body)
				p.mu.Unlock()
				if err := t.owner.send(q, body); err != nil {
					return fmt.Errorf("send: %w", err)
				}
				continue
			}
			p.mu.Unlock()
			time.Sleep(50 * time.Microsecond)
		}
	}
	return nil
}

// move takes the leader away with sends in flight and lets the next owner begin.
func (t *takeover) move(times map[string]float64) error {
	old, stream := t.owner, t.owner.name
	begin := time.Now()
	since := func() float64 { return time.Since(begin).Seconds() * 1e3 }
	gone := func(i int) bool { return i == t.node }
	switch t.c.Event {
	case "restart": // one node: the owner dies with its server
		gone = nil
		old.stopped.Store(true)
		if err := t.restart(); err != nil {
			return err
		}
		times["0server_ms"] = since()
	case "shutdown":
		go t.cl.servers[t.node].Shutdown()
	default:
		go api(old.control, "STREAM.LEADER.STEPDOWN."+stream, struct{}{}, nil)
	}
	go t.retire(old, t.cl.servers[t.node])
	// The old owner goes on sending until the new leader is known: the worst case.
	qs := make([]*queue, 0, len(t.producers))
	for q := range t.producers {
		qs = append(qs, q)
	}
	t.eager.Store(true)
	stop := make(chan struct{})
	stale := make(chan error, 1)
	go func() {
		for {
			select {
			case <-stop:
				stale <- nil
				return
			default:
				_ = t.produce(qs, time.Millisecond) // its connection may be dead
			}
		}
	}()
	node, err := t.cl.leader(stream, gone)
	times["1leader_ms"] = since()
	if err != nil {
		return err
	}
	next, im, err := t.adopt(node)
	times["2replayed_ms"] = since()
	close(stop)
	if err := errors.Join(err, <-stale); err != nil {
		return err
	}
	t.eager.Store(false)
	old.stopped.Store(true)
	times["records"] = float64(im.last - im.first + 1)
	return t.resume(next, im, times, since)
}

// restart stops the only server and starts it again on the same files.
func (t *takeover) restart() error {
	t.cl.servers[0].Shutdown()
	t.cl.servers[0].WaitForShutdown()
	s, err := server.NewServer(t.cl.options[0])
	if err != nil {
		return err
	}
	s.Start()
	t.cl.servers[0] = s
	return t.cl.awaitReady()
}

// retire stops an owner's deliveries when its own node no longer leads the stream.
func (t *takeover) retire(j *journal, s *server.Server) {
	for !j.stopped.Load() && s.Running() && s.JetStreamIsStreamLeader(server.DEFAULT_GLOBAL_ACCOUNT, j.name) {
		time.Sleep(500 * time.Microsecond)
	}
	j.stopped.Store(true)
}

// adopt opens the journal on its new node: an epoch record first, then everything up to it is read.
func (t *takeover) adopt(node int) (*journal, *image, error) {
	im := newImage()
	j, err := openJournal(t.cl, t.c, t.owner.name, t.m.com, nil)
	if err != nil {
		return nil, im, err
	}
	var epoch uint64
	err = poll(waitLimit, "epoch record", func() bool {
		m, err := j.control.Request(j.name+".e", binary.LittleEndian.AppendUint32(nil, epochMark), time.Second)
		if err != nil {
			return false
		}
		epoch, err = parseAck(m.Data)
		return err == nil
	})
	if err != nil {
		return nil, im, err
	}
	j.app.last = epoch
	first, err := firstOf(j)
	if err == nil {
		err = j.read.scan(first, epoch, im.record)
	}
	if im.holes > 0 || im.last != epoch {
		err = errors.Join(err, fmt.Errorf("%d holes, last %d, epoch %d", im.holes, im.last, epoch))
	}
	return j, im, err
}

// firstOf is the journal's first sequence.
func firstOf(j *journal) (uint64, error) {
	var info struct {
		State struct {
			First uint64 `json:"first_seq"`
		}
	}
	err := api(j.control, "STREAM.INFO."+j.name, struct{}{}, &info)
	return info.State.First, err
}

// resume delivers what was alive, flagged, then lets the producers repeat what has no receipt.
func (t *takeover) resume(j *journal, im *image, times map[string]float64, since func() float64) error {
	j.base, j.cut = im.first, im.first
	j.sizes = make([]uint32, im.last-im.first+1)
	for seq := range im.live {
		j.sizes[seq-im.first] = alive
	}
	j.live = len(im.live)
	t.watch(j)
	t.owner = j
	first := true
	for id, seqs := range im.byQueue {
		q := t.byID[id]
		last := seqs[len(seqs)-1]
		seqs = slices.DeleteFunc(slices.Clone(seqs), func(s uint64) bool { return !im.live[s] })
		for chunk := range slices.Chunk(seqs, readChunk) {
			bodies, err := j.read.load(chunk)
			if err != nil {
				return err
			}
			for _, b := range bodies {
				q.sink(b, true)
			}
			if first {
				times["3delivered_ms"], first = since(), false
			}
			j.settle(chunk...)
		}
		if err := t.confirm(j, q, last); err != nil {
			return err
		}
	}
	if first {
		times["3delivered_ms"] = since()
	}
	for _, p := range t.producers {
		p.mu.Lock()
		open := slices.Clone(p.open)
		p.mu.Unlock()
		for _, body := range open {
			if err := j.send(p.q, body); err != nil {
				return err
			}
		}
	}
	return nil
}

// confirm gives the receipts of messages that were stored although their PubAck
// never came: the journal's last record of the producer tells.
func (t *takeover) confirm(j *journal, q *queue, last uint64) error {
	bodies, err := j.read.single([]uint64{last})
	if err != nil {
		return err
	}
	p := t.producers[q]
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.open) > 0 && number(p.open[0]) <= number(bodies[0]) {
		p.open = p.open[1:]
		p.receipts++
	}
	return nil
}
