package dispatch

import (
	"slices"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func (m *model) absorbDead(t *rapid.T) {
	var deaths []death
	wanted := map[death]bool{}
	for _, d := range m.deaths {
		wanted[d] = true
	}
	for _, d := range m.fx.Dead {
		e := m.item(d.Entry.Tag)
		require.NotNil(bare{t}, e, "a dead entry is unknown")
		m.compare(t, e, &d.Entry)
		if as := (death{e.tag, d.Cause}); wanted[as] {
			deaths = append(deaths, as)
		} else {
			require.Equal(bare{t}, Expired, d.Cause)
			require.True(bare{t}, e.place == waiting || e.place == coming, "expired from the wrong place")
			require.True(bare{t}, e.expires != 0 && e.expires <= m.now, "expired too early")
		}
		e.place, e.cause, e.holder = dying, d.Cause, 0
	}
	require.ElementsMatch(bare{t}, m.deaths, deaths)
	if m.overdue {
		for _, e := range m.items {
			late := e.expires != 0 && e.expires <= m.now
			ensure(t, e.place != lapsed && (e.place != waiting && e.place != coming || !late), "an expired entry was overlooked")
		}
	}
}

// rank orders what waits.
func (m *model) rank(a, b *item) bool {
	if m.cfg.Priorities && a.priority != b.priority {
		return a.priority > b.priority
	}
	return a.tag < b.tag
}

// line is all that could be handed out, in order.
func (m *model) line() []*item {
	var all []*item
	for _, e := range m.items {
		if e.place == waiting && (e.expires == 0 || e.expires > m.now) {
			all = append(all, e)
		}
	}
	if m.cfg.Priorities {
		slices.SortStableFunc(all, func(a, b *item) int { return int(b.priority) - int(a.priority) })
	}
	return all
}

// open reports whether a group, or none, is a peer's or free.
func (m *model) open(p *peer, e *item) bool {
	if e.group == "" {
		return true
	}
	if m.few {
		g := m.q.lanes.find(LaneOf(e.message).group())
		return g == nil || g.owner == nil || g.owner.id == p.id
	}
	owner := m.sticky[e.group]
	return owner == nil || owner == p
}

func (p *peer) picks(e *item) bool { return p.match == nil || p.match(e) }

// may reports whether a peer may have an item: it picks it, its group is not another's, and nobody above with credit may.
func (m *model) may(p *peer, e *item) bool {
	if !p.picks(e) || !m.open(p, e) {
		return false
	}
	if !m.ranked {
		return true
	}
	for _, o := range m.peers {
		if o.priority > p.priority && m.credit(o) > 0 && o.picks(e) && m.open(o, e) {
			return false
		}
	}
	return true
}

// first is the first item of the line that a peer may have, nil if there is none.
func (m *model) first(p *peer, line []*item) *item {
	for _, e := range line {
		if m.may(p, e) {
			return e
		}
	}
	return nil
}

func (m *model) absorbDeliveries(t *rapid.T) {
	if len(m.fx.Deliver) == 0 {
		return
	}
	line := m.line()
	for _, d := range m.fx.Deliver {
		at := slices.IndexFunc(line, func(e *item) bool { return e.tag == d.Entry.Tag })
		ensure(t, at >= 0, "delivered what does not wait, or has expired")
		e := line[at]
		require.Same(bare{t}, e.message, d.Entry.Message)
		m.compare(t, e, &d.Entry)
		p := m.peer(d.Sub)
		require.NotNil(bare{t}, p)
		require.Positive(bare{t}, m.credit(p), "delivered beyond credit")
		m.judge(t, p, e, line)

		line = slices.Delete(line, at, at+1)
		m.turns = append(slices.DeleteFunc(m.turns, func(id SubID) bool { return id == p.id }), p.id)
		p.held++
		p.untaken += int64(e.size)
		m.recredit(p)
		e.place, e.holder = flying, p.id
		if e.group != "" {
			m.handedOut(e, p)
		}
	}
}

// judge checks that a delivery is the right one.
func (m *model) judge(t *rapid.T, p *peer, e *item, line []*item) {
	if m.few {
		require.True(bare{t}, p.picks(e), "not picked")
		return
	}
	require.True(bare{t}, m.may(p, e), "it may not have that")
	if e.group != "" && m.sticky[e.group] == nil {
		found := false
		for _, id := range m.turns {
			o := m.peer(id)
			if o.priority == p.priority && m.first(o, line) == e {
				found = true
				if m.blind(o) {
					continue
				}
				require.LessOrEqual(bare{t}, p.groups, o.groups, "a new group goes to who has the fewest")
			}
		}
		require.True(bare{t}, found, "it is nobody's next one")
		return
	}
	require.Same(bare{t}, e, m.first(p, line), "not the next entry")
	for _, id := range m.turns {
		o := m.peer(id)
		if o == p {
			break
		}
		if o.priority != p.priority || m.blind(o) {
			continue
		}
		next := m.first(o, line)
		require.True(bare{t}, next == nil || next != e && next.seq != 0, "not its turn")
	}
}

// blind reports whether a peer may not know yet what it, or somebody above it, selects.
func (m *model) blind(p *peer) bool {
	return (p.match != nil || m.picky && m.ranked) && (m.unloaded > 0 || m.q.window.unloaded > 0)
}

// unknownBefore reports whether something before an item is not in memory: those who select may have to look at that first.
func (m *model) unknownBefore(next *item, line []*item) bool {
	for _, e := range line {
		if e == next {
			break
		}
		if l, i, pos := m.q.findWaiting(e.tag); l.chunks[i].at(pos).Message == nil {
			return true
		}
	}
	return false
}

// checkNotStuck: with credit, the next entry is on its way. It holds after events
// that hand out.
func (m *model) checkNotStuck(t *rapid.T) {
	if len(m.turns) == 0 {
		return
	}
	line := m.line()
	for _, id := range m.turns {
		next := m.first(m.peer(id), line)
		if next == nil {
			continue
		}
		l, i, pos := m.q.findWaiting(next.tag)
		ensure(t, l.chunks[i].at(pos).Message == nil || m.picky && m.unknownBefore(next, line), "stuck: the next entry is in memory")
		ensure(t, len(m.asked) > 0 || m.failed, "stuck: nobody asks for the next entry")
	}
}

// checkGroups: nobody has something of a group of which somebody else has something, but for what clients brought along.
func (m *model) checkGroups(t *rapid.T) {
	if !m.groups {
		return
	}
	holders, adopted := map[string]SubID{}, map[string]bool{}
	for _, e := range m.items {
		adopted[e.group] = adopted[e.group] || e.adopted
	}
	for _, e := range m.items {
		if e.place != flying || e.group == "" || e.severed || adopted[e.group] {
			continue
		}
		holder, there := holders[e.group]
		ensure(t, !there || holder == e.holder, "a group is with two")
		holders[e.group] = e.holder
	}
	if m.few || m.q.lanes == nil {
		return
	}
	for group, p := range m.sticky {
		g := m.q.lanes.find(max(hash(group), 1))
		ensure(t, g != nil && g.owner == m.q.subs[p.id], "a group is another's")
	}
}

// checkKnowledge: what a selector is known not to select it does not select.
func (m *model) checkKnowledge(t *rapid.T) {
	for _, p := range m.peers {
		f := m.q.subs[p.id].filter
		ensure(t, (f == nil) == (p.match == nil), "its selector")
		if f == nil {
			continue
		}
		for _, e := range m.items {
			if e.place == waiting {
				l := m.q.laneOf(LaneOf(e.message))
				ensure(t, !f.knows(l, e.tag) || !p.match(e), "it is selected, but believed not to be")
			}
		}
	}
}

func (m *model) checkBrowse(t *rapid.T) {
	var tags, got []uint64
	depth, bytes, last := 0, int64(0), uint64(0)
	after, most := rapid.Uint64Range(0, m.lastTag+1).Draw(t, "after"), rapid.IntRange(0, 12).Draw(t, "most")
	for _, e := range m.items {
		if e.place == dying || e.place == lapsed {
			continue
		}
		depth++
		bytes += int64(e.size)
		last = e.tag
		if e.tag > after && !e.hollow && len(tags) < most {
			tags = append(tags, e.tag)
		}
	}
	for _, e := range m.q.Browse(after, most) {
		got = append(got, e.Tag)
		m.compare(t, m.item(e.Tag), &e)
	}
	require.Equal(bare{t}, tags, got)
	n, size := m.q.Depth()
	require.Equal(bare{t}, [...]int64{int64(depth), bytes}, [...]int64{int64(n), size}, "depth")
	require.Equal(bare{t}, last, m.q.LastTag())
}
