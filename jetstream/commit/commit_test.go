package commit

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 10 * time.Second

// fakeSyncer writes down what was synced, and can be told to fail or to wait.
type fakeSyncer struct {
	mu    sync.Mutex
	calls []string
	fail  error
	enter chan struct{} // when set: told at every call
	leave chan struct{} // when set: awaited by every call
}

func (f *fakeSyncer) note(what, name string) error {
	f.mu.Lock()
	f.calls = append(f.calls, what+" "+filepath.Base(name))
	fail, enter, leave := f.fail, f.enter, f.leave
	f.mu.Unlock()
	if enter != nil {
		enter <- struct{}{}
		<-leave
	}
	return fail
}

func (f *fakeSyncer) Data(x *os.File) error { return f.note("data", x.Name()) }
func (f *fakeSyncer) Dir(x *os.File) error  { return f.note("dir", x.Name()) }
func (f *fakeSyncer) All(x *os.File) error  { return f.note("all", x.Name()) }

// take returns the calls since the last take.
func (f *fakeSyncer) take() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	calls := f.calls
	f.calls = nil
	return calls
}

// recorder is a Source that tells of every call, and what the syncer had seen by then.
type recorder struct {
	syncer *fakeSyncer
	done   chan error

	mu     sync.Mutex
	events []string
}

func newRecorder(s *fakeSyncer) *recorder { return &recorder{syncer: s, done: make(chan error, 1000)} }

func (r *recorder) Seal() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, "seal")
	r.syncer.mu.Lock()
	r.syncer.calls = append(r.syncer.calls, "seal")
	r.syncer.mu.Unlock()
}

func (r *recorder) Committed(err error) {
	r.syncer.mu.Lock()
	r.syncer.calls = append(r.syncer.calls, "committed")
	r.syncer.mu.Unlock()
	r.done <- err
}

func (r *recorder) wait(t *testing.T) error {
	t.Helper()
	select {
	case err := <-r.done:
		return err
	case <-time.After(patience):
		require.FailNow(t, "no Committed")
		return nil
	}
}

// store makes a directory with a stream's blocks.
func store(t *testing.T, blocks ...int) (root, dir string) {
	t.Helper()
	root = t.TempDir()
	dir = filepath.Join(root, "S", "msgs")
	require.NoError(t, os.MkdirAll(dir, 0o755))
	for _, n := range blocks {
		create(t, dir, n)
	}
	return root, dir
}

// oneLog is a committer with a log of one block.
func oneLog(t *testing.T) (dir string, s *fakeSyncer, c *Committer, r *recorder, l *Log) {
	root, dir := store(t, 1)
	s = &fakeSyncer{}
	c = start(t, root, s)
	r = newRecorder(s)
	l, err := c.Add(dir, r)
	require.NoError(t, err)
	return dir, s, c, r, l
}

func create(t *testing.T, dir string, n int) {
	t.Helper()
	require.NoError(t, os.WriteFile(filepath.Join(dir, fmt.Sprintf("%d.blk", n)), []byte("x"), 0o644))
}

