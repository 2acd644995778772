package jetstream

import (
	"context"
	"time"
)

// catchupEvery is how often a node looks whether its replicas get what they lack.
const catchupEvery = 20 * time.Millisecond

// catchup is what a node remembers of a replica that lags. It is pure.
type catchup struct {
	last    uint64
	dropped bool // what nobody else has, when it was last looked at
}

// look takes up to where a replica goes, and whether it lags. It reports whether it is to ask again: once for each time that it has dropped what nobody
// else has, and then stands still. In any other case something may be on its way to it, and to ask again would be wrong: when the answers to both come
// it drops what the first has brought, which its leader counts as stored by then.
func (c *catchup) look(last uint64, lags bool) bool {
	before, dropped := c.last, c.dropped
	c.last, c.dropped = last, lags && last < c.last
	return lags && dropped && last == before
}

// catchUp sees that a node that comes back is soon like the others, until ctx ends: as long as it is not, no other may go.
func (s *Store) catchUp(ctx context.Context) {
	tick := time.NewTicker(catchupEvery)
	defer tick.Stop()
	all := make([]catchup, len(s.tenancies))
	there := copiesThere{has: make([]bool, len(s.tenancies))}
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		there.look(s)
		for i, t := range s.tenancies {
			if last, lags := s.cfg.Server.Lagging(t.stream); all[i].look(last, lags) {
				s.cfg.Server.AskAgain(t.stream)
			}
			s.cfg.Server.Hasten(t.stream)
		}
	}
}

// CaughtUp reports whether this node has had all of the cluster's journals since it was started, or its storage had stopped, or it was out of touch with the others. Until then it does
// not count: if another node goes, there may be no majority of those that have everything. On a single node it has.
func (s *Store) CaughtUp() bool { return s.cfg.Cluster == nil || s.caughtUp.Load() }

// contactSettles is how long a node must be in touch with the others until it can know whether another one has taken its shards over.
const contactSettles = int64(time.Second)

// copiesThere finds out whether a node has caught up.
type copiesThere struct {
	outOfTouch int64  // when it was last, as the links tell time
	has        []bool // the journals that it has had all of since; while much is stored it may be just behind with one or the other whenever it looks
}

func (c *copiesThere) look(s *Store) {
	now := s.links.now()
	switch {
	case !s.links.Current() || s.Halted() != "": // a storage that stopped may have begun replicas anew, with nothing in them
		c.outOfTouch = now
		clear(c.has)
		s.caughtUp.Store(false)
	case s.caughtUp.Load():
		clear(c.has)
	case now-c.outOfTouch >= contactSettles:
		all := true
		for i, t := range s.tenancies {
			c.has[i] = c.has[i] || s.cfg.Server.Current(t.stream) && !(s.cfg.Server.Leads(t.stream) && s.links.elsewhere(i))
			all = all && c.has[i]
		}
		s.caughtUp.Store(all)
	}
}
