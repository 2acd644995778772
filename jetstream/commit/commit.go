// Package commit makes what the store has acknowledged durable, in groups: everything written since the last sync is
// put on disk with one sync, and only then are its owners told.
//
// # What it relies on
//
// The store (nats-server, one replica, file storage, default persist mode, limits retention) writes every record to
// msgs/N.blk before it acknowledges it, appends only to the newest block, and never rewrites or renames a block with
// live records as long as records leave only from the front, by whole blocks (see Log.Boundary). Then three promises
// of the file system are enough: a synced file has its data and size on disk, a synced directory has its entries on
// disk, and the removal of a dead block may reach the disk or not, in any order.
//
// # What a power cut may leave behind
//
// Every record whose group was committed is there. Of the records after the last committed one any part may be there:
// within one block always a prefix, but the file system may have written the first records of a new block and not the
// last ones of the block before it. A reader that finds a gap in the sequences above the last committed record has found
// a torn tail, not damage; nothing after the gap was ever committed. Sequences after the cut are used again for other
// records. Whole dead blocks below the last purge may be back.
package commit

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Mode says what Committed means.
type Mode int

const (
	// Disk syncs before Committed.
	Disk Mode = iota
	// None syncs nothing: Committed follows Seal at once. For relaxed durability and for clusters, where the server
	// syncs by itself.
	None
)

// ErrClosed is returned once the committer has stopped.
var ErrClosed = errors.New("commit: closed")

// Syncer is how files reach the disk. Tests replace it to count, fail or skip. Calls come from several goroutines at once,
// never two for one file. A method returns nil only when the thing is on disk.
type Syncer interface {
	// Data makes a file's data and size durable (fdatasync).
	Data(f *os.File) error
	// Dir makes a directory's entries durable.
	Dir(d *os.File) error
	// All makes the whole file system under root durable (syncfs).
	All(root *os.File) error
}

// Source is what a log's owner implements. Both methods are called from the committer's goroutine, never concurrently for
// one Source, and must neither block nor call back into the Committer or its Logs (Dirty is allowed).
type Source interface {
	// Seal closes a group: everything the store acknowledged so far belongs to it.
	Seal()
	// Committed ends the sealed group: nil after it is on disk, an error if it is not and never will be promised.
	Committed(err error)
}

// Config says where and how to commit.
type Config struct {
	Root   string       // the store's directory, of which everything added is a part
	Mode   Mode         // what Committed means
	Logger *slog.Logger // nil: silent
	Failed func(error)  // called once, from the committer's goroutine, at the first sync error; must not block; may be nil
	Syncer Syncer       // nil: the operating system
}

// Stats counts what was done since Start.
type Stats struct {
	Groups  uint64 // groups committed
	Files   uint64 // single files and directories synced
	Wholes  uint64 // syncs of the whole file system
	Rescans uint64 // times a directory had to be read again
	Renamed uint64 // blocks that arrived by a rename, which the store never does under our rules: alarm when not 0
}

// Committer runs the groups of all logs of one store. Its methods may be called from any goroutine but those of a Source.
type Committer struct {
	cfg      Config
	sync     Syncer
	wholeOK  bool // syncing the whole file system reports errors
	root     *os.File
	finder   finder
	kick     chan struct{}
	patient  chan struct{} // a record came that nobody waits for
	later    time.Duration // how long it may wait: laterWithin but in tests. Touched by run only
	gather   *gatherer
	requests chan request
	stop     chan struct{}
	stopOnce sync.Once
	done     chan struct{}
	logs     []*Log // touched by run only
	batch    []*Log // the group under way
	shouted  bool   // about a renamed block
	failure  atomic.Pointer[error]

	groups, files, wholes, rescans, renamed atomic.Uint64
}

type request struct {
	do   func() error
	done chan error
}

