package auth

import (
	"container/list"
	"context"
	"crypto/sha256"
	"math"
	"net/netip"
	"sync"
	"time"

	"github.com/sluice-mq/sluice/gateway"
)

// BrakeConfig says how fast a password may be guessed; the zero values are what the comments say.
type BrakeConfig struct {
	// PerLogin is how often one login may fail from one host before the brake takes hold; 0: 10.
	PerLogin int
	// PerHost is how often all logins together may fail from one host; 0: 100.
	PerHost int
	// Window is how long it takes until that many failures are forgotten, one after another; 0: 10 minutes.
	Window time.Duration
	// Block is for how long attempts are refused at once, after some that were delayed more and more; 0: 30 seconds.
	Block time.Duration
	// Remembered is how many pairs of host and login are known; 0: 32768. Of hosts it is half of that. The ones that
	// failed longest ago are forgotten first.
	Remembered int
}

// The delays once the brake has taken hold: the first, doubled with each failure, and the longest one; delays is how many
// failures that takes, and the next one blocks.
const (
	firstDelay = 250 * time.Millisecond
	lastDelay  = 5 * time.Second
	delays     = 6
)

// brake slows down who guesses. Everything it knows is about a host, so nobody can lock out a user elsewhere. However many
// attempts are made at once, no more of them fail without a delay than the limit says: as many as could still fail are let in, and the
// others wait until those have succeeded. Safe for concurrent use.
type brake struct {
	now    func() time.Time
	block  time.Duration
	mu     sync.Mutex
	logins table
	hosts  table
}

type track struct {
	host netip.Prefix
	// login is the first half of the login's sum; zero in the table of hosts.
	login [16]byte
}

type table struct {
	limit   float64 // failures
	window  time.Duration
	most    int // entries
	entries map[track]*list.Element
	recent  list.List // of *entry; the front one was used last
}

// entry is what is known of a track. Entries without failures, and with nobody inside, are dropped.
type entry struct {
	of       *table
	track    track
	failures float64 // at that time; they leak away
	at       time.Time
	blocked  time.Time // until
	inside   int
	waiting  list.List // of *seeker
}

type seeker struct {
	place  *list.Element // nil: not waiting any more
	answer chan error    // has room for the one answer
}

func newBrake(c BrakeConfig, now func() time.Time) *brake {
	or := func(n *int, otherwise int) {
		if *n <= 0 {
			*n = otherwise
		}
	}
	or(&c.PerLogin, 10)
	or(&c.PerHost, 100)
	or(&c.Remembered, 32768)
	if c.Window <= 0 {
		c.Window = 10 * time.Minute
	}
	if c.Block <= 0 {
		c.Block = 30 * time.Second
	}
	t := func(limit, most int) table {
		return table{limit: float64(limit), window: c.Window, most: most, entries: map[track]*list.Element{}}
	}
	return &brake{now: now, block: c.Block, logins: t(c.PerLogin, c.Remembered), hosts: t(c.PerHost, max(1, c.Remembered/2))}
}

// outcome is how an attempt ended.
type outcome int

const (
	// nothing was found out: somebody could not be asked, or the client went away.
	nothing outcome = iota
	succeeded
	failed
)

// enter returns when an attempt may be made, and then the caller says how it ended. The Error is of kind Limit, in words, or Unavailable if
// ctx ended.
func (b *brake) enter(ctx context.Context, host netip.Prefix, login string) (leave func(outcome), err error) {
	sum := sha256.Sum256([]byte(login))
	one, err := b.pass(ctx, &b.logins, track{host, [16]byte(sum[:16])})
	if err != nil {
		return nil, err
	}
	all, err := b.pass(ctx, &b.hosts, track{host: host})
	if err != nil {
		b.leave(one, nothing)
		return nil, err
	}
	return func(o outcome) {
		b.leave(one, o)
		if o == succeeded {
			o = nothing // somebody's success says nothing of the others that the host tries
		}
		b.leave(all, o)
	}, nil
}

