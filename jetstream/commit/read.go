package commit

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/minio/highwayhash"
)

// checksumLen is that of the checksum at the end of a record.
const checksumLen = 8

// What headers begin and end with.
var headersBegin, headersEnd = []byte("NATS/1.0"), []byte("\r\n\r\n")

// Read reads records from the block files of a stream: those from a sequence on to another, in order and without a gap. fn gets each
// one's subject and message, which are good until fn returns; the error of fn ends it, and false says that the record is not as it should be: the checksum
// is the server's, and covers all but the lengths of the subject and the headers. Read returns the sequence that it has come to: the first that
// it has not read. Where a file is not as expected (it is cut, a checksum does not match, a sequence is missing, it is compressed or
// encrypted, or the store is just removing it) it stops without an error: what follows must be read through the store, which knows
// what to think of it. Only what the store has written to its files is found.
//
// A record costs about a microsecond, a tenth of what it costs through the store.
func Read(dir, stream string, from, to uint64, fn func(seq uint64, subject, message []byte) (bool, error)) (next uint64, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return from, nil
	}
	var indexes []uint64
	for _, e := range entries {
		if isKey(e.Name()) {
			return from, nil
		}
		if index, ok := blockIndex(e.Name()); ok {
			indexes = append(indexes, index)
		}
	}
	slices.Sort(indexes)
	start := -1
	for i, index := range indexes {
		first, ok := FirstSequence(filepath.Join(dir, blockName(index)))
		if ok && first > from {
			break
		}
		if ok {
			start = i
		}
	}
	if start < 0 {
		return from, nil
	}
	r := &records{next: from, to: to, fn: fn}
	for _, index := range indexes[start:] {
		if more, err := r.block(dir, stream, index); err != nil || !more {
			return r.next, err
		}
	}
	return r.next, nil
}

// records reads blocks, one after another.
type records struct {
	next, to uint64
	fn       func(seq uint64, subject, message []byte) (bool, error)
	buf      []byte
}

// block reads one; more is false where reading ends.
func (r *records) block(dir, stream string, index uint64) (more bool, err error) {
	f, err := os.Open(filepath.Join(dir, blockName(index)))
	if err != nil {
		return false, nil
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return false, nil
	}
	if n := int(info.Size()); n > cap(r.buf) {
		r.buf = make([]byte, n)
	}
	n, _ := f.ReadAt(r.buf[:info.Size()], 0) // what cannot be read is cut
	key := sha256.Sum256(fmt.Appendf(nil, "%s-%d", stream, index))
	hash, err := highwayhash.NewDigest64(key[:])
	if err != nil {
		return false, nil
	}
	for b := r.buf[:n]; len(b) > 0; {
		rec, rest, ok := split(b)
		if !ok {
			return false, nil
		}
		b = rest
		if rec.seq&tombBit != 0 || rec.seq < r.next {
			continue
		}
		if rec.seq > r.to || rec.seq != r.next || !rec.sound(hash) {
			return false, nil
		}
		if ok, err := r.fn(rec.seq, rec.subject, rec.message); err != nil || !ok {
			return false, err
		}
		r.next++
	}
	return true, nil
}

// stored is a record as it is in its file.
type stored struct {
	seq                      uint64
	header, subject, content []byte // the content is the message with its headers, if it has some
	checksum, message        []byte
}

// split takes the first record off b.
func split(b []byte) (r stored, rest []byte, ok bool) {
	if len(b) < minRecord {
		return r, nil, false
	}
	raw := binary.LittleEndian.Uint32(b)
	length, subject := int(raw&^headersBit), int(binary.LittleEndian.Uint16(b[20:]))
	head := headerLen + subject
	if raw&headersBit != 0 {
		head += 4
	}
	if length > len(b) || length > maxRecord || length < head+checksumLen {
		return r, nil, false
	}
	r.seq = binary.LittleEndian.Uint64(b[4:])
	r.header, r.subject = b[4:20], b[headerLen:headerLen+subject]
	r.content, r.checksum = b[head:length-checksumLen], b[length-checksumLen:length]
	r.message = r.content
	if raw&headersBit != 0 {
		n := int(binary.LittleEndian.Uint32(b[head-4:]))
		if n < 0 || n > len(r.content) || !bytes.HasPrefix(r.content[:n], headersBegin) || !bytes.HasSuffix(r.content[:n], headersEnd) {
			return r, nil, false
		}
		r.message = r.content[n:]
	}
	return r, b[length:], true
}

// sound reports whether the checksum is that of the record.
func (r *stored) sound(hash *highwayhash.Digest64) bool {
	hash.Reset()
	_, _ = hash.Write(r.header)
	_, _ = hash.Write(r.subject)
	_, _ = hash.Write(r.content)
	var sum [checksumLen]byte
	return bytes.Equal(hash.Sum(sum[:0]), r.checksum)
}
