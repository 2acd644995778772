package lease

import (
	"context"
	"time"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/protocols/pubsub/resource"
)

// kept is what a book has written down of its progress. What comes while it writes goes with the next time.
type kept struct {
	// version counts changes, saved is the last that is durable.
	version, saved uint64
	saving         bool
	ended          chan struct{} // closed when the saving is over
	waiters        []waiter
	// messages and bytes were acknowledged and are not counted in the cursor yet.
	messages, bytes uint64
}

// waiter waits until a version is durable.
type waiter struct {
	version uint64
	done    chan error
}

func (k *kept) count(messages, bytes uint64) {
	k.messages += messages
	k.bytes += bytes
}

// fail ends all waiting.
func (k *kept) fail(why error) {
	for _, w := range k.waiters {
		w.done <- why
	}
	k.waiters = nil
}

// keep writes down all that is so now, and tells when that is durable. The lock is held.
func (b *book) keep() <-chan error {
	done := make(chan error, 1)
	if b.kept.version == b.kept.saved {
		done <- nil
		return done
	}
	b.kept.waiters = append(b.kept.waiters, waiter{b.kept.version, done})
	b.save()
	return done
}

// save writes down what is so now, unless it is written already. The lock is held.
func (b *book) save() {
	if b.kept.saving || b.kept.version == b.kept.saved || b.closed != nil {
		return
	}
	b.kept.saving, b.kept.ended = true, make(chan struct{})
	b.k.background.Go(b.write)
}

// write writes as long as somebody waits for it.
func (b *book) write() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for again := true; again && b.closed == nil; {
		s := b.state()
		b.mu.Unlock()
		ctx, cancel := context.WithTimeout(b.k.life, b.k.cfg.Patience)
		err := b.store(ctx, s, b.k.cfg.Node)
		cancel()
		b.mu.Lock()
		b.stored(s, err)
		again = len(b.kept.waiters) > 0
	}
	b.kept.saving = false
	close(b.kept.ended)
}

// state is what is to be written down.
type state struct {
	version, low, next, messages, bytes uint64
	open                                []byte
}

// state returns what is so now. The lock is held.
func (b *book) state() state {
	return state{b.kept.version, b.progress.low(), b.progress.next, b.kept.messages, b.kept.bytes, b.progress.encode()}
}

// store moves the cursor, unless somebody else has it now, and says who has the leases from here on. The lock is not held.
func (b *book) store(ctx context.Context, s state, leader string) error {
	return b.k.cfg.Directory.MoveCursor(ctx, b.sub, b.of, func(c *resource.Cursor) (bool, error) {
		if !b.mine(c) {
			return false, errMoved
		}
		if s.messages > 0 {
			c.Acknowledge(s.low, s.messages, s.bytes, b.k.cfg.Now())
		}
		c.Offset, c.Next, c.Open, c.Leader = s.low, s.next, s.open, leader
		return true, nil
	})
}

// mine reports whether a cursor is the one of this book.
func (b *book) mine(c *resource.Cursor) bool {
	return c.Leader == b.k.cfg.Node && c.Tenure == b.tenure && c.Generation == b.generation
}

// stored tells those who wait how it went. The lock is held.
func (b *book) stored(s state, err error) {
	if err == nil {
		b.kept.saved = s.version
		b.kept.messages -= s.messages
		b.kept.bytes -= s.bytes
	}
	if gateway.KindOf(err) == gateway.Moved && err != nil {
		b.shutLocked(errMoved)
		return
	}
	var left []waiter
	for _, w := range b.kept.waiters {
		if w.version <= s.version {
			w.done <- err
		} else {
			left = append(left, w)
		}
	}
	b.kept.waiters = left
}

// resignTime is what the store has to take what a book leaves behind.
const resignTime = 3 * time.Second

// resign ends the book, and leaves the leases to whoever wants them next. What was not written down is, if that can be, when what is being written is: so nothing is
// counted twice.
func (b *book) resign() {
	b.mu.Lock()
	if b.closed != nil {
		b.mu.Unlock()
		return
	}
	b.shutLocked(errMoved)
	if b.kept.saving {
		ended := b.kept.ended
		b.mu.Unlock()
		<-ended
		b.mu.Lock()
	}
	s := b.state()
	b.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), resignTime)
	defer cancel()
	if err := b.store(ctx, s, ""); err != nil && gateway.KindOf(err) != gateway.Moved && gateway.KindOf(err) != gateway.NotFound {
		b.k.cfg.Logger.Warn("what was not acknowledged may come once more, and be counted less", "subscription", b.sub.Name.String(), "error", err)
	}
}
