package dispatch

import "slices"

// line holds entries by ascending tag, in chunks. Adding at the end and taking
// from the front cost a constant, allocate nothing once warm and are the rule;
// adding and taking anywhere else costs a search and a move within one chunk.
// The zero value is not ready: use newLine.
type line struct {
	chunks []*chunk
	n      int
	// spare is an emptied chunk, kept so that a line in motion does not allocate.
	spare *chunk
	// due is at or before the earliest expiry in the line.
	due int64
}

func newLine() line { return line{due: never} }

// first returns the entry with the smallest tag. The line must not be empty.
func (l *line) first() *Entry { return l.chunks[0].at(0) }

// last returns the entry with the greatest tag. The line must not be empty.
func (l *line) last() *Entry {
	c := l.chunks[len(l.chunks)-1]
	return c.at(c.n - 1)
}

// find returns where the entry with that tag is.
func (l *line) find(tag uint64) (i, pos int, ok bool) {
	if l.n == 0 {
		return 0, 0, false
	}
	if l.first().Tag == tag {
		return 0, 0, true
	}
	i = l.chunkOf(tag)
	pos = l.chunks[i].search(tag)
	return i, pos, pos < l.chunks[i].n && l.chunks[i].at(pos).Tag == tag
}

// ceiling returns where the first entry is whose tag is not below tag.
func (l *line) ceiling(tag uint64) (i, pos int, ok bool) {
	if l.n == 0 {
		return 0, 0, false
	}
	if l.first().Tag >= tag {
		return 0, 0, true
	}
	i = l.chunkOf(tag)
	if pos = l.chunks[i].search(tag); pos == l.chunks[i].n {
		i, pos = i+1, 0
	}
	return i, pos, i < len(l.chunks)
}

// chunkOf returns the last chunk that begins at or below tag, or the first one.
// The line must not be empty.
func (l *line) chunkOf(tag uint64) int {
	lo, hi := 0, len(l.chunks)
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if l.chunks[mid].at(0).Tag <= tag {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return max(lo-1, 0)
}

// add puts e in its place. Its tag must not be in the line.
func (l *line) add(e Entry) {
	l.n++
	l.due = min(l.due, dueOf(&e))
	if len(l.chunks) == 0 {
		l.chunks = append(l.chunks, l.fresh())
	}
	i := len(l.chunks) - 1
	last := l.chunks[i]
	pos := last.n
	if pos > 0 && e.Tag < last.at(pos-1).Tag {
		i = l.chunkOf(e.Tag)
		pos = l.chunks[i].search(e.Tag)
	}
	c := l.chunks[i]
	if !c.room(pos) {
		c, pos = l.divide(i, pos)
		c.room(pos)
	}
	c.insert(pos, e)
}

// divide makes room at pos of chunk i, which takes no more there, and returns where to insert then.
// It parts at that very place: those who come next belong there too.
func (l *line) divide(i, pos int) (*chunk, int) {
	c := l.chunks[i]
	switch pos {
	case 0:
		l.chunks = slices.Insert(l.chunks, i, l.fresh())
		return l.chunks[i], 0
	case c.n:
		l.chunks = slices.Insert(l.chunks, i+1, l.fresh())
		return l.chunks[i+1], 0
	}
	l.chunks = slices.Insert(l.chunks, i+1, c.split(pos))
	return c, pos
}

// fresh returns an empty chunk: the spare one, or one as large as the line deserves.
func (l *line) fresh() *chunk {
	if c := l.spare; c != nil {
		l.spare = nil
		return c
	}
	if l.n > chunkFull {
		return newChunk(chunkFull)
	}
	return newChunk(chunkLeast)
}

// removeAt takes out the entry that find found.
func (l *line) removeAt(i, pos int) Entry {
	c := l.chunks[i]
	e := *c.at(pos)
	c.remove(pos)
	l.n--
	switch {
	case c.n == 0:
		l.chunks = slices.Delete(l.chunks, i, i+1)
		if l.spare == nil || len(l.spare.buf) < len(c.buf) {
			l.spare = c
		}
		if l.n == 0 {
			l.due = never
		}
	case i > 0 && i < len(l.chunks)-1 && len(c.buf) > chunkLeast && 4*c.n <= len(c.buf):
		c.resize(len(c.buf) / 2)
	}
	return e
}

// pop takes out the entry with the smallest tag. The line must not be empty.
func (l *line) pop() Entry { return l.removeAt(0, 0) }

// all calls fn for every entry by ascending tag until it returns false. fn must
// not add or remove entries.
func (l *line) all(fn func(*Entry) bool) {
	for _, c := range l.chunks {
		for i := range c.n {
			if !fn(c.at(i)) {
				return
			}
		}
	}
}

// setSeq changes the sequence of the entry that find found.
func (l *line) setSeq(i, pos int, seq uint64) {
	c := l.chunks[i]
	c.at(pos).Seq = seq
	c.high, c.stale = max(c.high, seq), true
}

// takeDue removes every entry that is due at now and hands it to fn, by ascending
// tag. It costs a constant when nothing can be due, and else looks only into
// chunks that may hold something.
func (l *line) takeDue(now int64, fn func(Entry)) {
	if now < l.due {
		return
	}
	l.due = never
	kept := l.chunks[:0]
	for _, c := range l.chunks {
		if c.due <= now {
			l.n -= c.takeDue(now, fn)
		}
		if c.n > 0 {
			l.due = min(l.due, c.due)
			kept = append(kept, c)
		}
	}
	clear(l.chunks[len(kept):])
	l.chunks = kept
}

// takeDue is line.takeDue for one chunk; it returns how many it removed.
func (c *chunk) takeDue(now int64, fn func(Entry)) int {
	live := c.buf[c.off : c.off+c.n]
	kept := 0
	c.low, c.high, c.stale, c.due = 0, 0, false, never
	for i := range live {
		if e := live[i]; dueOf(&e) > now {
			live[kept] = e
			kept++
			c.note(&e)
		} else {
			fn(e)
		}
	}
	clear(live[kept:])
	c.n = kept
	if size := len(c.buf) / 2; 4*kept <= len(c.buf) && size >= chunkLeast && kept > 0 {
		c.resize(max(size, chunkLeast))
	}
	return len(live) - kept
}

// release gives back the memory of an empty line.
func (l *line) release() {
	if l.n == 0 {
		l.chunks, l.spare = nil, nil
	}
}

// dueOf returns when e expires.
func dueOf(e *Entry) int64 {
	if e.Expires == 0 {
		return never
	}
	return e.Expires
}
