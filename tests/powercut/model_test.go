//go:build linux

package powercut

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) {
	if BeWriter() {
		return
	}
	os.Exit(m.Run())
}

const defaultCuts = 15

// cutsWanted is how many cuts a test makes: few in the normal run, SLUICE_POWERCUT_CUTS when set.
func cutsWanted(t *testing.T) int {
	t.Helper()
	text := os.Getenv("SLUICE_POWERCUT_CUTS")
	if text == "" {
		return defaultCuts
	}
	n, err := strconv.Atoi(text)
	require.NoError(t, err, "SLUICE_POWERCUT_CUTS")
	return n
}

// long says whether more than the normal run is wanted.
func long() bool { return os.Getenv("SLUICE_POWERCUT_CUTS") != "" }

// seed is new every time and printed, so that a failure can be tried again.
func seed(t *testing.T) uint64 {
	t.Helper()
	s := rand.Uint64()
	if text := os.Getenv("SLUICE_POWERCUT_SEED"); text != "" {
		var err error
		s, err = strconv.ParseUint(text, 10, 64)
		require.NoError(t, err, "SLUICE_POWERCUT_SEED")
	}
	t.Logf("SLUICE_POWERCUT_SEED=%d", s)
	return s
}

// writing is a writer process and what it told so far.
type writing struct {
	t      *testing.T
	paths  Paths
	proc   *Process
	rng    *rand.Rand
	events int
}

func startWriting(t *testing.T, rng *rand.Rand, paths Paths, job Job) *writing {
	t.Helper()
	job.Root, job.Events = paths.Root, paths.Events
	job.Seed = rng.Uint64()
	if job.Keep == 0 {
		job.Keep = 400 / job.Busy
	}
	require.NoError(t, os.WriteFile(paths.Events, nil, 0o644))
	p, err := StartWriter(job)
	require.NoError(t, err)
	w := &writing{t: t, paths: paths, proc: p, rng: rng}
	t.Cleanup(p.Kill)
	return w
}

// freezeSomewhere lets the writer get on, by a random time after its next promise, and freezes it.
func (w *writing) freezeSomewhere() []Event {
	w.t.Helper()
	deadline := time.Now().Add(patience)
	for {
		events, err := ReadEvents(w.paths.Events)
		require.NoError(w.t, err)
		news := 0
		for _, e := range events[min(w.events, len(events)):] {
			if e.Kind == Committed {
				news++
			}
		}
		// The first promise of every stream is what was found at the start.
		if news >= 2 && w.events > 0 || news >= Streams+2 {
			break
		}
		require.True(w.t, time.Now().Before(deadline), "the writer makes no progress")
		time.Sleep(2 * time.Millisecond)
	}
	// The moment of a power cut is nobody's choice.
	time.Sleep(time.Duration(w.rng.IntN(40_000)) * time.Microsecond)
	require.NoError(w.t, w.proc.Freeze())
	events, err := ReadEvents(w.paths.Events)
	require.NoError(w.t, err)
	w.events = len(events)
	for _, e := range events {
		require.NotEqual(w.t, Broken, e.Kind, "a sync failed")
	}
	return events
}

// modelCuts cuts the power cuts times and adds up what was found. stop may end it early.
func modelCuts(t *testing.T, cuts int, lie lie, style func(*rand.Rand) Style, stop func(Report) bool) (Report, int) {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed(t), 0))
	base := t.TempDir()
	var total Report
	done, root := 0, ""
	for generation := uint64(1); done < cuts; generation++ {
		dir := filepath.Join(base, fmt.Sprint(generation))
		paths, err := NewPaths(dir)
		require.NoError(t, err)
		if root != "" {
			paths.Root = root // life goes on with what the cut left
		}
		w := startWriting(t, rng, paths, Job{
			Grave: paths.Grave, FirstID: generation << 32, Busy: 1 + rng.IntN(Streams), Skip: lie.skip, SkipDirs: lie.dirs,
		})
		for cut := 0; cut < 5 && done < cuts; cut++ {
			events := w.freezeSomewhere()
			left := filepath.Join(dir, fmt.Sprintf("cut%d", cut))
			require.NoError(t, Cut(rng, style(rng), paths.Root, paths.Grave, left, events))
			report, err := Verify(left, events)
			require.NoError(t, err)
			total.add(report)
			done++
			if stop(report) {
				return total, done
			}
			require.NoError(t, w.proc.Thaw())
			if root != "" && cut == 0 {
				require.NoError(t, os.RemoveAll(filepath.Join(base, fmt.Sprint(generation-1), "grave")))
			}
			root = left
		}
		w.proc.Kill()
	}
	return total, done
}

func anyStyle(rng *rand.Rand) Style {
	return Style{Worst: rng.IntN(4) == 0, Ordered: rng.IntN(2) == 0}
}

func TestModelCutsLoseNothing(t *testing.T) {
	total, done := modelCuts(t, cutsWanted(t), lie{}, anyStyle, lossOrFraud)
	t.Logf("%d cuts: %s", done, total)
	require.Empty(t, total.Lost)
	require.Empty(t, total.Foreign)
	require.NotZero(t, total.Checked)
}

// lie is what a writer of a negative control leaves out.
type lie struct {
	skip int
	dirs bool
}

// TestModelSeesSkippedSyncs is the negative control: a writer that leaves out every third sync, or those of directories,
// must be caught.
func TestModelSeesSkippedSyncs(t *testing.T) {
	for name, lie := range map[string]lie{"every third": {skip: 3}, "directories": {dirs: true}} {
		t.Run(name, func(t *testing.T) {
			worst := func(*rand.Rand) Style { return Style{Worst: true} }
			total, done := modelCuts(t, 60, lie, worst, func(r Report) bool { return len(r.Lost) > 0 })
			t.Logf("loss seen at cut %d: %s", done, total)
			require.NotEmpty(t, total.Lost)
			require.Empty(t, total.Foreign)
		})
	}
}
