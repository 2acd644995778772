package dispatch

import "container/heap"

// Browse returns up to most entries with tags above after, ascending: those that wait, are in flight or come later. Nothing
// changes. Their Message is nil unless it is in memory. Who wants a snapshot asks for LastTag first and stops there. It costs a look at
// each lane and subscription, and what it returns.
func (q *Queue) Browse(after uint64, most int) []Entry {
	var all places
	q.lines(func(l *line, in whereabouts) bool {
		if in == inWaiting || in == inFlight || in == inLater {
			if i, pos, ok := l.ceiling(after + 1); ok {
				all = append(all, spot{l, i, pos})
			}
		}
		return true
	})
	heap.Init(&all)
	var found []Entry
	for len(all) > 0 && len(found) < most {
		p := &all[0]
		if e := p.entry(); !e.hollow() {
			found = append(found, *e)
			found[len(found)-1].Lane = e.Lane.of(0)
		}
		if p.next() {
			heap.Fix(&all, 0)
		} else {
			heap.Pop(&all)
		}
	}
	return found
}

// LastTag returns the greatest tag that Browse would return, 0 if there is none.
func (q *Queue) LastTag() uint64 {
	last := uint64(0)
	q.lines(func(l *line, in whereabouts) bool {
		if l.n > 0 && (in == inWaiting || in == inFlight || in == inLater) {
			last = max(last, l.last().Tag)
		}
		return true
	})
	return last
}

// spot is an entry in a line.
type spot struct {
	l      *line
	i, pos int
}

func (s *spot) entry() *Entry { return s.l.chunks[s.i].at(s.pos) }

// next goes on to the next entry; false: there is none.
func (s *spot) next() bool {
	if s.pos++; s.pos == s.l.chunks[s.i].n {
		s.i, s.pos = s.i+1, 0
	}
	return s.i < len(s.l.chunks)
}

// places are a heap by tag.
type places []spot

func (p places) Len() int           { return len(p) }
func (p places) Less(i, j int) bool { return p[i].entry().Tag < p[j].entry().Tag }
func (p places) Swap(i, j int)      { p[i], p[j] = p[j], p[i] }
func (p *places) Push(x any)        { *p = append(*p, x.(spot)) }
func (p *places) Pop() any {
	last := len(*p) - 1
	s := (*p)[last]
	*p = (*p)[:last]
	return s
}
