package budget

import (
	"context"
	"slices"
	"sync"
)

// Budget is so many bytes. All methods may be called concurrently.
type Budget struct {
	mu    sync.Mutex
	free  int64 // less than 0: more was kept than there is
	has   map[string]int64
	waits []*wait // in the order in which they came
}

// Share is what somebody has of a budget. It is for one goroutine.
type Share struct {
	b *Budget
	// owners are whose it is, each a part of the one before.
	owners []string
	size   int64
}

// wait is for who wants more than he can have now.
type wait struct {
	share       *Share
	least, most int64
	granted     chan struct{}
}

// New makes a budget.
func New(size int64) *Budget { return &Budget{free: size, has: make(map[string]int64)} }

// Share is nothing yet of somebody: of a user, say, and of what he asks for. An owner has half at most of what those before him leave him, beside what he has; one
// who has nothing yet may have all of it, if he can do with no less.
func (b *Budget) Share(owners ...string) *Share {
	s := &Share{b: b, owners: make([]string, len(owners))}
	whole := ""
	for i, o := range owners {
		whole += o + "\x00"
		s.owners[i] = whole
	}
	return s
}

// Size is how much it is.
func (s *Share) Size() int64 { return s.size }

// Take waits until there are least bytes more, and takes up to most. Who waits while he keeps something else of the budget may wait for himself.
func (s *Share) Take(ctx context.Context, least, most int64) error {
	if !s.Await(ctx.Done(), least, most) {
		return ctx.Err()
	}
	return nil
}

// Await does as Take does, until done is closed. It reports whether it took them.
func (s *Share) Await(done <-chan struct{}, least, most int64) bool {
	b := s.b
	b.mu.Lock()
	if n := b.room(s, least, most); n > 0 {
		b.give(s, n)
		b.mu.Unlock()
		return true
	}
	w := &wait{s, least, most, make(chan struct{})}
	b.waits = append(b.waits, w)
	b.mu.Unlock()
	select {
	case <-w.granted:
		return true
	case <-done:
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	i := slices.Index(b.waits, w)
	if i < 0 { // it came at the last moment
		return true
	}
	b.waits = slices.Delete(b.waits, i, i+1)
	return false
}

// Wanted reports whether somebody waits who has less than this one, or who is the same: he may ask for it back. It may be called by any goroutine.
func (s *Share) Wanted() bool {
	b := s.b
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.ContainsFunc(b.waits, func(w *wait) bool {
		for i, o := range s.owners {
			if i == len(w.share.owners) {
				break
			}
			if his := w.share.owners[i]; his != o {
				return b.has[his] < b.has[o]
			}
		}
		return true
	})
}

// More takes up to most bytes more, as many as there are at once, and returns how many.
func (s *Share) More(most int64) int64 {
	b := s.b
	b.mu.Lock()
	defer b.mu.Unlock()
	n := b.room(s, 1, most)
	b.give(s, n)
	return n
}

// Keep makes a share so large: what it has beside goes back. What it has not is counted, though it may be more than there is.
func (s *Share) Keep(size int64) {
	b := s.b
	b.mu.Lock()
	defer b.mu.Unlock()
	less := size < s.size
	b.give(s, size-s.size)
	if !less {
		return
	}
	b.waits = slices.DeleteFunc(b.waits, func(w *wait) bool {
		n := b.room(w.share, w.least, w.most)
		if n == 0 {
			return false
		}
		b.give(w.share, n)
		close(w.granted)
		return true
	})
}

// room is how many bytes a share can have now, from least to most; 0 if not even least. The lock is held.
func (b *Budget) room(s *Share, least, most int64) int64 {
	room, limit := b.free, b.free
	for _, o := range s.owners {
		has := b.has[o]
		room = (room - has) / 2
		if has > 0 {
			limit = (limit - has) / 2
		}
	}
	switch {
	case most <= 0:
		return 0
	case room >= least:
		return min(room, most)
	case limit >= least:
		return least
	}
	return 0
}

// give moves bytes from what is free to a share. The lock is held.
func (b *Budget) give(s *Share, n int64) {
	b.free -= n
	s.size += n
	for _, o := range s.owners {
		if b.has[o] += n; b.has[o] == 0 {
			delete(b.has, o)
		}
	}
}
