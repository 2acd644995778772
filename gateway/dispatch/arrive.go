package dispatch

// arrive takes a new entry in where it takes more than the order of tags to tell who gets what.
func (q *Queue) arrive(e Entry, now int64, fx *Effects) {
	if q.lanes == nil && q.special(e.Lane) {
		q.lay()
	}
	if q.settled == q.epoch && e.Message != nil && dueOf(&e) > now && q.later.next() > now && q.nextExpiry() > now {
		if q.offer(&e, fx) {
			if q.settled != q.epoch {
				q.pump(now, fx)
			}
			return
		}
		q.enter(e)
		return
	}
	q.enter(e)
	q.epoch++
	q.pump(now, fx)
}

// enter puts a new entry into its lane. Of the body of one that is behind all others there all selectors learn what they can before it may have to go.
func (q *Queue) enter(e Entry) {
	l := q.openLane(e.Lane)
	if l.n > 0 && e.Tag < l.last().Tag {
		if e.Seq != 0 && e.Message != nil && !q.fits(&e) {
			e.Message = nil
		}
		q.wait(e)
		return
	}
	var judged [8]bool
	useful := q.plain > 0 || len(q.filters) == 0 || len(q.filters) > len(judged)
	for i, f := range q.filters {
		if i < len(judged) && e.Message != nil {
			judged[i] = !f.selectsNew(&e)
			useful = useful || !judged[i]
		}
	}
	if e.Seq != 0 && e.Message != nil && (!useful || !q.fits(&e)) {
		e.Message = nil
	}
	q.window.came(l, &e, l.n, false)
	l.add(e)
	q.changed(l, 1)
	for i, f := range q.filters {
		if i < len(judged) && judged[i] {
			f.learn(l, len(l.chunks)-1, l.chunks[len(l.chunks)-1].n-1)
		}
	}
}

// offer hands a new entry, which has a body and is in no line, to who may have it. false: nobody may, now.
// There must be nothing else to hand out.
func (q *Queue) offer(e *Entry, fx *Effects) bool {
	owner, begins := q.ownerOf(e)
	priority := q.key(e.Lane, nil).priority
	for _, r := range q.rings {
		var best *subscription
		wanted := false
		for s := r.ready; s != nil; {
			if (owner == nil || owner == s) && (s.filter == nil || s.filter.selectsNew(e)) {
				wanted = true
				if s.behind <= priority && (best == nil || s.groups < best.groups) {
					best = s
				}
			}
			if s = s.next; s == r.ready || best != nil && !begins {
				break
			}
		}
		if best != nil {
			q.deliver(best, *e, fx)
			return true
		}
		if wanted {
			return false
		}
	}
	return false
}

// ownerOf returns who has the group of an entry, or that it belongs to one that nobody has.
func (q *Queue) ownerOf(e *Entry) (owner *subscription, begins bool) {
	if e.Lane.group() == 0 {
		return nil, false
	}
	if g := q.lanes.find(e.Lane.group()); g != nil {
		owner = g.owner
	}
	return owner, owner == nil
}
