package jetstream

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/sluice-mq/sluice/gateway"
)

// A fact in the stream is
//
//	version (1) | what (1) | key | value (the rest)
//
// with factAll the value is a sequence, as an unsigned varint: all facts that there are were written again since then.

const factVersion = 1

const (
	factThere = 1
	factGone  = 2
	factAll   = 3
)

// factRecord is what a record of the stream says.
type factRecord struct {
	op    byte
	key   string
	value []byte
	since uint64
}

func appendFact(dst []byte, op byte, key string, value []byte) []byte {
	return append(appendString(append(dst, factVersion, op), key), value...)
}

// decodeFact reads a record. The value is the record's tail.
func decodeFact(b []byte) (factRecord, error) {
	if len(b) < 2 || b[0] != factVersion || b[1] < factThere || b[1] > factAll {
		return factRecord{}, errBadRecord
	}
	d := decoder{b: b[2:]}
	f := factRecord{op: b[1], key: string(d.bytes(d.uvarint()))}
	if f.value = d.b; f.op == factAll {
		f.since = d.uvarint()
	} else if gateway.ValidFact(f.key, f.value) != nil {
		d.fail()
	}
	if d.failed {
		return factRecord{}, errBadRecord
	}
	return f, nil
}

// catchUp reads all that there is, as the stream's leader knows. If nothing is missing that is one question.
func (r *registry) catchUp(ctx context.Context) error {
	select {
	case r.reading <- struct{}{}:
		defer func() { <-r.reading }()
	case <-ctx.Done():
		return ctx.Err()
	}
	for {
		if r.store.cfg.Cluster != nil { // who has the records may be behind, and does not know all
			if more, err := r.one(ctx); err != nil || !more {
				return err
			}
		}
		// Many at a time, from whoever has them.
		err := r.store.reader.batch(ctx, factsStream, getRequest{Seq: r.due(), Batch: readBatch, Bytes: readBytes}, r.learn)
		if errors.Is(err, errEnd) && r.store.cfg.Cluster == nil {
			return nil
		}
		if err != nil && !errors.Is(err, errEnd) {
			return err
		}
	}
}

// due is the first sequence that was not read.
func (r *registry) due() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.next
}

// learn is take for who reads.
func (r *registry) learn(seq uint64, record []byte) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.take(seq, record)
}

// one asks the leader for the next record.
func (r *registry) one(ctx context.Context) (more bool, err error) {
	body, err := json.Marshal(getRequest{Seq: r.due(), NextFor: factsPrefix + ">"})
	if err != nil {
		return false, err
	}
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	seq, record, err := r.get(ctx, body)
	if err != nil || seq == 0 {
		return false, err
	}
	return true, r.learn(seq, record)
}

// get asks the stream's leader for a record. seq is 0 if there is none.
func (r *registry) get(ctx context.Context, body []byte) (seq uint64, record []byte, err error) {
	return r.store.get(ctx, factsStream, body)
}

// get asks a stream's leader for one record; the sequence is 0 if there is none, or no such stream.
func (s *Store) get(ctx context.Context, stream string, body []byte) (seq uint64, record []byte, err error) {
	m, err := s.publish.RequestWithContext(ctx, getRecord+stream, body)
	if err != nil {
		return 0, nil, fmt.Errorf("reading %s: %w", stream, err)
	}
	var answer struct {
		Message *struct {
			Seq  uint64 `json:"seq"`
			Data []byte `json:"data"`
		} `json:"message"`
		Error *struct {
			Code        int    `json:"code"`
			Description string `json:"description"`
		} `json:"error"`
	}
	if err := json.Unmarshal(m.Data, &answer); err != nil {
		return 0, nil, err
	}
	switch {
	case answer.Error != nil && answer.Error.Code == 404:
		return 0, nil, nil
	case answer.Error != nil:
		return 0, nil, fmt.Errorf("reading %s: %s", stream, answer.Error.Description)
	case answer.Message == nil:
		return 0, nil, fmt.Errorf("reading %s: answer %.200q", stream, m.Data)
	}
	return answer.Message.Seq, answer.Message.Data, nil
}

// appendSince is the value of factAll.
func appendSince(seq uint64) []byte { return binary.AppendUvarint(nil, seq) }
