package embed

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"
)

const (
	// syncPause is between two passes over the files of native clients' streams, at least.
	syncPause = time.Second
	// syncShare bounds what passes take of the time: the pause is at least so many times as long as the pass.
	syncShare = 10
	// unsettled is for how long a file that was changed may change again without a trace: its time may have the same stamp.
	unsettled = time.Second
)

// syncer puts what native clients' streams have stored on disk, about once a second. Our own streams are the group committer's; it
// does not know these, and the server's own pass would touch ours as well.
type syncer struct {
	root string
	put  func(*os.File) error
	log  *slog.Logger
	// skip, if not nil, are the folders under root that are left out.
	skip func(path string) bool
	// known is every file and directory as it was when it was last synced for good.
	known map[string]stamp

	once       sync.Once // close
	stop, done chan struct{}
}

// stamp tells whether a file was changed.
type stamp struct {
	size     int64
	modified time.Time
}

// newSyncer syncs everything under root, which needs not be there yet, with f.
func newSyncer(root string, f func(*os.File) error, log *slog.Logger) *syncer {
	return &syncer{root: root, put: f, log: log, known: map[string]stamp{}, stop: make(chan struct{}), done: make(chan struct{})}
}

// run makes passes until close is called.
func (s *syncer) run() {
	defer close(s.done)
	timer := time.NewTimer(syncPause)
	defer timer.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-timer.C:
		}
		began := time.Now()
		if err := s.pass(began); err != nil {
			s.log.Error("what native clients' streams have stored may not be on disk", "error", err)
		}
		timer.Reset(max(syncPause, syncShare*time.Since(began)))
	}
}

// close ends run and waits for it; then, the server being gone, it makes a last pass.
func (s *syncer) close() {
	s.once.Do(func() {
		close(s.stop)
		<-s.done
		if err := s.pass(time.Now()); err != nil {
			s.log.Error("what native clients' streams have stored may not be on disk", "error", err)
		}
	})
}

// pass syncs what was changed since the last one: what was written before it began is on disk when it returns nil. What could
// not be synced is tried again by the next pass. Directories come after what is in them.
func (s *syncer) pass(now time.Time) error {
	next := make(map[string]stamp, len(s.known))
	var dirs []string
	var failed []error
	visit := func(path string) {
		if err := s.one(path, now, next); err != nil && !errors.Is(err, fs.ErrNotExist) {
			failed = append(failed, err)
		}
	}
	err := filepath.WalkDir(s.root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist): // deleted meanwhile, or not there yet
			return nil
		case err != nil:
			return err
		case entry.IsDir() && s.skip != nil && s.skip(path):
			return fs.SkipDir
		case entry.IsDir():
			dirs = append(dirs, path)
		case entry.Type().IsRegular():
			visit(path)
		}
		return nil
	})
	for i := len(dirs) - 1; i >= 0; i-- {
		visit(dirs[i])
	}
	if len(dirs) > 0 {
		visit(filepath.Dir(s.root))
	}
	s.known = next
	return errors.Join(append(failed, err)...)
}

// one syncs a file or directory, unless it is as it was.
func (s *syncer) one(path string, now time.Time, next map[string]stamp) error {
	f, err := os.Lstat(path)
	if err != nil {
		return err
	}
	is := stamp{f.Size(), f.ModTime()}
	if was, there := s.known[path]; there && was == is {
		next[path] = is
		return nil
	}
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	err = s.put(file)
	if e := file.Close(); err == nil {
		err = e
	}
	if err != nil {
		return fmt.Errorf("syncing %s: %w", path, err)
	}
	if age := now.Sub(is.modified); age > unsettled {
		next[path] = is
	}
	return nil
}