// Start begins committing. It fails when the root cannot be opened.
func Start(cfg Config) (*Committer, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	c := &Committer{
		cfg:      cfg,
		sync:     cfg.Syncer,
		wholeOK:  wholeSyncReportsErrors(),
		kick:     make(chan struct{}, 1),
		patient:  make(chan struct{}, 1),
		later:    laterWithin,
		gather:   newGatherer(),
		requests: make(chan request),
		stop:     make(chan struct{}),
		done:     make(chan struct{}),
	}
	if c.sync == nil {
		c.sync = OS{}
	}
	root, err := os.Open(cfg.Root)
	if err != nil {
		return nil, fmt.Errorf("commit: open store directory: %w", err)
	}
	c.root = root
	if cfg.Mode == Disk {
		if c.finder, err = newFinder(c); err != nil {
			cfg.Logger.Warn("cannot watch block files, reading the directories at every commit instead", "error", err)
			c.finder = lister{c}
		}
	}
	go c.run()
	return c, nil
}

// Close commits what is outstanding, stops, and waits for it. Close may be called more than once. Records acknowledged
// after Close began may or may not be committed; their Source hears of them only if they are.
func (c *Committer) Close() error {
	c.stopOnce.Do(func() { close(c.stop) })
	<-c.done
	return c.Err()
}

// Err returns the error that ended all promises, or nil.
func (c *Committer) Err() error {
	if p := c.failure.Load(); p != nil {
		return *p
	}
	return nil
}

// Stats returns the counters.
func (c *Committer) Stats() Stats {
	return Stats{
		Groups: c.groups.Load(), Files: c.files.Load(), Wholes: c.wholes.Load(),
		Rescans: c.rescans.Load(), Renamed: c.renamed.Load(),
	}
}

// SyncAll makes everything under the root durable now. Call it after creating or changing streams: the store syncs
// neither their metadata nor their directories.
func (c *Committer) SyncAll() error {
	return c.ask(c.syncAll)
}

func (c *Committer) syncAll() error {
	if err := c.Err(); err != nil || c.cfg.Mode == None {
		return err
	}
	if err := c.syncWhole(); err != nil {
		return c.fail(err)
	}
	return nil
}

// Add begins committing for a log whose blocks live in dir, a stream's msgs directory, which must exist. When Add
// returns, everything stored there before the call is on disk: read the log back after Add, not before.
func (c *Committer) Add(dir string, s Source) (*Log, error) { return c.add(dir, s, false) }

// AddSynced is Add for who knows that all that is stored there is on disk: it was stored before a SyncAll, and nothing since.
func (c *Committer) AddSynced(dir string, s Source) (*Log, error) { return c.add(dir, s, true) }

func (c *Committer) add(dir string, s Source, synced bool) (*Log, error) {
	l := &Log{committer: c, dir: dir, source: s, firsts: map[uint64]uint64{}}
	err := c.ask(func() error {
		if err := c.Err(); err != nil {
			return err
		}
		if c.cfg.Mode == Disk {
			if err := c.finder.add(l); err != nil {
				l.release()
				return fmt.Errorf("commit: watch %s: %w", dir, err)
			}
			if !synced {
				if err := c.syncAll(); err != nil {
					c.finder.remove(l)
					l.release()
					return err
				}
			}
			l.synced()
		}
		c.logs = append(c.logs, l)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return l, nil
}

// ask runs do on the committer's goroutine, between two groups.
func (c *Committer) ask(do func() error) error {
	r := request{do, make(chan error, 1)}
	select {
	case c.requests <- r:
		return <-r.done
	case <-c.done:
		return ErrClosed
	}
}

// fail remembers the first sync error for ever. What the kernel could not write it may have dropped, and a later sync of
// the same file would report success: so no sync is retried and no later group is believed. Pages it could not write may
// stay readable; they are evicted, so that the next process finds what is on disk and not what was to be.
func (c *Committer) fail(err error) error {
	if first := c.Err(); first != nil {
		return first
	}
	err = fmt.Errorf("commit: nothing is promised any more: %w", err)
	c.failure.Store(&err)
	for _, l := range c.logs {
		l.evict()
	}
	c.cfg.Logger.Error("sync failed, no receipt will follow", "error", err)
	if c.cfg.Failed != nil {
		c.cfg.Failed(err)
	}
	return err
}
