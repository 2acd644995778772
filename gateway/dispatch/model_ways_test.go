package dispatch

import (
	"slices"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sluice-mq/sluice/gateway"
)

func (m *model) release(t *rapid.T) {
	p, tags := m.some(t, 3)
	redelivered := rapid.Bool().Draw(t, "redelivered")
	m.giveBack(t, p, tags, gateway.Return{Redelivered: redelivered})
}

func (m *model) releaseLater(t *rapid.T) {
	p, tags := m.some(t, 3)
	delay := time.Duration(rapid.IntRange(1, 60).Draw(t, "delay")) * time.Millisecond
	m.giveBack(t, p, tags, gateway.Return{Redelivered: rapid.Bool().Draw(t, "redelivered"), Delay: delay})
}

func (m *model) giveBack(t *rapid.T, p *peer, tags []uint64, r gateway.Return) {
	for _, tag := range tags {
		e := m.item(tag)
		m.letGo(e)
		m.comeBack(e, back{r.Redelivered, r.Delay, m.policy(p)})
	}
	p.held -= len(tags)
	m.recredit(p)
	m.pumped(t, func(fx *Effects) { require.NoError(bare{t}, m.q.Release(p.id, tags, r, m.now, fx)) })
}

func (m *model) unsubscribe(t *rapid.T) {
	if p := m.anyone(t); p != nil {
		m.close(t, p)
	} else {
		t.Skip()
	}
}

// disconnect ends all subscriptions of a client.
func (m *model) disconnect(t *rapid.T) {
	p := m.anyone(t)
	if p == nil {
		t.Skip()
	}
	for _, other := range slices.Clone(m.peers) {
		if other.client == p.client {
			m.close(t, other)
		}
	}
}

func (m *model) close(t *rapid.T, p *peer) {
	untaken := []uint64{m.lastTag + 7} // one that it never had
	m.leave(p)
	for _, tag := range m.heldBy(p.id) {
		taken := rapid.Bool().Draw(t, "taken")
		if taken {
			m.closed = append(m.closed, tag)
		} else {
			untaken = append(untaken, tag)
		}
		m.letGo(m.item(tag))
		m.comeBack(m.item(tag), back{redelivered: taken, policy: m.policy(p)})
	}
	m.disown(p)
	untaken = rapid.Permutation(untaken).Draw(t, "untaken")
	m.pumped(t, func(fx *Effects) { m.q.Unsubscribe(p.id, untaken, m.now, fx) })
}

func (m *model) ackClosed(t *rapid.T) {
	tags := []uint64{m.lastTag + 1}
	for _, tag := range m.closed {
		if !rapid.Bool().Draw(t, "acked") {
			continue
		}
		tags = append(tags, tag)
		if e := m.item(tag); e != nil && (e.place == waiting || e.place == lapsed || e.place == coming) {
			m.bury(e)
		}
	}
	m.closed = nil
	m.pumped(t, func(fx *Effects) { m.q.AckClosed(tags, m.now, fx) })
}

// moved appends up to a few of the oldest, or any message, again.
func (m *model) moved(t *rapid.T) {
	if len(m.items) == 0 {
		t.Skip()
	}
	var tags []uint64
	if rapid.Bool().Draw(t, "oldest") {
		for _, e := range m.q.Oldest(3) {
			tags = append(tags, e.Tag)
		}
	} else {
		tags = append(tags, rapid.SampledFrom(m.items).Draw(t, "moved").tag)
	}
	for _, tag := range tags {
		e := m.item(tag)
		if e.hollow {
			m.event(t, func(*Effects) { require.False(bare{t}, m.q.Moved(tag, m.journal.last+1)) })
			continue
		}
		delete(m.journal.tags, e.seq)
		m.journal.last++
		e.seq = m.journal.last
		m.journal.tags[e.seq] = tag
		m.journal.marks[e.seq] = e.redeliveries
		m.journal.dues[e.seq], _ = m.q.DueOf(tag)
		m.event(t, func(*Effects) { require.True(bare{t}, m.q.Moved(tag, e.seq)) })
	}
}

