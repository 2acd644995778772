package jetstream

import (
	"fmt"
	"strconv"
	"sync"

	"github.com/nats-io/nats.go"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/jetstream/commit"
)

const (
	// window bounds what is published and not yet acknowledged: the stream's own
	// queue drops messages beyond 100,000 or 128 MiB.
	windowRecords = 8192
	windowBytes   = 32 << 20
	// fencedWindow is windowRecords of an owner in a cluster. The next owner begins with so many records of its own, one more:
	// then nothing that this one has published can follow them.
	fencedWindow = 2048
)

// journal is one shard's stream. Its life: Append queues a record in waiting; the
// appender publishes it and moves it to flight; the stream's answer makes it known as stored and moves it to
// acked (or completes it, if relaxed); the committer seals acked and, after the sync, completes it.
type journal struct {
	store  *Store
	window int // records that may be published and not acknowledged
	shard  int
	stream string // "Q_03"
	prefix string // "q.03."
	log    *commit.Log

	mu      sync.Mutex
	work    sync.Cond // for the appender: waiting grew, flight shrank, suspended or closed changed
	waiting []request
	flight  fifo
	bytes   int // of records in flight
	acked   []outcome
	sealed  []outcome

	next      uint64 // the sequence that the next answer must carry
	first     uint64 // of the stream
	trimTo    uint64 // nothing below is needed
	committed uint64 // everything up to here is as durable as promised
	stored    uint64 // bytes, roughly
	answers   uint64 // counts what the stream answered
	watched   uint64 // answers at the last look of stalled
	still     int    // looks without an answer that was due
	held      bool   // the appender must not publish: no space, or the stream is being revived
	closed    bool
	failure   error

	// Of an owner in a cluster. epoch is 0 on a single node.
	epoch     uint64        // the sequence of the record that its tenure began with
	sent      uint64        // the sequence of the last record that was published
	left      bool          // the tenure is over: what is appended waits behind what is unanswered
	suspected int           // times that reading found damage
	compared  bool          // its front is where it is on other nodes; before, nothing is given up
	lost      chan struct{} // closed then
	over      bool          // all that was appended is answered
	// reading: nothing is ever appended here, others do.
	reading bool

	telling    int // records that the stream has stored and whose callers are being told so
	generation int // of answers: those of an older one are ignored
	listening  *nats.Subscription
	deaf       chan struct{} // closed after the last call of listening
	reply      string
	publishing bool // the appender has a batch in its hands
	done       chan struct{}
}

func newJournal(s *Store, shard int) *journal {
	j := &journal{
		window: windowRecords,
		store:  s,
		shard:  shard,
		stream: fmt.Sprintf("Q_%02d", shard),
		prefix: fmt.Sprintf("q.%02d.", shard),
		done:   make(chan struct{}),
		lost:   make(chan struct{}),
	}
	j.work.L = &j.mu
	if s.cfg.Cluster != nil {
		j.window = fencedWindow
	}
	return j
}

// Append implements gateway.Journal.
func (j *journal) Append(r *gateway.Record, a gateway.Appended) {
	tooLarge := beyondLimit(r)
	j.mu.Lock()
	err := j.failure
	if err == nil && j.over {
		err = errMoved
	}
	if err == nil && j.closed {
		err = gateway.Errorf(gateway.Unavailable, "the store is closed")
	}
	if err == nil && tooLarge {
		err = gateway.Errorf(gateway.Limit, "the message is too large for the store")
	}
	if err == nil {
		j.waiting = append(j.waiting, request{r, a})
		if len(j.waiting) == 1 {
			j.work.Signal()
		}
	}
	j.mu.Unlock()
	if err != nil {
		a.Appended(0, err)
	}
}

// run is the appender: it publishes what has collected, in batches, until the journal closes.
func (j *journal) run() {
	defer close(j.done)
	var batch []request
	var buf []byte
	f := newFence(j)
	for {
		var reply string
		var last uint64
		batch, reply, last = j.take(batch[:0])
		if batch == nil {
			j.giveUp()
			return
		}
		for i := range batch {
			buf = appendRecord(buf[:0], batch[i].record)
			if err := f.publish(j.subject(batch[i].record), reply, buf, last+uint64(i)); err != nil {
				// The connection is gone, so no answers come any more: the watch sees it.
				j.store.cfg.Logger.Error("publishing to the store failed", "stream", j.stream, "error", err)
				break
			}
		}
		clear(batch)
		if cap(buf) > 1<<20 {
			buf = nil
		}
	}
}

