package dispatch

import "math"

const (
	// chunkFull is a grown chunk's capacity: 256 entries of 48 bytes fill an
	// allocation class exactly.
	chunkFull = 256
	// chunkLeast is a new line's first chunk, so that small queues stay small.
	chunkLeast = 8
	// never is the due time of what does not expire.
	never = math.MaxInt64
)

// chunk is a run of entries by ascending tag. Slots outside off..off+n are zero,
// so that they pin no message.
type chunk struct {
	buf    []Entry
	off, n int
	// low is the smallest Seq > 0 in it, 0 if there is none; stale says it must
	// be looked up again.
	low   uint64
	stale bool
	// high is at or above the greatest Seq in it.
	high uint64
	// due is at or before the earliest expiry in it.
	due int64
}

func newChunk(size int) *chunk { return &chunk{buf: make([]Entry, size), due: never} }

func (c *chunk) at(pos int) *Entry { return &c.buf[c.off+pos] }

func (c *chunk) full() bool { return c.n == len(c.buf) }

// search returns the position of the first entry whose tag is not below tag.
func (c *chunk) search(tag uint64) int {
	live := c.buf[c.off : c.off+c.n]
	lo, hi := 0, len(live)
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if live[mid].Tag < tag {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}

// note takes an entry that was put in into the summaries.
func (c *chunk) note(e *Entry) {
	if e.Seq != 0 && (c.low == 0 || e.Seq < c.low) {
		c.low = e.Seq
	}
	c.high = max(c.high, e.Seq)
	if e.Expires != 0 && e.Expires < c.due {
		c.due = e.Expires
	}
}

// resize moves the entries to the start of a buffer of that size, which must hold them.
func (c *chunk) resize(size int) {
	buf := make([]Entry, size)
	copy(buf, c.buf[c.off:c.off+c.n])
	c.buf, c.off = buf, 0
}

// room makes sure that one more fits in; false says that the entry at pos had
// better go to a new chunk. What comes in at the end must not push the others about each time.
func (c *chunk) room(pos int) bool {
	switch {
	case c.n == chunkFull:
		return false
	case c.full():
		c.resize(min(4*len(c.buf), chunkFull))
	case pos < c.n || c.off+c.n < len(c.buf):
	case 4*c.off >= len(c.buf):
		copy(c.buf, c.buf[c.off:])
		clear(c.buf[c.n:])
		c.off = 0
	case len(c.buf) < chunkFull:
		c.resize(min(4*len(c.buf), chunkFull))
	default:
		return false
	}
	return true
}

// insert puts e at pos by moving the shorter side. There must be room.
func (c *chunk) insert(pos int, e Entry) {
	live := c.off + c.n
	right := live < len(c.buf)
	if right && (c.off == 0 || c.n-pos <= pos) {
		copy(c.buf[c.off+pos+1:live+1], c.buf[c.off+pos:live])
	} else {
		copy(c.buf[c.off-1:], c.buf[c.off:c.off+pos])
		c.off--
	}
	c.n++
	*c.at(pos) = e
	c.note(&e)
}

// remove takes out the entry at pos by moving the shorter side.
func (c *chunk) remove(pos int) {
	if s := c.at(pos).Seq; s != 0 && s == c.low {
		c.stale = true
	}
	if pos < c.n-1-pos {
		copy(c.buf[c.off+1:], c.buf[c.off:c.off+pos])
		c.buf[c.off] = Entry{}
		c.off++
	} else {
		copy(c.buf[c.off+pos:], c.buf[c.off+pos+1:c.off+c.n])
		c.buf[c.off+c.n-1] = Entry{}
	}
	c.n--
	if c.n == 0 {
		c.off, c.low, c.high, c.stale, c.due = 0, 0, 0, false, never
	}
}

// split moves the entries from pos on to a new chunk.
func (c *chunk) split(pos int) *chunk {
	size := chunkLeast
	for size < c.n-pos {
		size *= 2
	}
	right := newChunk(size)
	tail := c.buf[c.off+pos : c.off+c.n]
	right.n = copy(right.buf, tail)
	right.due, right.high, right.stale = c.due, c.high, true
	clear(tail)
	c.n, c.stale = pos, true
	return right
}

// lowest returns the smallest Seq > 0, or 0.
func (c *chunk) lowest() uint64 {
	if c.stale {
		c.low, c.high, c.stale = 0, 0, false
		for i := range c.n {
			s := c.at(i).Seq
			if s != 0 && (c.low == 0 || s < c.low) {
				c.low = s
			}
			c.high = max(c.high, s)
		}
	}
	return c.low
}
