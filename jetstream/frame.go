package jetstream

import (
	"bytes"
	"encoding/binary"

	"github.com/sluice-mq/sluice/gateway"
)

// A frame between nodes is
//
//	length | kind (1) | set of fields | shard | epoch | the fields that are in the set, in the order of their bits
//
// with integers as unsigned varints. A message is as in a record, with its length before it. Who reads a set with bits
// that it does not know skips the rest of the frame: new fields come at the end.

// The bits of a frame's fields. They are spoken between builds: none ever changes its meaning.
const (
	hasNumber = 1 << iota
	hasSubscription
	hasTag
	hasSeq
	hasRedeliveries
	hasCount
	hasTags
	hasQueue
	hasTransaction
	hasMessage
	hasMessages
	hasError
	hasGroup
	hasSeqs
	hasCounts
	hasConsumer
	hasDelay
)

func fieldsOf(f *gateway.Frame) (set uint64) {
	for _, x := range []struct {
		bit uint64
		has bool
	}{
		{hasNumber, f.Number != 0}, {hasSubscription, f.Subscription != 0}, {hasTag, f.Tag != 0}, {hasSeq, f.Seq != 0},
		{hasRedeliveries, f.Redeliveries != 0}, {hasCount, f.Count != 0}, {hasTags, len(f.Tags) > 0}, {hasQueue, f.Queue != ""},
		{hasTransaction, f.Transaction != ""}, {hasMessage, f.Message != nil}, {hasMessages, len(f.Messages) > 0}, {hasError, f.Err != nil},
		{hasGroup, f.Group != ""}, {hasSeqs, len(f.Seqs) > 0}, {hasCounts, len(f.Counts) > 0},
		{hasConsumer, f.Consumer != nil}, {hasDelay, f.Delay != 0},
	} {
		if x.has {
			set |= x.bit
		}
	}
	return set
}

// appendFrame appends f's encoding to dst.
func appendFrame(dst []byte, f *gateway.Frame) []byte {
	dst = append(dst, 0, 0, 0, 0)
	start := len(dst)
	set := fieldsOf(f)
	dst = append(dst, byte(f.Kind))
	dst = binary.AppendUvarint(dst, set)
	dst = binary.AppendUvarint(dst, uint64(f.Shard))
	dst = binary.AppendUvarint(dst, f.Epoch)
	for _, x := range []struct{ bit, value uint64 }{
		{hasNumber, f.Number}, {hasSubscription, f.Subscription}, {hasTag, f.Tag}, {hasSeq, f.Seq}, {hasRedeliveries, uint64(f.Redeliveries)},
	} {
		if set&x.bit != 0 {
			dst = binary.AppendUvarint(dst, x.value)
		}
	}
	if set&hasCount != 0 {
		dst = binary.AppendVarint(dst, f.Count)
	}
	if set&hasTags != 0 {
		dst = appendSeqs(dst, f.Tags)
	}
	if set&hasQueue != 0 {
		dst = appendString(dst, f.Queue)
	}
	if set&hasTransaction != 0 {
		dst = appendString(dst, f.Transaction)
	}
	if set&hasMessage != 0 {
		dst = appendNested(dst, f.Message)
	}
	if set&hasMessages != 0 {
		dst = binary.AppendUvarint(dst, uint64(len(f.Messages)))
		for _, m := range f.Messages {
			dst = appendNested(dst, m)
		}
	}
	if set&hasError != 0 {
		dst = append(dst, byte(f.Err.Kind))
		dst = appendString(dst, f.Err.Text)
	}
	if set&hasGroup != 0 {
		dst = appendString(dst, f.Group)
	}
	if set&hasSeqs != 0 {
		dst = appendSeqs(dst, f.Seqs)
	}
	if set&hasCounts != 0 {
		dst = appendCounts(dst, f.Counts)
	}
	if set&hasConsumer != 0 {
		dst = appendConsumer(dst, f.Consumer)
	}
	if set&hasDelay != 0 {
		dst = binary.AppendVarint(dst, f.Delay)
	}
	binary.BigEndian.PutUint32(dst[start-4:], uint32(len(dst)-start))
	return dst
}

