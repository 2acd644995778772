package jetstream

import (
	"context"
	"errors"
	"fmt"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/jetstream/commit"
)

// filling reads the messages of a page.
type filling struct {
	log   *topicLog
	page  *gateway.LogPage
	query gateway.LogQuery
	// next is the sequence of the next message, last that of the last which may be shown.
	next, last uint64
	bytes      int
	// within is the slot that was found at next: the message is in its bundle.
	within *slot
}

var (
	// errFull ends a read when there is enough.
	errFull = errors.New("enough is read")
	// errElsewhere ends one that is to go on with another record than the one behind.
	errElsewhere = errors.New("the next message is elsewhere")
)

// run reads until the page is full, or all is read that may be shown.
func (f *filling) run(ctx context.Context) error {
	if f.query.Messages == 0 || f.next > f.last || f.files() {
		return nil
	}
	began := f.next
	err := f.rest(ctx)
	if f.next > began && f.log.single() {
		f.log.places.note(f.next, commit.Place{})
	}
	return err
}

// rest reads through the server.
func (f *filling) rest(ctx context.Context) error {
	for f.next <= f.last && len(f.page.Messages) < f.query.Messages {
		began := f.next
		err := f.log.batch(ctx, f.request(), f.take)
		switch {
		case errors.Is(err, errElsewhere):
		case errors.Is(err, errFull), errors.Is(err, errEnd): // a replica that is behind has the rest later
			return nil
		case err != nil:
			return err
		case f.next == began:
			return nil
		}
	}
	return nil
}

// request is what to ask for: a bundle by itself, since nobody wants its slots.
func (f *filling) request() getRequest {
	if f.within != nil {
		return getRequest{Seq: f.next - uint64(f.within.index), Batch: 1}
	}
	if f.log.bundles.Load() {
		return getRequest{Seq: f.next, Batch: 1}
	}
	return getRequest{Seq: f.next, Batch: int(min(uint64(f.query.Messages-len(f.page.Messages)), readBatch, f.last-f.next+1)), Bytes: readBytes}
}

// take takes a record.
func (f *filling) take(seq uint64, b []byte) error {
	if s := f.within; s != nil {
		f.within = nil
		return f.open(s, seq, b)
	}
	if seq > f.next && len(f.page.Messages) == 0 && seq <= f.last { // they became too old meanwhile
		f.skip(seq)
	}
	if seq != f.next || seq > f.last {
		return errFull
	}
	f.log.bundles.Store(isBundle(b) || isSlot(b))
	switch {
	case isBundle(b):
		return f.unpack(seq, b, 0)
	case isSlot(b):
		s, err := decodeSlot(b)
		if err != nil || uint64(s.index) >= seq {
			return f.damaged(seq)
		}
		f.within = &s
		return errElsewhere
	}
	m, err := decodeLogged(b)
	if err != nil {
		return f.damaged(seq)
	}
	return f.add(m)
}

// open takes the rest of the bundle of the slot at next. If it is not there any more it is too old, and so are its messages.
func (f *filling) open(s *slot, seq uint64, b []byte) error {
	if home := f.next - uint64(s.index); seq != home && len(f.page.Messages) == 0 {
		f.skip(home + uint64(s.of))
		return errElsewhere
	}
	if n, err := bundleSize(b); err != nil || n != s.of || sumOf(b) != s.sum {
		return f.damaged(f.next)
	}
	return f.unpack(seq, b, s.index)
}

// skip goes on behind messages that are too old.
func (f *filling) skip(seq uint64) {
	f.next, f.page.First, f.page.At = seq, seq-1, seq-1
}

// unpack takes the messages of a bundle from an index on. One that is not whole was cut off by a crash, and is completed before anything else is written.
func (f *filling) unpack(seq uint64, b []byte, from int) error {
	n, err := bundleSize(b)
	if err != nil {
		return f.damaged(seq)
	}
	if seq+uint64(n)-1 > f.last {
		return errFull
	}
	all, err := decodeBundle(b, from, f.query.Messages-len(f.page.Messages))
	if err != nil {
		return f.damaged(seq)
	}
	for _, m := range all {
		if err := f.add(m); err != nil {
			return err
		}
	}
	return errElsewhere
}

// add adds the next message.
func (f *filling) add(m *gateway.Message) error {
	if f.bytes += m.Size(); f.bytes > f.query.Bytes && len(f.page.Messages) > 0 || len(f.page.Messages) >= f.query.Messages {
		return errFull
	}
	m.Destination.Kind, m.Offset = gateway.KindTopic, f.next-1
	f.page.Messages = append(f.page.Messages, m)
	f.next++
	return nil
}

// damaged ends the page before a record that cannot be read. Who begins with it is told.
func (f *filling) damaged(seq uint64) error {
	if len(f.page.Messages) > 0 {
		return errFull
	}
	return &DamageError{Stream: f.log.stream, What: fmt.Sprintf("record %d cannot be read", seq)}
}
