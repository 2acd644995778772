//go:build linux

package powercut

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// smallMemory is a place in memory with so much room.
func smallMemory(t *testing.T, room string) string {
	t.Helper()
	small := t.TempDir()
	require.NoError(t, run("mount", "-t", "tmpfs", "-o", "huge=never,size="+room, "tmpfs", small))
	t.Cleanup(func() { _ = run("umount", small) })
	return small
}

// A device that has no room left says so for everything it did not take. One that says yes to a write of which it
// took a part would make any store break its promises, and prove nothing.
func TestTheFailingDeviceTakesWritesWholeOrNotAtAll(t *testing.T) {
	needsImages(t, "ext4")
	const write, writes = 96 << 10, 20 // the last for which there is room is number 10, and not for all of it
	file := filepath.Join(smallMemory(t, "1m"), "disk")
	require.NoError(t, os.WriteFile(file, nil, 0o644))
	require.NoError(t, os.Truncate(file, write*writes))
	d, err := OpenDevice(file)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, d.Close()) })
	f, err := os.OpenFile(d.Path, os.O_RDWR|unix.O_DIRECT, 0)
	require.NoError(t, err)
	defer func() { _ = f.Close() }()
	page, err := unix.Mmap(-1, 0, write, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	require.NoError(t, err)
	defer func() { require.NoError(t, unix.Munmap(page)) }()

	var taken []int64
	for i := range int64(writes) {
		copy(page, bytes.Repeat([]byte{byte(i + 1)}, write))
		if _, err := f.WriteAt(page, i*write); err == nil {
			taken = append(taken, i)
		}
	}
	require.NotEmpty(t, taken)
	require.Less(t, len(taken), writes, "the device does not fail")
	for _, i := range taken {
		_, err := f.ReadAt(page, i*write)
		require.NoError(t, err)
		require.Equal(t, write, bytes.Count(page, []byte{byte(i + 1)}), "of write %d not all is there", i)
	}
}

// TestFailingDiskBreaksNoPromise writes to a device that begins to fail: its backing file lies in a small memory file
// system, which runs full. Nothing may be promised after the first error, and what was promised before must be there.
func TestFailingDiskBreaksNoPromise(t *testing.T) {
	for kind, room := range map[string]string{"ext4": "18m", "btrfs": "24m", "xfs": "96m"} { // XFS begins with a log of 64 MB
		t.Run(kind, func(t *testing.T) {
			if kind != "ext4" && !long() {
				t.Skip("runs with SLUICE_POWERCUT_CUTS only")
			}
			needsImages(t, kind)
			small := smallMemory(t, room)
			image, err := NewWholeImage(kind, small)
			require.NoError(t, err)
			require.NoError(t, image.Attach())
			t.Cleanup(func() { _ = image.Detach() })
			store := filepath.Join(image.Mount, "store")
			require.NoError(t, os.MkdirAll(store, 0o755))

			rng := rand.New(rand.NewPCG(seed(t), 0))
			w := startWriting(t, rng, Paths{Root: store, Events: filepath.Join(t.TempDir(), "events")},
				Job{FirstID: 1 << 32, Busy: 1 + rng.IntN(Streams), Real: true, Keep: 1 << 30})
			// It goes on for a while after the error: would it promise anything?
			require.True(t, w.proc.AwaitEnd(patience), "the disk does not fail")
			events, err := ReadEvents(w.paths.Events)
			require.NoError(t, err)
			broken := false
			for _, e := range events {
				require.False(t, broken && e.Kind == Committed, "promised after an error")
				broken = broken || e.Kind == Broken
			}
			require.NoError(t, image.Detach())

			require.NoError(t, run("mount", "-o", "remount,size=400m", small)) // a mended disk
			report := verifyImage(t, image, events)
			t.Logf("%s: sync failed: %v; %s", kind, broken, report)
			require.Empty(t, report.Lost)
			require.Empty(t, report.Foreign)
			require.NotZero(t, report.Checked)
		})
	}
}
