package dispatch

import (
	"fmt"
	"slices"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/selector"
)

// features are what the messages and consumers of a schedule are like: without any it is a plain queue.
type features struct {
	groups, mixed, picky, selfish, ranked, patient bool
	// few: there are fewer records than groups; then the model does not know who has which.
	few bool
}

// traits of a message.
type traits struct {
	color    int
	group    string
	closes   bool
	priority uint8
}

// wishes of a consumer.
type wishes struct {
	selector   *selector.Selector
	match      func(*item) bool
	exclusive  bool
	priority   int8
	redelivery *gateway.Redelivery
}

// death is one that an event must cause.
type death struct {
	tag   uint64
	cause Cause
}

func (m *model) draw(t *rapid.T) {
	all := rapid.IntRange(0, 3).Draw(t, "plain, some, all")
	if all == 0 {
		return
	}
	some := func(name string) bool { return all == 3 || rapid.Bool().Draw(t, name) }
	m.groups, m.mixed, m.picky = some("groups"), some("priorities"), some("selectors")
	m.selfish, m.ranked, m.patient = some("exclusive"), some("ranks"), some("redelivery")
	m.few = m.groups && rapid.IntRange(0, 3).Draw(t, "few") == 3
	m.cfg.Priorities = m.mixed
	if m.patient && rapid.Bool().Draw(t, "policy") {
		m.cfg.Redelivery = redeliveryPolicy(t)
	}
}

// renew makes a new machine.
func (m *model) renew() {
	m.q, m.sticky = NewQueue(m.cfg), map[string]*peer{}
	if m.few {
		m.q.groupsMost = 2
	}
}

func redeliveryPolicy(t *rapid.T) *gateway.Redelivery {
	return &gateway.Redelivery{
		Maximum: rapid.IntRange(-1, 3).Draw(t, "maximum"),
		Delay:   time.Duration(rapid.IntRange(0, 20).Draw(t, "delay")) * time.Millisecond, MaxDelay: 50 * time.Millisecond,
		Backoff: rapid.SampledFrom([]float64{0, 2, 1.5}).Draw(t, "backoff"),
	}
}

// trait gives a new message its traits, which depend on its tag alone.
func (m *model) trait(e *item) {
	e.color = int(e.tag*7/3) % 3
	e.priority = plainPriority
	if m.mixed {
		e.priority = []uint8{4, 9, 4, 0}[e.tag/5%4]
	}
	if m.groups && e.tag%4 > 0 {
		e.group = fmt.Sprint("g", e.tag*5/7%6)
		e.closes = e.tag%23 == 0
	}
	e.message = &gateway.Message{Priority: e.priority, Header: gateway.Header{{Name: "color", Value: fmt.Sprint(e.color)}}}
	if e.group != "" {
		e.message.Header = append(e.message.Header, gateway.Field{Name: groupHeader, Value: e.group})
	}
	if e.closes {
		e.message.Header = append(e.message.Header, gateway.Field{Name: sequenceHeader, Value: "-1"})
	}
}

func (m *model) wish(t *rapid.T) wishes {
	var w wishes
	if m.picky && rapid.IntRange(0, 3).Draw(t, "picks") > 0 {
		n := rapid.IntRange(0, 4).Draw(t, "selector")
		text := []string{"color = '0'", "color = '1'", "color <> '0'", "JMSXDeliveryCount = 1", "JMSXDeliveryCount > 1 OR color = '2'"}[n]
		w.match = []func(*item) bool{
			func(e *item) bool { return e.color == 0 }, func(e *item) bool { return e.color == 1 }, func(e *item) bool { return e.color != 0 },
			func(e *item) bool { return e.redeliveries == 0 }, func(e *item) bool { return e.redeliveries > 0 || e.color == 2 },
		}[n]
		s, err := selector.Parse(text)
		require.NoError(bare{t}, err)
		w.selector = s
	}
	w.exclusive = m.selfish && rapid.IntRange(0, 4).Draw(t, "exclusive") == 4
	if m.ranked {
		w.priority = int8(rapid.IntRange(-1, 1).Draw(t, "rank"))
	}
	if m.patient && rapid.Bool().Draw(t, "own policy") {
		w.redelivery = redeliveryPolicy(t)
	}
	return w
}

func (p *peer) consumer() Consumer {
	return Consumer{Prefetch: p.prefetch, Selector: p.selector, Exclusive: p.exclusive, Priority: p.priority, Redelivery: p.redelivery}
}

func (m *model) policy(p *peer) *gateway.Redelivery {
	if p.redelivery != nil {
		return p.redelivery
	}
	return m.cfg.Redelivery
}