func start(t *testing.T, root string, s Syncer) *Committer {
	t.Helper()
	c, err := Start(Config{Root: root, Syncer: s})
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// useLister makes the committer read directories instead of watching them, as on other systems.
func useLister(t *testing.T, c *Committer) {
	t.Helper()
	require.NoError(t, c.ask(func() error {
		c.finder.close()
		c.finder = lister{c}
		return nil
	}))
}

// both runs a test with each way of finding blocks.
func both(t *testing.T, test func(t *testing.T, prepare func(*Committer))) {
	t.Run("watched", func(t *testing.T) { test(t, func(*Committer) {}) })
	t.Run("listed", func(t *testing.T) { test(t, func(c *Committer) { useLister(t, c) }) })
}

func TestCommittedFollowsTheSyncWhichFollowsSeal(t *testing.T) {
	both(t, func(t *testing.T, prepare func(*Committer)) {
		root, dir := store(t, 1, 2)
		s := &fakeSyncer{}
		c := start(t, root, s)
		prepare(c)
		r := newRecorder(s)
		l, err := c.Add(dir, r)
		require.NoError(t, err)
		require.Equal(t, []string{"all " + filepath.Base(root)}, s.take(), "what is there at Add is made durable")
		l.Dirty()
		require.NoError(t, r.wait(t))
		require.Equal(t, []string{"seal", "data 2.blk", "committed"}, s.take(), "a lone send costs one sync")
	})
}

func TestRollOverSyncsOldNewAndDirectory(t *testing.T) {
	both(t, func(t *testing.T, prepare func(*Committer)) {
		root, dir := store(t, 7)
		s := &fakeSyncer{}
		c := start(t, root, s)
		prepare(c)
		r := newRecorder(s)
		l, err := c.Add(dir, r)
		require.NoError(t, err)
		s.take()
		create(t, dir, 8)
		create(t, dir, 9)
		l.Dirty()
		require.NoError(t, r.wait(t))
		require.Equal(t, []string{"seal", "data 7.blk", "data 8.blk", "data 9.blk", "dir msgs", "committed"}, s.take())
		l.Dirty()
		require.NoError(t, r.wait(t))
		require.Equal(t, []string{"seal", "data 9.blk", "committed"}, s.take(), "only the newest is written to now")
		require.NoError(t, os.Remove(filepath.Join(dir, "7.blk")))
		l.Dirty()
		require.NoError(t, r.wait(t))
		require.Equal(t, []string{"seal", "data 9.blk", "committed"}, s.take(), "an unlinked block needs no sync")
	})
}

func TestBlockThatCameAndWentIsSkipped(t *testing.T) {
	dir, s, _, r, l := oneLog(t)
	s.take()
	create(t, dir, 2)
	require.NoError(t, os.Remove(filepath.Join(dir, "2.blk")))
	create(t, dir, 3)
	l.Dirty()
	require.NoError(t, r.wait(t))
	require.Equal(t, []string{"seal", "data 1.blk", "data 3.blk", "dir msgs", "committed"}, s.take())
}

func TestNextGroupCollectsWhileASyncRuns(t *testing.T) {
	_, s, c, r, l := oneLog(t)
	s.take()
	s.mu.Lock()
	s.enter, s.leave = make(chan struct{}), make(chan struct{})
	s.mu.Unlock()
	l.Dirty()
	<-s.enter
	for range 100 {
		l.Dirty() // all of these share the second group
	}
	s.leave <- struct{}{}
	require.NoError(t, r.wait(t))
	<-s.enter
	s.leave <- struct{}{}
	require.NoError(t, r.wait(t))
	require.NoError(t, c.Close())
	require.Equal(t, []string{"seal", "data 1.blk", "committed", "seal", "data 1.blk", "committed"}, s.take())
	require.Equal(t, uint64(2), c.Stats().Groups)
}

func TestFailsClosedForEver(t *testing.T) {
	root, dir := store(t, 1)
	s := &fakeSyncer{}
	var failed []error
	c, err := Start(Config{Root: root, Syncer: s, Failed: func(err error) { failed = append(failed, err) }})
	require.NoError(t, err)
	r := newRecorder(s)
	l, err := c.Add(dir, r)
	require.NoError(t, err)
	boom := errors.New("input/output error")
	s.mu.Lock()
	s.fail = boom
	s.mu.Unlock()
	l.Dirty()
	require.ErrorIs(t, r.wait(t), boom)
	s.take()
	s.mu.Lock()
	s.fail = nil // the disk says it is well again: it must not be asked
	s.mu.Unlock()
	for range 3 {
		l.Dirty()
		require.ErrorIs(t, r.wait(t), boom)
	}
	require.ErrorIs(t, c.SyncAll(), boom)
	_, err = c.Add(dir, newRecorder(s))
	require.ErrorIs(t, err, boom)
	require.ErrorIs(t, c.Err(), boom)
	for _, call := range s.take() {
		require.Contains(t, []string{"seal", "committed"}, call, "no sync is retried")
	}
	require.ErrorIs(t, c.Close(), boom)
	require.Len(t, failed, 1)
}
