package commit

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// overflow throws away what the kernel has queued and says so, as the kernel does when its queue is full.
func overflow(t *testing.T, c *Committer) {
	t.Helper()
	require.NoError(t, c.ask(func() error {
		w := c.finder.(*watcher)
		_, _ = unix.Read(w.fd, w.buf[:])
		event := make([]byte, unix.SizeofInotifyEvent)
		binary.NativeEndian.PutUint32(event, ^uint32(0))
		binary.NativeEndian.PutUint32(event[4:], unix.IN_Q_OVERFLOW)
		return w.take(event)
	}))
}

func TestOverflowReadsDirectoriesAgain(t *testing.T) {
	root, dir := store(t, 1, 2)
	s := &fakeSyncer{}
	c := start(t, root, s)
	r := newRecorder(s)
	l, err := c.Add(dir, r)
	require.NoError(t, err)
	s.take()
	create(t, dir, 3)
	create(t, dir, 4)
	overflow(t, c)
	l.Dirty()
	require.NoError(t, r.wait(t))
	require.Equal(t, []string{"seal", "data 2.blk", "data 3.blk", "data 4.blk", "dir msgs", "committed"}, s.take())
	require.Equal(t, uint64(1), c.Stats().Rescans)
}

func TestOverflowOfAllEventsIsTheKernelsToo(t *testing.T) {
	limit, err := os.ReadFile("/proc/sys/fs/inotify/max_queued_events")
	require.NoError(t, err)
	var n int
	_, err = fmt.Sscan(string(limit), &n)
	require.NoError(t, err)
	if n > 1<<15 {
		t.Skip("the queue is too long to fill in a test")
	}
	dir, s, c, r, l := oneLog(t)
	s.take()
	name := filepath.Join(dir, "index.db")
	for range n/2 + 2 {
		require.NoError(t, os.WriteFile(name, nil, 0o644))
		require.NoError(t, os.Remove(name))
	}
	create(t, dir, 2)
	l.Dirty()
	require.NoError(t, r.wait(t))
	require.Equal(t, []string{"seal", "data 1.blk", "data 2.blk", "dir msgs", "committed"}, s.take())
	require.Equal(t, uint64(1), c.Stats().Rescans)
}

func TestRenamedBlockIsSyncedCountedAndLoggedOnce(t *testing.T) {
	root, dir := store(t, 1, 2)
	s := &fakeSyncer{}
	var logged bytes.Buffer
	c, err := Start(Config{Root: root, Syncer: s, Logger: slog.New(slog.NewTextHandler(&logged, nil))})
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	r := newRecorder(s)
	l, err := c.Add(dir, r)
	require.NoError(t, err)
	s.take()
	for range 2 {
		tmp := filepath.Join(dir, "1.blk.tmp")
		require.NoError(t, os.WriteFile(tmp, []byte("y"), 0o644))
		require.NoError(t, os.Rename(tmp, filepath.Join(dir, "1.blk")))
	}
	l.Dirty()
	require.NoError(t, r.wait(t))
	require.Equal(t, []string{"seal", "data 1.blk", "data 1.blk", "data 2.blk", "dir msgs", "committed"}, s.take())
	require.Equal(t, uint64(2), c.Stats().Renamed)
	require.NoError(t, c.Close())
	require.Equal(t, 1, strings.Count(logged.String(), "renamed a block"))
}

func TestReplacedDirectoryIsFollowed(t *testing.T) {
	both(t, func(t *testing.T, prepare func(*Committer)) {
		root, dir := store(t, 1, 2)
		s := &fakeSyncer{}
		c := start(t, root, s)
		prepare(c)
		r := newRecorder(s)
		l, err := c.Add(dir, r)
		require.NoError(t, err)
		s.take()
		whole := []string{"seal", "all " + filepath.Base(root), "committed"}

		require.NoError(t, os.Rename(dir, dir+".old"))
		l.Dirty()
		require.NoError(t, r.wait(t))
		require.Equal(t, whole, s.take(), "no directory: sync everything")

		require.NoError(t, os.Mkdir(dir, 0o755))
		create(t, dir, 3)
		l.Dirty()
		require.NoError(t, r.wait(t))
		require.Equal(t, whole, s.take(), "a new directory: its parent's entries count too")

		l.Dirty()
		require.NoError(t, r.wait(t))
		require.Equal(t, []string{"seal", "data 3.blk", "committed"}, s.take())
		create(t, dir, 4)
		l.Dirty()
		require.NoError(t, r.wait(t))
		require.Equal(t, []string{"seal", "data 3.blk", "data 4.blk", "dir msgs", "committed"}, s.take())
	})
}

