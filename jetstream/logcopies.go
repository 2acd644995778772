package jetstream

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/sluice-mq/sluice/gateway"
)

// The copies that a route makes have a subject of their own in the stream of their log. Who appends some says which record was the last with that subject, as far as he
// knows, and the stream refuses them if it is another one. So nobody's belief, pause or repetition has a copy stored twice, and what is known of it is as old as the log.

// copySubjects is what subjects of copies have behind that of their log.
const copySubjects = ".r."

// copySubject is that of the copies of a route from a log, by the key of their sources.
func (t *topicLog) copySubject(key string) string { return t.subject + copySubjects + key }

// subjectOf is that of a message.
func (t *topicLog) subjectOf(m *gateway.Message) string {
	if m.Source == nil {
		return t.subject
	}
	return t.copySubject(m.Source.Key())
}

// lastCopy is the last copy of a route from a log that another log has: the record that has it, which may be a bundle, the copy's own sequence, and its source's offset. The record is
// 0 if there is none.
type lastCopy struct{ record, seq, source uint64 }

// fenced is what has to be so for copies to be stored.
type fenced struct {
	key  string // of the sources
	last lastCopy
}

// guard has the stream refuse the first record of a batch, and with it all, unless it follows the last copy. Without a fence it does nothing.
func (f *fenced) guard(m *nats.Msg) {
	if f == nil {
		return
	}
	if m.Header == nil {
		m.Header = nats.Header{}
	}
	m.Header[expectLastOfKey] = []string{strconv.FormatUint(f.last.record, 10)}
}

// alsoWrongLast is in the stream's answer if another record with the subject is on its way to it, as wrongLast is if there is one.
const alsoWrongLast = `"err_code":10164`

// errOvertaken is the answer to copies that others may have appended.
var errOvertaken = gateway.Errorf(gateway.Conflict, "others append the same copies")

// overtaken reports whether a stream has refused a record for what it was to follow.
func overtaken(answer []byte) bool {
	return bytes.Contains(answer, []byte(wrongLast)) || bytes.Contains(answer, []byte(alsoWrongLast))
}

// foundAt is what became of a flight whose first record stands in the stream, and whose last one would at a sequence. Of copies others may have appended some only.
func (f *flight) foundAt(seq uint64) reply {
	if f.batches[0].fence != nil {
		return reply{err: errOvertaken}
	}
	return reply{seq: seq}
}

// copying are copies on their way to their log.
type copying struct {
	asked *appending // as their appender has them
	key   string     // of the sources
	until time.Time
	again bool // others came in between
}

// overtakenPause lets others who append the same copies go on.
const overtakenPause = 2 * time.Millisecond

// copyIn appends those of a batch of copies that are not in the log yet.
func (a *appending) copyIn(key string) error {
	c := &copying{asked: a, key: key, until: time.Now().Add(appendWithin)}
	if !a.log.logs.spawn(c.offer) {
		return errClosed
	}
	return nil
}

// offer has what is not there yet appended behind what is.
func (c *copying) offer() {
	t := c.asked.log
	ctx, cancel := context.WithDeadline(t.logs.following, c.until)
	defer cancel()
	if c.again {
		_ = pause(ctx, overtakenPause) // if it ends lastOf says so
	}
	last, err := t.lastOf(ctx, c.key)
	if err != nil {
		if !errors.Is(err, errNoLog) {
			err = gateway.WrapError(gateway.Unavailable, err, "the log does not say which copies it has")
		}
		c.asked.complete(err)
		return
	}
	rest := c.asked.batch
	for ; len(rest) > 0 && last.record != 0 && rest[0].Source.Offset <= last.source; rest = rest[1:] {
		rest[0].Offset = last.seq - 1
	}
	if len(rest) == 0 { // as durable as if it were appended now
		c.asked.last = last.seq
		t.mu.Lock()
		t.unlockAndCommit(c.asked)
		return
	}
	a := &appending{log: t, batch: rest, c: c, fence: &fenced{c.key, last}}
	if err = a.encode(); err == nil {
		err = t.push(a)
	}
	if err != nil {
		c.asked.complete(err)
	}
}

// Complete implements gateway.Completion: the copies are in the log, or not. If others came in between it is looked again what is there.
func (c *copying) Complete(_ uint64, err error) {
	if errors.Is(err, errOvertaken) {
		if c.again = true; time.Now().Before(c.until) && c.asked.log.logs.spawn(c.offer) {
			return
		}
		err = gateway.WrapError(gateway.Unavailable, err, "the log does not take the message")
	}
	c.asked.complete(err)
}

