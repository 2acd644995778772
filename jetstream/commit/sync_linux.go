package commit

import (
	"errors"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// OS syncs with the operating system's calls. It is stateless.
type OS struct{}

// Data calls fdatasync.
func (OS) Data(f *os.File) error {
	return again("fdatasync", f, unix.Fdatasync)
}

// Dir calls fsync.
func (OS) Dir(d *os.File) error {
	return again("fsync", d, unix.Fsync)
}

// All calls syncfs, or syncs every file under root where the kernel would not report errors of syncfs.
func (OS) All(root *os.File) error {
	if !wholeSyncReportsErrors() {
		return syncTree(root.Name())
	}
	return again("syncfs", root, unix.Syncfs)
}

// again repeats a call that a signal interrupted; it repeats no other error.
func again(call string, f *os.File, do func(int) error) error {
	for {
		err := do(int(f.Fd()))
		if err == nil {
			return nil
		}
		if !errors.Is(err, unix.EINTR) {
			return &os.PathError{Op: call, Path: f.Name(), Err: err}
		}
	}
}

// wholeSyncReportsErrors says whether syncfs returns write errors: since Linux 5.8.
func wholeSyncReportsErrors() bool {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return false
	}
	return kernelAtLeast(unix.ByteSliceToString(u.Release[:]), 5, 8)
}

func kernelAtLeast(release string, major, minor int) bool {
	parts := strings.FieldsFunc(release, func(r rune) bool { return r < '0' || r > '9' })
	if len(parts) < 2 {
		return false
	}
	a, errA := strconv.Atoi(parts[0])
	b, errB := strconv.Atoi(parts[1])
	if errA != nil || errB != nil {
		return false
	}
	return a > major || a == major && b >= minor
}

// evict drops a file's clean pages from the page cache. It is best effort.
func evict(f *os.File) {
	_ = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
}
