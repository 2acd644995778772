package main

import (
	"encoding/binary"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	settleMax  = 4096      // sequences in one settlement record
	settleMark = 1<<32 - 1 // first word of a settlement; a message's is its queue's number
	epochMark  = 1<<32 - 2 // first word of an owner's first record
	trimBytes  = 8 << 20   // dead bytes at the front before it is cut
	windowMax  = 1000      // messages of a queue whose bodies stay in memory
	recordOver = 30        // bytes the store adds to a record, without its subject
)

// journals is model J: limits streams with one writer each and no consumer.
type journals struct {
	c       *cell
	cl      *cluster
	windows []window
	com     *committer
	shards  []*journal
}

// journal is one shard: its owner's index and the settlements on their way.
type journal struct {
	name       string
	dir        string // blocks of the leader's store
	trim       string
	oneSubject bool
	app        *appender
	control    *nats.Conn
	window     window
	com        *committer
	read       *reader
	failed     func(error)     // take-over: an append was refused
	receipt    func(p pending) // take-over: the producer's receipt
	stopped    atomic.Bool     // take-over: another owner may be at work

	mu       sync.Mutex
	base     uint64   // sequence of sizes[0]
	sizes    []uint32 // size of each record from base on; the top bit says alive
	deadSize uint64   // dead bytes at the front, not yet purged
	cut      uint64   // first sequence the store still has
	live     int
	index    map[*queue]*backlog
	settling []uint64 // settled, not yet in a record
	inFlight bool     // a settlement record is on its way
	trimming bool
	goneN    atomic.Int64
	trims    int64
}

// backlog is a queue's messages that nobody reads: sequences, and bodies while
// the window has room.
type backlog struct {
	seqs   []uint64
	bodies [][]byte // of the first of seqs
}

const alive = 1 << 31

func journalName(i int) string { return fmt.Sprintf("J_%02d", i) }

func (m *journals) prepare() error {
	for i := range m.c.Shards {
		name := journalName(i)
		err := m.cl.createStream(jetstream.StreamConfig{
			Name: name, Subjects: []string{name + ".>"}, Retention: jetstream.LimitsPolicy, Storage: jetstream.FileStorage,
			Replicas: m.c.Replicas, AllowDirect: true, AllowBatchPublish: m.c.Fast, MaxConsumers: -1,
		})
		if err != nil {
			return err
		}
		j, err := openJournal(m.cl, m.c, name, m.com, m.windows[i])
		if err != nil {
			return err
		}
		m.shards = append(m.shards, j)
	}
	return nil
}

// openJournal opens an empty journal on the node that leads its stream.
func openJournal(cl *cluster, c *cell, name string, com *committer, w window) (*journal, error) {
	nc, err := cl.connectLeader(name)
	if err != nil {
		return nil, err
	}
	control, err := cl.connectLeader(name)
	if err != nil {
		return nil, err
	}
	at, err := cl.leader(name, nil)
	if err != nil {
		return nil, err
	}
	j := &journal{
		name: name, control: control, com: com, window: w, base: 1, cut: 1, trim: c.Trim, oneSubject: c.OneSubject, index: map[*queue]*backlog{},
		dir: fmt.Sprintf("%s/n%d/jetstream/$G/streams/%s/msgs", c.Dir, at, name),
	}
	if j.app, err = newAppender(nc, j.acked); err != nil {
		return nil, err
	}
	j.app.fence = c.Fence
	if c.Fast {
		if err := j.app.startFast(); err != nil {
			return nil, err
		}
	}
	reading, err := cl.connect(at) // its own: a batch is read on the connection's loop
	if err != nil {
		return nil, err
	}
	j.read, err = newReader(reading, name)
	return j, err
}

func (m *journals) open([]*queue) error { return nil }

func (m *journals) send(q *queue, body []byte) error { return m.shards[q.shard].send(q, body) }

func (m *journals) gone() (n int64) {
	for _, j := range m.shards {
		n += j.goneN.Load()
	}
	return n
}

func (m *journals) empty() bool { return true } // a message is gone when its settlement is stored

func (m *journals) clear(qs []*queue) error {
	return poll(waitLimit, "first messages", func() bool { return m.gone() == int64(len(qs)) })
}

func (m *journals) leave(q *queue) error {
	j := m.shards[q.shard]
	j.mu.Lock()
	j.index[q] = &backlog{}
	j.mu.Unlock()
	return nil
}

func (m *journals) drain(q *queue) error { return m.shards[q.shard].drain(q) }

// drain delivers a backlog: first what is in memory, then chunks read back. The
// next chunk is on its way while one is delivered.
func (j *journal) drain(q *queue) error {
	j.mu.Lock()
	b := j.index[q]
	bodies := b.bodies
	j.mu.Unlock()
	for i, body := range bodies {
		q.sink(body, false)
		j.settle(b.seqs[i])
	}
	for done := len(bodies); ; {
		j.mu.Lock()
		seqs := b.seqs[done:min(done+readChunk, len(b.seqs))]
		if len(seqs) == 0 {
			delete(j.index, q)
			j.mu.Unlock()
			return nil
		}
		j.mu.Unlock()
		bodies, err := j.read.load(seqs)
		if err != nil {
			return err
		}
		for _, body := range bodies {
			q.sink(body, false)
		}
		j.settle(seqs...)
		done += len(seqs)
	}
}

