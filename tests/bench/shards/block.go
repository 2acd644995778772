package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
)

func sortUint64(v []uint64) { slices.Sort(v) }

// blockFloor returns the highest first sequence of a block that is not above
// seq: purging there unlinks whole blocks and rewrites nothing. It reads the
// first record header of the blocks: length, sequence, time.
func blockFloor(dir string, seq uint64) (uint64, error) {
	blocks, err := blockFiles(dir)
	if err != nil {
		return 0, err
	}
	floor := uint64(0)
	for _, b := range blocks {
		first, err := firstSequence(filepath.Join(dir, fmt.Sprintf("%d.blk", b)))
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			continue
		}
		if err != nil {
			return 0, err
		}
		if first > seq {
			break
		}
		floor = max(floor, first)
	}
	return floor, nil
}

// firstSequence reads the sequence of a block's first record; 0 if that is a tombstone.
func firstSequence(name string) (uint64, error) {
	f, err := os.Open(name)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	var head [12]byte
	if _, err := io.ReadFull(f, head[:]); err != nil {
		return 0, err
	}
	seq := binary.LittleEndian.Uint64(head[4:])
	if seq>>62 != 0 {
		return 0, nil
	}
	return seq, nil
}
