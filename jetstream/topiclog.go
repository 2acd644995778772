package jetstream

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/jetstream/commit"
)

// topicLog is the log of one topic. What is appended waits until its writer publishes it, is in flight until the stream answers, and on a single node
// acked until it is on disk.
type topicLog struct {
	logs      *logs
	topic     string // the first that had it
	id        string
	keeps     map[string]time.Duration // for how long, by the topics that have it; under the lock of logs
	stream    string
	subject   string
	begins    uint64      // the sequence of the first record that it ever has
	opening   sync.Mutex  // held by who makes or opens the stream
	asking    atomic.Bool // somebody looks why it does not answer
	bundles   atomic.Bool // the record that was read last was a bundle, or of one
	whole     atomic.Bool // no bundle at its end was cut off by a crash
	retention time.Duration
	places    places // of who reads it

	mu      sync.Mutex
	flown   sync.Cond // flight shrank, or all is over
	waiting []*appending
	writing bool // there is a writer
	there   bool // the stream is, as far as is known
	ready   bool // and it is open here
	untold  bool // its retention is to be told to the stream
	dropped bool // the topic is gone
	flight  int  // bytes
	flying  int  // batches that are published and not answered
	astray  bool // on a single node: a batch of them was refused, and nobody has looked since where the stream ends
	log     *commit.Log
	acked   []*appending
	sealed  []*appending
	// unchanged: nobody has opened it since the start of a single node, and all of it is on disk.
	unchanged bool
	synced    uint64    // all up to this sequence is on disk, of a single node
	known     uint64    // the stream has come as far as that
	end       uint64    // and of a single node as far as that, if it takes all that was published; for its writer alone
	oldest    time.Time // of its messages; zero if that is not known
	copies    copies
}

// flightMost is how many bytes may be in flight to a log.
const flightMost = 32 << 20

func newTopicLog(l *logs, topic string, f gateway.LogFact) *topicLog {
	stream := streamOf(f)
	t := &topicLog{
		logs: l, topic: topic, id: f.ID, stream: stream, subject: logSubjects + strings.TrimPrefix(stream, logStreams), begins: f.First + 1,
		keeps: make(map[string]time.Duration), retention: retentionOf(f),
	}
	t.flown.L = &t.mu
	t.whole.Store(!t.single()) // an atomic batch is there as a whole
	return t
}

func retentionOf(f gateway.LogFact) time.Duration {
	return time.Duration(f.Retention) * time.Millisecond
}

// retain finds out for how long messages stay, which is as long as any of the topics wants them, and reports whether that has changed. The lock of logs is held.
func (t *topicLog) retain() bool {
	longest := time.Duration(0)
	for _, d := range t.keeps {
		if d == 0 {
			longest = 0
			break
		}
		longest = max(longest, d)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.retention == longest {
		return false
	}
	t.retention, t.untold = longest, true
	return true
}

// found says that the stream is there.
func (t *topicLog) found() {
	t.mu.Lock()
	t.there = true
	t.mu.Unlock()
}

func (t *topicLog) wake() {
	t.mu.Lock()
	t.flown.Broadcast()
	t.mu.Unlock()
}

// drop says that the topic is gone: the stream is not made again.
func (t *topicLog) drop() {
	t.mu.Lock()
	t.dropped = true
	t.flown.Broadcast()
	t.mu.Unlock()
}

// leave ends the commits of a log whose topic is gone. What is not on disk goes with it.
func (t *topicLog) leave() {
	t.opening.Lock()
	defer t.opening.Unlock()
	t.mu.Lock()
	log := t.log
	t.log, t.ready = nil, false
	t.mu.Unlock()
	if log != nil {
		_ = log.Close() // it fails if the committer has ended, and with it all logs
	}
	t.mu.Lock()
	lost := append(t.sealed, t.acked...)
	t.sealed, t.acked = nil, nil
	t.mu.Unlock()
	for _, a := range lost {
		a.complete(errNoLog)
	}
}

var errNoLog = gateway.Errorf(gateway.NotFound, "the topic has no log any more")

// push has a batch written behind all that were pushed before.
func (t *topicLog) push(a *appending) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.writing {
		if !t.logs.spawn(t.run) {
			return errClosed
		}
		t.writing = true
	}
	t.waiting = append(t.waiting, a)
	return nil
}