// take waits for work and moves it to flight; nil when the journal closes. last is the sequence before
// the first of the batch, if this is an owner in a cluster.
func (j *journal) take(batch []request) (_ []request, reply string, last uint64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.publishing = false
	for {
		switch {
		case j.closed && len(j.waiting) == 0, j.left, j.failure != nil:
			return nil, "", 0
		case j.held, len(j.waiting) == 0, j.flight.len() >= j.window, j.bytes >= windowBytes:
			j.work.Wait()
			continue
		}
		break
	}
	n, before := 0, j.bytes
	for n < len(j.waiting) && j.flight.len() < j.window && j.bytes < windowBytes {
		r := j.waiting[n]
		j.bytes += recordSize(r.record)
		j.flight.push(r)
		batch = append(batch, r)
		n++
	}
	rest := copy(j.waiting, j.waiting[n:])
	clear(j.waiting[rest:])
	j.waiting = j.waiting[:rest]
	j.publishing = true
	j.store.space.wrote(j.bytes - before)
	last = j.sent
	j.sent += uint64(n)
	return batch, j.reply, last
}

// recordSize is roughly what a record takes on disk.
func recordSize(r *gateway.Record) int {
	switch {
	case r.Message != nil:
		return r.Message.Size() + 64
	case r.Type == gateway.RecordPrepare:
		n := 64
		for _, m := range r.Messages {
			n += m.Size() + 16
		}
		return n
	}
	return 64 + 3*len(r.Settled) + 8*len(r.Marks)
}

// beyondLimit reports whether the server would refuse the record. Only what is nearly
// too large is measured exactly.
func beyondLimit(r *gateway.Record) bool {
	return recordSize(r) > MaxRecord-1<<20 && len(appendRecord(nil, r)) > MaxRecord
}

// subject of a record: messages by queue, so that a queue's backlog can be read alone.
func (j *journal) subject(r *gateway.Record) string {
	switch r.Type {
	case gateway.RecordMessage:
		return j.prefix + "m." + gateway.EscapeName(r.Message.Place())
	case gateway.RecordEpoch:
		return j.prefix + "e"
	}
	return j.prefix + "c"
}

// listen starts taking answers, under a reply subject of their own.
func (j *journal) listen() error {
	j.mu.Lock()
	j.generation++
	generation := j.generation
	j.reply = "_r." + j.prefix + strconv.Itoa(generation)
	if j.epoch > 0 { // on all nodes together
		j.reply += "." + j.store.cfg.Node + "." + strconv.FormatUint(j.epoch, 10)
	}
	old := j.listening
	j.mu.Unlock()
	if old != nil {
		_ = old.Unsubscribe() // a generation that nobody answers any more
	}
	sub, err := j.store.publish.Subscribe(j.reply, func(m *nats.Msg) { j.answered(generation, m.Data) })
	if err != nil {
		return fmt.Errorf("listening to %s: %w", j.stream, err)
	}
	deaf := make(chan struct{})
	sub.SetClosedHandler(func(string) { close(deaf) })
	if err := sub.SetPendingLimits(-1, -1); err != nil {
		return fmt.Errorf("listening to %s: %w", j.stream, err)
	}
	j.mu.Lock()
	j.listening, j.deaf = sub, deaf
	j.mu.Unlock()
	return j.store.publish.Flush()
}

// answered takes one PubAck. Answers come in the order of the publishes.
func (j *journal) answered(generation int, ack []byte) {
	seq, err := parseAck(ack)
	if j.epoch > 0 {
		j.answeredInTurn(generation, seq, err)
		return
	}
	j.mu.Lock()
	if generation != j.generation || j.flight.len() == 0 {
		j.mu.Unlock()
		return
	}
	full := j.flight.len() >= j.window || j.bytes >= windowBytes
	r := j.flight.pop()
	j.bytes -= recordSize(r.record)
	j.answers++
	if full {
		j.work.Signal()
	}
	if err == nil && seq != j.next {
		err = j.failLocked(fmt.Errorf("stream %s stored sequence %d where %d was due: somebody else writes to it", j.stream, seq, j.next))
	}
	if err != nil {
		j.mu.Unlock()
		r.to.Appended(0, err)
		return
	}
	j.stored += uint64(recordSize(r.record))
	j.mu.Unlock()
	j.confirm(seq, r)
}

