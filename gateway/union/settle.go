package union

import (
	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/completion"
)

var errUnknown = gateway.Errorf(gateway.NotFound, "delivery is unknown or already acknowledged")

// share is how many deliveries a child may hold that its client has not got: as if each had as much of the prefetch. The lock is held.
func (u *Union) share() int {
	if u.total <= 0 {
		return 0
	}
	n := 1
	for n < u.queues { // a power of two, so that it seldom changes
		n *= 2
	}
	return max(u.total/n, 1)
}

// loan changes how much a child may have outstanding.
type loan struct {
	c *child
	n int
}

// lend carries loans out, without the lock.
func lend(all []loan) {
	for _, l := range all {
		l.c.source.Extend(l.n)
	}
}

// feed lends a child, if it is not nil, what it may hold beside what its client has, and all that went without the same once there is credit again.
// The lock is held.
func (u *Union) feed(c *child) (all []loan) {
	share, free := u.share(), u.total-u.out
	if c != nil {
		all = u.feedOne(c, share, free, all)
	}
	if free > 0 && len(u.starved) > 0 {
		starved := u.starved
		u.starved = nil
		for _, c := range starved {
			c.starved = false
			all = u.feedOne(c, share, free, all)
		}
	}
	return all
}

// feedOne lets a child hold its share, as far as there is credit. One that holds little is looked at again when there is more. The lock is held.
func (u *Union) feedOne(c *child, share, free int, all []loan) []loan {
	if !c.credits || c.left {
		return all
	}
	ahead, want := c.lent-c.out, min(share, max(free, 0))
	if ahead >= 2*max(share, 1) {
		want = share
	} else if ahead >= want || ahead > share/2 {
		want = ahead
	}
	if want != ahead {
		all = append(all, loan{c, want - ahead})
		c.lent = c.out + want
	}
	if want <= share/2 && !c.starved {
		c.starved = true
		u.starved = append(u.starved, c)
	}
	return all
}

// group are the tags of one child.
type group struct {
	c    *child
	tags []uint64
}

// give takes deliveries from what the client has. strict: all of them have to be there, once each, or none is taken.
func (u *Union) give(tags []uint64, strict bool) (groups []group, err error) {
	u.mu.Lock()
	if strict {
		if err := u.check(tags); err != nil {
			u.mu.Unlock()
			return nil, err
		}
	}
	at := make(map[*child]int)
	for _, tag := range tags {
		h, has := u.held[tag]
		if !has {
			continue
		}
		delete(u.held, tag)
		i, known := at[h.child]
		if !known {
			i = len(groups)
			at[h.child] = i
			groups = append(groups, group{c: h.child})
		}
		groups[i].tags = append(groups[i].tags, h.tag)
		if h.child.credits {
			h.child.out--
			u.out--
		}
	}
	u.mu.Unlock()
	return groups, nil
}

func (u *Union) check(tags []uint64) error {
	seen := make(map[uint64]struct{}, len(tags))
	for _, tag := range tags {
		_, twice := seen[tag]
		if _, has := u.held[tag]; !has || twice {
			return errUnknown
		}
		seen[tag] = struct{}{}
	}
	return nil
}

// gave lends what has become free.
func (u *Union) gave(groups []group) {
	var all []loan
	u.mu.Lock()
	for _, g := range groups {
		all = append(all, u.feed(g.c)...)
	}
	wake := u.hungry && len(u.ready) > 0
	if wake {
		u.hungry = false
	}
	u.mu.Unlock()
	lend(all)
	if wake {
		u.options.Wake()
	}
}

// Written implements gateway.Subscription.
func (u *Union) Written(n int) {
	if !u.options.AutoAck {
		return
	}
	n = min(n, len(u.taken))
	groups, _ := u.give(u.taken[:n], false)
	u.taken = u.taken[:copy(u.taken, u.taken[n:])]
	for _, g := range groups {
		if g.c.credits {
			g.c.source.Ack(g.tags, nil, 0)
		} else {
			g.c.source.Written(len(g.tags))
		}
	}
	u.gave(groups)
}

// Ack implements gateway.Subscription.
func (u *Union) Ack(tags []uint64, c gateway.Completion, token uint64) {
	groups, err := u.give(tags, true)
	if err != nil {
		completion.Complete(c, token, err)
		return
	}
	if len(tags) == 0 {
		groups = u.everybody()
	}
	u.each(groups, c, token, func(g group, c gateway.Completion) { g.c.source.Ack(g.tags, c, 0) })
}

// everybody are all children, without tags.
func (u *Union) everybody() (groups []group) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, c := range u.children {
		groups = append(groups, group{c: c})
	}
	return groups
}

// Nack implements gateway.Subscription.
func (u *Union) Nack(tags []uint64, c gateway.Completion, token uint64) {
	groups, err := u.give(tags, true)
	if err != nil {
		completion.Complete(c, token, err)
		return
	}
	u.each(groups, c, token, func(g group, c gateway.Completion) { g.c.source.Nack(g.tags, c, 0) })
}

// each has children settle something, and completes when all have.
func (u *Union) each(groups []group, c gateway.Completion, token uint64, do func(group, gateway.Completion)) {
	var all *completion.Parts
	var one gateway.Completion
	if c != nil {
		all = completion.NewParts(1+len(groups), c, token)
		one = all
	}
	for _, g := range groups {
		do(g, one)
	}
	u.gave(groups)
	if all != nil {
		all.Done(nil)
	}
}

// SettleNow implements union.Source: it carries out a committed transaction's acknowledgements.
func (u *Union) SettleNow(tags []uint64, nack bool, c gateway.Completion, token uint64) {
	groups, _ := u.give(tags, false)
	all := completion.NewParts(1+len(groups), c, token)
	for _, g := range groups {
		g.c.source.SettleNow(g.tags, nack, all, 0)
	}
	u.gave(groups)
	all.Done(nil)
}

// Release implements gateway.Subscription.
func (u *Union) Release(tags []uint64, r gateway.Return) error {
	groups, err := u.give(tags, true)
	if err != nil {
		return err
	}
	for _, g := range groups {
		_ = g.c.source.Release(g.tags, r) // those that it does not have have come back already
	}
	u.gave(groups)
	return nil
}

// Extend implements gateway.Subscription.
func (u *Union) Extend(n int) {
	u.mu.Lock()
	u.total += n
	more := u.feed(nil)
	wake := n > 0 && u.hungry
	u.mu.Unlock()
	lend(more)
	if wake {
		u.options.Wake()
	}
}
