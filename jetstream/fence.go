package jetstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/sluice-mq/sluice/gateway"
)

// errMoved is the answer to records that another node may write now.
var errMoved = gateway.Errorf(gateway.Moved, "another node owns the queue now")

// expectLast is the header that makes a stream refuse a record unless it comes right behind
// the sequence in it.
const expectLast = "Nats-Expected-Last-Sequence"

// fence publishes a journal's records. In a cluster each carries the sequence that it must
// follow. Another owner begins with more records of its own than this one may have under way: from then on nothing of this one is
// stored any more, whatever it believes. For one goroutine.
type fence struct {
	j    *journal
	msg  nats.Msg
	last []string // the header's value
}

func newFence(j *journal) *fence {
	f := &fence{j: j, last: make([]string, 1)}
	f.msg.Header = nats.Header{expectLast: f.last}
	return f
}

func (f *fence) publish(subject, reply string, record []byte, last uint64) error {
	if f.j.epoch == 0 {
		return f.j.store.publish.PublishRequest(subject, reply, record)
	}
	f.last[0] = strconv.FormatUint(last, 10)
	f.msg.Subject, f.msg.Reply, f.msg.Data = subject, reply, record
	return f.j.store.publish.PublishMsg(&f.msg)
}

// answeredInTurn takes a PubAck of a tenure. Each record has one, in their order; if one is missing, or is an error, the tenure is over: what
// became of its record is looked up. That the next one was stored says nothing of it, since the next owner's first record may be
// what it follows.
func (j *journal) answeredInTurn(generation int, seq uint64, err error) {
	j.mu.Lock()
	if generation != j.generation {
		j.mu.Unlock()
		return
	}
	if err != nil || seq != j.next || j.flight.len() == 0 {
		j.leaveLocked()
		j.mu.Unlock()
		return
	}
	j.answers++
	full := j.flight.len() >= j.window || j.bytes >= windowBytes
	r := j.flight.pop()
	j.bytes -= recordSize(r.record)
	j.stored += uint64(recordSize(r.record))
	if full {
		j.work.Signal()
	}
	j.mu.Unlock()
	j.confirm(seq, r)
}

// leave ends the tenure: nothing more is published, and answers count no more.
func (j *journal) leave() {
	j.mu.Lock()
	j.leaveLocked()
	j.mu.Unlock()
}

func (j *journal) leaveLocked() {
	if !j.left {
		j.left = true
		j.generation++
		close(j.lost)
		j.work.Broadcast()
	}
}

// lookAgain is how long to wait before looking again for what is not there yet.
const lookAgain = 20 * time.Millisecond

// outcome finds out what became of the records that the tenure left unanswered, and answers them. What
// is not in the journal when the next owner's first record is there never will be. The appender has ended.
func (j *journal) outcome(ctx context.Context) {
	j.mu.Lock()
	rest := append([]request(nil), j.flight.items[j.flight.head:]...)
	j.flight, j.bytes = fifo{}, 0
	at := j.next
	j.mu.Unlock()
	answer, all := errMoved, len(rest)
	if !j.search(ctx, at, &rest) {
		answer = errClosed
	}
	if all > 0 {
		j.store.cfg.Logger.Info("records were under way when another node took a shard over", "shard", j.shard, "epoch", j.epoch, "first", at, "records", all, "stored", all-len(rest))
	}
	for j.answer(rest, answer); ; j.answer(rest, answer) { // and what was never published
		j.mu.Lock()
		rest, j.waiting = j.waiting, nil
		j.over = len(rest) == 0
		j.mu.Unlock()
		if len(rest) == 0 {
			return
		}
	}
}

// search confirms the records that are in the journal from at on, and leaves the rest. It returns false if ctx ends before it
// is known which those are. Behind them come records of the next owner, more than this one may have had under way: so it is enough to
// find out where those begin.
func (j *journal) search(ctx context.Context, at uint64, left *[]request) bool {
	rest := *left
	if len(rest) == 0 {
		return true
	}
	if _, err := j.await(ctx, at+uint64(len(rest))); err != nil {
		return errors.Is(err, errTrimmed) // whoever has trimmed it knows by their ids what it had stored
	}
	var buf []byte
	low, high := 0, len(rest)
	for low < high {
		middle := low + (high-low)/2
		b, err := j.await(ctx, at+uint64(middle))
		if err != nil {
			return errors.Is(err, errTrimmed)
		}
		buf = appendRecord(buf[:0], rest[middle].record)
		switch r, err := decodeRecord(b, false); {
		case err == nil && r.Type == gateway.RecordEpoch:
			high = middle
		case string(buf) != string(b):
			j.store.cfg.Logger.Error("a record is not what was to be there", "stream", j.stream, "sequence", at+uint64(middle))
			high = middle
		default:
			low = middle + 1
		}
	}
	for i, r := range rest[:low] {
		j.confirm(at+uint64(i), r)
	}
	*left = rest[low:]
	return true
}

