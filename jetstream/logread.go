package jetstream

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/jetstream/embed"
)

// logState is what there is of a log, in sequences.
type logState struct {
	// oldest is the first in the stream, first the first that is not too old, last the last that is durable.
	oldest, first, last uint64
	bytes               uint64
	newest              time.Time // when the last one in the stream was stored
}

// state asks the stream.
func (t *topicLog) state(ctx context.Context) (logState, error) {
	found, err := t.kept(ctx)
	if errorsIsNotFound(err) {
		return logState{oldest: t.begins, first: t.begins, last: t.begins - 1}, nil
	}
	if err != nil {
		return logState{}, fmt.Errorf("looking at %s: %w", t.stream, err)
	}
	t.mu.Lock()
	keeps, synced, unchanged := t.retention, t.synced, t.unchanged
	t.mu.Unlock()
	s := logState{oldest: max(found.First, 1), last: found.Last, bytes: found.Bytes, newest: found.Newest}
	if t.logs.store.cfg.Cluster == nil && !unchanged {
		s.last = min(s.last, synced)
	}
	s.first = s.oldest
	if keeps == 0 || s.last < s.oldest {
		return s, nil
	}
	if cut := t.logs.store.cfg.Now().Add(-keeps); found.Oldest.Before(cut) {
		if s.first, err = t.since(ctx, cut, s); err != nil {
			return logState{}, err
		}
	}
	return s, nil
}

// kept is what the stream has, as its leader knows it: on a single node that is this one, and need not be asked. Only one that it does not know is asked for.
func (t *topicLog) kept(ctx context.Context) (embed.Kept, error) {
	if t.single() {
		if k, ok := t.logs.store.cfg.Server.Kept(t.stream); ok {
			return k, nil
		}
	}
	js, err := jetstream.New(t.logs.write)
	if err != nil {
		return embed.Kept{}, err
	}
	stream, err := t.look(ctx, js)
	if err != nil {
		return embed.Kept{}, err
	}
	s := stream.CachedInfo().State
	return embed.Kept{First: s.FirstSeq, Last: s.LastSeq, Bytes: s.Bytes, Oldest: s.FirstTime, Newest: s.LastTime}, nil
}

// look finds the stream. It asks again and again: what was asked of a leader that has died nobody answers.
func (t *topicLog) look(ctx context.Context, js jetstream.JetStream) (jetstream.Stream, error) {
	for {
		within, cancel := context.WithTimeout(ctx, answerWithin)
		stream, err := js.Stream(within, t.stream)
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil {
			return stream, err
		}
	}
}

// batch reads records as reader does. In a cluster it asks again while nobody has the stream to read from: of one that was made just now, or whose leader is another one, the other replicas take two seconds until they can be read.
func (t *topicLog) batch(ctx context.Context, q getRequest, fn func(seq uint64, record []byte) error) error {
	for waited := time.Duration(0); ; waited += lookAgain {
		err := t.logs.read.batch(ctx, t.stream, q, fn)
		if t.single() || !errors.Is(err, nats.ErrNoResponders) || waited >= firstWithin || pause(ctx, lookAgain) != nil {
			return err
		}
	}
}

// since is the sequence of the first record that was stored at a time or later, the one behind the last if there is none. A replica that says so though the newest is young enough is
// behind, and asked again.
func (t *topicLog) since(ctx context.Context, at time.Time, s logState) (uint64, error) {
	first := s.last + 1
	for waited := time.Duration(0); ; waited += lookAgain {
		err := t.batch(ctx, getRequest{Since: &at, Batch: 1, Bytes: readBytes}, func(seq uint64, _ []byte) error {
			first = min(first, seq)
			return nil
		})
		ended := errors.Is(err, errEnd)
		switch {
		case err == nil, ended && (t.single() || s.newest.Before(at)):
			return first, nil
		case !ended, waited >= firstWithin, pause(ctx, lookAgain) != nil:
			return 0, err
		}
	}
}

// Read implements gateway.Logs.
func (l *logs) Read(ctx context.Context, topic string, q gateway.LogQuery) (gateway.LogPage, error) {
	for {
		t := l.of(topic)
		if t == nil {
			return gateway.LogPage{}, gateway.Errorf(gateway.NotFound, "topic %s has no log", topic)
		}
		page, err := t.page(ctx, q)
		switch {
		case err == nil:
			return page, nil
		case l.of(topic) != t && ctx.Err() == nil: // its log went while it was read, and it has another one, or none
		case errors.Is(err, errNoLog):
			return gateway.LogPage{}, errNoLog
		default:
			return gateway.LogPage{}, gateway.WrapError(gateway.Unavailable, err, "the log cannot be read now")
		}
	}
}

func (t *topicLog) page(ctx context.Context, q gateway.LogQuery) (gateway.LogPage, error) {
	if t.logs.store.cfg.Cluster == nil && !t.isUnchanged() { // what it holds has to be on disk
		if there, err := t.open(ctx, false); err != nil {
			return gateway.LogPage{}, err
		} else if !there {
			return gateway.LogPage{Log: t.id, First: t.begins - 1, Next: t.begins - 1, At: t.begins - 1}, nil
		}
	}
	s, err := t.state(ctx)
	if err == nil && !t.whole.Load() && s.last >= t.begins {
		s, err = t.stateWhole(ctx, s)
	}
	if err != nil {
		return gateway.LogPage{}, err
	}
	from := min(q.From, s.last) + 1
	if q.Since != 0 && s.last >= s.first {
		if from, err = t.since(ctx, time.UnixMilli(q.Since), s); err != nil {
			return gateway.LogPage{}, err
		}
	}
	page := gateway.LogPage{Log: t.id, First: s.first - 1, Next: max(s.last, s.first-1), Bytes: s.bytes}
	if page.First == page.Next {
		page.Bytes = 0 // what is too old is not there, though it goes later
	}
	from = max(from, s.first)
	page.At = min(from-1, page.Next)
	f := filling{log: t, page: &page, query: q, next: from, last: s.last}
	return page, f.run(ctx)
}

// stateWhole is the state of a log of which nobody has seen yet whether a crash has cut off a bundle at its end; if so, that is completed.
func (t *topicLog) stateWhole(ctx context.Context, s logState) (logState, error) {
	missing, err := t.missingSlots(ctx, s.last)
	if err != nil {
		return logState{}, err
	}
	if len(missing) == 0 {
		t.whole.Store(true)
		return s, nil
	}
	if _, err := t.open(ctx, false); err != nil {
		return logState{}, err
	}
	return t.state(ctx)
}

func (t *topicLog) isUnchanged() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.unchanged
}
