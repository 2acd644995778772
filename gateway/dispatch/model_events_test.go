package dispatch

import (
	"slices"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// happening is something that can happen to a queue.
type happening struct {
	name  string
	apply func(*rapid.T)
}

// events are all that can happen. The generator favours the first ones and the
// last, so those that are seldom possible come first, and last what makes them possible.
func (m *model) events() []happening {
	return []happening{
		{"ack stranger", m.ackStranger},
		{"ack twice", m.ackTwice},
		{"adopt", m.adopt},
		{"adopt front", m.adoptFront},
		{"nack", m.nack},
		{"release later", m.releaseLater},
		{"take", m.takeOut},
		{"release", m.release},
		{"ack one", func(t *rapid.T) { m.ackSome(t, 1) }},
		{"ack many", func(t *rapid.T) { m.ackSome(t, 9) }},
		{"loaded", func(t *rapid.T) { m.loaded(t, false) }},
		{"loaded gone", func(t *rapid.T) { m.loaded(t, true) }},
		{"load failed", m.loadFailed},
		{"taken", m.taken},
		{"unburied", m.unburied},
		{"buried", m.buried},
		{"store", func(t *rapid.T) { m.store(t, true, true) }},
		{"store spare", func(t *rapid.T) { m.store(t, true, false) }},
		{"store memory", func(t *rapid.T) { m.store(t, false, true) }},
		{"store later", m.storeLater},
		{"crowd out", m.crowdOut},
		{"purge", m.purge},
		{"configure", m.configure},
		{"burst", m.burst},
		{"tick", m.tick},
		{"retry", m.retry},
		{"moved", m.moved},
		{"moved gone", m.movedGone},
		{"clock", func(t *rapid.T) { m.now += rapid.Int64Range(-20, 40).Draw(t, "ms") }},
		{"subscribe 0", func(t *rapid.T) { m.subscribe(t, 0) }},
		{"extend", m.extend},
		{"ack unknown", m.ackUnknown},
		{"ack closed", m.ackClosed},
		{"ack seqs", m.ackSeqs},
		{"disconnect", m.disconnect},
		{"unsubscribe", m.unsubscribe},
		{"new owner", m.newOwner},
		{"subscribe", func(t *rapid.T) { m.subscribe(t, rapid.IntRange(1, 5).Draw(t, "prefetch")) }},
	}
}

// cannotFollow says which events can never come right after another.
func cannotFollow(before, after string) bool {
	needsSub := map[string]bool{"ack one": true, "ack many": true, "ack stranger": true, "ack twice": true, "nack": true,
		"release": true, "release later": true, "adopt": true, "adopt front": true, "taken": true, "unsubscribe": true, "disconnect": true}
	needsLoad := map[string]bool{"loaded": true, "loaded gone": true, "load failed": true}
	switch before {
	case "new owner":
		return needsSub[after] || needsLoad[after]
	case "load failed":
		return needsLoad[after]
	case "subscribe 0": // one at a time
		return after == before
	}
	return false
}

// flood lays a backlog of several chunks.
func (m *model) flood(t *rapid.T) {
	for i := range rapid.IntRange(chunkFull, 3*chunkFull).Draw(t, "backlog") {
		e := m.append(true, i%5 == 0, 0)
		m.event(t, func(fx *Effects) { m.q.Stored(e, m.now, fx) })
	}
}

// append adds a message and returns its entry.
func (m *model) append(stored, body bool, expires int64) Entry {
	m.lastTag += uint64(1 + m.lastTag%3)
	e := &item{tag: m.lastTag, place: waiting, expires: expires, size: []uint32{1, 10, 50}[m.lastTag/2%3]}
	m.trait(e)
	if stored {
		m.journal.last++
		e.seq = m.journal.last
		m.journal.tags[e.seq] = e.tag
	}
	m.items = append(m.items, e)
	return m.entry(e, body)
}

func (m *model) entry(e *item, body bool) Entry {
	entry := Entry{Tag: e.tag, Seq: e.seq, Expires: e.expires, Size: e.size, Redeliveries: e.redeliveries, Lane: LaneOf(e.message)}
	if body {
		entry.Message = e.message
	}
	return entry
}

func (m *model) expiry(t *rapid.T) int64 {
	if rapid.IntRange(0, 3).Draw(t, "lives") > 0 {
		return 0
	}
	return m.now + rapid.Int64Range(-1, 60).Draw(t, "expires in")
}

// pumped is event for those that hand out what they can.
func (m *model) pumped(t *rapid.T, apply func(*Effects)) {
	m.rouse()
	m.event(t, apply)
	m.checkNotStuck(t)
}

func (m *model) store(t *rapid.T, stored, body bool) {
	e := m.append(stored, body, m.expiry(t))
	m.pumped(t, func(fx *Effects) { m.q.Stored(e, m.now, fx) })
}

// burst overflows the window; persistent, spilled and memory-only ones are mixed.
func (m *model) burst(t *rapid.T) {
	stored := rapid.IntRange(0, 3).Draw(t, "stored of 3")
	expires := m.expiry(t)
	for i := range rapid.IntRange(2, 60).Draw(t, "n") {
		e := m.append(i%3 < stored, true, expires)
		m.pumped(t, func(fx *Effects) { m.q.Stored(e, m.now, fx) })
	}
}

func (m *model) loaded(t *rapid.T, withGone bool) {
	if len(m.asked) == 0 {
		t.Skip()
	}
	seqs, msgs := m.asked, make([]*gateway.Message, len(m.asked))
	m.asked = nil
	for i, seq := range seqs {
		e := m.item(m.journal.tags[seq])
		if e == nil || e.seq != seq {
			// Moved or settled: its old record may be there still, or not.
			if e != nil && rapid.Bool().Draw(t, "still there") {
				msgs[i] = e.message
			}
			continue
		}
		if withGone && rapid.Bool().Draw(t, "gone") {
			delete(m.journal.tags, seq)
			if e.place == waiting {
				e.place, m.left = gone, true
			} else { // it died meanwhile; then its record matters no more
				m.journal.tags[seq] = e.tag
			}
			continue
		}
		msgs[i] = e.message
	}
	m.pumped(t, func(fx *Effects) { m.q.Loaded(seqs, msgs, m.now, fx) })
}

func (m *model) loadFailed(t *rapid.T) {
	if len(m.asked) == 0 {
		t.Skip()
	}
	seqs := m.asked
	m.asked, m.failed = nil, true
	m.event(t, func(*Effects) { m.q.LoadFailed(seqs) })
}

func (m *model) retry(t *rapid.T) {
	m.failed = false
	m.pumped(t, func(fx *Effects) { m.q.Retry(m.now, fx) })
}

func (m *model) subscribe(t *rapid.T, prefetch int) {
	if len(m.peers) >= 5 {
		t.Skip()
	}
	idle := slices.ContainsFunc(m.peers, func(p *peer) bool { return p.prefetch == 0 })
	if prefetch == 0 && idle {
		t.Skip()
	}
	m.lastSub++
	p := &peer{id: m.lastSub, client: rapid.IntRange(1, 3).Draw(t, "client"), prefetch: prefetch,
		most: m.cfg.SubscriptionBytes, wishes: m.wish(t)}
	m.come(p)
	m.pumped(t, func(fx *Effects) { m.q.Subscribe(p.id, p.consumer(), m.now, fx) })
}

func (m *model) extend(t *rapid.T) {
	id, n := m.lastSub+9, rapid.IntRange(-2, 4).Draw(t, "n")
	if p := m.anyone(t); p != nil {
		id = p.id
		p.extension += n
		m.recredit(p)
	} else {
		m.event(t, func(fx *Effects) { m.q.Extend(id, n, m.now, fx) })
		return
	}
	m.pumped(t, func(fx *Effects) { m.q.Extend(id, n, m.now, fx) })
}

// taken reports some or all bytes of a subscription as sent on.
func (m *model) taken(t *rapid.T) {
	behind := slices.DeleteFunc(slices.Clone(m.peers), func(p *peer) bool { return p.untaken == 0 })
	if len(behind) == 0 {
		t.Skip()
	}
	p := rapid.SampledFrom(behind).Draw(t, "subscription")
	m.take(t, p, rapid.Int64Range(1, p.untaken).Draw(t, "bytes"))
}

func (m *model) take(t *rapid.T, p *peer, bytes int64) {
	p.untaken -= bytes
	m.recredit(p)
	m.pumped(t, func(fx *Effects) { m.q.Taken(p.id, bytes, m.now, fx) })
}

// anyone draws a subscription, or nil if there is none.
func (m *model) anyone(t *rapid.T) *peer {
	if len(m.peers) == 0 {
		return nil
	}
	return rapid.SampledFrom(m.peers).Draw(t, "subscription")
}

// some draws a subscription with deliveries and up to n of their tags in any order.
func (m *model) some(t *rapid.T, n int) (*peer, []uint64) {
	busy := slices.DeleteFunc(slices.Clone(m.peers), func(p *peer) bool { return p.held == 0 })
	if len(busy) == 0 {
		t.Skip()
	}
	p := rapid.SampledFrom(busy).Draw(t, "subscription")
	tags := rapid.Permutation(m.heldBy(p.id)).Draw(t, "tags")
	return p, tags[:min(n, len(tags))]
}

func (m *model) ackSome(t *rapid.T, n int) {
	p, tags := m.some(t, n)
	m.ack(t, p, tags)
}

func (m *model) ack(t *rapid.T, p *peer, tags []uint64) {
	for _, tag := range tags {
		m.letGo(m.item(tag))
		m.bury(m.item(tag))
	}
	p.held -= len(tags)
	m.recredit(p)
	m.pumped(t, func(fx *Effects) { require.NoError(bare{t}, m.q.Ack(p.id, tags, m.now, fx)) })
}

// refuse checks that no way of settling takes these tags and that nothing happens.
func (m *model) refuse(t *rapid.T, id SubID, tags []uint64) {
	m.event(t, func(fx *Effects) {
		for _, err := range []error{
			m.q.Ack(id, tags, m.now, fx),
			m.q.Nack(id, tags, m.now, fx),
			m.q.Release(id, tags, gateway.Return{Redelivered: true}, m.now, fx),
		} {
			require.Equal(bare{t}, gateway.NotFound, gateway.KindOf(err))
		}
		require.Empty(bare{t}, fx.Deliver)
		require.Empty(bare{t}, fx.Dead)
	})
}

func (m *model) ackUnknown(t *rapid.T) {
	id, tags := m.lastSub+1, []uint64{1}
	if p := m.anyone(t); p != nil {
		id, tags = p.id, append(m.heldBy(p.id), m.lastTag+1)
	}
	m.refuse(t, id, tags)
}

func (m *model) ackStranger(t *rapid.T) {
	p, tags := m.some(t, 2)
	if len(m.peers) < 2 {
		t.Skip()
	}
	other := rapid.SampledFrom(m.peers).Filter(func(o *peer) bool { return o != p }).Draw(t, "other")
	m.refuse(t, other.id, append(m.heldBy(other.id), tags...))
}

func (m *model) ackTwice(t *rapid.T) {
	p, tags := m.some(t, 5)
	m.refuse(t, p.id, append(slices.Clone(tags), tags[0]))
}

func (m *model) nack(t *rapid.T) {
	p, tags := m.some(t, 3)
	for _, tag := range tags {
		e := m.item(tag)
		m.letGo(e)
		if e.hollow {
			m.bury(e)
		} else {
			m.deaths = append(m.deaths, death{tag, Refused})
		}
	}
	p.held -= len(tags)
	m.recredit(p)
	m.pumped(t, func(fx *Effects) { require.NoError(bare{t}, m.q.Nack(p.id, tags, m.now, fx)) })
}

func (m *model) buried(t *rapid.T) {
	dead := m.in(dying)
	if len(dead) == 0 {
		t.Skip()
	}
	e := rapid.SampledFrom(dead).Draw(t, "dead")
	m.bury(e)
	m.event(t, func(fx *Effects) { m.q.Buried(e.tag, fx) })
}

func (m *model) unburied(t *rapid.T) {
	dead := m.in(dying)
	if len(dead) == 0 {
		t.Skip()
	}
	e := rapid.SampledFrom(dead).Draw(t, "dead")
	switch {
	case e.hollow:
		m.bury(e)
	case e.cause == Refused:
		m.comeBack(e, back{redelivered: true})
	case e.cause == Taken:
		m.comeBack(e, back{})
	default:
		e.place = lapsed
		m.event(t, func(fx *Effects) { m.q.Unburied(e.tag, m.now, fx) })
		return
	}
	if e.cause == Refused || e.cause == Taken {
		m.pumped(t, func(fx *Effects) { m.q.Unburied(e.tag, m.now, fx) })
	} else {
		m.event(t, func(fx *Effects) { m.q.Unburied(e.tag, m.now, fx) })
	}
}
