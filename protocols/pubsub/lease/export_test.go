package lease

import (
	"context"

	"github.com/sluice-mq/sluice/protocols/pubsub/resource"
)

// Late returns what acknowledges on the book that a keeper has now, whoever has the leases by then.
func (k *Keeper) Late(ctx context.Context, sub *resource.Subscription, of *resource.Topic) (func(ids []string) error, error) {
	b, err := k.bookOf(ctx, sub, of)
	return func(ids []string) error {
		all := make([]delivery, len(ids))
		for i, id := range ids {
			all[i], _ = readDelivery(id, sub.Lease.Secret, sub.ID)
		}
		_, err := b.acknowledge(ctx, all)
		return err
	}, err
}

// Held is how many messages those have in memory who were given them.
func (k *Keeper) Held() (n int) {
	for _, s := range k.ready() {
		s.book.mu.Lock()
		for _, p := range s.book.pulls {
			n += len(p.got)
		}
		s.book.mu.Unlock()
	}
	return n
}

// Waiters is how many wait until what they acknowledged is written down.
func (k *Keeper) Waiters() (n int) {
	for _, s := range k.ready() {
		s.book.mu.Lock()
		n += len(s.book.kept.waiters)
		s.book.mu.Unlock()
	}
	return n
}

// Closed reports whether nothing is begun any more.
func (k *Keeper) Closed() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.closed
}
