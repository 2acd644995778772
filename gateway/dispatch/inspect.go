package dispatch

import (
	"cmp"
	"slices"
)

// Stats is a snapshot of a queue.
type Stats struct {
	// Waiting, InFlight and Dying entries, and those that come Later; their sum is the queue's depth.
	Waiting, InFlight, Dying, Later int
	Subscriptions                   int
	// Loaded bodies of waiting entries that the journal has too, and their bytes.
	Loaded      int
	LoadedBytes int64
}

// Stats is cheap.
func (q *Queue) Stats() Stats {
	s := Stats{
		Waiting:       q.waits(),
		InFlight:      q.inFlight,
		Dying:         q.refused.n + q.expired.n + q.lapsed.n,
		Subscriptions: len(q.subs),
		Loaded:        q.window.held,
		LoadedBytes:   q.window.bytes,
	}
	if q.later != nil {
		s.Later = q.later.n
	}
	return s
}

// Counts are a queue's since it was made.
type Counts struct {
	// Delivered to subscriptions, again and again; Gone for good, whatever became of them, and Expired of those.
	Delivered, Gone, Expired uint64
}

// Counts is cheap.
func (q *Queue) Counts() Counts { return q.counts }

// whereabouts tell lines apart.
type whereabouts uint8

const (
	inWaiting whereabouts = iota
	inLater
	inFlight
	inDying
	inLapsed
)

// lines calls fn for every line of the queue until it returns false.
func (q *Queue) lines(fn func(*line, whereabouts) bool) {
	more := fn(&q.waiting.line, inWaiting)
	if more && q.lanes != nil {
		for _, l := range q.lanes.list {
			if more = fn(&l.line, inWaiting); !more {
				break
			}
		}
	}
	if more && q.later != nil {
		more = fn(&q.later.line, inLater)
	}
	if !more || !fn(&q.refused, inDying) || !fn(&q.expired, inDying) || !fn(&q.lapsed, inLapsed) {
		return
	}
	for _, s := range q.subs {
		if !fn(&s.inFlight, inFlight) {
			return
		}
	}
}

// Moved tells that the owner appended a message again: the entry, wherever it is,
// has that Seq from now on. false: the tag is unknown or settled, the new record stands for nothing.
func (q *Queue) Moved(tag, seq uint64) bool {
	moved := false
	q.lines(func(l *line, in whereabouts) bool {
		i, pos, ok := l.find(tag)
		if !ok {
			return true
		}
		e := l.chunks[i].at(pos)
		if e.hollow() {
			return false
		}
		if in == inWaiting && e.Seq == 0 {
			q.spilled(q.laneOf(e.Lane), e)
		}
		q.weigh(e, -1)
		l.setSeq(i, pos, seq)
		q.weigh(e, 1)
		if in == inLater {
			e.Message = nil // the journal has it now, and its time is far
		}
		moved = true
		return false
	})
	if moved {
		q.disordered = true
		q.lastSeq = max(q.lastSeq, seq)
	}
	return moved
}

// spilled takes a waiting entry that was only in memory into the window's books:
// it counts there from now on, or loses its body if there is no room.
func (q *Queue) spilled(l *lane, e *Entry) {
	if q.fits(e) {
		q.window.hold(l, e)
		return
	}
	e.Message = nil
	q.window.unloaded++
	q.window.ahead = 0
}

// HandedOut reports whether an entry is in flight with a subscription.
func (q *Queue) HandedOut(tag uint64) bool {
	for _, s := range q.subs {
		if _, _, ok := s.inFlight.find(tag); ok {
			return true
		}
	}
	return false
}

// SeqOf returns the Seq that an entry has now, 0 if it is only in memory; false: it is gone, or settled.
func (q *Queue) SeqOf(tag uint64) (seq uint64, ok bool) {
	q.lines(func(l *line, _ whereabouts) bool {
		i, pos, found := l.find(tag)
		if found {
			e := l.chunks[i].at(pos)
			seq, ok = e.Seq, !e.hollow()
		}
		return !found
	})
	return seq, ok
}

// LowestSeq returns the smallest Seq > 0 of all entries that are not gone; below
// it the journal holds nothing of this queue. It costs a look at each line and,
// once entries were moved, at each chunk of 256 entries.
func (q *Queue) LowestSeq() (seq uint64, ok bool) {
	q.lines(func(l *line, _ whereabouts) bool {
		for _, c := range l.chunks {
			low := c.lowest()
			if low == 0 {
				continue
			}
			if seq == 0 || low < seq {
				seq = low
			}
			if !q.disordered {
				break
			}
		}
		return true
	})
	return seq, seq != 0
}

// Oldest returns the n entries with the smallest Seq > 0, ascending, fewer if
// there are not as many. It costs some n per line and, once entries were moved, a
// look at each chunk.
func (q *Queue) Oldest(n int) []Entry {
	if n <= 0 {
		return nil
	}
	var oldest []Entry
	q.lines(func(l *line, _ whereabouts) bool {
		oldest = l.oldest(oldest, n, q.disordered)
		return true
	})
	return smallest(oldest, n)
}

// oldest appends to found what of the line may belong to the n smallest.
func (l *line) oldest(found []Entry, n int, disordered bool) []Entry {
	chunks := l.chunks
	if disordered {
		chunks = slices.Clone(chunks)
		slices.SortFunc(chunks, func(a, b *chunk) int { return cmp.Compare(a.lowest(), b.lowest()) })
	}
	own := len(found)
	for _, c := range chunks {
		if c.lowest() == 0 {
			continue
		}
		if len(found)-own >= n {
			found = append(found[:own], smallest(found[own:], n)...)
			if found[len(found)-1].Seq < c.lowest() {
				break
			}
		}
		for i := range c.n {
			if e := c.at(i); e.Seq != 0 {
				found = append(found, *e)
			}
		}
	}
	return found
}

// smallest sorts entries by Seq and returns the first n of them.
func smallest(entries []Entry, n int) []Entry {
	slices.SortFunc(entries, func(a, b Entry) int { return cmp.Compare(a.Seq, b.Seq) })
	return entries[:min(n, len(entries))]
}