// A log whose directory came back between the attempt to watch it and the attempt to open it was taken unwatched, and
// none of its later blocks was ever synced.
func TestDirectoryThatComesBackMeanwhileIsNotTakenUnwatched(t *testing.T) {
	root, dir := store(t, 1)
	s := &fakeSyncer{}
	c := start(t, root, s)
	l, err := c.Add(dir, newRecorder(s))
	require.NoError(t, err)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				_ = os.Rename(dir, dir+".away")
				_ = os.Rename(dir+".away", dir)
			}
		}
	}()
	defer func() { close(stop); <-stopped }()
	for range 5000 {
		require.NoError(t, c.ask(func() error {
			l.lost = true
			w := c.finder.(*watcher)
			if err := w.recover([]*Log{l}); err != nil {
				return err
			}
			if !l.lost && w.logs[l.watch] != l {
				return errors.New("the log is taken for found, and not watched")
			}
			return nil
		}))
	}
}

// A directory that cannot be watched is read at every commit.
func TestUnwatchedDirectoryIsListed(t *testing.T) {
	dir, s, c, r, l := oneLog(t)
	require.NoError(t, c.ask(func() error { // as if there had been no watch left
		c.finder.remove(l)
		l.watch, l.listed = noWatch, true
		return nil
	}))
	s.take()
	create(t, dir, 2)
	l.Dirty()
	require.NoError(t, r.wait(t))
	require.Equal(t, []string{"seal", "data 1.blk", "data 2.blk", "dir msgs", "committed"}, s.take())
}

func TestFallsBackToListingWithoutInotify(t *testing.T) {
	root, dir := store(t, 1)
	s := &fakeSyncer{}
	c := start(t, root, s)
	useLister(t, c)
	r := newRecorder(s)
	l, err := c.Add(dir, r)
	require.NoError(t, err)
	l.Dirty()
	require.NoError(t, r.wait(t))
	require.Zero(t, c.Stats().Rescans)
}

func TestNoDescriptorIsLeftOpen(t *testing.T) {
	root, dir := store(t, 1)
	open := func() (names []string) {
		entries, err := os.ReadDir("/proc/self/fd")
		require.NoError(t, err)
		for _, e := range entries {
			to, _ := os.Readlink("/proc/self/fd/" + e.Name())
			if strings.HasPrefix(to, root) || strings.Contains(to, "inotify") {
				names = append(names, to)
			}
		}
		return names
	}
	s := &fakeSyncer{}
	c := start(t, root, s)
	r := newRecorder(s)
	l, err := c.Add(dir, r)
	require.NoError(t, err)
	for n := 2; n < 6; n++ {
		create(t, dir, n)
	}
	l.Dirty()
	require.NoError(t, r.wait(t))
	require.Len(t, open(), 4, "inotify, root, directory, newest block")
	require.NoError(t, l.Close())
	require.Len(t, open(), 2)
	require.NoError(t, c.Close())
	require.Empty(t, open())
}

// Who takes all descriptors stops the commits as long as he has them, and not for ever.
func TestCommitsWaitForADescriptor(t *testing.T) {
	both(t, func(t *testing.T, prepare func(*Committer)) {
		root, dir := store(t, 1)
		s := &fakeSyncer{}
		c := start(t, root, s)
		prepare(c)
		r := newRecorder(s)
		l, err := c.Add(dir, r)
		require.NoError(t, err)
		create(t, dir, 2)
		s.take()

		var was unix.Rlimit
		require.NoError(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &was))
		require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 0, Max: was.Max})) // those that are open stay
		restore := sync.OnceFunc(func() { _ = unix.Setrlimit(unix.RLIMIT_NOFILE, &was) })
		defer restore()
		l.Dirty()
		require.Never(t, func() bool { return len(r.done) > 0 }, 100*time.Millisecond, 5*time.Millisecond)
		require.NoError(t, c.Err())
		restore()
		require.NoError(t, r.wait(t))
		require.Contains(t, s.take(), "data 2.blk")
	})
}

