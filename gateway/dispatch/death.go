package dispatch

// die makes a dying entry of one that is in no line.
func (q *Queue) die(e Entry, c Cause, fx *Effects) {
	e.Lane = e.Lane.of(c)
	q.dying += int64(e.Size)
	if c.returns() {
		q.refused.add(e)
	} else {
		q.expired.add(e)
	}
	fx.Dead = append(fx.Dead, Death{Entry: e, Cause: c})
}

// returns reports whether what dies of it waits again if it cannot be buried.
func (c Cause) returns() bool { return c == Refused || c == Taken }

// Buried tells that a Dead entry was dead-lettered or dropped: it is gone. A tag
// that is not dying is ignored.
func (q *Queue) Buried(tag uint64, fx *Effects) {
	for _, l := range [...]*line{&q.refused, &q.expired, &q.lapsed} {
		if i, pos, ok := l.find(tag); ok {
			e := l.removeAt(i, pos)
			q.dying -= int64(e.Size)
			if e.Lane.cause() == Expired {
				q.counts.Expired++
			}
			q.settle(&e, fx)
			return
		}
	}
}

// Unburied tells that a burial failed. A refused entry goes back in its place at once,
// handed out once more, and one that was taken as it was; any other is declared Dead again at the next Tick.
func (q *Queue) Unburied(tag uint64, now int64, fx *Effects) {
	if i, pos, ok := q.refused.find(tag); ok {
		e := q.refused.removeAt(i, pos)
		q.dying -= int64(e.Size)
		q.comeBack(e, back{redelivered: e.Lane.cause() == Refused}, now, fx)
		q.rest()
		q.pump(now, fx)
	} else if i, pos, ok := q.expired.find(tag); ok {
		e := q.expired.removeAt(i, pos)
		if e.hollow() {
			q.dying -= int64(e.Size)
		} else {
			q.lapsed.add(e)
		}
	}
}