func (j *journal) send(q *queue, body []byte) error {
	subject := j.name + ".m." + q.name
	if j.oneSubject {
		subject = j.name + ".r"
	}
	return j.app.append(subject, body, pending{q: q, body: body, size: recordOver + len(subject) + len(body)})
}

// acked is the appender's callback: after the group commit the record counts.
func (j *journal) acked(p pending, seq uint64, err error) {
	if err != nil {
		j.refuse(err)
		return
	}
	j.com.add(committed{stream: j.name, done: j.stored, p: p, seq: seq})
}

// refuse is told of a failed append: the owner must not go on.
func (j *journal) refuse(err error) {
	switch {
	case j.failed != nil:
		j.failed(err)
		return
	case j.control.IsClosed():
		return // the cell has ended
	}
	fmt.Fprintln(os.Stderr, j.name, err)
	os.Exit(1)
}

// stored makes a message visible, or its settlement final.
func (j *journal) stored(p pending, seq uint64) {
	if j.stopped.Load() {
		return
	}
	if p.q == nil {
		j.settledStored(p, seq)
		return
	}
	j.mu.Lock()
	j.note(seq, uint32(p.size)|alive)
	j.live++
	b := j.index[p.q]
	if b != nil {
		b.seqs = append(b.seqs, seq)
		if len(b.bodies) < windowMax && len(b.bodies) == len(b.seqs)-1 {
			b.bodies = append(b.bodies, p.body)
		}
	}
	j.mu.Unlock()
	if j.window != nil {
		<-j.window
	}
	if j.receipt != nil {
		j.receipt(p)
	}
	if b == nil {
		p.q.sink(p.body, false)
		j.settle(seq)
	}
}

// note records a sequence's size; the journal has no holes. The lock is held.
func (j *journal) note(seq uint64, size uint32) {
	if want := j.base + uint64(len(j.sizes)); seq != want {
		fmt.Fprintf(os.Stderr, "%s: sequence %d where %d was expected\n", j.name, seq, want)
		os.Exit(1)
	}
	j.sizes = append(j.sizes, size)
}

// settle adds sequences to the next settlement record and sends it if none is on its way.
func (j *journal) settle(seqs ...uint64) {
	j.mu.Lock()
	j.settling = append(j.settling, seqs...)
	j.flush()
	j.mu.Unlock()
}

// flush sends the settlements that have collected. The lock is held.
func (j *journal) flush() {
	if j.inFlight || len(j.settling) == 0 {
		return
	}
	n := min(len(j.settling), settleMax)
	batch := slices.Clone(j.settling[:n])
	j.settling = append(j.settling[:0], j.settling[n:]...)
	body := binary.LittleEndian.AppendUint32(make([]byte, 0, 4+8*n), settleMark)
	for _, s := range batch {
		body = binary.LittleEndian.AppendUint64(body, s)
	}
	j.inFlight = true
	subject := j.name + ".s"
	if err := j.app.append(subject, body, pending{settled: batch, size: recordOver + len(subject) + len(body)}); err != nil {
		j.refuse(fmt.Errorf("settle: %w", err))
	}
}

func (j *journal) settledStored(p pending, seq uint64) {
	j.mu.Lock()
	// A settlement is dead at once: whatever it settles lies before it, so the
	// front cannot pass it while one of those is still there.
	j.note(seq, uint32(p.size))
	for _, s := range p.settled {
		if s >= j.base {
			j.sizes[s-j.base] &^= alive
		}
	}
	j.live -= len(p.settled)
	j.advance()
	j.inFlight = false
	j.flush()
	j.mu.Unlock()
	j.goneN.Add(int64(len(p.settled)))
}

// advance moves the front over dead records and cuts it now and then. The last
// record always stays: purging all would replace the directory. The lock is held.
func (j *journal) advance() {
	n := 0
	for n < len(j.sizes)-1 && j.sizes[n]&alive == 0 {
		j.deadSize += uint64(j.sizes[n])
		n++
	}
	j.base += uint64(n)
	j.sizes = j.sizes[n:]
	if j.deadSize < trimBytes || j.trimming {
		return
	}
	to := j.base
	j.deadSize, j.trimming = 0, true
	go j.purge(to) // at most one at a time; the cell waits for the last message, not for it
}

// purge removes what lies before seq, or the whole blocks among it.
func (j *journal) purge(seq uint64) {
	var err error
	if j.trim == "block" {
		seq, err = blockFloor(j.dir, seq)
	}
	if err == nil && seq > j.cut {
		err = api(j.control, "STREAM.PURGE."+j.name, map[string]any{"seq": seq}, nil)
	}
	if err != nil && !j.control.IsClosed() {
		fmt.Fprintln(os.Stderr, "purge:", err)
	}
	j.mu.Lock()
	j.cut = max(j.cut, seq)
	j.trims++
	j.trimming = false
	j.mu.Unlock()
}
