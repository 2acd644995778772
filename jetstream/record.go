package jetstream

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/sluice-mq/sluice/gateway"
)

// A record is
//
//	version (1) | type (1) | payload
//
// with integers as unsigned varints and strings as length and bytes. The payload of
// a message is
//
//	flags (1) | priority (1) | timestamp | expires
//	[ order | replaces ]   with flagMoved
//	[ transaction ]        with flagTransaction
//	[ kind (1) | place ]   with flagPlaced: its destination is no queue, or it waits elsewhere
//	id | destination | number of fields | name, value, name, value ... | body (the rest)
//
// The format is stored on disk: new things get a new version, and a record has the lowest that can say it. With version 2 came
// places, and marks with their due times.

const (
	recordVersion = 2
	plainVersion  = 1
)

const (
	flagPersistent = 1 << iota
	flagText
	flagMoved
	flagTransaction
	flagPlaced
)

// errBadRecord is what decoding answers to bytes that no encoder wrote.
var errBadRecord = errors.New("not a record of this version")

// appendRecord appends r's encoding to dst.
func appendRecord(dst []byte, r *gateway.Record) []byte {
	version := versionOf(r)
	dst = append(dst, version, byte(r.Type))
	switch r.Type {
	case gateway.RecordMessage:
		return appendMessage(dst, r.Message, r.Order, r.Replaces, r.Transaction)
	case gateway.RecordSettle:
		return appendHanded(appendSeqs(dst, r.Settled), r.Handed)
	case gateway.RecordMark:
		dst = binary.AppendUvarint(dst, uint64(len(r.Marks)))
		for _, m := range r.Marks {
			dst = binary.AppendUvarint(dst, m.Seq)
			dst = binary.AppendUvarint(dst, uint64(m.Redeliveries))
			if version > plainVersion {
				dst = binary.AppendUvarint(dst, uint64(m.Due))
			}
		}
		return appendHanded(dst, r.Handed)
	case gateway.RecordPrepare:
		dst = appendString(dst, r.Transaction)
		dst = binary.AppendUvarint(dst, uint64(len(r.Messages)))
		for _, m := range r.Messages {
			dst = appendNested(dst, m)
		}
		return dst
	case gateway.RecordDone:
		return appendString(dst, r.Transaction)
	case gateway.RecordEpoch:
		return appendString(dst, r.Node)
	}
	panic(fmt.Sprintf("jetstream: record of unknown type %d", r.Type))
}

func appendMessage(dst []byte, m *gateway.Message, order, replaces uint64, transaction string) []byte {
	var flags byte
	if m.Persistent {
		flags |= flagPersistent
	}
	if m.Text {
		flags |= flagText
	}
	if order != 0 {
		flags |= flagMoved
	}
	if transaction != "" {
		flags |= flagTransaction
	}
	placed := isPlaced(m)
	if placed {
		flags |= flagPlaced
	}
	dst = append(dst, flags, m.Priority)
	dst = binary.AppendUvarint(dst, uint64(m.Timestamp))
	dst = binary.AppendUvarint(dst, uint64(m.Expires))
	if order != 0 {
		dst = binary.AppendUvarint(dst, order)
		dst = binary.AppendUvarint(dst, replaces)
	}
	if transaction != "" {
		dst = appendString(dst, transaction)
	}
	if placed {
		dst = appendString(append(dst, byte(m.Destination.Kind)), m.Queue)
	}
	dst = appendString(dst, m.ID)
	dst = appendString(dst, m.Destination.Name)
	dst = binary.AppendUvarint(dst, uint64(len(m.Header)))
	for i := range m.Header {
		dst = appendString(dst, m.Header[i].Name)
		dst = appendString(dst, m.Header[i].Value)
	}
	return append(dst, m.Body...)
}

// isPlaced reports whether a message has to say where it waits.
func isPlaced(m *gateway.Message) bool {
	return m.Queue != "" || m.Destination.Kind != gateway.KindQueue && m.Destination.Kind != gateway.KindTopic
}

// versionOf is the lowest version that can say what is in a record.
func versionOf(r *gateway.Record) byte {
	placed := r.Message != nil && isPlaced(r.Message) || slices.ContainsFunc(r.Messages, isPlaced)
	due := slices.ContainsFunc(r.Marks, func(m gateway.Mark) bool { return m.Due != 0 })
	if placed || due {
		return recordVersion
	}
	return plainVersion
}

func appendString(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

// appendSeqs writes ascending sequences as differences; out of order ones cost more, not less.
func appendSeqs(dst []byte, seqs []uint64) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(seqs)))
	previous := uint64(0)
	for _, s := range seqs {
		dst = binary.AppendVarint(dst, int64(s-previous))
		previous = s
	}
	return dst
}

func appendHanded(dst []byte, handed []gateway.Handed) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(handed)))
	for _, h := range handed {
		dst = appendString(dst, h.Queue)
		dst = binary.AppendUvarint(dst, h.Seq)
	}
	return dst
}

