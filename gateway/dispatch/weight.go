package dispatch

import (
	"cmp"
	"slices"
)

// Weight returns the bytes (Entry.Size) of all entries that are not gone: those
// that the journal has and those that are only in memory.
func (q *Queue) Weight() (journaled, memory int64) { return q.journaled, q.memory }

// weigh adds or takes off an entry's bytes.
func (q *Queue) weigh(e *Entry, sign int64) {
	if e.Seq != 0 {
		q.journaled += sign * int64(e.Size)
	} else {
		q.memory += sign * int64(e.Size)
	}
}

// Taken tells that so many bytes of a subscription's deliveries went on to its
// client, which makes room under SubscriptionBytes.
func (q *Queue) Taken(id SubID, bytes, now int64, fx *Effects) {
	s := q.subs[id]
	if s == nil {
		return
	}
	s.unsent = max(s.unsent-bytes, 0)
	q.recredit(s)
	q.pump(now, fx)
}

// Memory calls fn for the entries that are only in memory, each with the Seq of
// the next entry of the queue that the journal has (0 if none follows), in order. What is in flight counts as handed out
// once more: it will be, by somebody else.
func (q *Queue) Memory(fn func(e Entry, before uint64)) {
	var entries []Entry
	q.lines(func(l *line, in whereabouts) bool {
		rests := in != inFlight
		l.all(func(e *Entry) bool {
			entries = append(entries, *e)
			if !rests {
				entries[len(entries)-1].Redeliveries++
			}
			return true
		})
		return true
	})
	slices.SortFunc(entries, func(a, b Entry) int { return cmp.Compare(a.Tag, b.Tag) })
	before := make([]uint64, len(entries))
	for i := len(entries) - 2; i >= 0; i-- {
		if before[i] = before[i+1]; entries[i+1].Seq != 0 {
			before[i] = entries[i+1].Seq
		}
	}
	for i, e := range entries {
		if e.Seq == 0 && !e.hollow() {
			fn(e, before[i])
		}
	}
}
