package jetstream

import (
	"fmt"
	"sync/atomic"
	"syscall"

	"github.com/sluice-mq/sluice/gateway"
)

// space watches the file system. Sends stop while free space is below the
// reserve; settlements go on until the floor, so that consumers can make room.
type space struct {
	dir     string
	reserve int64
	floor   int64
	free    atomic.Int64
	written atomic.Int64 // since free was read
	told    bool         // the log says that sends are refused; the housekeeping's own
}

const (
	minReserve = 16 << 20
	maxReserve = 1 << 30
	// recheck is how much may be written before the file system is asked again.
	recheck = 1 << 20
)

func (s *space) open(dir string, reserve int64) error {
	s.dir = dir
	var fs syscall.Statfs_t
	if err := syscall.Statfs(dir, &fs); err != nil {
		return fmt.Errorf("looking at the file system of %s: %w", dir, err)
	}
	if reserve == 0 {
		reserve = min(max(int64(fs.Blocks)*int64(fs.Bsize)/20, minReserve), maxReserve)
	}
	s.reserve, s.floor = reserve, min(reserve/4, minReserve)
	s.look()
	return nil
}

// look asks the file system.
func (s *space) look() {
	var fs syscall.Statfs_t
	if syscall.Statfs(s.dir, &fs) == nil {
		s.written.Store(0)
		s.free.Store(int64(fs.Bavail) * int64(fs.Bsize))
	}
}

// wrote counts bytes on their way to the disk.
func (s *space) wrote(n int) {
	if s.written.Add(int64(n)) > recheck {
		s.look()
	}
}

func (s *space) now() gateway.Space {
	free := s.free.Load() - s.written.Load()
	return gateway.Space{Sends: free > s.reserve, Free: free}
}

// usable reports whether anything may be written at all.
func (s *space) usable() bool { return s.free.Load()-s.written.Load() > s.floor }

// tellSpace logs when sends begin to be refused for lack of space, and when they are taken again.
func (s *Store) tellSpace() {
	now := s.space.now()
	if now.Sends != s.space.told {
		return
	}
	s.space.told = !now.Sends
	if now.Sends {
		s.cfg.Logger.Info("there is space again: sends are taken", "free", now.Free)
		return
	}
	s.cfg.Logger.Warn("no space left: sends are refused until there is more", "free", now.Free, "reserve", s.space.reserve, "directory", s.space.dir)
}
