package commit

import (
	"slices"
	"sync"
	"time"
)

const (
	// fewLogs is up to how many logs are synced file by file, in parallel; above it one sync of the whole file system is
	// cheaper, though it also waits for the dirty pages of neighbours on that file system.
	fewLogs = 4
	// fewFiles is the same for single files, reached when blocks rolled over faster than groups ended.
	fewFiles = 12
	// syncsAtOnce bounds the goroutines of one group.
	syncsAtOnce = 8
	// laterWithin is how long records that nobody waits for do without a group of their own.
	laterWithin = 2 * time.Millisecond
)

func (c *Committer) run() {
	defer close(c.done)
	rest := time.NewTimer(c.later)
	rest.Stop()
	defer rest.Stop()
	for {
		select {
		case <-c.patient:
			rest.Reset(c.later)
		case <-rest.C:
			if slices.ContainsFunc(c.logs, func(l *Log) bool { return l.patient.Load() }) {
				c.group()
			}
		case <-c.kick:
			if c.cfg.Mode == Disk {
				c.gather.wait(c.stop)
			}
			c.group()
		case r := <-c.requests:
			r.done <- r.do()
		case <-c.stop:
			c.group()
			for _, l := range c.logs {
				l.release()
			}
			if c.finder != nil {
				c.finder.close()
			}
			_ = c.root.Close()
			return
		}
	}
}

// group commits every log that is dirty now. While it runs the next one collects itself.
func (c *Committer) group() {
	c.gather.seal()
	dirty := c.batch[:0]
	for _, l := range c.logs {
		// The flags fall before Seal: whatever raises one later has its own group coming.
		if dirt, later := l.dirty.Swap(false), l.patient.Swap(false); dirt || later {
			dirty = append(dirty, l)
		}
	}
	c.batch = dirty
	if len(dirty) == 0 {
		return
	}
	for _, l := range dirty {
		l.source.Seal()
	}
	err := c.Err()
	if err == nil && c.cfg.Mode == Disk {
		// After Seal: the events of every block the sealed records are in were queued inside the store's own
		// system calls, before its acknowledgement.
		if err = c.finder.find(dirty); err == nil {
			err = c.syncGroup(dirty)
		}
		if err != nil {
			err = c.fail(err)
		}
	}
	if err == nil {
		c.groups.Add(1)
	}
	for _, l := range dirty {
		l.source.Committed(err)
	}
}

func (c *Committer) syncGroup(dirty []*Log) error {
	files, unknown := 0, false
	for _, l := range dirty {
		files += len(l.older) + 1
		unknown = unknown || l.newest == nil || l.lost || l.moved
	}
	var err error
	if unknown || c.wholeOK && (len(dirty) > fewLogs || files > fewFiles) {
		err = c.syncWhole()
	} else {
		err = each(dirty, c.syncLog)
	}
	if err != nil {
		return err
	}
	for _, l := range dirty {
		l.synced()
	}
	return nil
}

func (c *Committer) syncWhole() error {
	c.wholes.Add(1)
	return c.sync.All(c.root)
}

// syncLog syncs what one log changed: older blocks first, the newest, then the names of new ones.
func (c *Committer) syncLog(l *Log) error {
	for _, b := range l.older {
		c.files.Add(1)
		if err := c.sync.Data(b.file); err != nil {
			return err
		}
	}
	c.files.Add(1)
	if err := c.sync.Data(l.newest.file); err != nil {
		return err
	}
	if !l.named {
		c.files.Add(1)
		return c.sync.Dir(l.handle)
	}
	return nil
}

// each runs do for all logs, a few at a time, and returns the first error after all have ended.
func each(logs []*Log, do func(*Log) error) error {
	if len(logs) == 1 {
		return do(logs[0])
	}
	errs := make([]error, len(logs))
	var wg sync.WaitGroup
	tokens := make(chan struct{}, syncsAtOnce)
	for i, l := range logs[1:] {
		tokens <- struct{}{}
		wg.Go(func() {
			errs[i+1] = do(l)
			<-tokens
		})
	}
	errs[0] = do(logs[0])
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *Committer) forget(l *Log) {
	if i := slices.Index(c.logs, l); i >= 0 {
		c.logs = slices.Delete(c.logs, i, i+1)
	}
	if c.finder != nil {
		c.finder.remove(l)
	}
	l.release()
}
