package jetstream

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/jetstream/commit"
	"github.com/sluice-mq/sluice/jetstream/embed"
)

const (
	// readBatch and readBytes bound one direct get: while it runs, the stream's appends wait.
	readBatch = 256
	readBytes = 1 << 20
	// readTimeout is how long a batch may take to go on.
	readTimeout = 20 * time.Second
	// dense is how many records a load may read for each one it wants before it
	// asks for the queue's own records instead.
	dense = 4
)

// errEnd: there is no record at or after the sequence.
var errEnd = errors.New("end of the stream")

// reader reads records of streams over its own connection, because the server
// runs a batch on the connection's read loop. Safe for concurrent use.
type reader struct {
	nc *nats.Conn
	// owes: of what was asked for by it something may still be on its way, which nobody wants.
	owes bool
}

// newReader connects one. A subscription of its connection has room for a whole batch, and no more: by default each would take half a megabyte.
func (s *Store) newReader(name string) (reader, error) {
	nc, err := s.cfg.Server.Connect(embed.Store, name, nats.SyncQueueLen(2*readBatch))
	if err != nil {
		return reader{}, err
	}
	s.readConns = append(s.readConns, nc)
	return reader{nc: nc}, nil
}

type getRequest struct {
	Seq     uint64 `json:"seq,omitempty"`
	NextFor string `json:"next_by_subj,omitempty"`
	Batch   int    `json:"batch"`
	Bytes   int    `json:"max_bytes"`
	// Since takes the place of Seq: the first record that was stored then or later.
	Since *time.Time `json:"start_time,omitempty"`
}

// batch calls fn for up to n records from seq on, in order, of one subject or (if
// subject is empty) all. It returns errEnd if there was none. It waits no longer than ctx lasts.
func (r reader) batch(ctx context.Context, stream string, q getRequest, fn func(seq uint64, record []byte) error) error {
	body, err := json.Marshal(q)
	if err != nil {
		return err
	}
	sub, err := r.nc.SubscribeSync(r.nc.NewInbox())
	if err != nil {
		return err
	}
	defer func() { _ = sub.Unsubscribe() }()
	if err := sub.SetPendingLimits(-1, -1); err != nil {
		return err
	}
	if err := r.nc.PublishRequest("$JS.API.DIRECT.GET."+stream, sub.Subject, body); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	late := time.AfterFunc(readTimeout, func() { cancel(nats.ErrTimeout) })
	defer late.Stop()
	for got := 0; ; got++ {
		m, err := sub.NextMsgWithContext(ctx)
		if err != nil && ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		if err != nil {
			return fmt.Errorf("reading %s from %d: %w", stream, q.Seq, err)
		}
		late.Reset(readTimeout)
		switch status := m.Header.Get("Status"); {
		case status == "204": // end of the batch
			if got == 0 {
				return errEnd
			}
			return nil
		case status == "404":
			return errEnd
		case status != "":
			return fmt.Errorf("reading %s from %d: status %s %s", stream, q.Seq, status, m.Header.Get("Description"))
		}
		seq, err := strconv.ParseUint(m.Header.Get("Nats-Sequence"), 10, 64)
		if err != nil {
			return fmt.Errorf("reading %s from %d: sequence: %w", stream, q.Seq, err)
		}
		if err := fn(seq, m.Data); err != nil {
			return err
		}
	}
}

// Replay implements gateway.Journal. It begins at the lowest record that was
// needed when the marks were last written: a power cut may bring back blocks that
// had been given up, without the records that settled what is in them. In a cluster the others know better than
// that, and it begins at the first: also what is settled must be recognised when a node offers it again.
func (j *journal) Replay(ctx context.Context, fn func(seq uint64, size int, r *gateway.Record) error) error {
	err := j.replay(ctx, fn)
	if damage := (*DamageError)(nil); errors.As(err, &damage) && j.epoch > 0 {
		j.suspect(damage)
	}
	return err
}

func (j *journal) replay(ctx context.Context, fn func(seq uint64, size int, r *gateway.Record) error) error {
	state := j.State()
	waited := time.Duration(0)
	from := state.First
	if j.epoch == 0 {
		from = max(from, j.store.marks.low(j.shard))
	}
	at, err := j.replayFiles(ctx, from, state.Last, fn)
	if err != nil {
		return err
	}
	for at <= state.Last {
		if err := ctx.Err(); err != nil {
			return err
		}
		err := j.store.reader.batch(ctx, j.stream, getRequest{Seq: at, Batch: readBatch, Bytes: readBytes}, func(seq uint64, b []byte) error {
			if seq > state.Last {
				return nil
			}
			if seq != at {
				if err := j.missing(ctx, at, seq-1); err != nil {
					return err
				}
			}
			at = seq + 1
			return replayed(j.stream, seq, b, fn)
		})
		if over, err := j.unread(ctx, at, state.Last, err, &waited); err != nil {
			return err
		} else if over {
			break
		}
	}
	j.mu.Lock()
	j.committed = max(j.committed, state.Last) // it is all there, and was synced at the start
	j.mu.Unlock()
	return nil
}

// unread decides what is to be done when reading from at on has ended with err: go on, perhaps a little later, or it is over.
func (j *journal) unread(ctx context.Context, at, last uint64, err error, waited *time.Duration) (over bool, _ error) {
	beginning := j.epoch > 0 && errors.Is(err, nats.ErrNoResponders) // this node's replica is
	if !beginning && !errors.Is(err, errEnd) {
		return false, err
	}
	if j.epoch == 0 && !j.reading { // the server may remember sequences whose records a power cut took
		return true, j.gap(at, last)
	}
	if !beginning && j.missing(ctx, at, last) == nil { // it was trimmed, or else the replica that answered is behind
		return true, nil
	}
	if *waited += lookAgain; *waited > readTimeout {
		return false, fmt.Errorf("reading %s from %d: no replica has it", j.stream, at)
	}
	return false, pause(ctx, lookAgain)
}

