package dispatch

// candidate is what a subscription may get next.
type candidate struct {
	lane   *lane
	i, pos int
	// entry is nil if there is nothing; without a Message it must be loaded, and may be nothing for it then.
	entry *Entry
	// blocked: those above must look at it first.
	blocked bool
}

// match hands out what can be handed out where it takes more than the order of tags: each subscription in its turn gets the first entry by
// priority and tag that it may have. Who finds nothing keeps its turn, and is not asked again before something has changed.
func (q *Queue) match(now int64, fx *Effects) {
	q.expireLanes(now, fx)
	for again := true; again; {
		again = false
		for n := range q.rings {
			epoch := q.epoch
			q.serve(n, now, fx)
			if n > 0 && q.epoch != epoch {
				again = true // what was freed may be for those above
				break
			}
		}
	}
	q.settled = q.epoch
}

// serve hands out to the n-th ring until there is nothing for any of it.
func (q *Queue) serve(n int, now int64, fx *Effects) {
	r := q.rings[n]
	above := q.above(n)
	s := r.ready
	for misses := 0; s != nil && misses < r.n; {
		var c candidate
		if s.idle != q.epoch {
			c = q.candidate(s, above, now)
		}
		if c.entry == nil || c.entry.Message == nil {
			if s.idle != q.epoch {
				s.idle, s.behind, s.blocked = q.epoch, 0, c.blocked
				if c.entry != nil {
					s.behind = c.lane.priority + 1
				}
			}
			s = s.next
			misses++
			continue
		}
		misses = 0
		to, next := q.receiver(s, &c), s.next
		q.hand(to, &c, fx)
		switch {
		case to != s:
			if s.next == nil {
				s = r.ready
			}
		case next != s && next.next != nil:
			s = next
		default:
			s = r.ready
		}
	}
}

// above are those who come before the n-th ring.
func (q *Queue) above(n int) []*subscription {
	if n == 0 {
		return nil
	}
	all := q.betters[:0]
	for _, r := range q.rings[:n] {
		for s := r.ready; s != nil; {
			all = append(all, s)
			if s = s.next; s == r.ready {
				break
			}
		}
	}
	q.betters = all
	return all
}

// candidate returns the first entry by priority and tag that a subscription may have, if that is known, or the one that must be loaded to know it.
func (q *Queue) candidate(s *subscription, above []*subscription, now int64) candidate {
	if q.lanes == nil {
		return q.seek(s, above, &q.waiting, 0, now)
	}
	for p := priorities; p > 0; {
		p = max(q.lanes.free.highest(p-1), s.own.highest(p-1))
		if p < 0 {
			break
		}
		free, own := q.lanes.free.first(p), s.own.first(p)
		var best candidate
		if s.filter == nil && len(above) == 0 {
			l := free
			if l == nil || own != nil && own.front < l.front {
				l = own
			}
			best = candidate{l, 0, 0, l.first(), false}
		} else {
			for _, lanes := range [...][]*lane{q.lanes.free.lanes(p), s.own.lanes(p)} {
				for _, l := range lanes {
					if best.entry != nil && l.front > best.entry.Tag {
						continue
					}
					if c := q.seek(s, above, l, 0, now); c.entry != nil && (best.entry == nil || c.entry.Tag < best.entry.Tag) {
						best = c
					}
				}
			}
		}
		if best.entry != nil {
			return best
		}
	}
	return candidate{}
}

// seek returns the first entry of a lane, from a tag on, that a subscription may have, or perhaps: then it must be loaded. It remembers what
// it learns on the way.
func (q *Queue) seek(s *subscription, above []*subscription, l *lane, from uint64, now int64) candidate {
	for _, o := range above {
		if o.filter == nil && l.open(o) {
			return candidate{} // it has all of that
		}
	}
	f := s.filter
	skipped := false
	for {
		if f != nil {
			from = f.beyond(l, from)
		}
		i, pos, ok := l.ceiling(from)
		if !ok {
			return candidate{}
		}
		e := l.chunks[i].at(pos)
		if f != nil && e.Tag != from && f.knows(l, e.Tag) {
			f.bridge(l, from, e.Tag)
			from = e.Tag
			continue
		}
		from = e.Tag + 1
		switch {
		case dueOf(e) <= now:
		case e.Message == nil:
			return candidate{l, i, pos, e, skipped || q.wanted(above, l, i, pos)}
		case f != nil && !f.selects(e):
			f.learn(l, i, pos)
		case q.wanted(above, l, i, pos):
			skipped = true
		default:
			return candidate{l, i, pos, e, false}
		}
	}
}

// wanted reports whether one of those above selects an entry, or might.
func (q *Queue) wanted(above []*subscription, l *lane, i, pos int) bool {
	e := l.chunks[i].at(pos)
	for _, s := range above {
		switch {
		case s.filter == nil || !l.open(s):
		case s.filter.knows(l, e.Tag):
		case e.Message == nil || s.filter.selects(e):
			return true
		default:
			s.filter.learn(l, i, pos)
		}
	}
	return false
}

// open reports whether a subscription may take from a lane.
func (l *lane) open(s *subscription) bool {
	return l.group == nil || l.group.owner == nil || l.group.owner == s
}

// receiver returns who gets what was found for s: if it begins a group, the one with the fewest groups of those whose turn it might be.
func (q *Queue) receiver(s *subscription, c *candidate) *subscription {
	if c.lane.group == nil || c.lane.group.owner != nil {
		return s
	}
	best := s
	for o := s.next; o != s; o = o.next {
		if o.groups < best.groups && (o.filter == nil || !o.filter.knows(c.lane, c.entry.Tag) && o.filter.selects(c.entry)) {
			best = o
		}
	}
	return best
}

// hand hands a waiting entry out.
func (q *Queue) hand(s *subscription, c *candidate, fx *Effects) {
	q.deliver(s, q.takeWaiting(c.lane, c.i, c.pos), fx)
}