// lastOf finds the last copy with a key: as it was when this node saw it last, or as the stream's leader says.
func (t *topicLog) lastOf(ctx context.Context, key string) (lastCopy, error) {
	t.mu.Lock()
	last, ok := t.copies.last[key]
	t.mu.Unlock()
	if ok {
		return last, nil
	}
	if t.single() { // what it holds has to be on disk
		if there, err := t.open(ctx, false); err != nil || !there {
			return lastCopy{}, err
		}
	}
	body, err := json.Marshal(map[string]string{"last_by_subj": t.copySubject(key)})
	if err != nil {
		return lastCopy{}, err
	}
	for {
		if t.logs.over() {
			return lastCopy{}, errClosed
		}
		within, cancel := context.WithTimeout(ctx, answerWithin)
		seq, record, err := t.logs.store.get(within, t.stream, body)
		cancel()
		switch {
		case errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil: // a leader that has died answers nobody
			continue
		case err != nil || seq == 0:
			return lastCopy{}, err
		}
		if last, err = lastIn(seq, record); err != nil {
			return lastCopy{}, &DamageError{Stream: t.stream, What: fmt.Sprintf("record %d cannot be read", seq)}
		}
		return last, nil
	}
}

// lastIn is the last copy in a record.
func lastIn(seq uint64, record []byte) (lastCopy, error) {
	if !isBundle(record) {
		m, err := decodeLogged(record)
		if err != nil || m.Source == nil {
			return lastCopy{}, errBadRecord
		}
		return lastCopy{seq, seq, m.Source.Offset}, nil
	}
	n, err := bundleSize(record)
	if err != nil {
		return lastCopy{}, err
	}
	all, err := decodeBundle(record, n-1, 1)
	if err != nil || all[0].Source == nil {
		return lastCopy{}, errBadRecord
	}
	return lastCopy{seq, seq + uint64(n) - 1, all[0].Source.Offset}, nil
}

// copies is what is known here of a log's copies, by the keys of their sources: the last ones, and how many batches are published and have no answer.
type copies struct {
	last     map[string]lastCopy
	underway map[string]int
}

// mostCopies is of how many keys a log remembers the last copies.
const mostCopies = 1000

// begin takes note of copies that are published. The log's lock is held.
func (k *copies) begin(a *appending) {
	if a.fence == nil {
		return
	}
	if k.underway == nil {
		k.underway = make(map[string]int)
	}
	k.underway[a.fence.key]++
}

// behind reports whether a flight would be refused for what others have appended here meanwhile. It is not published then: on a single node what is published after it would be
// refused as well.
func (t *topicLog) behind(f *flight) bool {
	fence := f.batches[0].fence
	if fence == nil {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	last, known := t.copies.last[fence.key]
	return known && last != fence.last || t.copies.underway[fence.key] > 0
}

// copied takes note of what became of copies. The lock is held.
func (t *topicLog) copied(a *appending, seq uint64, err error) {
	if a.fence == nil {
		return
	}
	k, key := &t.copies, a.fence.key
	if a.flying {
		if k.underway[key]--; k.underway[key] == 0 {
			delete(k.underway, key)
		}
		if err != nil && k.last[key] == a.fence.last { // others have come in between, or nobody knows
			delete(k.last, key)
		}
	}
	if err != nil {
		return
	}
	if k.last == nil || len(k.last) >= mostCopies {
		k.last = make(map[string]lastCopy)
	}
	record := seq
	if a.bundled {
		record -= uint64(len(a.batch)) - 1
	}
	k.last[key] = lastCopy{record, seq, a.batch[len(a.batch)-1].Source.Offset}
}

// unlockAndCommit completes what is in the stream, when it is on disk. The lock is held, and given up.
func (t *topicLog) unlockAndCommit(a *appending) {
	log := t.log
	if a.last <= t.synced {
		log = nil
	}
	if log != nil {
		t.acked = append(t.acked, a)
	}
	t.mu.Unlock()
	if log == nil {
		a.complete(nil)
		return
	}
	log.Dirty()
}

// copyVersion begins the records of copies, where others have their version: after it and their type come the IDs of the route and the log, the source's offset and the hops,
// and then a message as in the other records.
const copyVersion = 0x81

// appendLogged appends the record of a message in a log.
func appendLogged(dst []byte, m *gateway.Message) []byte {
	if m.Source == nil {
		return appendRecord(dst, &gateway.Record{Type: gateway.RecordMessage, Message: m})
	}
	dst = appendString(append(dst, copyVersion, byte(gateway.RecordMessage)), m.Source.Route)
	dst = appendString(dst, m.Source.Log)
	dst = binary.AppendUvarint(dst, m.Source.Offset)
	dst = binary.AppendUvarint(dst, uint64(m.Source.Hops))
	return appendMessage(dst, m, 0, 0, "")
}

// decodeLogged reads a record of a log; b belongs to the message.
func decodeLogged(b []byte) (*gateway.Message, error) {
	if len(b) < 2 || b[0] != copyVersion {
		r, err := decodeRecord(b, true)
		if err == nil && r.Message == nil {
			err = errBadRecord
		}
		if err != nil {
			return nil, err
		}
		return r.Message, nil
	}
	d := decoder{b: b[2:]}
	route, log := string(d.bytes(d.uvarint())), string(d.bytes(d.uvarint()))
	offset, hops := d.uvarint(), d.uvarint()
	m, _, _, _ := d.message(true)
	if d.failed || b[1] != byte(gateway.RecordMessage) || hops > math.MaxInt32 {
		return nil, errBadRecord
	}
	m.Source = &gateway.Source{Route: route, Log: log, Offset: offset, Hops: int(hops)}
	return m, nil
}
