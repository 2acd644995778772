//go:build linux

package commit

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// diskModel knows what a power cut could not take away: of each file the size at its last sync, of each directory the
// entries at its last sync.
type diskModel struct {
	mu    sync.Mutex
	root  string
	sizes map[uint64]int64
	names map[uint64]map[string]uint64
}

func newDiskModel(root string) *diskModel {
	return &diskModel{root: root, sizes: map[uint64]int64{}, names: map[uint64]map[string]uint64{}}
}

func inode(i os.FileInfo) uint64 { return i.Sys().(*syscall.Stat_t).Ino }

func (d *diskModel) Data(f *os.File) error {
	i, err := f.Stat() // before: what is written during a sync need not be part of it
	if err != nil {
		return err
	}
	runtime.Gosched()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sizes[inode(i)] = i.Size()
	return nil
}

func (d *diskModel) Dir(f *os.File) error {
	i, err := f.Stat()
	if err != nil {
		return err
	}
	// By the descriptor, as the name may belong to another directory now.
	entries, err := os.ReadDir(fmt.Sprintf("/proc/self/fd/%d", f.Fd()))
	if errors.Is(err, os.ErrNotExist) {
		return nil // a removed directory syncs without an error
	}
	if err != nil {
		return err
	}
	names := map[string]uint64{}
	for _, e := range entries {
		if info, err := e.Info(); err == nil {
			names[e.Name()] = inode(info)
		}
	}
	runtime.Gosched()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.names[inode(i)] = names
	return nil
}

func (d *diskModel) All(*os.File) error {
	return filepath.WalkDir(d.root, func(path string, e os.DirEntry, err error) error {
		if err != nil {
			return nil // vanished
		}
		f, err := os.Open(path)
		if err != nil {
			return nil
		}
		defer func() { _ = f.Close() }()
		if e.IsDir() {
			return d.Dir(f)
		}
		return d.Data(f)
	})
}

// born forgets what an earlier owner of the inode had on disk.
func (d *diskModel) born(i os.FileInfo) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.sizes, inode(i))
	delete(d.names, inode(i))
}

// safe says whether the file is reachable by its whole path and long enough.
func (d *diskModel) safe(dirs []uint64, steps []string, file uint64, size int64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i, step := range steps {
		if got := d.names[dirs[i]][step]; got != append(dirs, file)[i+1] {
			return fmt.Errorf("the entry %q is not on disk (inode %d)", step, got)
		}
	}
	if d.sizes[file] < size {
		return fmt.Errorf("%d of %d bytes on disk", d.sizes[file], size)
	}
	return nil
}

// modelLog plays the store for one log, and is its Source.
type modelLog struct {
	disk *diskModel
	root string
	dir  string
	log  *Log
	next int
	cur  *os.File
	mu   sync.Mutex
	live []modelRecord // acknowledged
	seal []modelRecord
	bad  []error
}

type modelRecord struct {
	dirs  []uint64
	steps []string
	file  uint64
	size  int64
}

func (m *modelLog) Seal() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.seal = append([]modelRecord(nil), m.live...)
}

func (m *modelLog) Committed(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err != nil {
		m.bad = append(m.bad, err)
	}
	alive := map[string]bool{} // by name: inodes are used again, names are not
	for _, r := range m.live {
		alive[r.steps[2]] = true
	}
	for _, r := range m.seal {
		if !alive[r.steps[2]] {
			continue // purged while the group was under way
		}
		if err := m.disk.safe(r.dirs, r.steps, r.file, r.size); err != nil {
			m.bad = append(m.bad, err)
		}
	}
}

// write appends a record and acknowledges it.
func (m *modelLog) write(t *rapid.T, n int) {
	if m.cur == nil {
		m.roll(t)
	}
	_, err := m.cur.Write(make([]byte, n))
	require.NoError(t, err)
	r := modelRecord{steps: []string{filepath.Base(filepath.Dir(m.dir)), "msgs", filepath.Base(m.cur.Name())}}
	for _, d := range []string{m.root, filepath.Dir(m.dir), m.dir} {
		i, err := os.Stat(d)
		require.NoError(t, err)
		r.dirs = append(r.dirs, inode(i))
	}
	i, err := m.cur.Stat()
	require.NoError(t, err)
	r.file, r.size = inode(i), i.Size()
	m.mu.Lock()
	m.live = append(m.live, r)
	m.mu.Unlock()
	m.log.Dirty()
}