// pass waits until one more may go in, and for the delay.
func (b *brake) pass(ctx context.Context, t *table, k track) (*entry, error) {
	b.mu.Lock()
	e := t.entry(k, b.now())
	if e.waiting.Len() > 0 || !e.admits() {
		if err := b.refusal(e); err != nil {
			t.drop(e)
			b.mu.Unlock()
			return nil, err
		}
		s := &seeker{answer: make(chan error, 1)}
		s.place = e.waiting.PushBack(s)
		b.mu.Unlock()
		if err := b.wait(ctx, e, s); err != nil {
			return nil, err
		}
		b.mu.Lock()
	} else {
		e.inside++
	}
	delay := e.delay()
	b.mu.Unlock()
	if delay == 0 {
		return e, nil
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return e, nil
	case <-ctx.Done():
		b.leave(e, nothing)
		return nil, tooLong(ctx)
	}
}

// wait waits for an answer; nil means that the seeker is inside.
func (b *brake) wait(ctx context.Context, e *entry, s *seeker) error {
	select {
	case err := <-s.answer:
		return err
	case <-ctx.Done():
	}
	b.mu.Lock()
	if s.place != nil {
		e.waiting.Remove(s.place)
		e.of.drop(e)
		b.mu.Unlock()
		return tooLong(ctx)
	}
	b.mu.Unlock()
	if err := <-s.answer; err != nil { // it came at the same time
		return err
	}
	b.leave(e, nothing)
	return tooLong(ctx)
}

func tooLong(ctx context.Context) error {
	return gateway.WrapError(gateway.Unavailable, context.Cause(ctx), "the login took too long")
}

func (b *brake) leave(e *entry, o outcome) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	e.leak(now)
	e.inside--
	switch o {
	case succeeded:
		e.failures, e.blocked = 0, time.Time{}
	case failed:
		e.failures = min(e.failures+1, e.of.limit+delays)
		if math.Ceil(e.failures) >= e.of.limit+delays {
			e.blocked = now.Add(b.block)
		}
	}
	for e.waiting.Len() > 0 {
		err := error(nil)
		if e.admits() {
			e.inside++
		} else if err = b.refusal(e); err == nil {
			break
		}
		s := e.waiting.Remove(e.waiting.Front()).(*seeker)
		s.place = nil
		s.answer <- err
	}
	e.of.drop(e)
}

// admits reports whether one more may go in: as many as may fail without a delay, and always one.
func (e *entry) admits() bool {
	if e.at.Before(e.blocked) {
		return false
	}
	return e.inside == 0 || float64(e.inside) < e.of.limit-math.Ceil(e.failures)
}

// refusal is why nobody can wait here; nil: somebody can.
func (b *brake) refusal(e *entry) error {
	var wait time.Duration
	switch {
	case e.at.Before(e.blocked):
		wait = e.blocked.Sub(e.at)
	case math.Ceil(e.failures) >= e.of.limit:
		wait = lastDelay
	default:
		return nil
	}
	return gateway.Errorf(gateway.Limit, "too many failed logins from %s, try again in %d s", hostText(e.track.host), int(math.Ceil(wait.Seconds())))
}

// delay is how long whoever is let in must wait.
func (e *entry) delay() time.Duration {
	over := math.Ceil(e.failures) - e.of.limit
	if over < 0 {
		return 0
	}
	return min(firstDelay<<int(over), lastDelay)
}

// leak forgets failures evenly.
func (e *entry) leak(now time.Time) {
	if passed := now.Sub(e.at); passed > 0 {
		e.failures = max(0, e.failures-float64(passed)/float64(e.of.window)*e.of.limit)
	}
	e.at = now
}

// entry returns what is known of a track at a time.
func (t *table) entry(k track, now time.Time) *entry {
	if place := t.entries[k]; place != nil {
		t.recent.MoveToFront(place)
		e := place.Value.(*entry)
		e.leak(now)
		return e
	}
	for len(t.entries) >= t.most {
		oldest := t.recent.Back()
		delete(t.entries, t.recent.Remove(oldest).(*entry).track)
	}
	e := &entry{of: t, track: k, at: now}
	t.entries[k] = t.recent.PushFront(e)
	return e
}

// drop forgets an entry that says nothing.
func (t *table) drop(e *entry) {
	if e.inside > 0 || e.failures > 0 || e.waiting.Len() > 0 {
		return
	}
	if place := t.entries[e.track]; place != nil && place.Value == e {
		t.recent.Remove(place)
		delete(t.entries, e.track)
	}
}

// figures are how many entries there are.
func (b *brake) figures() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.logins.entries) + len(b.hosts.entries)
}
