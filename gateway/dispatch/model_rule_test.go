package dispatch

import (
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// What those who rule over a queue do to it.

func (m *model) storeLater(t *rapid.T) {
	e := m.append(rapid.Bool().Draw(t, "stored"), rapid.Bool().Draw(t, "body"), m.expiry(t))
	it := m.item(e.Tag)
	if e.Seq == 0 {
		e.Message = it.message
	}
	due := m.now + rapid.Int64Range(-5, 60).Draw(t, "due in")
	if due > m.now {
		it.place, it.due = coming, due
		m.journal.dues[it.seq] = due // the caller's part
		m.event(t, func(fx *Effects) { m.q.StoredLater(e, due, m.now, fx) })
		return
	}
	m.pumped(t, func(fx *Effects) { m.q.StoredLater(e, due, m.now, fx) })
}

// resting are those that wait or come later.
func (m *model) resting() (all []*item, messages int, bytes int64) {
	for _, e := range m.items {
		if e.place == waiting || e.place == coming {
			all = append(all, e)
		}
		if e.place != dying && e.place != lapsed {
			messages++
			bytes += int64(e.size)
		}
	}
	return all, messages, bytes
}

func (m *model) crowdOut(t *rapid.T) {
	all, messages, bytes := m.resting()
	most := rapid.IntRange(0, max(messages, 1)).Draw(t, "messages")
	mostBytes := rapid.Int64Range(0, bytes).Draw(t, "bytes")
	if rapid.Bool().Draw(t, "roomy") { // few at a time, or hardly anything would be left
		most, mostBytes = max(messages-2, 1), 0
	}
	for _, e := range all {
		if (most == 0 || messages <= most) && (mostBytes == 0 || bytes <= mostBytes) {
			break
		}
		messages--
		bytes -= int64(e.size)
		m.deaths = append(m.deaths, death{e.tag, Crowded})
	}
	if len(m.deaths) == 0 {
		m.event(t, func(fx *Effects) { m.q.CrowdOut(most, mostBytes, m.now, fx) })
		return
	}
	m.pumped(t, func(fx *Effects) { m.q.CrowdOut(most, mostBytes, m.now, fx) })
}

func (m *model) purge(t *rapid.T) {
	all, _, _ := m.resting()
	if len(all) > 20 && rapid.IntRange(0, 3).Draw(t, "spared") > 0 {
		t.Skip()
	}
	for _, e := range all {
		m.bury(e)
	}
	m.event(t, func(fx *Effects) { require.Equal(bare{t}, len(all), m.q.Purge(fx)) })
}

// takeOut takes some that wait out, and names some that do not.
func (m *model) takeOut(t *rapid.T) {
	tags := []uint64{m.lastTag + 1}
	n := 0
	for _, e := range m.items {
		if len(tags) > 5 {
			break
		}
		if !rapid.Bool().Draw(t, "taken") {
			continue
		}
		tags = append(tags, e.tag)
		if e.place == waiting || e.place == coming {
			n++
			m.deaths = append(m.deaths, death{e.tag, Taken})
		}
	}
	if n == 0 {
		t.Skip()
	}
	m.pumped(t, func(fx *Effects) { require.Equal(bare{t}, n, m.q.Take(tags, m.now, fx)) })
}

func (m *model) configure(t *rapid.T) {
	before := m.owner()
	if m.mixed {
		m.cfg.Priorities = rapid.Bool().Draw(t, "priorities")
	}
	if m.selfish {
		m.cfg.Exclusive = rapid.IntRange(0, 3).Draw(t, "exclusive") == 3
	}
	if m.patient {
		m.cfg.Redelivery = nil
		if rapid.Bool().Draw(t, "policy") {
			m.cfg.Redelivery = redeliveryPolicy(t)
		}
	}
	if rapid.Bool().Draw(t, "window") {
		m.cfg.WindowMessages = rapid.SampledFrom([]int{1, 8, 40, 200}).Draw(t, "messages")
		m.returns = true
	}
	m.reelected(before)
	m.pumped(t, func(fx *Effects) { m.q.Configure(m.cfg, m.now, fx) })
}
