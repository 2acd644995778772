package jetstream

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sluice-mq/sluice/gateway"
)

func drawMessage(t *rapid.T) *gateway.Message {
	m := &gateway.Message{
		ID:          rapid.String().Draw(t, "id"),
		Destination: gateway.Destination{Kind: gateway.KindQueue, Name: rapid.StringN(1, 30, -1).Draw(t, "name")},
		Body:        rapid.SliceOf(rapid.Byte()).Draw(t, "body"),
		Text:        rapid.Bool().Draw(t, "text"),
		Persistent:  rapid.Bool().Draw(t, "persistent"),
		Priority:    rapid.Byte().Draw(t, "priority"),
		Expires:     rapid.Int64Min(0).Draw(t, "expires"),
		Timestamp:   rapid.Int64Min(0).Draw(t, "timestamp"),
	}
	for range rapid.IntRange(0, 5).Draw(t, "fields") {
		m.Header = append(m.Header, gateway.Field{Name: rapid.String().Draw(t, "n"), Value: rapid.String().Draw(t, "v")})
	}
	return m
}

func drawRecord(t *rapid.T) *gateway.Record {
	seqs := rapid.SliceOf(rapid.Uint64())
	switch r := (&gateway.Record{Type: gateway.RecordType(rapid.IntRange(1, 5).Draw(t, "type"))}); r.Type {
	case gateway.RecordMessage:
		r.Message = drawMessage(t)
		r.Transaction = rapid.String().Draw(t, "tx")
		if rapid.Bool().Draw(t, "moved") {
			r.Order, r.Replaces = rapid.Uint64Min(1).Draw(t, "order"), rapid.Uint64().Draw(t, "replaces")
		}
		return r
	case gateway.RecordSettle:
		r.Settled = seqs.Draw(t, "settled")
		for range rapid.IntRange(0, 3).Draw(t, "handed") {
			r.Handed = append(r.Handed, gateway.Handed{Queue: rapid.String().Draw(t, "queue"), Seq: rapid.Uint64().Draw(t, "seq")})
		}
		return r
	case gateway.RecordMark:
		for range rapid.IntRange(0, 4).Draw(t, "marks") {
			r.Marks = append(r.Marks, gateway.Mark{Seq: rapid.Uint64().Draw(t, "seq"), Redeliveries: rapid.Uint32().Draw(t, "n")})
		}
		return r
	case gateway.RecordPrepare:
		r.Transaction = rapid.String().Draw(t, "tx")
		for range rapid.IntRange(0, 3).Draw(t, "messages") {
			r.Messages = append(r.Messages, drawMessage(t))
		}
		return r
	default:
		r.Transaction = rapid.String().Draw(t, "tx")
		return r
	}
}

func TestRecordsComeBackAsTheyWere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := drawRecord(t)
		encoded := appendRecord(nil, r)
		got, err := decodeRecord(bytes.Clone(encoded), true)
		require.NoError(t, err)
		// Encoding is injective, so equal bytes are equal records; nil and empty slices are the same thing here.
		require.Equal(t, encoded, appendRecord(nil, got))
		short := rapid.IntRange(0, len(encoded)-1).Draw(t, "cut")
		if r.Type != gateway.RecordMessage { // a message's body may end anywhere
			_, err = decodeRecord(encoded[:short], true)
			require.Error(t, err)
		}
	})
}

// FuzzDecodeRecord: bytes from a damaged disk never panic nor make the decoder
// allocate more than they can hold.
func FuzzDecodeRecord(f *testing.F) {
	f.Add([]byte{1, 1, 0, 4, 0, 0, 1, 'x', 1, 'q', 1, 1, 'a', 1, 'b', 'c'})
	f.Add([]byte{1, 2, 2, 2, 2, 1, 1, 'q', 9})
	f.Add([]byte{1, 4, 1, 't', 0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := decodeRecord(b, true)
		if err != nil {
			return
		}
		again, err := decodeRecord(appendRecord(nil, r), true)
		require.NoError(t, err)
		require.Equal(t, appendRecord(nil, r), appendRecord(nil, again))
	})
}

func BenchmarkRecord(b *testing.B) {
	r := &gateway.Record{Type: gateway.RecordMessage, Message: &gateway.Message{
		ID: "ID:n1-61613-1700000000000-1:42:-1:1:123456", Destination: gateway.Destination{Kind: gateway.KindQueue, Name: "bench.q"},
		Header: gateway.Header{{Name: "content-type", Value: "text/plain"}, {Name: "k", Value: "v"}}, Body: make([]byte, 1024),
	}}
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf = appendRecord(buf[:0], r)
		if _, err := decodeRecord(buf, true); err != nil {
			b.Fatal(err)
		}
	}
}
