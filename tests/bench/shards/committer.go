package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"
)

// committer makes what was stored durable, in groups: whatever came in during
// one sync is synced by the next. Without a mode it completes at once.
type committer struct {
	mode string
	dir  *os.File // the store

	mu     sync.Mutex
	busy   bool
	queue  []committed
	groups int64
	synced int64
}

// committed is something that completes after the next sync.
type committed struct {
	stream string
	done   func(p pending, seq uint64)
	p      pending
	seq    uint64
}

func newCommitter(c *cell) (*committer, error) {
	if c.Commit == "" {
		return &committer{}, nil
	}
	if c.Replicas != 1 {
		return nil, errors.New("the group commit is for one server")
	}
	dir, err := os.Open(c.Dir)
	return &committer{mode: c.Commit, dir: dir}, err
}

// add completes one append after a sync. Order is kept.
func (k *committer) add(e committed) {
	if k.mode == "" {
		e.done(e.p, e.seq)
		return
	}
	k.mu.Lock()
	k.queue = append(k.queue, e)
	start := !k.busy
	k.busy = true
	k.mu.Unlock()
	if start {
		go k.run() // ends when nothing waits; the cell ends after its last message
	}
}

func (k *committer) run() {
	for {
		k.mu.Lock()
		group := k.queue
		k.queue = nil
		if len(group) == 0 {
			k.busy = false
			k.mu.Unlock()
			return
		}
		k.groups++
		k.synced += int64(len(group))
		k.mu.Unlock()
		if err := k.sync(group); err != nil {
			fmt.Fprintln(os.Stderr, "sync:", err)
			os.Exit(1)
		}
		for _, e := range group {
			e.done(e.p, e.seq)
		}
	}
}

func (k *committer) sync(group []committed) error {
	if k.mode == "syncfs" {
		return unix.Syncfs(int(k.dir.Fd()))
	}
	dirty := map[string]bool{}
	for _, e := range group {
		dirty[e.stream] = true
	}
	var wg sync.WaitGroup
	errs := make(chan error, len(dirty))
	for name := range dirty {
		wg.Go(func() { errs <- k.syncStream(name) })
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// syncStream syncs the two newest blocks of a stream: a group is smaller than a block.
func (k *committer) syncStream(name string) error {
	dir := filepath.Join(k.dir.Name(), "n0", "jetstream", "$G", "streams", name, "msgs")
	blocks, err := blockFiles(dir)
	if err != nil {
		return err
	}
	for _, b := range blocks[max(len(blocks)-2, 0):] {
		f, err := os.Open(filepath.Join(dir, fmt.Sprintf("%d.blk", b)))
		if errors.Is(err, os.ErrNotExist) {
			continue // trimmed meanwhile
		}
		if err != nil {
			return err
		}
		err = unix.Fdatasync(int(f.Fd()))
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
	}
	return nil
}

// blockFiles lists a stream's block numbers, ascending.
func blockFiles(dir string) ([]uint64, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var blocks []uint64
	for _, e := range entries {
		var n uint64
		if c, err := fmt.Sscanf(e.Name(), "%d.blk", &n); c == 1 && err == nil {
			blocks = append(blocks, n)
		}
	}
	sortUint64(blocks)
	return blocks, nil
}
