package dispatch

// Depth returns how many entries wait, come later or are in flight, and their bytes (Entry.Size). It is cheap.
func (q *Queue) Depth() (messages int, bytes int64) {
	return q.waits() + q.laters() + q.inFlight, q.journaled + q.memory - q.dying
}

// CrowdOut declares the oldest waiting entries Dead with the Cause Crowded until the queue's Depth is no more than so many messages and bytes; 0
// is no bound. Those that come later are waiting, too. What is in flight counts, but does not die.
func (q *Queue) CrowdOut(messages int, bytes int64, now int64, fx *Effects) {
	crowded := false
	for {
		n, size := q.Depth()
		if (messages <= 0 || n <= messages) && (bytes <= 0 || size <= bytes) {
			break
		}
		e, ok := q.takeOldest()
		if !ok {
			break
		}
		crowded = true
		q.die(e, Crowded, fx)
	}
	if crowded {
		q.epoch++
		q.pump(now, fx)
	}
}

// takeOldest takes the entry with the lowest tag out of those that wait or come later. It costs a look at each lane.
func (q *Queue) takeOldest() (Entry, bool) {
	var oldest *lane
	q.eachLane(func(l *lane) bool {
		if oldest == nil || l.first().Tag < oldest.first().Tag {
			oldest = l
		}
		return true
	})
	if q.laters() > 0 && (oldest == nil || q.later.first().Tag < oldest.first().Tag) {
		return q.takeLater(0, 0), true
	}
	if oldest == nil {
		return Entry{}, false
	}
	return q.takeWaiting(oldest, 0, 0), true
}

// laters returns how many come later.
func (q *Queue) laters() int {
	if q.later == nil {
		return 0
	}
	return q.later.n
}

// Purge settles all entries that wait, now or for later, at once and returns how many. What is in flight or dying stays.
func (q *Queue) Purge(fx *Effects) int {
	n := q.waits() + q.laters()
	for q.waiting.n > 0 {
		e := q.takeWaiting(&q.waiting, 0, 0)
		q.settle(&e, fx)
	}
	for q.lanes != nil && len(q.lanes.list) > 0 {
		e := q.takeWaiting(q.lanes.list[0], 0, 0)
		q.settle(&e, fx)
	}
	for q.laters() > 0 {
		e := q.takeLater(0, 0)
		q.settle(&e, fx)
	}
	q.later = nil
	q.epoch++
	return n
}

// Take takes those of the tags out that wait, now or for later, and returns how many: each becomes Dead with the Cause Taken. Who
// moves messages to another queue stores them there first, and then says Buried. Unburied brings an entry back to its old place, as it was, but for
// that it comes at once.
func (q *Queue) Take(tags []uint64, now int64, fx *Effects) int {
	n := 0
	for _, tag := range tags {
		if e, ok := q.takeResting(tag); ok {
			q.die(e, Taken, fx)
			n++
		}
	}
	if n > 0 {
		q.epoch++
		q.pump(now, fx)
	}
	return n
}
