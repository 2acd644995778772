package jetstream

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go"

	"github.com/sluice-mq/sluice/gateway"
)

const (
	// expectLastOfKey makes the stream refuse a fact unless the last record with its key has that sequence.
	expectLastOfKey = "Nats-Expected-Last-Subject-Sequence"
	// wrongLast is in its answer then.
	wrongLast = `"err_code":10071`
)

var errChanged = gateway.Errorf(gateway.Conflict, "it was changed meanwhile")

// Change implements gateway.Registry.
func (r *registry) Change(ctx context.Context, key string, value []byte, since uint64) (uint64, error) {
	if err := gateway.ValidFact(key, value); err != nil {
		return 0, err
	}
	op := byte(factThere)
	if value == nil {
		op = factGone
	}
	return r.carryOut(ctx, r.message(key, appendFact(nil, op, key, value), value == nil), func(m *nats.Msg) (uint64, error) {
		return r.compare(ctx, m, key, since)
	})
}

// compare writes a record if the last one of its key is the one of that sequence; 0: if there is none, or it says that the fact is gone.
func (r *registry) compare(ctx context.Context, m *nats.Msg, key string, since uint64) (uint64, error) {
	expected, again := since, false
	for {
		m.Header.Set(expectLastOfKey, strconv.FormatUint(expected, 10))
		seq, refused, err := r.offer(ctx, m)
		if refused {
			var last factAt
			if last, err = r.lastOf(ctx, key); err == nil {
				switch {
				case again && last.seq > since && bytes.Equal(last.record, m.Data): // the answer to it was lost
					return r.onDisk(ctx, last.seq)
				case since == 0 && last.gone && last.seq != expected:
					expected = last.seq
					continue
				}
				return 0, errChanged
			}
		} else if err == nil {
			return r.onDisk(ctx, seq)
		}
		again = true
		if r.store.cfg.Cluster == nil {
			return 0, err
		}
		if pause(ctx, lookAgain) != nil {
			return 0, err
		}
	}
}

// offer publishes a record that may be refused.
func (r *registry) offer(ctx context.Context, m *nats.Msg) (seq uint64, refused bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	answer, err := r.store.publish.RequestMsgWithContext(ctx, m)
	if err != nil {
		return 0, false, err
	}
	if bytes.Contains(answer.Data, []byte(wrongLast)) {
		return 0, true, nil
	}
	seq, err = parseAck(answer.Data)
	return seq, false, err
}

// factAt is the last record of a key.
type factAt struct {
	seq    uint64
	record []byte
	gone   bool
}

// lastOf asks the stream's leader for the last record of a key; there may be none.
func (r *registry) lastOf(ctx context.Context, key string) (factAt, error) {
	body, err := json.Marshal(map[string]string{"last_by_subj": factsPrefix + key})
	if err != nil {
		return factAt{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	seq, record, err := r.get(ctx, body)
	if err != nil || seq == 0 {
		return factAt{gone: true}, err
	}
	f, err := decodeFact(record)
	if err != nil {
		return factAt{}, fmt.Errorf("record %d of %s cannot be read", seq, factsStream)
	}
	return factAt{seq, record, f.op == factGone}, nil
}
