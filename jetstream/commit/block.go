package commit

import (
	"encoding/binary"
	"io"
	"os"
	"path/filepath"
	"slices"
)

const (
	headerLen  = 22       // length 4, sequence 8, time 8, subject length 2; little endian
	minRecord  = 30       // a header and the checksum of 8
	maxRecord  = 32 << 20 // the store refuses longer ones
	headersBit = 1 << 31  // in the length: the record has headers
	erasedBit  = 1 << 63  // in the sequence: an erased record
	tombBit    = 1 << 62  // in the sequence: a tombstone, which speaks of another record
)

// FirstSequence reads the sequence of the first record of a block file. It is false when the file cannot be read, is
// empty, compressed or encrypted, or begins with an erased record or a tombstone: such a block bounds nothing.
func FirstSequence(path string) (uint64, bool) {
	f, err := os.Open(path)
	if err != nil {
		return 0, false
	}
	defer func() { _ = f.Close() }()
	var h [headerLen]byte
	if _, err := io.ReadFull(f, h[:]); err != nil {
		return 0, false
	}
	if h[0] == 'c' && h[1] == 'm' && h[2] == 'p' && h[3] != 0 {
		return 0, false // the mark of a compressed block
	}
	raw := binary.LittleEndian.Uint32(h[0:])
	length := raw &^ headersBit
	need := uint32(binary.LittleEndian.Uint16(h[20:])) + minRecord
	if raw&headersBit != 0 {
		need += 4
	}
	seq := binary.LittleEndian.Uint64(h[4:])
	if length < need || length > maxRecord || seq == 0 || seq&(erasedBit|tombBit) != 0 {
		return 0, false
	}
	return seq, true
}

// Boundary returns the largest sequence, at most below, that begins a block other than the log's first. A purge up to it
// (records with a smaller sequence go) unlinks whole blocks and touches no other file. It reads the directory, and once the
// first bytes of each block; call it when there is something to purge, not for every record. It may be called from any
// goroutine.
func (l *Log) Boundary(below uint64) (seq uint64, ok bool) {
	indexes, ok := blocksOf(l.dir)
	if !ok {
		return 0, false
	}
	l.firstsMu.Lock()
	defer l.firstsMu.Unlock()
	for old := range l.firsts {
		if _, found := slices.BinarySearch(indexes, old); !found {
			delete(l.firsts, old)
		}
	}
	return boundary(indexes, below, l.first)
}

// Boundary is that of the log whose blocks live in dir, for who has not added it: it reads the first bytes of blocks each time.
func Boundary(dir string, below uint64) (seq uint64, ok bool) {
	indexes, ok := blocksOf(dir)
	if !ok {
		return 0, false
	}
	return boundary(indexes, below, func(index uint64) (uint64, bool) { return FirstSequence(filepath.Join(dir, blockName(index))) })
}

// blocksOf are the indexes of the blocks in a directory, in order. It is false if they cannot be read.
func blocksOf(dir string) (indexes []uint64, ok bool) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, false
	}
	for _, e := range entries {
		if isKey(e.Name()) {
			return nil, false // encrypted: what looks like a header is noise
		}
		if index, ok := blockIndex(e.Name()); ok {
			indexes = append(indexes, index)
		}
	}
	slices.Sort(indexes)
	return indexes, true
}

func boundary(indexes []uint64, below uint64, first func(index uint64) (uint64, bool)) (seq uint64, ok bool) {
	for i := len(indexes) - 1; i > 0; i-- {
		if seq, ok := first(indexes[i]); ok && seq <= below {
			return seq, true
		}
	}
	return 0, false
}

// first remembers what FirstSequence said of a block. The mutex must be held.
func (l *Log) first(index uint64) (uint64, bool) {
	if seq, ok := l.firsts[index]; ok {
		return seq, true
	}
	seq, ok := FirstSequence(filepath.Join(l.dir, blockName(index)))
	if ok {
		l.firsts[index] = seq
	}
	return seq, ok
}