// replayFiles replays what can be read without the server, whose files are on this machine: that is much quicker. It returns the first sequence
// that is still to be read.
func (j *journal) replayFiles(ctx context.Context, from, to uint64, fn func(uint64, int, *gateway.Record) error) (uint64, error) {
	return commit.Read(j.store.dirOf(j.stream), j.stream, from, to, func(seq uint64, subject, b []byte) (bool, error) {
		if seq%readBatch == 0 && ctx.Err() != nil {
			return false, ctx.Err()
		}
		if len(b) > 1 && gateway.RecordType(b[1]) == gateway.RecordPrepare {
			b = bytes.Clone(b) // its messages keep their bodies
		}
		r, err := decodeRecord(b, true)
		if err != nil || j.subject(r) != string(subject) {
			return false, nil
		}
		return true, fn(seq, sizeOf(r), r)
	})
}

// missing decides what missing records are. In a cluster an owner before this one may have had them trimmed just
// now: only who appends is fenced.
func (j *journal) missing(ctx context.Context, from, to uint64) error {
	if j.epoch > 0 || j.reading {
		info, err := j.info(ctx)
		if err != nil { // nobody can say whether it is damage
			return fmt.Errorf("looking at %s: %w", j.stream, err)
		}
		if info.State.FirstSeq > to {
			return nil
		}
	}
	return j.gap(from, to)
}

func replayed(stream string, seq uint64, b []byte, fn func(uint64, int, *gateway.Record) error) error {
	r, err := decodeRecord(b, true)
	if err != nil {
		return &DamageError{Stream: stream, What: fmt.Sprintf("record %d is %v", seq, err)}
	}
	return fn(seq, sizeOf(r), r)
}

// sizeOf is the size of a record's message, of which the body is dropped.
func sizeOf(r *gateway.Record) (size int) {
	if r.Message != nil {
		size = r.Message.Size()
		r.Message.Body = nil
	}
	return size
}

// load is a request for messages of one queue.
type load struct {
	j     *journal
	queue string
	seqs  []uint64
	done  func([]*gateway.Message, error)
}

// Load implements gateway.Journal.
func (j *journal) Load(queue string, seqs []uint64, done func([]*gateway.Message, error)) {
	j.store.loads.push(load{j, queue, seqs, done})
}

func (l load) run(ctx context.Context, r reader) {
	messages := make([]*gateway.Message, len(l.seqs))
	waited := time.Duration(0)
	for next := 0; next < len(l.seqs); {
		at, err := l.read(ctx, r, next, messages)
		if l.j.epoch > 0 && errors.Is(err, nats.ErrNoResponders) && waited < readTimeout { // this node's replica is only beginning
			waited += lookAgain
			if err = pause(ctx, lookAgain); err == nil {
				continue
			}
		}
		if errors.Is(err, errEnd) {
			if l.j.epoch == 0 {
				break // the rest is gone
			}
			// In a cluster this may be a replica that is behind.
			if waited += lookAgain; waited > answerWithin {
				err = fmt.Errorf("reading %s from %d: the replica does not have it", l.j.stream, l.seqs[next])
			} else if err = l.gone(ctx, next, len(l.seqs)); err == nil {
				break
			} else if errors.Is(err, errEnd) {
				if err = pause(ctx, lookAgain); err == nil {
					continue
				}
			}
		}
		if err != nil {
			l.done(nil, err)
			return
		}
		next = at
	}
	l.done(messages, nil)
}

// read reads some of the messages from the one with index next on, and returns the index of the
// first that may be behind them. It returns errEnd if there are none.
func (l load) read(ctx context.Context, r reader, next int, messages []*gateway.Message) (int, error) {
	q := getRequest{Seq: l.seqs[next], Batch: readBatch, Bytes: readBytes}
	span := l.seqs[len(l.seqs)-1] - l.seqs[next] + 1
	if left := uint64(len(l.seqs) - next); span > dense*left {
		q.NextFor = l.j.prefix + "m." + gateway.EscapeName(l.queue)
		q.Batch = min(readBatch, len(l.seqs)-next)
	} else if span < readBatch {
		q.Batch = int(span)
	}
	last := uint64(0)
	err := r.batch(ctx, l.j.stream, q, func(seq uint64, b []byte) (err error) {
		last = seq
		before := next
		for next < len(l.seqs) && l.seqs[next] < seq {
			next++
		}
		if next > before {
			if err := l.gone(ctx, before, next); err != nil {
				return err
			}
		}
		if next < len(l.seqs) && l.seqs[next] == seq {
			var rec *gateway.Record
			if rec, err = decodeRecord(b, true); err == nil {
				messages[next] = rec.Message
			}
			next++
		}
		return err
	})
	if err != nil {
		return next, err
	}
	for next < len(l.seqs) && l.seqs[next] <= last {
		next++
	}
	return next, nil
}

// gone checks that messages which a replica does not have were trimmed: else it is errEnd, and another look may
// find them. On a single node there is one replica.
func (l load) gone(ctx context.Context, from, to int) error {
	if l.j.epoch == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	info, err := l.j.info(ctx)
	if err != nil {
		return fmt.Errorf("looking at %s: %w", l.j.stream, err)
	}
	if l.seqs[to-1] >= info.State.FirstSeq {
		return errEnd
	}
	return nil
}

// dirOf is where the server keeps a stream's block files.
func (s *Store) dirOf(stream string) string {
	return filepath.Join(s.cfg.Dir, "jetstream", string(embed.Store), "streams", stream, "msgs")
}
