package dispatch

import (
	"cmp"
	"slices"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// ackSeqs settles messages by their sequences, wherever they are, and some that are gone.
func (m *model) ackSeqs(t *rapid.T) {
	seqs := []uint64{m.journal.last + 1}
	for seq := range m.journal.settled {
		seqs = append(seqs, seq)
		break
	}
	far := rapid.Bool().Draw(t, "far") // the front is where it happens
	for _, e := range m.items {
		if len(seqs) > 5 {
			break
		}
		if e.seq == 0 || !rapid.Bool().Draw(t, "settled") && !(far && len(seqs) < 2) {
			continue
		}
		seqs = append(seqs, e.seq)
		m.settleWhere(e)
	}
	slices.Sort(seqs)
	m.pumped(t, func(fx *Effects) { m.q.AckSeqs(seqs, m.now, fx) })
}

// adoptFront is adopt of the first of a group or of the queue, as it is after a change of owner.
func (m *model) adoptFront(t *rapid.T) {
	p := m.anyone(t)
	if p == nil {
		t.Skip()
	}
	for _, e := range m.items {
		if e.seq == 0 || e.place != waiting || m.groups && e.group == "" {
			continue
		}
		m.lend(e, p, e.redeliveries)
		m.recredit(p)
		m.event(t, func(fx *Effects) {
			require.Equal(bare{t}, []uint64{e.tag}, m.q.Adopt(p.id, []Had{{e.seq, e.redeliveries}}, fx))
		})
		return
	}
	t.Skip()
}

// adopt says that the client of a subscription has had messages since before: some that wait, and some that do not.
func (m *model) adopt(t *rapid.T) {
	p := m.anyone(t)
	if p == nil {
		t.Skip()
	}
	had := []Had{{Seq: m.journal.last + 1}}
	want := map[uint64]uint64{}
	for _, e := range m.items {
		if len(had) > 5 {
			break
		}
		if e.seq == 0 || !rapid.Bool().Draw(t, "had") {
			continue
		}
		h := Had{Seq: e.seq, Redeliveries: uint32(rapid.IntRange(0, 3).Draw(t, "count"))}
		had = append(had, h)
		if e.place == waiting {
			want[e.seq] = e.tag
		}
	}
	slices.SortFunc(had, func(a, b Had) int { return cmp.Compare(a.Seq, b.Seq) })
	for _, h := range had {
		if want[h.Seq] != 0 {
			m.lend(m.item(want[h.Seq]), p, h.Redeliveries)
		}
	}
	m.recredit(p)
	m.event(t, func(fx *Effects) {
		for i, tag := range m.q.Adopt(p.id, had, fx) {
			require.Equal(bare{t}, want[had[i].Seq], tag)
		}
		require.Empty(bare{t}, fx.Deliver)
	})
}

// lend makes an item that waits one that a subscription has.
func (m *model) lend(e *item, p *peer, count uint32) {
	if count > e.redeliveries {
		m.mark = append(m.mark, gateway.Mark{Seq: e.seq, Redeliveries: count})
	}
	e.place, e.holder, e.redeliveries, e.adopted = flying, p.id, count, true
	p.held++
	if e.group != "" {
		if m.flyingOf(e.group, e) == 0 {
			m.stick(e.group, p)
		}
		m.handedOut(e, p)
	}
}
