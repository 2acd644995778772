package commit

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"

	"github.com/minio/highwayhash"
)

// Place is where a record begins in the block files of a stream. The zero Place is nowhere.
type Place struct {
	index  uint64
	offset int64
}

// readOnBytes is how much of a file is read at once.
const readOnBytes = 64 << 10

// Find finds the place of a record. What is between the heads of records is not looked at: whoever reads there will see whether it is right.
func Find(dir string, seq uint64) (Place, bool) {
	indexes, ok := blocksOf(dir)
	if !ok {
		return Place{}, false
	}
	i := sort.Search(len(indexes), func(i int) bool {
		first, ok := FirstSequence(filepath.Join(dir, blockName(indexes[i])))
		return ok && first > seq
	}) - 1
	if i < 0 {
		return Place{}, false
	}
	f, err := os.Open(filepath.Join(dir, blockName(indexes[i])))
	if err != nil {
		return Place{}, false
	}
	defer func() { _ = f.Close() }()
	buf := make([]byte, readOnBytes)
	for at := int64(0); ; {
		n, err := f.ReadAt(buf, at)
		b := buf[:n]
		for len(b) >= minRecord {
			switch here := binary.LittleEndian.Uint64(b[4:]); {
			case here == seq:
				return Place{indexes[i], at}, true
			case here&tombBit == 0 && here > seq:
				return Place{}, false
			}
			length := int(binary.LittleEndian.Uint32(b) &^ headersBit)
			if length < minRecord || length > maxRecord {
				return Place{}, false
			}
			at += int64(length)
			b = b[min(length, len(b)):]
		}
		if err != nil && (err != io.EOF || n < minRecord) {
			return Place{}, false
		}
	}
}

// ReadOn is Read from a place on, where the record with the sequence next is, as far as fn says that it took a record. It returns the sequence that it has come to, and
// its place, which may still be empty.
func ReadOn(dir, stream string, at Place, next, to uint64, fn func(seq uint64, subject, message []byte) (taken bool)) (uint64, Place) {
	r := &readOn{dir: dir, stream: stream, Place: at, next: next, to: to, fn: fn, buf: make([]byte, readOnBytes)}
	defer r.close()
	for r.next <= to && r.some() {
	}
	return r.next, r.Place
}

// readOn is one who reads.
type readOn struct {
	Place
	dir, stream string
	next, to    uint64
	fn          func(seq uint64, subject, message []byte) bool
	buf         []byte
	file        *os.File
	check       *highwayhash.Digest64
}

func (r *readOn) close() {
	if r.file != nil {
		_ = r.file.Close()
		r.file = nil
	}
}

// open opens the block of the place.
func (r *readOn) open() bool {
	if r.file != nil {
		return true
	}
	var err error
	if r.file, err = os.Open(filepath.Join(r.dir, blockName(r.index))); err != nil {
		r.file = nil
		return false
	}
	key := sha256.Sum256(fmt.Appendf(nil, "%s-%d", r.stream, r.index))
	r.check, err = highwayhash.NewDigest64(key[:])
	return err == nil
}

// some reads some records; false: no more can be read, or is wanted.
func (r *readOn) some() bool {
	if !r.open() {
		return false
	}
	n, _ := r.file.ReadAt(r.buf, r.offset)
	began := r.offset
	for b := r.buf[:n]; r.next <= r.to; {
		rec, rest, ok := split(b)
		if !ok {
			break
		}
		if rec.seq&tombBit == 0 {
			if rec.seq != r.next || !rec.sound(r.check) || !r.fn(rec.seq, rec.subject, rec.message) {
				return false
			}
			r.next++
		}
		r.offset += int64(len(b) - len(rest))
		b = rest
	}
	switch {
	case r.offset > began:
		return true
	case n == 0:
		return r.turn()
	case n < minRecord || n < len(r.buf): // it is cut
		return false
	}
	length := int(binary.LittleEndian.Uint32(r.buf) &^ headersBit)
	if length <= len(r.buf) || length > maxRecord {
		return false
	}
	r.buf = make([]byte, length)
	return true
}

// turn goes on with the next block.
func (r *readOn) turn() bool {
	first, ok := FirstSequence(filepath.Join(r.dir, blockName(r.index+1)))
	if !ok || first != r.next {
		return false
	}
	r.close()
	r.Place = Place{r.index + 1, 0}
	return true
}
