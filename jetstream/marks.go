package jetstream

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
)

// marks is a small file beside the streams that says, about a second behind, what
// must be in them. It turns a cut block into a refusal at start instead of an empty queue.
type marks struct {
	mu   sync.Mutex
	path string
	now  []mark
	old  []mark // as on disk
}

// mark is what one journal must hold.
type mark struct {
	// Low: the first sequence is not above it.
	Low uint64 `json:"low"`
	// Last: the last sequence is not below it. 0 without syncs.
	Last uint64 `json:"last"`
	// Gaps are torn tails of earlier power cuts: sequences that never were promised.
	Gaps [][2]uint64 `json:"gaps,omitempty"`
}

const marksFile = "marks.json"

// open reads the marks. A store that is used has some.
func (m *marks) open(dir string, used bool) error {
	m.path = filepath.Join(dir, marksFile)
	b, err := os.ReadFile(m.path)
	if !used && errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = json.Unmarshal(b, &m.old)
	}
	if err != nil {
		return &DamageError{Stream: marksFile, What: "it cannot be read: " + err.Error()}
	}
	if !used && slices.ContainsFunc(m.old, func(m mark) bool { return m.Last > 0 }) {
		return &DamageError{Stream: manifestFile, What: "it is gone, but " + marksFile + " speaks of messages"}
	}
	m.now = slices.Clone(m.old)
	return nil
}

// create makes the file of a new store.
func (m *marks) create(shards int) error {
	m.now = make([]mark, shards)
	m.old = slices.Clone(m.now)
	b, err := json.Marshal(m.now)
	if err != nil {
		return err
	}
	return ReplaceFile(m.path, b)
}

// sized checks that there is a mark for each journal.
func (m *marks) sized(shards int) error {
	if len(m.now) != shards {
		return &DamageError{Stream: marksFile, What: fmt.Sprintf("it speaks of %d shards, %s of %d", len(m.now), manifestFile, shards)}
	}
	return nil
}

// check compares a journal with what it must hold.
func (m *marks) check(j *journal, shard int, synced bool) error {
	want := m.now[shard]
	switch {
	case want.Low > 0 && j.first > want.Low:
		return &DamageError{Stream: j.stream, What: fmt.Sprintf("it begins at record %d, but record %d is still needed", j.first, want.Low)}
	case synced && want.Last > 0 && j.next-1 < want.Last:
		return &DamageError{Stream: j.stream, What: fmt.Sprintf("it ends at record %d, but record %d was on disk", j.next-1, want.Last)}
	}
	return nil
}

// reached checks that what a cluster has before a tenure is no less than what this node knows to have been on disk.
func (m *marks) reached(j *journal) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if last := m.now[j.shard].Last; last >= j.epoch {
		return &DamageError{Stream: j.stream, What: fmt.Sprintf("it ended at record %d, but record %d was on disk", j.epoch-1, last)}
	}
	return nil
}

// low is the lowest sequence of a journal that was needed when the file was last written.
func (m *marks) low(shard int) uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	if shard < len(m.old) {
		return m.old[shard].Low
	}
	return 0
}

// gap decides what a hole in a journal is: a torn tail if nothing in it was ever promised. In a
// cluster there are none.
func (j *journal) gap(from, to uint64) error {
	s := j.store
	s.marks.mu.Lock()
	defer s.marks.mu.Unlock()
	m := &s.marks.now[j.shard]
	if slices.Contains(m.Gaps, [2]uint64{from, to}) {
		return nil
	}
	if from <= m.Last || j.epoch > 0 {
		return &DamageError{Stream: j.stream, What: fmt.Sprintf("records %d to %d are missing", from, to)}
	}
	s.cfg.Logger.Warn("a power cut tore records that were never confirmed", "stream", j.stream, "from", from, "to", to)
	m.Gaps = append(m.Gaps, [2]uint64{from, to})
	return nil
}

// write brings the file up to date if anything changed.
func (m *marks) write(journals []*journal, synced bool) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, j := range journals {
		j.mu.Lock()
		now := &m.now[j.shard]
		now.Low = j.trimTo
		if now.Last = 0; synced {
			now.Last = j.committed
		}
		now.Gaps = slices.DeleteFunc(now.Gaps, func(g [2]uint64) bool { return g[1] < j.first })
		j.mu.Unlock()
	}
	if slices.EqualFunc(m.now, m.old, func(a, b mark) bool {
		return a.Low == b.Low && a.Last == b.Last && slices.Equal(a.Gaps, b.Gaps)
	}) {
		return nil
	}
	b, err := json.Marshal(m.now)
	if err != nil {
		return err
	}
	if err := ReplaceFile(m.path, b); err != nil {
		return err
	}
	m.old = m.old[:0]
	for _, n := range m.now {
		n.Gaps = slices.Clone(n.Gaps)
		m.old = append(m.old, n)
	}
	return nil
}
