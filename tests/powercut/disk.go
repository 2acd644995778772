//go:build linux

package powercut

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"syscall"

	"github.com/sluice-mq/sluice/jetstream/commit"
)

// Disk is a commit.Syncer that tells the journal what every sync made durable. With a Grave it keeps a link of every synced
// file there, named after the inode, so that an unlink can be undone and no inode is used twice.
type Disk struct {
	Root    string
	Grave   string
	Journal *Journal
	Real    bool // sync for real too

	// Lies, for the negative controls: what is skipped is reported as done.
	Skip     atomic.Int64 // every Skip-th sync; 0: none
	SkipDirs atomic.Bool  // all syncs of single directories
	calls    atomic.Int64
}

var _ commit.Syncer = (*Disk)(nil)

func (d *Disk) skipped() bool {
	n := d.calls.Add(1)
	skip := d.Skip.Load()
	return skip > 0 && n%skip == 0
}

// Data syncs a file.
func (d *Disk) Data(f *os.File) error {
	if d.skipped() {
		return nil
	}
	return d.data(f, d.Real)
}

func (d *Disk) data(f *os.File, sync bool) error {
	before, err := f.Stat() // what is written meanwhile need not be part of it
	if err != nil {
		return err
	}
	if sync {
		if err := (commit.OS{}).Data(f); err != nil {
			return err
		}
	}
	ino := inode(before)
	if d.Grave == "" {
		return nil
	}
	grave := filepath.Join(d.Grave, strconv.FormatUint(ino, 10))
	err = os.Link(f.Name(), grave)
	if err != nil && !errors.Is(err, fs.ErrExist) && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return d.Journal.Note(Event{Kind: DataSynced, Inode: ino, Size: before.Size()})
}

// Dir syncs a directory.
func (d *Disk) Dir(f *os.File) error {
	if d.SkipDirs.Load() || d.skipped() {
		return nil
	}
	return d.dir(f, d.Real)
}

func (d *Disk) dir(f *os.File, sync bool) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	names, err := readNames(fmt.Sprintf("/proc/self/fd/%d", f.Fd()))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // a removed directory
	}
	if err != nil {
		return err
	}
	if sync {
		if err := (commit.OS{}).Dir(f); err != nil {
			return err
		}
	}
	if d.Grave == "" {
		return nil
	}
	return d.Journal.Note(Event{Kind: DirSynced, Inode: inode(info), Names: names})
}

// All syncs everything under the root.
func (d *Disk) All(root *os.File) error {
	if d.skipped() {
		return nil
	}
	if d.Real {
		if err := (commit.OS{}).All(root); err != nil {
			return err
		}
	}
	if d.Grave == "" {
		return nil
	}
	return filepath.WalkDir(d.Root, func(path string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		f, err := os.Open(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }()
		if e.IsDir() {
			return d.dir(f, false)
		}
		return d.data(f, false)
	})
}

func inode(i os.FileInfo) uint64 { return i.Sys().(*syscall.Stat_t).Ino }

func readNames(dir string) (map[string]uint64, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	names := map[string]uint64{}
	for _, e := range entries {
		if i, err := e.Info(); err == nil {
			names[e.Name()] = inode(i)
		}
	}
	return names, nil
}
