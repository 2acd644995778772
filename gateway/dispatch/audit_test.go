package dispatch

import (
	"github.com/stretchr/testify/require"
)

// spotted is where an entry is.
type spotted struct {
	l  *line
	in whereabouts
}

// audit compares the queue's books with what is in it and checks the lines'
// promises. It returns where each tag is.
func (q *Queue) audit(t require.TestingT, now int64) map[uint64]spotted {
	places := make(map[uint64]spotted)
	dying := int64(0)
	q.lines(func(l *line, in whereabouts) bool {
		l.audit(t)
		l.all(func(e *Entry) bool {
			ensure(t, places[e.Tag].l == nil, "an entry is in two places")
			ensure(t, !e.hollow() || in == inFlight || in == inDying, "a memory-only message lost its body, or a settled one waits")
			ensure(t, in == inDying || in == inLapsed || e.Lane.cause() == 0, "a cause was left behind")
			ensure(t, in == inFlight || e.Lane&severed == 0, "a mark was left behind")
			places[e.Tag] = spotted{l, in}
			if in == inDying || in == inLapsed {
				dying += int64(e.Size)
			}
			return true
		})
		return true
	})
	require.Equal(t, dying, q.dying, "bytes of what dies")
	q.auditWindow(t, now)
	q.auditTurns(t)
	q.auditLanes(t)
	q.auditFilters(t)
	if q.later != nil {
		require.Equal(t, q.later.n, len(q.later.due))
		q.later.all(func(e *Entry) bool {
			due, ok := q.later.due[e.Tag]
			ensure(t, ok && e.Lane.cause() == 0 && due >= q.later.next(), "when it comes is not known")
			return true
		})
	}
	return places
}

func (q *Queue) auditWindow(t require.TestingT, now int64) {
	var held, unloaded int
	var bytes int64
	before := -1
	seen := 0
	q.eachLane(func(l *lane) bool {
		own := 0
		l.all(func(e *Entry) bool {
			switch {
			case e.Seq == 0:
			case e.Message != nil:
				held++
				own++
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
		ensure(t, own == l.held, "bodies held in a lane")
		return true
	})
	w := &q.window
	require.Equal(t, [...]int{held, unloaded}, [...]int{w.held, w.unloaded}, "held, unloaded")
	require.Equal(t, bytes, w.bytes)
	if before >= 0 && w.open == 0 && !q.matching() {
		require.LessOrEqual(t, w.ahead, before, "ahead must be a lower bound")
	}
	open, keeping, openBytes := 0, 0, int64(0)
	for _, r := range w.asked {
		if r.open {
			open++
			if !r.scan {
				keeping++
				openBytes += int64(r.size)
			}
		}
	}
	require.Equal(t, [...]int{open, keeping}, [...]int{w.open, w.keeping})
	if open > 0 {
		require.Equal(t, openBytes, w.openBytes)
	}
}

func (q *Queue) auditTurns(t require.TestingT) {
	var inFlight, credit, ready, ring, plain int
	for _, s := range q.subs {
		inFlight += s.inFlight.n
		n := s.allowance()
		if q.owner != nil && q.owner != s {
			n = 0
		}
		credit += n
		require.Equal(t, n, s.counted)
		require.Equal(t, n > 0, s.next != nil, "ring of turns")
		if n > 0 {
			ready++
		}
		if s.filter == nil {
			plain++
		}
	}
	for i, r := range q.rings {
		require.Positive(t, r.members)
		require.True(t, i == 0 || q.rings[i-1].priority > r.priority)
		own := 0
		for s := r.ready; s != nil; {
			own++
			require.Same(t, s, s.next.prev)
			require.Same(t, r, s.ring)
			require.Equal(t, r.priority, s.priority)
			if s = s.next; s == r.ready {
				break
			}
		}
		require.Equal(t, own, r.n)
		ring += own
	}
	require.Equal(t, ready, ring)
	require.Equal(t, [...]int{inFlight, credit, plain}, [...]int{q.inFlight, q.credit, q.plain}, "in flight, credit, without a selector")
}

func (q *Queue) auditLanes(t require.TestingT) {
	ls := q.lanes
	if ls == nil {
		require.Nil(t, q.waiting.pool)
		return
	}
	n := q.waiting.n
	all := map[*lane]bool{&q.waiting: true}
	require.Equal(t, len(ls.list), len(ls.all))
	for _, l := range ls.list {
		n += l.n
		all[l] = true
		require.Same(t, l, ls.all[laneKey{l.group, l.priority}])
		require.Positive(t, l.n)
		if l.group != nil {
			require.Contains(t, l.group.lanes, l)
		}
	}
	require.Equal(t, n, ls.n)
	for l := range all {
		if l.n == 0 {
			require.Nil(t, l.pool)
			continue
		}
		require.GreaterOrEqual(t, l.due, ls.due)
		require.Same(t, ls.poolOf(l), l.pool)
		require.Equal(t, l.front, l.first().Tag)
		h := l.pool.heaps[l.priority]
		require.Same(t, l, h[l.at])
		require.True(t, l.at == 0 || h[(l.at-1)/2].front < l.front)
		l.all(func(e *Entry) bool {
			ensure(t, q.laneOf(e.Lane) == l, "an entry is in the wrong lane")
			return true
		})
	}
	q.auditGroups(t)
}

func (q *Queue) auditGroups(t require.TestingT) {
	ls := q.lanes
	flying, groups := map[*group]int{}, map[*subscription]int{}
	for _, s := range q.subs {
		s.inFlight.all(func(e *Entry) bool {
			if e.Lane.group() != 0 && e.Lane&severed == 0 {
				flying[ls.find(e.Lane.group())]++
			}
			return true
		})
	}
	require.LessOrEqual(t, len(ls.own), ls.most)
	resting := 0
	for _, gs := range [...]map[uint64]*group{ls.own, ls.shared} {
		for _, g := range gs {
			require.Equal(t, flying[g], g.flying, "in flight of a group")
			if g.owner != nil {
				require.Same(t, g.owner, q.subs[g.owner.id])
				groups[g.owner]++
			}
			idle := g.flying == 0 && len(g.lanes) == 0
			require.Equal(t, idle, g.resting, "resting")
			require.False(t, idle && (g.owner == nil || g.bucket), "nothing is left of it")
			if idle {
				resting++
			}
		}
	}
	for _, s := range q.subs {
		require.Equal(t, groups[s], s.groups)
	}
	for g := ls.oldest; g != nil; g = g.newer {
		resting--
		require.True(t, g.newer != nil && g.newer.older == g || g == ls.newest)
	}
	require.Zero(t, resting)
}

func (q *Queue) auditFilters(t require.TestingT) {
	for _, f := range q.filters {
		n, subs := 0, 0
		for l, spans := range f.known {
			n += len(spans)
			require.True(t, l.n > 0)
			for i, s := range spans {
				ensure(t, s.from <= s.to && (i == 0 || spans[i-1].to < s.from), "spans must ascend")
			}
		}
		require.Equal(t, n, f.spans)
		for _, s := range q.subs {
			if s.filter == f {
				subs++
			}
		}
		require.Equal(t, subs, f.subs)
	}
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