// appendNested appends a message with its length before it.
func appendNested(dst []byte, m *gateway.Message) []byte {
	dst = append(dst, 0, 0, 0, 0)
	start := len(dst)
	dst = appendMessage(dst, m, 0, 0, "")
	binary.BigEndian.PutUint32(dst[start-4:], uint32(len(dst)-start))
	return dst
}

func appendCounts(dst []byte, counts []uint32) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(counts)))
	for _, n := range counts {
		dst = binary.AppendUvarint(dst, uint64(n))
	}
	return dst
}

func (d *decoder) counts() []uint32 {
	counts := make([]uint32, d.count(1))
	for i := range counts {
		counts[i] = uint32(d.uvarint())
	}
	return counts
}

// nextFrame reads the first frame of b and returns what follows it. The frame shares no memory with b, but for
// the bodies of messages, if they are large or for queues.
func nextFrame(b []byte) (f *gateway.Frame, rest []byte, err error) {
	if len(b) < 4 || uint64(binary.BigEndian.Uint32(b)) > uint64(len(b)-4) {
		return nil, nil, errBadRecord
	}
	n := int(binary.BigEndian.Uint32(b))
	d := decoder{b: b[4 : 4+n]}
	kind := d.bytes(1)
	set := d.uvarint()
	f = &gateway.Frame{Shard: int(d.uvarint()), Epoch: d.uvarint()}
	if !d.failed {
		f.Kind = gateway.FrameKind(kind[0])
		d.frame(f, set)
	}
	if d.failed || f.Shard < 0 || f.Shard >= MaxShards {
		return nil, nil, errBadRecord
	}
	return f, b[4+n:], nil
}

func (d *decoder) frame(f *gateway.Frame, set uint64) {
	for _, x := range []struct {
		bit uint64
		to  *uint64
	}{{hasNumber, &f.Number}, {hasSubscription, &f.Subscription}, {hasTag, &f.Tag}, {hasSeq, &f.Seq}} {
		if set&x.bit != 0 {
			*x.to = d.uvarint()
		}
	}
	if set&hasRedeliveries != 0 {
		f.Redeliveries = uint32(d.uvarint())
	}
	if set&hasCount != 0 {
		f.Count = d.varint()
	}
	if set&hasTags != 0 {
		f.Tags = d.seqs()
	}
	if set&hasQueue != 0 {
		f.Queue = string(d.bytes(d.uvarint()))
	}
	if set&hasTransaction != 0 {
		f.Transaction = string(d.bytes(d.uvarint()))
	}
	if set&hasMessage != 0 {
		f.Message = d.nested()
	}
	if set&hasMessages != 0 {
		for range d.count(8) {
			f.Messages = append(f.Messages, d.nested())
		}
	}
	if set&hasError != 0 {
		if kind := d.bytes(1); !d.failed {
			f.Err = &gateway.Error{Kind: gateway.ErrorKind(kind[0]), Text: string(d.bytes(d.uvarint()))}
		}
	}
	if set&hasGroup != 0 {
		f.Group = string(d.bytes(d.uvarint()))
	}
	d.frameSince2(f, set)
	if set&hasConsumer != 0 {
		f.Consumer = d.consumer()
	}
	if set&hasDelay != 0 {
		f.Delay = d.varint()
	}
	if f.Kind == gateway.FramePublish && f.Message != nil {
		ofTopic(f.Message)
	}
}

// frameSince2 reads the fields that came with language 2.
func (d *decoder) frameSince2(f *gateway.Frame, set uint64) {
	if set&hasSeqs != 0 {
		f.Seqs = d.seqs()
	}
	if set&hasCounts != 0 {
		f.Counts = d.counts()
	}
}

// apart is up to which length the body of a topic's message is copied out of the sheet that brought it.
const apart = 32 << 10

// ofTopic makes a message of a record one of a topic. It may wait for a slow subscriber when all others of its sheet are
// gone, and must not keep the whole of it in memory.
func ofTopic(m *gateway.Message) {
	if m.Destination.Kind == gateway.KindQueue { // nothing was said
		m.Destination.Kind = gateway.KindTopic
	}
	if len(m.Body) <= apart {
		m.Body = bytes.Clone(m.Body)
	}
}
