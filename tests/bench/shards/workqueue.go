package main

import (
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	waitLimit   = 120 * time.Second
	pullBatch   = 200   // S: messages asked for per queue
	demuxBatch  = 2000  // D: messages asked for per shard
	demuxAckMax = 50000 // D: MaxAckPending
)

// workQueues is model S (a memory durable per live queue) and D (one durable
// per shard, demultiplexed here).
type workQueues struct {
	c       *cell
	cl      *cluster
	windows []window
	com     *committer
	shards  []*workShard
	goneN   atomic.Int64
	cleared int64
}

// workShard is one work-queue stream and its owner.
type workShard struct {
	m      *workQueues
	name   string
	app    *appender
	nc     *nats.Conn // pulls and acks
	window window
	byName map[string]*queue

	mu      sync.Mutex
	pullers []*puller
	parked  *park
	unread  *queue // D: parked until drained
}

// puller asks for the messages of one durable and asks again when half is used up.
type puller struct {
	ws       *workShard
	subject  string // of the pull request
	reply    string
	batch    int
	left     int
	q        *queue // S; nil for D
	requests atomic.Int64
}

func shardName(i int) string { return fmt.Sprintf("Q_%02d", i) }

func (m *workQueues) prepare() error {
	for i := range m.c.Shards {
		name := shardName(i)
		err := m.cl.createStream(jetstream.StreamConfig{
			Name: name, Subjects: []string{name + ".>"}, Retention: jetstream.WorkQueuePolicy, Storage: jetstream.FileStorage,
			Replicas: m.c.Replicas, AllowDirect: true, MaxConsumers: -1,
		})
		if err != nil {
			return err
		}
		ws := &workShard{m: m, name: name, window: m.windows[i], byName: map[string]*queue{}}
		if ws.nc, err = m.cl.connectLeader(name); err != nil {
			return err
		}
		nc, err := m.cl.connectLeader(name)
		if err != nil {
			return err
		}
		if ws.app, err = newAppender(nc, ws.acked); err != nil {
			return err
		}
		m.shards = append(m.shards, ws)
		if m.c.Model == "D" {
			if err := ws.durable("owner", "", nil, demuxBatch); err != nil {
				return err
			}
		}
	}
	return nil
}

// durable creates a consumer, waits until it can be pulled and starts pulling.
func (ws *workShard) durable(name, filter string, q *queue, batch int) error {
	cfg := map[string]any{
		"durable_name": name, "ack_policy": "explicit", "ack_wait": int64(10 * time.Minute),
		"max_deliver": -1, "max_ack_pending": demuxAckMax, "max_waiting": 64, "mem_storage": q != nil,
	}
	if filter != "" {
		cfg["filter_subject"] = filter
	}
	err := api(ws.nc, "CONSUMER.CREATE."+ws.name+"."+name, map[string]any{"stream_name": ws.name, "config": cfg}, nil)
	if err != nil {
		return err
	}
	p := &puller{
		ws: ws, subject: "$JS.API.CONSUMER.MSG.NEXT." + ws.name + "." + name, reply: nats.NewInbox(), batch: batch, q: q,
	}
	sub, err := ws.nc.Subscribe(p.reply, p.deliver)
	if err != nil {
		return err
	}
	if err := sub.SetPendingLimits(-1, -1); err != nil {
		return err
	}
	ws.mu.Lock()
	ws.pullers = append(ws.pullers, p)
	ws.mu.Unlock()
	p.left = batch
	return p.pull(batch)
}

func (p *puller) pull(n int) error {
	p.requests.Add(1)
	body := fmt.Appendf(nil, `{"batch":%d,"expires":%d}`, n, int64(10*time.Minute))
	return p.ws.nc.PublishRequest(p.subject, p.reply, body)
}

