package commit

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestManyLogsShareOneSync(t *testing.T) {
	root := t.TempDir()
	s := &fakeSyncer{}
	c := start(t, root, s)
	var logs []*Log
	var sources []*recorder
	for n := range 5 {
		dir := filepath.Join(root, fmt.Sprint(n), "msgs")
		require.NoError(t, os.MkdirAll(dir, 0o755))
		create(t, dir, 1)
		r := newRecorder(s)
		l, err := c.Add(dir, r)
		require.NoError(t, err)
		logs, sources = append(logs, l), append(sources, r)
	}
	for _, busy := range []int{1, 2, 3, 5} {
		s.take()
		// Raised on the committer's own goroutine, so that they fall into one group.
		require.NoError(t, c.ask(func() error {
			for _, l := range logs[:busy] {
				l.Dirty()
			}
			return nil
		}))
		for _, r := range sources[:busy] {
			require.NoError(t, r.wait(t))
		}
		count := map[string]int{}
		for _, call := range s.take() {
			count[call[:3]]++
		}
		want := map[string]int{"sea": busy, "com": busy, "dat": busy}
		if c.wholeOK && busy > fewLogs {
			delete(want, "dat")
			want["all"] = 1
		}
		require.Equal(t, want, count, "%d dirty logs", busy)
	}
}

func TestWithoutWholeSyncEveryFileIsSynced(t *testing.T) {
	root := t.TempDir()
	s := &fakeSyncer{}
	c := start(t, root, s)
	require.NoError(t, c.ask(func() error { c.wholeOK = false; return nil }))
	var logs []*Log
	var sources []*recorder
	for n := range 20 {
		dir := filepath.Join(root, fmt.Sprint(n), "msgs")
		require.NoError(t, os.MkdirAll(dir, 0o755))
		create(t, dir, 1)
		r := newRecorder(s)
		l, err := c.Add(dir, r)
		require.NoError(t, err)
		logs, sources = append(logs, l), append(sources, r)
	}
	s.take()
	for _, l := range logs {
		l.Dirty()
	}
	for _, r := range sources {
		require.NoError(t, r.wait(t))
	}
	require.NotContains(t, s.take(), "all "+filepath.Base(root))
}

func TestModeNoneSyncsNothing(t *testing.T) {
	root, dir := store(t, 1)
	s := &fakeSyncer{fail: errors.New("not to be called")}
	c, err := Start(Config{Root: root, Mode: None, Syncer: s})
	require.NoError(t, err)
	r := newRecorder(s)
	l, err := c.Add(dir, r)
	require.NoError(t, err)
	l.Dirty()
	require.NoError(t, r.wait(t))
	require.NoError(t, c.SyncAll())
	require.NoError(t, c.Close())
	require.Equal(t, []string{"seal", "committed"}, s.take())
}

func TestCloseCommitsWhatIsOutstanding(t *testing.T) {
	root, dir := store(t, 1)
	s := &fakeSyncer{}
	c := start(t, root, s)
	r := newRecorder(s)
	l, err := c.Add(dir, r)
	require.NoError(t, err)
	s.take()
	require.NoError(t, c.ask(func() error {
		l.Dirty()
		c.stopOnce.Do(func() { close(c.stop) })
		return nil
	}))
	require.NoError(t, c.Close())
	require.Equal(t, []string{"seal", "data 1.blk", "committed"}, s.take())
	l.Dirty() // harmless
	require.ErrorIs(t, c.SyncAll(), ErrClosed)
	require.ErrorIs(t, l.Close(), ErrClosed)
	_, err = c.Add(dir, r)
	require.ErrorIs(t, err, ErrClosed)
	require.NoError(t, c.Close(), "twice is fine")
}

func TestClosedLogHearsNothingMore(t *testing.T) {
	_, s, c, _, l := oneLog(t)
	require.NoError(t, l.Close())
	s.take()
	l.Dirty()
	require.NoError(t, c.Close())
	require.Empty(t, s.take())
}

func TestDirtyFromManyGoroutines(t *testing.T) {
	both(t, func(t *testing.T, prepare func(*Committer)) {
		root, dir := store(t, 1)
		c, err := Start(Config{Root: root})
		require.NoError(t, err)
		t.Cleanup(func() { _ = c.Close() })
		prepare(c)
		s := &counter{}
		l, err := c.Add(dir, s)
		require.NoError(t, err)
		const senders, sends = 8, 200
		var wg sync.WaitGroup
		for range senders {
			wg.Go(func() {
				for range sends {
					s.acknowledged(l)
				}
			})
		}
		wg.Wait()
		require.NoError(t, c.Close())
		s.mu.Lock()
		defer s.mu.Unlock()
		require.Equal(t, senders*sends, s.committed)
	})
}

// counter is the smallest honest Source.
type counter struct {
	mu                        sync.Mutex
	stored, sealed, committed int
}

func (s *counter) acknowledged(l *Log) {
	s.mu.Lock()
	s.stored++
	s.mu.Unlock()
	l.Dirty()
}

func (s *counter) Seal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sealed = s.stored
}

func (s *counter) Committed(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		s.committed = s.sealed
	}
}

func TestAddRefusesWhatIsNotThere(t *testing.T) {
	both(t, func(t *testing.T, prepare func(*Committer)) {
		root, dir := store(t, 1)
		c := start(t, root, &fakeSyncer{})
		prepare(c)
		_, err := c.Add(dir+".not", &counter{})
		require.ErrorIs(t, err, os.ErrNotExist)
		require.NoError(t, c.Err(), "a wrong path is no sync error")
	})
	_, err := Start(Config{Root: filepath.Join(t.TempDir(), "not")})
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestSyncTreeReachesEveryFile(t *testing.T) {
	root, _ := store(t, 1, 2)
	require.NoError(t, os.Symlink("nowhere", filepath.Join(root, "dangling")))
	require.NoError(t, syncTree(root))
	require.Error(t, syncTree(filepath.Join(root, "not")))
}