func (m *model) movedGone(t *rapid.T) {
	m.event(t, func(*Effects) { require.False(bare{t}, m.q.Moved(m.lastTag+1, m.journal.last+1)) })
}

func (m *model) tick(t *rapid.T) {
	m.failed, m.overdue = false, true
	m.lapseAgain()
	m.pumped(t, func(fx *Effects) { m.q.Tick(m.now, fx) })
}

// newOwner throws the machine away and makes one from the journal. What was only
// in memory is lost, nothing else is.
func (m *model) newOwner(t *rapid.T) {
	old := m.items
	m.items = nil
	m.renew()
	m.peers, m.turns, m.asked, m.failed, m.closed = nil, nil, nil, false, nil
	left := len(m.journal.tags)
	for _, e := range old {
		if e.seq == 0 {
			continue
		}
		left--
		ensure(t, !m.journal.settled[e.seq], "a settled message came back")
		ensure(t, e.tag == m.journal.tags[e.seq], "a persistent message was lost")
		e.place, e.holder, e.redeliveries, e.adopted, e.severed = waiting, 0, m.journal.marks[e.seq], false, false
		m.items = append(m.items, e)
		if due := m.journal.dues[e.seq]; due > m.now {
			e.place, e.due = coming, due
			m.event(t, func(fx *Effects) { m.q.StoredLater(m.entry(e, false), due, m.now, fx) })
			continue
		}
		m.rouse()
		m.event(t, func(fx *Effects) { m.q.Stored(m.entry(e, false), m.now, fx) })
	}
	require.Zero(bare{t}, left, "the journal has messages that nobody knew")
}

// drain takes everything out; the schedule must end empty.
func (m *model) drain(t *rapid.T) {
	m.now += 200 // whatever comes later comes
	for _, p := range slices.Clone(m.peers) {
		if p.match != nil || p.prefetch == 0 || p.prefetch+p.extension < 1 || p.redelivery != nil {
			m.close(t, p)
		}
	}
	m.lastSub++
	p := &peer{id: m.lastSub, prefetch: 3, most: m.cfg.SubscriptionBytes, wishes: wishes{exclusive: true, priority: -9}}
	m.come(p)
	m.pumped(t, func(fx *Effects) { m.q.Subscribe(p.id, p.consumer(), m.now, fx) })
	for range 10*len(m.items) + 10 {
		if len(m.asked) > 0 {
			m.loaded(t, false)
		}
		for _, p := range m.peers {
			m.ack(t, p, m.heldBy(p.id))
			m.take(t, p, p.untaken)
		}
		m.now += 200
		m.tick(t)
		for _, e := range m.in(dying) {
			m.bury(e)
			m.event(t, func(fx *Effects) { m.q.Buried(e.tag, fx) })
		}
		if len(m.items) == 0 && len(m.asked) == 0 {
			break
		}
	}
	for _, e := range m.items {
		t.Logf("stuck: tag %d seq %d place %d holder %d group %q due %d hollow %v now %d", e.tag, e.seq, e.place, e.holder, e.group, e.due, e.hollow, m.now)
	}
	for _, p := range m.peers {
		t.Logf("peer %d prefetch %d+%d held %d untaken %d of %d exclusive %v rank %d", p.id, p.prefetch, p.extension, p.held, p.untaken, p.most, p.exclusive, p.priority)
	}
	require.Empty(bare{t}, m.items, "stuck")
	m.check(t)
	require.Empty(bare{t}, m.journal.tags)
	require.True(bare{t}, m.q.Empty())
	for _, p := range slices.Clone(m.peers) {
		m.close(t, p)
	}
	require.Equal(bare{t}, Stats{}, m.q.Stats())
}
