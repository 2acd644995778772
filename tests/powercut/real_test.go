//go:build linux

package powercut

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// needsImages skips, loudly, where file systems cannot be made and mounted.
func needsImages(t *testing.T, kind string) {
	t.Helper()
	const loud = "POWER CUTS ON A REAL FILE SYSTEM ARE NOT TESTED HERE: "
	if os.Geteuid() != 0 {
		t.Skip(loud + "not root")
	}
	for _, tool := range []string{"mkfs." + kind, "mount", "umount", "losetup", "mountpoint"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip(loud + "no " + tool)
		}
	}
	i, err := NewImage(kind, t.TempDir())
	require.NoError(t, err)
	if err := i.Attach(); err != nil {
		t.Skip(loud + err.Error())
	}
	require.NoError(t, i.Detach())
}

// realCuts cuts the power of a real file system.
func realCuts(t *testing.T, kind string, cuts, skip int, stop func(Report) bool) (Report, int) {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed(t), 0))
	base := t.TempDir()
	image, err := NewImage(kind, base)
	require.NoError(t, err)
	var total Report
	done := 0
	for generation := uint64(1); done < cuts; generation++ {
		dir := filepath.Join(base, fmt.Sprint(generation))
		require.NoError(t, os.MkdirAll(dir, 0o755))
		current := image
		require.NoError(t, current.Attach())
		t.Cleanup(func() { _ = current.Detach() })
		store := filepath.Join(current.Mount, "store")
		require.NoError(t, os.MkdirAll(store, 0o755))
		w := startWriting(t, rng, Paths{Root: store, Events: filepath.Join(dir, "events")},
			Job{FirstID: generation << 32, Busy: 1 + rng.IntN(Streams), Real: true, Skip: skip})
		type copied struct {
			image  *Image
			events []Event
		}
		var copies []copied
		for n := 0; n < 5 && done+n < cuts; n++ {
			events := w.freezeSomewhere()
			place := filepath.Join(dir, fmt.Sprintf("cut%d", n))
			c, err := current.Copy(place)
			require.NoError(t, err)
			copies = append(copies, copied{c, events})
			require.NoError(t, w.proc.Thaw())
		}
		w.proc.Kill()
		require.NoError(t, current.Detach())
		require.NoError(t, current.Remove())
		for n, c := range copies {
			report := verifyImage(t, c.image, c.events)
			total.add(report)
			done++
			if stop(report) {
				return total, done
			}
			if n+1 < len(copies) {
				require.NoError(t, c.image.Remove())
			}
			image = c.image // life goes on with what the last cut left
		}
	}
	return total, done
}

func verifyImage(t *testing.T, i *Image, events []Event) Report {
	t.Helper()
	require.NoError(t, i.Attach())
	defer func() { require.NoError(t, i.Detach()) }()
	report, err := Verify(filepath.Join(i.Mount, "store"), events)
	require.NoError(t, err)
	return report
}

func lossOrFraud(r Report) bool { return len(r.Lost)+len(r.Foreign) > 0 }

func TestRealCutsLoseNothing(t *testing.T) {
	for _, kind := range []string{"ext4", "xfs", "btrfs"} {
		t.Run(kind, func(t *testing.T) {
			needsImages(t, kind)
			total, done := realCuts(t, kind, cutsWanted(t)/3, 0, lossOrFraud)
			t.Logf("%s: %d cuts: %s", kind, done, total)
			require.Empty(t, total.Lost)
			require.Empty(t, total.Foreign)
			require.NotZero(t, total.Checked)
		})
	}
}

// TestRealDiskSeesSkippedSyncs is the negative control on real file systems.
func TestRealDiskSeesSkippedSyncs(t *testing.T) {
	for _, kind := range []string{"ext4", "xfs", "btrfs"} {
		t.Run(kind, func(t *testing.T) {
			if kind != "ext4" && !long() {
				t.Skip("runs with SLUICE_POWERCUT_CUTS only")
			}
			needsImages(t, kind)
			total, done := realCuts(t, kind, 100, 3, func(r Report) bool { return len(r.Lost) > 0 })
			t.Logf("%s: loss seen at cut %d: %s", kind, done, total)
			require.NotEmpty(t, total.Lost)
		})
	}
}
