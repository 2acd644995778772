package commit

import (
	"errors"
	"io/fs"
	"math"
	"os"
)

// finder knows which files the store writes to. All calls come from the committer's goroutine.
type finder interface {
	add(l *Log) error        // takes the directory's handle and newest block
	remove(l *Log)           // forgets the log
	find(dirty []*Log) error // brings the files of the dirty logs up to date
	close()
}

// lister finds blocks by reading the directories of dirty logs.
type lister struct{ c *Committer }

func (lister) add(l *Log) error {
	if err := l.openDir(); err != nil {
		return err
	}
	return l.list(math.MaxUint64)
}

func (f lister) find(dirty []*Log) error {
	for _, l := range dirty {
		same, err := l.sameDir()
		if err != nil {
			return err
		}
		if same && !l.lost {
			err = l.list(l.next())
		} else {
			f.c.rescans.Add(1)
			err = l.restart()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (lister) remove(*Log) {}

func (lister) close() {}

// sameDir says whether the directory at the log's place is the one we hold.
func (l *Log) sameDir() (bool, error) {
	mine, err := l.handle.Stat()
	if err != nil {
		return false, err
	}
	theirs, err := os.Stat(l.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return os.SameFile(mine, theirs), nil
}
