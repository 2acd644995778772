package dispatch

import (
	"github.com/stretchr/testify/require"
)

// audit compares the queue's books with what is in it and checks the lines'
// promises. It returns where each tag is.
func (q *Queue) audit(t require.TestingT, now int64) map[uint64]*line {
	places := make(map[uint64]*line)
	q.lines(func(l *line) bool {
		l.audit(t)
		l.all(func(e *Entry) bool {
			ensure(t, places[e.Tag] == nil, "an entry is in two places")
			ensure(t, !e.hollow() || l != &q.waiting && l != &q.lapsed, "a memory-only message lost its body, or a settled one waits")
			places[e.Tag] = l
			return true
		})
		return true
	})
	var held, unloaded, inFlight, credit, ready int
	var bytes int64
	before := -1
	seen := 0
	q.waiting.all(func(e *Entry) bool {
		switch {
		case e.Seq == 0:
		case e.Message != nil:
			held++
			bytes += int64(e.Size)
		default:
			if before < 0 && dueOf(e) > now {
				before = seen
			}
			unloaded++
		}
		seen++
		return true
	})
	for _, s := range q.subs {
		inFlight += s.inFlight.n
		credit += s.allowance()
		require.Equal(t, s.allowance(), s.counted)
		require.Equal(t, s.allowance() > 0, s.next != nil, "ring of turns")
	}
	for s := q.ready; s != nil; {
		ready++
		require.Same(t, s, s.next.prev)
		if s = s.next; s == q.ready {
			break
		}
	}
	w := &q.window
	require.Equal(t, [...]int{held, unloaded, inFlight, credit}, [...]int{w.held, w.unloaded, q.inFlight, q.credit},
		"held, unloaded, in flight, credit")
	require.Equal(t, bytes, w.bytes)
	if before >= 0 && w.open == 0 {
		require.LessOrEqual(t, w.ahead, before, "ahead must be a lower bound")
	}
	open, openBytes := 0, int64(0)
	for _, r := range w.asked {
		if w.open > 0 && r.tag != 0 {
			open++
			openBytes += int64(r.size)
		}
	}
	require.Equal(t, open, w.open)
	require.Equal(t, openBytes, w.openBytes)
	return places
}

// audit checks what a line promises about its chunks.
func (l *line) audit(t require.TestingT) {
	n, last := 0, uint64(0)
	for _, c := range l.chunks {
		require.Positive(t, c.n, "an empty chunk is in the line")
		require.LessOrEqual(t, c.off+c.n, len(c.buf))
		require.LessOrEqual(t, l.due, c.due)
		low := uint64(0)
		for i := range c.buf {
			e := &c.buf[i]
			if i < c.off || i >= c.off+c.n {
				ensure(t, *e == (Entry{}), "a free slot pins a message")
				continue
			}
			ensure(t, e.Tag > last, "tags must ascend")
			ensure(t, dueOf(e) >= c.due, "due must be a lower bound")
			ensure(t, e.Seq <= c.high, "high must be an upper bound")
			last = e.Tag
			if e.Seq != 0 && (low == 0 || e.Seq < low) {
				low = e.Seq
			}
		}
		if !c.stale {
			require.Equal(t, low, c.low)
		}
		n += c.n
	}
	require.Equal(t, n, l.n)
	if l.spare != nil {
		require.Zero(t, l.spare.n)
		for i := range l.spare.buf {
			ensure(t, l.spare.buf[i] == (Entry{}), "a spare slot pins a message")
		}
	}
}