func TestKernelAtLeast(t *testing.T) {
	for release, want := range map[string]bool{
		"6.18.44-fc-v445": true, "5.8.0": true, "5.10.0-26-amd64": true, "5.7.19": false, "4.19.0": false, "": false, "x": false,
	} {
		require.Equal(t, want, kernelAtLeast(release, 5, 8), release)
	}
}

func TestFileSystemsWeCanProve(t *testing.T) {
	for magic, want := range map[uint32]bool{
		unix.EXT4_SUPER_MAGIC: true, unix.XFS_SUPER_MAGIC: true, unix.BTRFS_SUPER_MAGIC: true,
		unix.TMPFS_MAGIC: false, unix.NFS_SUPER_MAGIC: false, unix.FUSE_SUPER_MAGIC: false,
		unix.OVERLAYFS_SUPER_MAGIC: false, 0x12345678: false,
	} {
		name, proven := fileSystem(magic)
		require.Equal(t, want, proven, name)
		require.NotEmpty(t, name)
	}
	_, proven, err := Supported("/proc")
	require.NoError(t, err)
	require.False(t, proven)
	_, _, err = Supported(filepath.Join(t.TempDir(), "nowhere"))
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestMountOptionsThatUndoASync(t *testing.T) {
	const mounts = `22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 22 8:1 / /data rw,relatime shared:2 - ext4 /dev/sda1 rw,nobarrier
31 22 8:2 / /data/safe rw,relatime - xfs /dev/sdb1 rw
32 22 8:3 / /with\040space rw - ext4 /dev/sdc rw,barrier=0
33 22 8:4 / /twice rw - ext4 /dev/sdd rw,nobarrier
34 22 8:5 / /twice rw - ext4 /dev/sde rw
`
	for path, want := range map[string]string{
		"/": "", "/var/lib": "", "/data": "nobarrier", "/data/x": "nobarrier", "/data/safe/x": "", "/database": "",
		"/with space/x": "barrier=0", "/twice/x": "",
	} {
		require.Equal(t, want, unsafeOption(mounts, path), path)
	}
}

// resident counts the bytes of a file that are in the page cache.
func resident(t *testing.T, path string) int {
	t.Helper()
	f, err := os.Open(path)
	require.NoError(t, err)
	defer func() { _ = f.Close() }()
	i, err := f.Stat()
	require.NoError(t, err)
	m, err := unix.Mmap(int(f.Fd()), 0, int(i.Size()), unix.PROT_READ, unix.MAP_SHARED)
	require.NoError(t, err)
	defer func() { require.NoError(t, unix.Munmap(m)) }()
	page := os.Getpagesize()
	in := make([]byte, (len(m)+page-1)/page)
	_, _, errno := unix.Syscall(unix.SYS_MINCORE, uintptr(unsafe.Pointer(&m[0])), uintptr(len(m)), uintptr(unsafe.Pointer(&in[0])))
	require.Zero(t, errno)
	n := 0
	for _, b := range in {
		n += int(b&1) * page
	}
	return n
}

// After a failed sync the kernel may show data that is not on disk. A restarted process must not believe it.
func TestFailureEvictsWhatMayNotBeOnDisk(t *testing.T) {
	root, dir := store(t, 1)
	if name, proven, err := Supported(root); err != nil || !proven {
		t.Skip("pages cannot be evicted on " + name)
	}
	path := filepath.Join(dir, "1.blk")
	require.NoError(t, os.WriteFile(path, make([]byte, 1<<20), 0o644))
	f, err := os.Open(path)
	require.NoError(t, err)
	require.NoError(t, f.Sync()) // the pages are clean, as after a write-back that failed
	require.NoError(t, f.Close())
	s := &fakeSyncer{}
	c := start(t, root, s)
	r := newRecorder(s)
	l, err := c.Add(dir, r)
	require.NoError(t, err)
	require.Equal(t, 1<<20, resident(t, path))
	s.mu.Lock()
	s.fail = unix.EIO
	s.mu.Unlock()
	l.Dirty()
	require.ErrorIs(t, r.wait(t), unix.EIO)
	require.Zero(t, resident(t, path))
}
