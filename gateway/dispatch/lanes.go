package dispatch

import "slices"

// lanes are what a queue has beside its plain lane: one for each priority and group of which something waits, and who has which group.
type lanes struct {
	// all lanes but the plain one, none of them empty; by key.
	all  map[laneKey]*lane
	list []*lane
	// free has the lanes that anybody may take from, the plain one too.
	free pool
	// n entries wait in all lanes, the plain one too; due is at or before the earliest expiry of them.
	n   int
	due int64
	groups
}

// laneKey names a lane.
type laneKey struct {
	group    *group
	priority uint8
}

// plainPriority is that of the plain lane.
const plainPriority = 4

// lay makes lanes of a queue that has only its plain one.
func (q *Queue) lay() {
	q.lanes = &lanes{all: make(map[laneKey]*lane), n: q.waiting.n, due: q.waiting.due, groups: newGroups(q.groupsMost)}
	if q.waiting.n > 0 {
		q.lanes.free.add(&q.waiting)
	}
	q.epoch++
}

// unlay goes back to the plain lane alone if nothing needs others.
func (q *Queue) unlay() {
	if ls := q.lanes; ls != nil && len(ls.list) == 0 && ls.none() {
		if q.waiting.pool != nil {
			ls.free.remove(&q.waiting)
		}
		q.lanes, q.window.ahead = nil, 0
	}
}

// special reports whether a lane is none for the plain lane.
func (q *Queue) special(l Lane) bool {
	return l.group() != 0 || q.cfg.Priorities && l.priority() != plainPriority
}

// matching reports whether it takes more than the order of tags to tell who gets what.
func (q *Queue) matching() bool { return q.lanes != nil || len(q.filters) > 0 }

// waits returns how many entries wait.
func (q *Queue) waits() int {
	if q.lanes != nil {
		return q.lanes.n
	}
	return q.waiting.n
}

// key of the lane in which an entry belongs.
func (q *Queue) key(l Lane, g *group) laneKey {
	if q.cfg.Priorities {
		return laneKey{g, min(l.priority(), priorities-1)}
	}
	return laneKey{g, plainPriority}
}

// laneOf returns the lane in which an entry waits, or would; nil if there is none.
func (q *Queue) laneOf(l Lane) *lane {
	if q.lanes == nil {
		return &q.waiting
	}
	k := q.key(l, nil)
	if l.group() != 0 {
		if k.group = q.lanes.find(l.group()); k.group == nil {
			return nil
		}
	} else if k.priority == plainPriority {
		return &q.waiting
	}
	return q.lanes.all[k]
}

// openLane returns the lane in which an entry waits, making it if need be.
func (q *Queue) openLane(e Lane) *lane {
	if q.lanes == nil && q.special(e) {
		q.lay()
	}
	if l := q.laneOf(e); l != nil {
		return l
	}
	ls := q.lanes
	k := q.key(e, nil)
	if e.group() != 0 {
		k.group = ls.open(e.group())
	}
	l := &lane{line: newLine(), priority: k.priority, group: k.group}
	ls.all[k] = l
	ls.list = append(ls.list, l)
	if k.group != nil {
		k.group.lanes = append(k.group.lanes, l)
		ls.wake(k.group)
	}
	return l
}

// changed brings the books up to date with a lane to which so many entries came, or from which they went.
func (q *Queue) changed(l *lane, n int) {
	ls := q.lanes
	if ls == nil {
		if l.n == 0 {
			q.forgetLane(l)
		}
		return
	}
	ls.n += n
	ls.due = min(ls.due, l.due)
	switch {
	case l.n == 0:
		if l.pool != nil {
			l.pool.remove(l)
		}
		q.forgetLane(l)
		if l != &q.waiting {
			ls.drop(laneKey{l.group, l.priority}, l)
		}
	case l.pool == nil:
		ls.poolOf(l).add(l)
	default:
		l.pool.touched(l)
	}
}

// drop forgets an empty lane.
func (ls *lanes) drop(k laneKey, l *lane) {
	delete(ls.all, k)
	i := slices.Index(ls.list, l)
	ls.list[i] = ls.list[len(ls.list)-1]
	ls.list = ls.list[:len(ls.list)-1]
	if g := l.group; g != nil {
		g.lanes = slices.DeleteFunc(g.lanes, func(o *lane) bool { return o == l })
		ls.settle(g)
	}
}

// poolOf returns where a lane belongs.
func (ls *lanes) poolOf(l *lane) *pool {
	if l.group == nil || l.group.owner == nil {
		return &ls.free
	}
	s := l.group.owner
	if s.own == nil {
		s.own = &pool{}
	}
	return s.own
}

// eachLane calls fn for every lane in which something waits, until it returns false.
func (q *Queue) eachLane(fn func(*lane) bool) {
	if q.waiting.n > 0 && !fn(&q.waiting) || q.lanes == nil {
		return
	}
	for _, l := range q.lanes.list {
		if !fn(l) {
			return
		}
	}
}

// findWaiting returns where an entry waits.
func (q *Queue) findWaiting(tag uint64) (l *lane, i, pos int) {
	q.eachLane(func(o *lane) bool {
		at, p, ok := o.find(tag)
		if ok {
			l, i, pos = o, at, p
		}
		return !ok
	})
	return l, i, pos
}

// nextExpiry is at or before the earliest expiry of what waits.
func (q *Queue) nextExpiry() int64 {
	if q.lanes != nil {
		return q.lanes.due
	}
	return q.waiting.due
}

// expireLanes takes everything out that is due.
func (q *Queue) expireLanes(now int64, fx *Effects) {
	if q.lanes == nil {
		q.expireLane(&q.waiting, now, fx)
		return
	}
	if now < q.lanes.due {
		return
	}
	q.lanes.due = never
	for i := len(q.lanes.list) - 1; i >= 0; i-- {
		q.expireLane(q.lanes.list[i], now, fx)
	}
	q.expireLane(&q.waiting, now, fx)
	q.lanes.due = q.waiting.due
	for _, l := range q.lanes.list {
		q.lanes.due = min(q.lanes.due, l.due)
	}
}

func (q *Queue) expireLane(l *lane, now int64, fx *Effects) {
	before := l.n
	l.takeDue(now, func(e Entry) {
		q.window.went(l, &e)
		q.die(e, Expired, fx)
	})
	if l.n != before {
		q.epoch++
		q.changed(l, l.n-before)
	}
}