func (m *modelLog) roll(t *rapid.T) {
	m.shut()
	m.next++
	f, err := os.Create(filepath.Join(m.dir, blockName(uint64(m.next))))
	require.NoError(t, err)
	i, err := f.Stat()
	require.NoError(t, err)
	m.disk.born(i)
	m.cur = f
}

func (m *modelLog) shut() {
	if m.cur != nil {
		_ = m.cur.Close()
		m.cur = nil
	}
}

// purge unlinks the oldest block if it is not the newest.
func (m *modelLog) purge(t *rapid.T) {
	m.mu.Lock()
	var first uint64
	var name string
	if len(m.live) > 0 {
		first, name = m.live[0].file, m.live[0].steps[2]
	}
	if first == 0 || m.cur == nil || name == filepath.Base(m.cur.Name()) {
		m.mu.Unlock()
		return
	}
	for len(m.live) > 0 && m.live[0].file == first {
		m.live = m.live[1:]
	}
	m.mu.Unlock()
	require.NoError(t, os.Remove(filepath.Join(m.dir, name)))
}

// replace does what the store does when everything is purged.
func (m *modelLog) replace(t *rapid.T) {
	m.mu.Lock()
	m.live = nil
	m.mu.Unlock()
	m.shut()
	old := fmt.Sprintf("%s.%d", m.dir, m.next)
	fresh := m.dir + ".new"
	require.NoError(t, os.Mkdir(fresh, 0o755))
	m.next++
	name := filepath.Join(fresh, blockName(uint64(m.next)))
	require.NoError(t, os.WriteFile(name, []byte("tomb"), 0o644))
	for _, path := range []string{fresh, name} {
		i, err := os.Stat(path)
		require.NoError(t, err)
		m.disk.born(i)
	}
	require.NoError(t, os.Rename(m.dir, old))
	require.NoError(t, os.Rename(fresh, m.dir))
	require.NoError(t, os.RemoveAll(old))
	var err error
	m.cur, err = os.OpenFile(filepath.Join(m.dir, blockName(uint64(m.next))), os.O_WRONLY|os.O_APPEND, 0)
	require.NoError(t, err)
}

func TestNothingCommittedCanBeLost(t *testing.T) {
	both(t, func(t *testing.T, prepare func(*Committer)) {
		n := 0
		rapid.Check(t, func(rt *rapid.T) {
			n++
			root := filepath.Join(t.TempDir(), fmt.Sprint(n))
			disk := newDiskModel(root)
			var logs []*modelLog
			for i := range rapid.IntRange(1, 4).Draw(rt, "logs") {
				m := &modelLog{disk: disk, root: root, dir: filepath.Join(root, fmt.Sprintf("S%d", i), "msgs")}
				require.NoError(rt, os.MkdirAll(m.dir, 0o755))
				if rapid.Bool().Draw(rt, "has a block") {
					m.roll(rt)
				}
				logs = append(logs, m)
			}
			c, err := Start(Config{Root: root, Syncer: disk})
			require.NoError(rt, err)
			prepare(c)
			for _, m := range logs {
				m.log, err = c.Add(m.dir, m)
				require.NoError(rt, err)
			}
			for range rapid.IntRange(1, 60).Draw(rt, "steps") {
				m := logs[rapid.IntRange(0, len(logs)-1).Draw(rt, "log")]
				switch rapid.IntRange(0, 19).Draw(rt, "step") {
				case 0, 1, 2:
					m.roll(rt)
				case 3, 4:
					m.purge(rt)
				case 5:
					m.replace(rt)
				default:
					m.write(rt, rapid.IntRange(1, 100).Draw(rt, "bytes"))
				}
			}
			if err := c.Close(); err != nil {
				rt.Fatal(err)
			}
			for _, m := range logs {
				m.shut()
				require.Empty(rt, m.bad)
				for _, r := range m.live {
					require.Contains(rt, m.seal, r, "acknowledged and never committed")
				}
			}
		})
	})
}
