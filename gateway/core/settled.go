package core

import (
	"context"
	"fmt"
	"time"
)

// strandedFor is how long a broker that closes waits for somebody to own a shard. It owns none again itself: the lead of a stream may come
// back to a node that stops, if the one that was to have it cannot.
const strandedFor = 3 * time.Second

// settled waits until nothing is on its way to the journals.
func (b *Broker) settled(ctx context.Context) error {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	var stranded time.Time
	for b.busy() {
		if b.cfg.Cluster != nil && !b.cfg.Cluster.Current() {
			return errNoMajority
		}
		for _, s := range b.owned() {
			_ = s.repeat() // why it was refused was said before
			s.endRest()
		}
		if b.cfg.Cluster != nil && b.life.Err() != nil { // nobody else does it any more
			for _, t := range b.seats {
				t.resume()
			}
			if !b.stranded() {
				stranded = time.Time{}
			} else if stranded.IsZero() {
				stranded = time.Now()
			} else if time.Since(stranded) > strandedFor {
				return errNoOwner
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("storing what was under way: %w", ctx.Err())
		case <-tick.C:
		}
	}
	return nil
}

// stranded reports whether something waits for the owner of a shard, and none is linked.
func (b *Broker) stranded() bool {
	for _, t := range b.seats {
		if t.here.Load() == nil && t.busy() && !t.reaches() {
			return true
		}
	}
	return false
}