// run publishes until nothing waits.
func (t *topicLog) run() {
	for {
		t.mu.Lock()
		for (t.flight > flightMost || t.astray && t.flying > 0) && !t.dropped && !t.logs.over() {
			t.flown.Wait()
		}
		batch := t.waiting
		t.waiting = nil
		if len(batch) == 0 {
			t.writing = false
			t.mu.Unlock()
			return
		}
		for _, a := range batch {
			t.flight += a.size
		}
		t.mu.Unlock()
		t.send(batch)
	}
}

// send publishes batches, each as soon as it may.
func (t *topicLog) send(batch []*appending) {
	t.logs.mending.RLock()
	defer t.logs.mending.RUnlock()
	known := t.logs.store.cfg.Cluster == nil || t.isReady()
	ctx, cancel := context.WithTimeout(t.logs.following, appendWithin)
	_, err := t.open(ctx, true)
	if err == nil {
		err = t.align(ctx)
	}
	cancel()
	for len(batch) > 0 {
		f := t.together(batch)
		batch = batch[len(f.batches):]
		switch {
		case err != nil:
			f.landed(0, err)
		case t.behind(f):
			f.landed(0, errOvertaken)
		case known:
			t.publish(f)
		default:
			t.publishFirst(f)
			known = true
		}
	}
}

// isReady reports whether the stream was open already.
func (t *topicLog) isReady() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.ready
}

// over reports whether the logs are closed.
func (l *logs) over() bool {
	l.ending.Lock()
	defer l.ending.Unlock()
	return l.closed
}

// landed takes what became of a batch.
func (t *topicLog) landed(a *appending, seq uint64, err error) {
	t.mu.Lock()
	t.flight -= a.size
	if a.flying {
		t.flying--
		t.astray = t.astray || err != nil && t.single()
	}
	t.flown.Broadcast()
	t.copied(a, seq, err)
	if a.fence != nil && errors.Is(err, errOvertaken) {
		t.mu.Unlock()
		a.complete(err)
		return
	}
	if err != nil {
		t.ready = t.ready && t.log != nil // in a cluster: look again whether it is there
		t.there = t.ready
		t.mu.Unlock()
		if k := gateway.KindOf(err); k != gateway.Unavailable && k != gateway.NoSpace && !errors.Is(err, errNoLog) {
			err = gateway.WrapError(gateway.Unavailable, err, "the log does not take the message")
		}
		a.complete(err)
		return
	}
	a.last, t.known = seq, max(t.known, seq)
	for i, m := range a.batch {
		m.Offset = seq - uint64(len(a.batch)) + uint64(i)
	}
	t.unlockAndCommit(a)
}

func (a *appending) complete(err error) {
	if a.c != nil {
		a.c.Complete(a.token, err)
	}
}

// Seal implements commit.Source.
func (t *topicLog) Seal() {
	t.mu.Lock()
	t.sealed, t.acked = append(t.sealed, t.acked...), nil
	t.mu.Unlock()
}

// Committed implements commit.Source.
func (t *topicLog) Committed(err error) {
	t.mu.Lock()
	sealed := t.sealed
	t.sealed = nil
	if err == nil {
		for _, a := range sealed {
			t.synced = max(t.synced, a.last)
		}
	}
	t.mu.Unlock()
	if err != nil {
		err = gateway.WrapError(gateway.Unavailable, err, "the store has failed")
	}
	for _, a := range sealed {
		a.complete(err)
	}
}
