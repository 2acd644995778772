package jetstream

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/sluice-mq/sluice/gateway"
)

// A stream of a single node has one writer, which knows where it ends. It says so with each record (expectLast), so that after one that was refused, all that is under way
// is: nothing comes between the records of a bundle, and one that was cut off is the last of its stream. A cluster's stream takes what belongs together as an atomic
// batch. On a single node that would take several syncs of files of its own, 20 ms on a slow disk; there it is for what is too large for a bundle.

// together are the first of what waits that is published at once, and answered once: a single message, a bundle, or for an atomic batch as much as it may hold.
func (t *topicLog) together(waiting []*appending) *flight {
	f := &flight{}
	for _, a := range waiting {
		if len(f.batches) > 0 && (t.alone(a) || t.alone(f.batches[0]) || f.records+len(a.batch) > gateway.MaxLogBatch || a.fence != nil || f.batches[0].fence != nil) {
			break // who may be refused is, by itself
		}
		f.batches, f.records = append(f.batches, a), f.records+len(a.batch)
	}
	return f
}

// alone reports whether a batch is published by itself.
func (t *topicLog) alone(a *appending) bool { return len(a.batch) == 1 || t.single() && a.bundled }

// subjectAt is that of a record of a batch. Slots need none of their own.
func (t *topicLog) subjectAt(a *appending, i int) string {
	if a.bundled && i > 0 {
		return t.subject
	}
	return t.subjectOf(a.batch[i])
}

// single reports whether this node has the stream for itself.
func (t *topicLog) single() bool { return t.logs.store.cfg.Cluster == nil }

// publish sends a flight to the stream. If the connection is gone no answer comes, and that is seen when it is overdue.
func (t *topicLog) publish(f *flight) {
	t.fly(f)
	reply := t.logs.ask(f)
	var err error
	switch {
	case !t.alone(f.batches[0]):
		err = t.publishAtomic(f, reply)
	case t.single():
		err = t.publishRow(f.batches[0], reply)
	default:
		a := f.batches[0]
		m := &nats.Msg{Subject: t.subjectAt(a, 0), Reply: reply, Data: a.records[0]}
		a.fence.guard(m)
		err = t.logs.write.PublishMsg(m)
	}
	t.end += uint64(f.records)
	if err != nil {
		t.logs.store.cfg.Logger.Error("publishing to a log failed", "stream", t.stream, "error", err)
	}
}

// fly counts what is published and has no answer: what is published again is counted already.
func (t *topicLog) fly(f *flight) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, a := range f.batches {
		if !a.flying {
			a.flying = true
			t.flying++
			t.copies.begin(a)
		}
	}
}

// publishRow publishes records one behind the other; the last one is answered, as it is refused if one before it was.
func (t *topicLog) publishRow(a *appending, reply string) error {
	end := []string{""}
	m := &nats.Msg{Header: nats.Header{expectLast: end}}
	a.fence.guard(m)
	for i, record := range a.records {
		m.Subject, m.Data, end[0] = t.subjectAt(a, i), record, strconv.FormatUint(t.end+uint64(i), 10)
		if i == len(a.records)-1 {
			m.Reply = reply
		}
		if err := t.logs.write.PublishMsg(m); err != nil {
			return err
		}
		delete(m.Header, expectLastOfKey)
	}
	return nil
}

func (t *topicLog) publishAtomic(f *flight, reply string) error {
	id := strings.TrimPrefix(reply, "_r.l.") // of this process and number
	n := 0
	for _, a := range f.batches {
		for i, record := range a.records {
			n++
			m := &nats.Msg{Subject: t.subjectAt(a, i), Data: record, Header: nats.Header{"Nats-Batch-Id": {id}, "Nats-Batch-Sequence": {strconv.Itoa(n)}}}
			if n == 1 && t.single() {
				m.Header[expectLast] = []string{strconv.FormatUint(t.end, 10)}
			}
			if n == 1 {
				a.fence.guard(m)
			}
			if n == f.records {
				m.Header["Nats-Batch-Commit"] = []string{"1"}
				m.Reply = reply
			}
			if err := t.logs.write.PublishMsg(m); err != nil {
				return err
			}
		}
	}
	return nil
}

// align finds out where the stream of a single node ends, if something that was published to it was refused. All of that is answered by now.
func (t *topicLog) align(ctx context.Context) error {
	if !t.single() {
		return nil
	}
	t.mu.Lock()
	if !t.astray {
		t.end = max(t.end, t.known) // it was opened just now
		t.mu.Unlock()
		return nil
	}
	t.mu.Unlock()
	last, err := t.complete(ctx)
	if err != nil {
		return err
	}
	t.mu.Lock()
	t.astray, t.end = false, last
	t.mu.Unlock()
	return nil
}

// complete writes the slots that a bundle at the end of the stream has not, and returns the stream's last sequence. Nobody else writes to a stream of a single node
// meanwhile; what others write to a cluster's moves its end, and the slots are refused.
func (t *topicLog) complete(ctx context.Context) (last uint64, err error) {
	for {
		if last, err = t.logs.store.lastOf(ctx, t.stream); err != nil {
			return 0, err
		}
		missing, err := t.missingSlots(ctx, last)
		if err != nil {
			return 0, err
		}
		if len(missing) == 0 {
			t.whole.Store(true)
			return last, nil
		}
		if err := t.publishSlots(ctx, missing, last); err != nil {
			return 0, fmt.Errorf("completing %s: %w", t.stream, err)
		}
	}
}

// publishSlots publishes what is missing behind a sequence, or some of it: whoever wants to know looks again.
func (t *topicLog) publishSlots(ctx context.Context, missing [][]byte, last uint64) error {
	for i, record := range missing {
		m := &nats.Msg{Subject: t.subject, Data: record, Header: nats.Header{expectLast: {strconv.FormatUint(last+uint64(i), 10)}}}
		answer, err := t.logs.write.RequestMsgWithContext(ctx, m)
		if err != nil {
			return err
		}
		if bytes.Contains(answer.Data, []byte(wrongLast)) {
			return pause(ctx, lookAgain)
		}
		if _, err := parseAck(answer.Data); err != nil {
			return err
		}
	}
	return nil
}

// missingSlots are those of a bundle that is at the end of the stream, or of which slots are.
func (t *topicLog) missingSlots(ctx context.Context, last uint64) (missing [][]byte, err error) {
	body, err := json.Marshal(map[string]uint64{"seq": last})
	if err != nil || last == 0 {
		return nil, err
	}
	_, b, err := t.logs.store.get(ctx, t.stream, body)
	if err != nil {
		return nil, err
	}
	var s slot
	switch {
	case isSlot(b):
		s, err = decodeSlot(b)
	case isBundle(b):
		s.sum = sumOf(b)
		s.of, err = bundleSize(b)
	}
	if err != nil {
		return nil, &DamageError{Stream: t.stream, What: fmt.Sprintf("record %d cannot be read", last)}
	}
	for i := s.index + 1; i < s.of; i++ {
		missing = append(missing, appendSlot(nil, slot{i, s.of, s.sum}))
	}
	return missing, nil
}