// owner is who has the queue to itself.
func (m *model) owner() (owner *peer) {
	for _, p := range m.peers {
		if (p.exclusive || m.cfg.Exclusive) && (owner == nil || p.priority > owner.priority) {
			owner = p
		}
	}
	return owner
}

// reelected brings all credit up to date if another one is the owner.
func (m *model) reelected(before *peer) {
	if owner := m.owner(); owner != before {
		for group, p := range m.sticky {
			if owner != nil && p != owner && m.flyingOf(group, nil) == 0 {
				m.stick(group, nil)
			}
		}
		for _, p := range m.peers {
			m.recredit(p)
		}
	}
}

func (m *model) come(p *peer) {
	before := m.owner()
	prefetch := p.prefetch
	p.prefetch = 0
	m.peers = append(m.peers, p)
	m.reelected(before)
	p.prefetch = prefetch
	m.recredit(p)
}

func (m *model) leave(p *peer) {
	before := m.owner()
	m.peers = slices.DeleteFunc(m.peers, func(o *peer) bool { return o == p })
	m.turns = slices.DeleteFunc(m.turns, func(id SubID) bool { return id == p.id })
	m.reelected(before)
}

// stick gives a group to somebody, or to nobody.
func (m *model) stick(group string, p *peer) {
	if old := m.sticky[group]; old != nil {
		old.groups--
	}
	delete(m.sticky, group)
	if p != nil {
		m.sticky[group] = p
		p.groups++
	}
}

// flyingOf counts what is in flight of a group, but for one.
func (m *model) flyingOf(group string, but *item) (n int) {
	for _, e := range m.items {
		if e != but && e.place == flying && e.group == group && !e.severed {
			n++
		}
	}
	return n
}

// handedOut notes that an item of a group is in flight now.
func (m *model) handedOut(e *item, p *peer) {
	if m.sticky[e.group] == nil {
		m.stick(e.group, p)
	}
	if !e.closes {
		return
	}
	m.stick(e.group, nil)
	for _, o := range m.items {
		if o.place == flying && o.group == e.group {
			o.severed = true
		}
	}
}

// letGo notes that an item is in flight no more.
func (m *model) letGo(e *item) {
	if owner := m.owner(); e.group != "" && !e.severed && owner != nil && m.sticky[e.group] != owner && m.flyingOf(e.group, e) == 0 {
		m.stick(e.group, nil)
	}
	e.severed, e.holder, e.place = false, 0, dying
}

// disown lets the groups of one who left go, to whoever has something of them.
func (m *model) disown(p *peer) {
	for group, owner := range m.sticky {
		if owner != p {
			continue
		}
		m.stick(group, nil)
	holders:
		for _, o := range m.peers {
			for _, e := range m.items {
				if e.place == flying && e.holder == o.id && e.group == group && !e.severed {
					m.stick(group, o)
					break holders
				}
			}
		}
	}
}

// comeBack makes an item wait again, or later, if it was not settled, and is not dead.
func (m *model) comeBack(e *item, b back) {
	if e.hollow {
		m.bury(e)
		return
	}
	e.place, e.holder = waiting, 0
	m.returns = true
	due := int64(0)
	delay := b.delay.Milliseconds()
	exhausted := false
	if b.redelivered {
		e.redeliveries++
		if p := b.policy; p != nil {
			exhausted = p.Maximum >= 0 && int(e.redeliveries) > p.Maximum
			wait := p.Delay.Seconds()
			for range e.redeliveries - 1 {
				wait *= max(p.Backoff, 1)
			}
			if ms := int64(min(wait*1000, 50)*1e6+999_999) / 1e6; p.Delay > 0 {
				delay = max(delay, ms)
			}
		}
	}
	if delay > 0 && !exhausted {
		due = m.now + delay
		e.place, e.due = coming, due
	}
	if e.seq != 0 && (b.redelivered || due != 0) {
		m.mark = append(m.mark, gateway.Mark{Seq: e.seq, Redeliveries: e.redeliveries, Due: due})
	}
	if exhausted {
		m.deaths = append(m.deaths, death{e.tag, Exhausted})
	}
}

// rouse brings those whose time has come.
func (m *model) rouse() {
	for _, e := range m.items {
		if e.place == coming && e.due <= m.now {
			e.place = waiting
			m.returns = true
		}
	}
}

// lapseAgain has those die again that could not be buried.
func (m *model) lapseAgain() {
	for _, e := range m.items {
		if e.place == lapsed {
			m.deaths = append(m.deaths, death{e.tag, e.cause})
		}
	}
}
