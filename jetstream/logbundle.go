package jetstream

import (
	"encoding/binary"
	"hash/crc32"

	"github.com/sluice-mq/sluice/gateway"
)

// Messages that are appended to a log together are in one record, their bundle: so all of them are there, or none. The bundle has the sequence of the first, and stands
// for it; behind it comes a slot for each of the others, so that a message's offset is a sequence as always. A slot says to which bundle it belongs. Slots that a crash has
// cut off are written when the log is opened.
//
//	bundle: bundleVersion | type | number | records of messages, each with its length
//	slot:   slotVersion | type | index of its message | number | checksum of the bundle (4)

const (
	bundleVersion = 0x82
	slotVersion   = 0x83
	// bundleMost is how large a bundle may be, in bytes. Who wants one of its messages reads it whole.
	bundleMost = 1 << 20
)

// slot stands where a message of a bundle has its sequence, which is index behind the bundle's.
type slot struct {
	index, of int
	sum       uint32
}

// bundled makes one record, and slots, of those of several messages, if together they are small enough.
func bundled(records [][]byte, size int) ([][]byte, bool) {
	if len(records) < 2 || size+len(records)*binary.MaxVarintLen32 > bundleMost {
		return records, false
	}
	b := make([]byte, 0, size+(len(records)+1)*binary.MaxVarintLen32)
	b = binary.AppendUvarint(append(b, bundleVersion, byte(gateway.RecordMessage)), uint64(len(records)))
	for _, r := range records {
		b = append(binary.AppendUvarint(b, uint64(len(r))), r...)
	}
	out := [][]byte{b}
	for i := 1; i < len(records); i++ {
		out = append(out, appendSlot(nil, slot{i, len(records), sumOf(b)}))
	}
	return out, true
}

// sumOf tells bundles apart.
func sumOf(bundle []byte) uint32 { return crc32.Checksum(bundle, castagnoli) }

func appendSlot(dst []byte, s slot) []byte {
	dst = binary.AppendUvarint(append(dst, slotVersion, byte(gateway.RecordMessage)), uint64(s.index))
	return binary.BigEndian.AppendUint32(binary.AppendUvarint(dst, uint64(s.of)), s.sum)
}

// isBundle and isSlot tell them from other records.
func isBundle(b []byte) bool { return len(b) > 0 && b[0] == bundleVersion }
func isSlot(b []byte) bool   { return len(b) > 0 && b[0] == slotVersion }

func decodeSlot(b []byte) (s slot, err error) {
	if len(b) < 2 || !isSlot(b) || b[1] != byte(gateway.RecordMessage) {
		return slot{}, errBadRecord
	}
	d := decoder{b: b[2:]}
	index, of := d.uvarint(), d.uvarint()
	if d.failed || index == 0 || index >= of || of > gateway.MaxLogBatch || len(d.b) != 4 {
		return slot{}, errBadRecord
	}
	return slot{int(index), int(of), binary.BigEndian.Uint32(d.b)}, nil
}

// bundleSize is how many messages a bundle has.
func bundleSize(b []byte) (int, error) {
	if len(b) < 2 || !isBundle(b) || b[1] != byte(gateway.RecordMessage) {
		return 0, errBadRecord
	}
	d := decoder{b: b[2:]}
	n := d.uvarint()
	if d.failed || n < 2 || n > gateway.MaxLogBatch {
		return 0, errBadRecord
	}
	return int(n), nil
}

// decodeBundle reads messages of a bundle from an index on, as many as are wanted at most; b belongs to them.
func decodeBundle(b []byte, from, most int) ([]*gateway.Message, error) {
	n, err := bundleSize(b)
	if err != nil {
		return nil, err
	}
	d := decoder{b: b[2:]}
	d.uvarint()
	all := make([]*gateway.Message, 0, max(min(n-from, most), 0))
	for i := range n {
		record := d.bytes(d.uvarint())
		if d.failed {
			return nil, errBadRecord
		}
		if i < from || len(all) >= most {
			continue
		}
		m, err := decodeLogged(record)
		if err != nil {
			return nil, err
		}
		all = append(all, m)
	}
	if len(d.b) > 0 {
		return nil, errBadRecord
	}
	return all, nil
}