// deliver takes one message of the pull, in the subscription's goroutine.
func (p *puller) deliver(msg *nats.Msg) {
	if len(msg.Reply) == 0 {
		// 503: the consumer's leader is not there yet.
		time.AfterFunc(50*time.Millisecond, func() {
			if err := p.pull(p.batch); err != nil && !p.ws.nc.IsClosed() {
				fmt.Fprintln(os.Stderr, "pull:", err)
			}
		})
		return
	}
	p.left--
	if p.left <= p.batch/2 {
		n := p.batch - p.left
		p.left = p.batch
		if err := p.pull(n); err != nil {
			fmt.Fprintln(os.Stderr, "pull:", err)
		}
	}
	q := p.q
	if q == nil {
		q = p.ws.queue(msg.Subject)
		if p.ws.parks(q) {
			if err := p.ws.parked.add(q, msg); err != nil {
				fmt.Fprintln(os.Stderr, "park:", err)
			}
			return
		}
	}
	q.sink(msg.Data, false)
	if err := p.ws.nc.Publish(msg.Reply, nil); err != nil {
		fmt.Fprintln(os.Stderr, "ack:", err)
	}
	p.ws.m.goneN.Add(1)
}

func (ws *workShard) queue(subject string) *queue {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	return ws.byName[subject[len(ws.name)+3:]]
}

func (m *workQueues) open(qs []*queue) error {
	if m.c.Model == "D" {
		return nil
	}
	for _, q := range qs {
		ws := m.shards[q.shard]
		if err := ws.durable(fmt.Sprintf("q%d", q.id), ws.name+".m."+q.name, q, pullBatch); err != nil {
			return err
		}
	}
	return nil
}

func (m *workQueues) send(q *queue, body []byte) error {
	ws := m.shards[q.shard]
	if q.sent == 1 {
		ws.mu.Lock()
		ws.byName[q.name] = q
		ws.mu.Unlock()
	}
	return ws.app.append(ws.name+".m."+q.name, body, pending{q: q})
}

func (ws *workShard) acked(p pending, seq uint64, err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, ws.name, err)
		os.Exit(1)
	}
	ws.m.com.add(committed{stream: ws.name, p: p, seq: seq, done: func(pending, uint64) { <-ws.window }})
}

// leave: S has no durable for the queue, D parks what comes.
func (m *workQueues) leave(q *queue) error {
	if m.c.Model == "S" {
		return nil
	}
	ws := m.shards[q.shard]
	k, err := newPark(m.cl, m.c, ws)
	if err != nil {
		return err
	}
	ws.mu.Lock()
	defer ws.mu.Unlock()
	ws.parked, ws.unread = k, q
	return nil
}

func (ws *workShard) parks(q *queue) bool {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	return ws.unread == q
}

func (m *workQueues) drain(q *queue) error {
	ws := m.shards[q.shard]
	if m.c.Model == "S" {
		return ws.durable(fmt.Sprintf("q%d", q.id), ws.name+".m."+q.name, q, 2000)
	}
	if err := ws.parked.drain(q); err != nil {
		return err
	}
	ws.mu.Lock()
	ws.unread = nil
	ws.mu.Unlock()
	return nil
}

func (m *workQueues) gone() int64 { return m.goneN.Load() }

func (m *workQueues) empty() bool {
	for _, ws := range m.shards {
		var info struct{ State struct{ Messages uint64 } }
		if err := api(ws.nc, "STREAM.INFO."+ws.name, struct{}{}, &info); err != nil || info.State.Messages > 0 {
			return false
		}
	}
	return true
}

// clear removes the first messages: D reads them, S has no durable yet and purges.
func (m *workQueues) clear(qs []*queue) error {
	if m.c.Model == "S" {
		for i, ws := range m.shards {
			if err := poll(waitLimit, "receipts", func() bool { return len(m.windows[i]) == 0 }); err != nil {
				return err
			}
			if err := api(ws.nc, "STREAM.PURGE."+ws.name, struct{}{}, nil); err != nil {
				return err
			}
		}
		for _, q := range qs {
			q.next = q.sent
		}
		return nil
	}
	return poll(waitLimit, "first messages", func() bool { return m.gone() == int64(len(qs)) && m.empty() })
}