// confirm treats a record as stored: it is the next in the stream.
func (j *journal) confirm(seq uint64, r request) {
	j.mu.Lock()
	j.next = seq + 1
	if !r.record.Relaxed {
		j.telling++
	}
	j.mu.Unlock()
	if r.record.Relaxed {
		r.to.Appended(seq, nil)
		return
	}
	j.keepForCommit(seq, r)
}

// keepForCommit tells who waits for a record that it is stored, and leaves it to the
// next group. It was counted in telling.
func (j *journal) keepForCommit(seq uint64, r request) {
	if s, ok := r.to.(gateway.Stored); ok {
		s.Stored(seq)
	}
	j.mu.Lock()
	j.telling--
	j.acked = append(j.acked, outcome{seq, r.to})
	j.mu.Unlock()
	if r.record.Patient {
		j.log.DirtyLater()
		return
	}
	j.log.Dirty()
}

// Seal implements commit.Source: what is acknowledged by now belongs to the group.
func (j *journal) Seal() {
	j.mu.Lock()
	j.sealed, j.acked = j.acked, j.sealed[:0]
	j.mu.Unlock()
}

// Committed implements commit.Source: the sealed group is on disk, or never will be.
func (j *journal) Committed(err error) {
	j.mu.Lock()
	if err != nil {
		err = j.failLocked(fmt.Errorf("syncing %s: %w", j.stream, err))
	} else if n := len(j.sealed); n > 0 {
		j.committed = j.sealed[n-1].seq
	}
	group := j.sealed
	j.mu.Unlock()
	for i := range group {
		if err != nil {
			group[i].to.Appended(0, err)
		} else {
			group[i].to.Appended(group[i].seq, nil)
		}
	}
	clear(group)
	j.mu.Lock()
	j.sealed = group[:0]
	j.mu.Unlock()
}

// failLocked ends the journal: nothing is promised any more. It returns the error for clients.
func (j *journal) failLocked(cause error) error {
	if j.failure == nil {
		j.failure = gateway.WrapError(gateway.Unavailable, cause, "the store has failed")
		j.work.Broadcast()
		j.store.failed(cause)
	}
	return j.failure
}

// fail ends the journal.
func (j *journal) fail(cause error) {
	j.mu.Lock()
	_ = j.failLocked(cause)
	j.mu.Unlock()
}

// giveUp answers what a failed journal will not store, so that nobody waits for ever.
func (j *journal) giveUp() {
	j.mu.Lock()
	err := j.failure
	var rest []request
	if err != nil {
		rest = append(rest, j.flight.items[j.flight.head:]...)
		rest = append(rest, j.waiting...)
		j.flight, j.bytes, j.waiting = fifo{}, 0, nil
	}
	j.mu.Unlock()
	for _, r := range rest {
		r.to.Appended(0, err)
	}
}

// State implements gateway.Journal.
func (j *journal) State() gateway.JournalState {
	j.mu.Lock()
	defer j.mu.Unlock()
	return gateway.JournalState{First: j.first, Last: j.next - 1, Bytes: j.stored, Err: j.failure}
}

// Trim implements gateway.Journal. The store's housekeeping does the work.
func (j *journal) Trim(seq uint64) {
	j.mu.Lock()
	if seq > j.trimTo {
		j.trimTo = seq
	}
	j.mu.Unlock()
}

// close waits until everything appended was answered, then stops the appender; the
// committer must still run. If the journal is held or was not drained, what waits is given up instead.
func (j *journal) close(drained bool) {
	j.mu.Lock()
	j.closed = true
	stuck := j.held || !drained
	j.mu.Unlock()
	if stuck {
		j.abandon()
	}
	j.mu.Lock()
	j.work.Broadcast()
	j.mu.Unlock()
	<-j.done
}
