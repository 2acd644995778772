package dispatch

import (
	"cmp"
	"slices"
)

// ring holds the subscriptions of one priority that have credit, in order of turns.
type ring struct {
	priority int8
	// members of that priority, with credit or without.
	members int
	// ready has the next turn, nil if nobody has credit; n are in the ring.
	ready *subscription
	n     int
}

// turn returns who is next: the first of those with the highest priority that have credit, nil if there is none.
func (q *Queue) turn() *subscription {
	for _, r := range q.rings {
		if r.ready != nil {
			return r.ready
		}
	}
	return nil
}

// seat gives a subscription that comes its ring.
func (q *Queue) seat(s *subscription) {
	i, ok := slices.BinarySearchFunc(q.rings, s.priority, func(r *ring, p int8) int { return cmp.Compare(p, r.priority) })
	if !ok {
		q.rings = slices.Insert(q.rings, i, &ring{priority: s.priority})
	}
	s.ring = q.rings[i]
	s.ring.members++
}

// unseat takes a subscription that goes, and has no credit any more, from its ring.
func (q *Queue) unseat(s *subscription) {
	if s.ring.members--; s.ring.members == 0 {
		q.rings = slices.DeleteFunc(q.rings, func(r *ring) bool { return r == s.ring })
	}
}

// recredit brings the queue's credit and the ring of turns up to date with a
// subscription. Who gets credit anew takes the last turn.
func (q *Queue) recredit(s *subscription) {
	n := s.allowance()
	if q.owner != nil && q.owner != s {
		n = 0
	}
	q.credit += n - s.counted
	s.counted = n
	if (n > 0) == (s.next != nil) {
		return
	}
	switch {
	case n > 0 && s.next == nil:
		s.ring.enqueue(s)
		s.idle = 0
	case n == 0 && s.next != nil:
		s.ring.dequeue(s)
	}
	if len(q.rings) > 1 {
		q.epoch++ // those below may have what it could have, or what they waited for is not theirs
	}
}

// enqueue gives s the last turn.
func (r *ring) enqueue(s *subscription) {
	r.n++
	if r.ready == nil {
		s.next, s.prev, r.ready = s, s, s
		return
	}
	s.next, s.prev = r.ready, r.ready.prev
	s.prev.next, s.next.prev = s, s
}

// dequeue takes s out of the turns.
func (r *ring) dequeue(s *subscription) {
	r.n--
	switch {
	case s.next == s:
		r.ready = nil
	case r.ready == s:
		r.ready = s.next
	}
	s.prev.next, s.next.prev = s.next, s.prev
	s.next, s.prev = nil, nil
}

// served gives s, which has had its turn, the last one.
func (r *ring) served(s *subscription) {
	if r.ready == s {
		r.ready = s.next
		return
	}
	r.dequeue(s)
	r.enqueue(s)
}

// elect finds the owner of the queue anew: of the exclusive subscriptions the one with the highest priority that came first, nil if
// there is none. Others have no credit while there is an owner.
func (q *Queue) elect() {
	if q.owner == nil && q.exclusives == 0 && !q.cfg.Exclusive { // as of nearly all queues, of which some have very many subscriptions
		return
	}
	var owner *subscription
	for _, s := range q.subs {
		if !s.exclusive && !q.cfg.Exclusive {
			continue
		}
		if owner == nil || s.priority > owner.priority || s.priority == owner.priority && s.came < owner.came {
			owner = s
		}
	}
	if owner == q.owner {
		return
	}
	q.owner = owner
	q.epoch++
	q.claim()
	for _, s := range q.arrivals() {
		q.recredit(s)
	}
}

// arrivals are the subscriptions in the order in which they came.
func (q *Queue) arrivals() []*subscription {
	all := make([]*subscription, 0, len(q.subs))
	for _, s := range q.subs {
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b *subscription) int { return cmp.Compare(a.came, b.came) })
	return all
}
