package commit

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"

	"golang.org/x/sys/unix"
)

const watched = unix.IN_CREATE | unix.IN_MOVED_TO | unix.IN_DELETE | unix.IN_MOVE_SELF | unix.IN_DELETE_SELF |
	unix.IN_ONLYDIR

// watcher finds blocks with one inotify instance. The kernel queues an event inside the store's own open or rename, before
// the store acknowledges what is in the file, so that a read without waiting, after Seal, misses nothing.
type watcher struct {
	c    *Committer
	fd   int
	logs map[int]*Log
	buf  [64 << 10]byte
}

func newFinder(c *Committer) (finder, error) {
	fd, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("inotify: %w", err)
	}
	return &watcher{c: c, fd: fd, logs: map[int]*Log{}}, nil
}

// noWatch is no watch descriptor; those of the kernel are positive.
const noWatch = -1

func (w *watcher) close() { _ = unix.Close(w.fd) }

func (w *watcher) add(l *Log) error {
	err := w.follow(l)
	if errors.Is(err, unix.ENOSPC) {
		w.c.cfg.Logger.Warn("fs.inotify.max_user_watches is used up, reading this directory at every commit instead", "dir", l.dir)
		l.watch, l.listed = noWatch, true
		err = nil
	}
	if err != nil {
		return err
	}
	// After the watch: what comes between is seen twice, never missed.
	err = l.openDir()
	if err == nil {
		err = l.list(math.MaxUint64)
	}
	if err != nil {
		w.remove(l)
	}
	return err
}

func (w *watcher) follow(l *Log) error {
	wd, err := unix.InotifyAddWatch(w.fd, l.dir, watched)
	if err != nil {
		return err
	}
	if other := w.logs[wd]; other != nil && other != l {
		return fmt.Errorf("%s is watched for another log already", l.dir)
	}
	l.watch = wd
	w.logs[wd] = l
	return nil
}

func (w *watcher) remove(l *Log) {
	if w.logs[l.watch] == l {
		delete(w.logs, l.watch)
		_, _ = unix.InotifyRmWatch(w.fd, uint32(l.watch))
	}
}

func (w *watcher) find(dirty []*Log) error {
	for {
		n, err := unix.Read(w.fd, w.buf[:])
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EAGAIN):
			return w.recover(dirty)
		case err != nil:
			return fmt.Errorf("read inotify: %w", err)
		}
		if err := w.take(w.buf[:n]); err != nil {
			return err
		}
	}
}

// take handles a buffer of events: watch, mask, cookie and name length, four bytes each, then the padded name.
func (w *watcher) take(buf []byte) error {
	for len(buf) >= unix.SizeofInotifyEvent {
		wd := int(int32(binary.NativeEndian.Uint32(buf)))
		mask := binary.NativeEndian.Uint32(buf[4:])
		end := unix.SizeofInotifyEvent + int(binary.NativeEndian.Uint32(buf[12:]))
		name := strings.TrimRight(string(buf[unix.SizeofInotifyEvent:end]), "\x00")
		buf = buf[end:]
		if mask&unix.IN_Q_OVERFLOW != 0 {
			if err := w.rescan(); err != nil {
				return err
			}
			continue
		}
		l := w.logs[wd]
		if l == nil {
			continue // an event of a watch that was removed
		}
		if err := w.event(l, mask, name); err != nil {
			return err
		}
	}
	return nil
}

func (w *watcher) event(l *Log, mask uint32, name string) error {
	switch {
	case mask&(unix.IN_MOVE_SELF|unix.IN_DELETE_SELF|unix.IN_IGNORED) != 0:
		l.lost = true
		w.remove(l)
		l.watch = noWatch
	case mask&unix.IN_MOVED_TO != 0:
		if _, ok := blockIndex(name); ok {
			w.renamed(l, name)
		}
		return l.appeared(name)
	case mask&unix.IN_CREATE != 0:
		return l.appeared(name)
	case mask&unix.IN_DELETE != 0:
		l.gone(name)
	}
	return nil
}

// renamed counts a block that replaced another or came from elsewhere. Its contents and name are synced like a new
// block's, but a power cut before that may show the new name with nothing in it: acknowledged data is at risk.
func (w *watcher) renamed(l *Log, name string) {
	w.c.renamed.Add(1)
	if !w.c.shouted {
		w.c.shouted = true
		w.c.cfg.Logger.Error("the store renamed a block file, which it must not do to a log that is purged by whole blocks only",
			"dir", l.dir, "file", name)
	}
}

// rescan looks at every directory, after the kernel dropped events. A dropped event may have told of a replaced directory.
func (w *watcher) rescan() error {
	w.c.rescans.Add(1)
	for _, l := range w.logs {
		same, err := l.sameDir()
		if err != nil {
			return err
		}
		if !same {
			l.lost = true
			continue
		}
		l.named = false
		if err := l.list(l.next()); err != nil {
			return err
		}
	}
	return nil
}

// recover finds the directories of dirty logs that were replaced, and looks into those that cannot be watched.
func (w *watcher) recover(dirty []*Log) error {
	for _, l := range dirty {
		if l.listed {
			if err := (lister{w.c}).find([]*Log{l}); err != nil {
				return err
			}
			continue
		}
		if !l.lost {
			continue
		}
		w.c.rescans.Add(1)
		w.remove(l)
		err := w.follow(l)
		if errors.Is(err, unix.ENOENT) {
			continue // between two renames: to take a directory that comes now would be to take it unwatched
		}
		l.listed = errors.Is(err, unix.ENOSPC)
		if err != nil && !l.listed {
			return err
		}
		if err := l.restart(); err != nil {
			return err
		}
	}
	return nil
}
