package commit

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
)

// Log is one stream's place in the committer.
type Log struct {
	committer *Committer
	dir       string
	source    Source
	dirty     atomic.Bool
	patient   atomic.Bool // dirty as well, and nobody waits for it

	// Touched by the committer's goroutine only (and by what it waits for).
	handle *os.File // the directory
	newest *block   // where the store writes; open since it was first seen, so that no write error is missed
	older  []*block // blocks written since the last sync that are not the newest any more
	named  bool     // all names are on disk
	lost   bool     // the directory is not the one we hold: look again
	moved  bool     // the directory was replaced since the last sync: its parents need one too
	watch  int      // the finder's own
	listed bool     // the finder's own: this directory could not be watched

	firstsMu sync.Mutex
	firsts   map[uint64]uint64 // block index to first sequence, for Boundary
}

type block struct {
	index uint64
	name  string
	file  *os.File
}

// Dirty says that the store has acknowledged a record in this log. Call it once for each, after the acknowledgement was noted where
// Seal will find it. It never blocks and may be called from any goroutine.
func (l *Log) Dirty() {
	l.committer.gather.add()
	if l.dirty.Swap(true) {
		return
	}
	select {
	case l.committer.kick <- struct{}{}:
	default:
	}
}

// DirtyLater is Dirty for a record that nobody waits for: it belongs to the next group that somebody does wait for, in whatever log, and
// after laterWithin to one of its own.
func (l *Log) DirtyLater() {
	c := l.committer
	if c.cfg.Mode == None { // a group costs nothing there
		l.Dirty()
		return
	}
	if l.patient.Swap(true) {
		return
	}
	select {
	case c.patient <- struct{}{}:
	default:
	}
}

// Close ends commits for this log; after it the Source is not called any more. What is dirty is not committed.
func (l *Log) Close() error {
	return l.committer.ask(func() error {
		l.committer.forget(l)
		return nil
	})
}

func (l *Log) release() {
	l.dropOlder()
	if l.newest != nil {
		_ = l.newest.file.Close()
		l.newest = nil
	}
	if l.handle != nil {
		_ = l.handle.Close()
		l.handle = nil
	}
}

// evict asks the kernel to forget the clean pages of what was written since the last sync.
func (l *Log) evict() {
	for _, b := range l.older {
		evict(b.file)
	}
	if l.newest != nil {
		evict(l.newest.file)
	}
}

func (l *Log) dropOlder() {
	for _, b := range l.older {
		_ = b.file.Close()
	}
	l.older = l.older[:0]
}

func (l *Log) synced() {
	l.dropOlder()
	l.named = true
	l.moved = false
}

// openDir takes a handle on the directory as it is now.
func (l *Log) openDir() error {
	var d *os.File
	err := l.committer.patiently(func() (err error) {
		d, err = os.Open(l.dir)
		return err
	})
	if err != nil {
		return err
	}
	if l.handle != nil {
		_ = l.handle.Close()
	}
	l.handle = d
	l.named = false
	return nil
}

// appeared takes in a file that came into the directory since the last look.
func (l *Log) appeared(name string) error {
	index, isBlock := blockIndex(name)
	if !isBlock && !isKey(name) {
		return nil
	}
	l.named = false
	if isBlock && l.holds(index) {
		return nil
	}
	var f *os.File
	err := l.committer.patiently(func() (err error) {
		f, err = os.Open(filepath.Join(l.dir, name))
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil // came and went: nothing of it is alive
	}
	if err != nil {
		return err
	}
	b := &block{index: index, name: name, file: f}
	if !isBlock || l.newest != nil && index < l.newest.index {
		l.older = append(l.older, b)
		return nil
	}
	if l.newest != nil {
		l.older = append(l.older, l.newest)
	}
	l.newest = b
	return nil
}

// gone forgets a block that was removed: it needs no sync, and its file must not be kept alive.
func (l *Log) gone(name string) {
	if l.newest != nil && l.newest.name == name && !l.holds(l.newest.index) {
		_ = l.newest.file.Close()
		l.newest = nil
	}
}

// list reads the directory and takes in the newest block and every other one from index from on.
func (l *Log) list(from uint64) error {
	var entries []os.DirEntry
	err := l.committer.patiently(func() (err error) {
		entries, err = os.ReadDir(l.dir)
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		l.lost = true
		return nil
	}
	if err != nil {
		return err
	}
	var indexes []uint64
	for _, e := range entries {
		if index, ok := blockIndex(e.Name()); ok {
			indexes = append(indexes, index)
		}
		if isKey(e.Name()) {
			if err := l.appeared(e.Name()); err != nil {
				return err
			}
		}
	}
	if len(indexes) == 0 {
		return nil
	}
	slices.Sort(indexes)
	from = min(from, indexes[len(indexes)-1])
	for _, index := range indexes {
		if index < from || l.holds(index) {
			continue
		}
		if err := l.appeared(blockName(index)); err != nil {
			return err
		}
	}
	return nil
}

// next is the index from which on blocks can have changed since the last look.
func (l *Log) next() uint64 {
	if l.newest == nil {
		return 0
	}
	return l.newest.index
}

// restart begins anew with the directory that is at the log's place now: the store replaces it when it purges everything.
// While there is none the log stays lost.
func (l *Log) restart() error {
	l.lost = true
	err := l.openDir()
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	l.lost, l.moved = false, true
	if l.newest != nil {
		_ = l.newest.file.Close()
		l.newest = nil
	}
	return l.list(0)
}

// holds says whether the newest block is the file of this index.
func (l *Log) holds(index uint64) bool {
	if l.newest == nil || l.newest.index != index {
		return false
	}
	mine, err := l.newest.file.Stat()
	if err != nil {
		return false
	}
	theirs, err := os.Stat(filepath.Join(l.dir, l.newest.name))
	return err == nil && os.SameFile(mine, theirs)
}

// blockIndex reads the number of a block file's name.
func blockIndex(name string) (uint64, bool) {
	digits, ok := strings.CutSuffix(name, ".blk")
	if !ok {
		return 0, false
	}
	index, err := strconv.ParseUint(digits, 10, 64)
	return index, err == nil
}

func blockName(index uint64) string {
	return strconv.FormatUint(index, 10) + ".blk"
}

func isKey(name string) bool {
	digits, ok := strings.CutSuffix(name, ".key")
	if !ok {
		return false
	}
	_, err := strconv.ParseUint(digits, 10, 64)
	return err == nil
}