// await reads a record as soon as it is there, unless it was trimmed or ctx ends. It asks the leader: this node's own replica may be
// far behind after it was cut off.
func (j *journal) await(ctx context.Context, seq uint64) ([]byte, error) {
	patience, complained := answerSoon, false
	for {
		b, err := j.lead(ctx, seq, patience)
		if err == nil || errors.Is(err, errTrimmed) {
			return b, err
		}
		if patience == answerWithin && !errors.Is(err, errEnd) && !complained && ctx.Err() == nil {
			complained = true
			j.store.cfg.Logger.Warn("looking for what became of records failed, it is tried again", "stream", j.stream, "error", err)
		}
		if err := pause(ctx, lookAgain); err != nil {
			return nil, err
		}
		patience = min(2*patience, answerWithin)
	}
}

// errTrimmed: the record was given up.
var errTrimmed = errors.New("the record was trimmed")

// answerSoon is how long the first question to a leader may take. While there is none nobody answers, and who has waited for that is
// late when there is one: it comes just when a tenure has ended.
const answerSoon = 50 * time.Millisecond

// lead reads one record from the stream's leader, which has so long to answer. It returns errEnd if that does not have it yet.
func (j *journal) lead(ctx context.Context, seq uint64, patience time.Duration) ([]byte, error) {
	within, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	answer, err := j.request(within, fmt.Appendf(nil, `{"seq":%d}`, seq))
	if err != nil {
		return nil, fmt.Errorf("asking for record %d of %s: %w", seq, j.stream, err)
	}
	switch {
	case answer.Error == nil:
		return answer.Message.Data, nil
	case answer.Error.ErrorCode != noMessage:
		return nil, fmt.Errorf("asking for record %d of %s: %w", seq, j.stream, answer.Error)
	}
	if info, err := j.info(within); err == nil && info.State.FirstSeq > seq {
		return nil, errTrimmed
	}
	return nil, errEnd
}

// found is what a server says of a record.
type found struct {
	Message struct {
		Data []byte `json:"data"`
	} `json:"message"`
	Error *jetstream.APIError `json:"error"`
}

// request asks the stream's leader for a record. Servers that believe that there is no leader say so, and sooner than the
// leader answers: that counts only if nothing else comes.
func (j *journal) request(ctx context.Context, what []byte) (answer found, err error) {
	nc := j.store.publish
	m, err := nc.RequestWithContext(ctx, getRecord+j.stream, what)
	if err != nil {
		return answer, err
	}
	if err := json.Unmarshal(m.Data, &answer); err != nil || answer.Error == nil || answer.Error.ErrorCode != notAvailable {
		return answer, err
	}
	all, err := nc.SubscribeSync(nc.NewInbox())
	if err != nil {
		return answer, err
	}
	defer all.Unsubscribe()
	if err := nc.PublishRequest(getRecord+j.stream, all.Subject, what); err != nil {
		return answer, err
	}
	for {
		m, err := all.NextMsgWithContext(ctx)
		if err != nil {
			return answer, nil // what the others said
		}
		var next found
		if err := json.Unmarshal(m.Data, &next); err != nil || next.Error == nil || next.Error.ErrorCode != notAvailable {
			return next, err
		}
	}
}

// getRecord begins the subjects on which leaders give records out.
const getRecord = "$JS.API.STREAM.MSG.GET."

// notAvailable is the server's number for a stream that it knows no leader of.
const notAvailable = 10008

// noMessage is the server's number for a record that is not there.
const noMessage = 10037

// answer ends records that nothing is known of, or that are nowhere.
func (j *journal) answer(rest []request, err error) {
	for _, r := range rest {
		r.to.Appended(0, err)
	}
}

// pause waits, or returns the context's error.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
