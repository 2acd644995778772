package jetstream

import (
	"strings"
	"time"
)

const (
	// haltEvery is how often a node of a cluster looks whether its storage has stopped.
	haltEvery = time.Second
	// reviveEvery is how long an attempt to start it again is given before the next one.
	reviveEvery = 5 * time.Second
)

// halt is what a node of a cluster knows of its storage, which its server stops when the disk is full. The others go on, and
// serve this one's clients. The housekeeping's own.
type halt struct {
	looked, tried time.Time
	told          bool // the log says that it has stopped
}

// Halted says why this node stores nothing, as in a cluster it does when its disk is full; it is empty while it does.
func (s *Store) Halted() string {
	if why := s.halted.Load(); why != nil && *why != "" {
		return *why
	}
	if !s.cfg.Server.Storing() {
		return "the server has switched it off"
	}
	return ""
}

// unhalt starts a storage that has stopped for lack of space again, as soon as there is space. What this node has missed it gets
// from the others, as after a restart; until then it does not count.
func (s *Store) unhalt(now time.Time) {
	h := &s.halt
	if now.Sub(h.looked) < haltEvery && !now.Before(h.looked) {
		return
	}
	h.looked = now
	why := s.cfg.Server.Stopped()
	s.halted.Store(&why)
	s.findBroken()
	damaged := s.Damage() != nil
	s.links.full(why != "" || damaged || !s.space.now().Sends) // the others may have room, and do not try to give it shards
	s.yieldDamaged()
	if why == "" {
		if h.told {
			h.told = false
			s.cfg.Logger.Info("the storage of this node runs again")
		}
		return
	}
	if !h.told {
		h.told = true
		s.cfg.Logger.Error("the storage of this node has stopped; if that is for lack of space it is started again as soon as there is some",
			"reason", why, "free", s.space.now().Free)
	}
	if !s.space.now().Sends || now.Sub(h.tried) < reviveEvery && !now.Before(h.tried) || !forSpace(s.cfg.Server.Storing(), why) {
		return
	}
	h.tried = now
	s.caughtUp.Store(false)
	if err := s.cfg.Server.Revive(); err != nil {
		s.cfg.Logger.Warn("the storage could not be started again", "error", err)
	}
}

// forSpace reports whether a storage may be started again without looking at the disk: it was switched off, or a write has found no
// space. After any other error what the kernel still shows may not be on the disk.
func forSpace(storing bool, why string) bool {
	return !storing || strings.Contains(why, "no space left")
}
