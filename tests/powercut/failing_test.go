//go:build linux

package powercut

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestFailingDiskBreaksNoPromise writes to a device that begins to fail: its backing file lies in a small memory file
// system, which runs full. Nothing may be promised after the first error, and what was promised before must be there.
func TestFailingDiskBreaksNoPromise(t *testing.T) {
	for kind, room := range map[string]string{"ext4": "18m", "btrfs": "24m", "xfs": "96m"} { // XFS begins with a log of 64 MB
		t.Run(kind, func(t *testing.T) {
			if kind != "ext4" && !long() {
				t.Skip("runs with SLUICE_POWERCUT_CUTS only")
			}
			needsImages(t, kind)
			small := t.TempDir()
			require.NoError(t, run("mount", "-t", "tmpfs", "-o", "size="+room, "tmpfs", small))
			t.Cleanup(func() { _ = run("umount", small) })
			image, err := NewImage(kind, small)
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