// decodeRecord reads a record. The result shares no memory with b, except that a
// message's body is b's tail when withBody is set: then b belongs to the message.
func decodeRecord(b []byte, withBody bool) (*gateway.Record, error) {
	if len(b) < 2 || b[0] < plainVersion || b[0] > recordVersion {
		return nil, errBadRecord
	}
	r := &gateway.Record{Type: gateway.RecordType(b[1])}
	d := decoder{b: b[2:]}
	switch r.Type {
	case gateway.RecordMessage:
		r.Message, r.Order, r.Replaces, r.Transaction = d.message(withBody)
	case gateway.RecordSettle:
		r.Settled = d.seqs()
		r.Handed = d.handed()
	case gateway.RecordMark:
		for range d.count(2) {
			m := gateway.Mark{Seq: d.uvarint(), Redeliveries: uint32(d.uvarint())}
			if b[0] > plainVersion {
				m.Due = int64(d.uvarint())
			}
			r.Marks = append(r.Marks, m)
		}
		r.Handed = d.handed()
	case gateway.RecordPrepare:
		r.Transaction = string(d.bytes(d.uvarint()))
		for range d.count(8) {
			r.Messages = append(r.Messages, d.nested())
		}
	case gateway.RecordDone:
		r.Transaction = string(d.bytes(d.uvarint()))
	case gateway.RecordEpoch:
		r.Node = string(d.bytes(d.uvarint()))
	default:
		return nil, errBadRecord
	}
	if d.failed {
		return nil, errBadRecord
	}
	return r, nil
}

// decoder reads b from the front; after a failure everything it returns is zero.
type decoder struct {
	b      []byte
	failed bool
}

func (d *decoder) fail() { d.b, d.failed = nil, true }

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) varint() int64 {
	v, n := binary.Varint(d.b)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) bytes(n uint64) []byte {
	if n > uint64(len(d.b)) {
		d.fail()
		return nil
	}
	v := d.b[:n]
	d.b = d.b[n:]
	return v
}

// count reads a number of items of at least size bytes each, so that nothing is
// allocated for more than the bytes can hold.
func (d *decoder) count(size int) int {
	n := d.uvarint()
	if n > uint64(len(d.b)/size) {
		d.fail()
		return 0
	}
	return int(n)
}

func (d *decoder) seqs() []uint64 {
	n := d.count(1)
	seqs := make([]uint64, 0, n)
	previous := uint64(0)
	for range n {
		previous += uint64(d.varint())
		seqs = append(seqs, previous)
	}
	return seqs
}

func (d *decoder) handed() (handed []gateway.Handed) {
	for range d.count(2) {
		handed = append(handed, gateway.Handed{Queue: string(d.bytes(d.uvarint())), Seq: d.uvarint()})
	}
	return handed
}

func (d *decoder) nested() *gateway.Message {
	size := d.bytes(4)
	if d.failed {
		return nil
	}
	inner := decoder{b: d.bytes(uint64(binary.BigEndian.Uint32(size)))}
	m, _, _, _ := inner.message(true)
	d.failed = d.failed || inner.failed
	return m
}

func (d *decoder) message(withBody bool) (m *gateway.Message, order, replaces uint64, transaction string) {
	head := d.bytes(2)
	if d.failed {
		return nil, 0, 0, ""
	}
	flags := head[0]
	m = &gateway.Message{
		Persistent: flags&flagPersistent != 0,
		Text:       flags&flagText != 0,
		Priority:   head[1],
		Timestamp:  int64(d.uvarint()),
		Expires:    int64(d.uvarint()),
	}
	if flags&flagMoved != 0 {
		order, replaces = d.uvarint(), d.uvarint()
	}
	if flags&flagTransaction != 0 {
		transaction = string(d.bytes(d.uvarint()))
	}
	kind := gateway.KindQueue
	if flags&flagPlaced != 0 {
		if k := d.bytes(1); !d.failed {
			kind = gateway.Kind(k[0])
		}
		m.Queue = string(d.bytes(d.uvarint()))
	}
	d.header(m, kind)
	if withBody && !d.failed {
		m.Body = d.b
	}
	return m, order, replaces, transaction
}

// header reads id, destination and fields with one string for all of them.
func (d *decoder) header(m *gateway.Message, kind gateway.Kind) {
	block := d.b
	id := d.bytes(d.uvarint())
	name := d.bytes(d.uvarint())
	n := d.count(2)
	if d.failed {
		return
	}
	fields := d.b
	for range 2 * n {
		d.bytes(d.uvarint())
	}
	if d.failed {
		return
	}
	text := string(block[:len(block)-len(d.b)])
	at := func(b []byte) string { // the place of b, which ends cap(b) before block's end, in text
		start := cap(block) - cap(b)
		return text[start : start+len(b)]
	}
	m.ID = at(id)
	m.Destination = gateway.Destination{Kind: kind, Name: at(name)}
	if n == 0 {
		return
	}
	m.Header = make(gateway.Header, n)
	f := decoder{b: fields}
	for i := range m.Header {
		m.Header[i].Name = at(f.bytes(f.uvarint()))
		m.Header[i].Value = at(f.bytes(f.uvarint()))
	}
}
