package node

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// Volume makes a file system of so many MiB, an ext4, and returns its directory. It skips the test where this
// cannot be made.
func Volume(t *testing.T, mib int64) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("SKIPPED: a small file system needs root")
	}
	Binary(t) // it takes more room to build than there may be
	base, err := os.MkdirTemp("", "sluice-volume-")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(base) })
	image, dir := filepath.Join(base, "image"), filepath.Join(base, "volume")
	require.NoError(t, os.Mkdir(dir, 0o700))
	require.NoError(t, os.WriteFile(image, nil, 0o600))
	require.NoError(t, os.Truncate(image, mib<<20))
	for _, command := range [][]string{
		{"mkfs.ext4", "-q", "-F", "-m", "0", image},
		{"mount", "-o", "loop", image, dir},
	} {
		if out, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
			t.Skipf("SKIPPED: no file system of its own: %v: %v\n%s", command, err, out)
		}
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
			t.Errorf("umount %s: %v\n%s", dir, err, out)
		}
	})
	return dir
}

// Hog takes all the space there is, to the last block, at once.
func Hog(t *testing.T, dir string) (free func()) {
	t.Helper()
	f, err := os.Create(filepath.Join(dir, "foreign"))
	require.NoError(t, err)
	defer f.Close()
	size := int64(0)
	for step := int64(1 << 30); step >= 4096; {
		switch err := unix.Fallocate(int(f.Fd()), 0, size, step); {
		case err == nil:
			size += step
		case errors.Is(err, unix.ENOSPC):
			step /= 2
		default:
			require.NoError(t, err)
		}
	}
	return func() { require.NoError(t, os.Remove(f.Name())) }
}
