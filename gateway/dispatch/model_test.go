package dispatch

import (
	"cmp"
	"slices"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// place is where the model thinks an entry is.
type place uint8

const (
	waiting place = iota + 1
	flying
	dying
	lapsed
	gone
	coming
)

// item is the model's idea of a message.
type item struct {
	tag, seq     uint64
	expires      int64
	message      *gateway.Message
	size         uint32
	redeliveries uint32
	place        place
	holder       SubID
	cause        Cause
	hollow       bool // settled, while somebody has it
	adopted      bool // its count is its client's
	traits
	severed bool  // in flight, of a group that was closed after it
	due     int64 // of what comes later
}

// peer is the model's idea of a subscription.
type peer struct {
	id                  SubID
	client              int
	prefetch, extension int
	held                int
	untaken, most       int64 // bytes, and their bound or 0
	wishes
	groups int
}

func (m *model) credit(p *peer) int {
	if owner := m.owner(); owner != nil && owner != p {
		return 0
	}
	if p.prefetch == 0 || p.most > 0 && p.untaken >= p.most {
		return 0
	}
	return max(p.prefetch+p.extension-p.held, 0)
}

// journal is what a new owner finds.
type journal struct {
	last    uint64
	tags    map[uint64]uint64 // of unsettled sequences
	settled map[uint64]bool
	marks   map[uint64]uint32
	dues    map[uint64]int64
}

// model drives a queue and knows what it must do.
type model struct {
	q   *Queue
	cfg Config
	fx  Effects
	now int64
	// latest is the latest now that the queue was told: its clock may run backwards.
	latest int64

	items   []*item // live ones by ascending tag
	lastTag uint64
	peers   []*peer
	turns   []SubID // those with credit, in order of turns
	lastSub SubID
	closed  []uint64 // tags that were taken by subscriptions that have gone
	journal journal

	asked  []uint64 // the load under way
	failed bool

	features
	// checks were asked for; seldom: few of them are made.
	checks int
	seldom bool
	sticky map[string]*peer // who has a group

	// what the event that is being applied must cause
	settle   []uint64
	mark     []gateway.Mark
	deaths   []death // but for those that expire
	overdue  bool    // every expired waiting entry must die in this event
	left     bool    // something is gone
	unloaded int     // how many waited without their bodies before it
	returns  bool    // the event may bring entries back beyond the window
}

func newModel(t *rapid.T) *model {
	m := &model{now: 1000, cfg: Config{
		WindowMessages: rapid.SampledFrom([]int{1, 2, 8, 40, 200}).Draw(t, "window"),
		WindowBytes:    rapid.SampledFrom([]int{1, 100, 1000, 100000}).Draw(t, "bytes"),

		SubscriptionBytes: rapid.SampledFrom([]int64{0, 100, 10, 1}).Draw(t, "subscription bytes"),
	}}
	m.draw(t)
	m.renew()
	m.journal = journal{tags: map[uint64]uint64{}, settled: map[uint64]bool{}, marks: map[uint64]uint32{}, dues: map[uint64]int64{}}
	return m
}

func (m *model) item(tag uint64) *item {
	i, ok := slices.BinarySearchFunc(m.items, tag, func(e *item, tag uint64) int { return cmp.Compare(e.tag, tag) })
	if !ok {
		return nil
	}
	return m.items[i]
}

func (m *model) peer(id SubID) *peer {
	for _, p := range m.peers {
		if p.id == id {
			return p
		}
	}
	return nil
}

// in returns the live items that are in that place.
func (m *model) in(where place) []*item {
	var found []*item
	for _, e := range m.items {
		if e.place == where {
			found = append(found, e)
		}
	}
	return found
}

// heldBy returns the tags that a subscription has in flight.
func (m *model) heldBy(id SubID) []uint64 {
	var tags []uint64
	for _, e := range m.items {
		if e.place == flying && e.holder == id {
			tags = append(tags, e.tag)
		}
	}
	return tags
}

// recredit keeps the turns.
func (m *model) recredit(p *peer) {
	at := slices.Index(m.turns, p.id)
	switch {
	case m.credit(p) > 0 && at < 0:
		m.turns = append(m.turns, p.id)
	case m.credit(p) == 0 && at >= 0:
		m.turns = slices.Delete(m.turns, at, at+1)
	}
}

// bury makes an item gone for good, which the journal must be told.
func (m *model) bury(e *item) {
	e.place, m.left = gone, true
	if e.seq != 0 {
		m.settle = append(m.settle, e.seq)
	}
}

// settleWhere makes an item gone where it waits, and hollow where somebody has it.
func (m *model) settleWhere(e *item) {
	if e.place == waiting || e.place == lapsed || e.place == coming {
		m.bury(e)
		return
	}
	m.settle = append(m.settle, e.seq)
	e.hollow, e.seq, e.size = true, 0, 0
}

// event applies one event to the queue and checks all that it caused. What it
// must cause was noted in the model before.
func (m *model) event(t *rapid.T, apply func(*Effects)) {
	before := m.q.Stats().Loaded + m.q.window.keeping
	m.unloaded = m.q.window.unloaded
	m.fx.Reset()
	m.latest = max(m.latest, m.now)
	apply(&m.fx)

	require.ElementsMatch(bare{t}, m.settle, m.fx.Settle, "settled")
	for _, seq := range m.fx.Settle {
		require.False(bare{t}, m.journal.settled[seq], "settled twice")
		require.Contains(bare{t}, m.journal.tags, seq, "settled what is not in the journal")
		m.journal.settled[seq] = true
		delete(m.journal.tags, seq)
	}
	require.ElementsMatch(bare{t}, m.mark, m.fx.Mark, "marked")
	for _, mark := range m.fx.Mark {
		m.journal.marks[mark.Seq] = max(m.journal.marks[mark.Seq], mark.Redeliveries)
		m.journal.dues[mark.Seq] = mark.Due
	}
	if m.left {
		m.items = slices.DeleteFunc(m.items, func(e *item) bool { return e.place == gone })
	}
	m.absorbDead(t)
	m.absorbDeliveries(t)
	m.absorbLoad(t)

	if !m.returns {
		bound := max(before, m.cfg.WindowMessages) + 1 // the very next one is loaded in any case
		require.LessOrEqual(bare{t}, m.q.Stats().Loaded+m.q.window.keeping, bound, "the window is overfull")
	}
	if len(m.peers) == 0 {
		require.LessOrEqual(bare{t}, m.q.Stats().Loaded, m.cfg.WindowMessages/4, "nobody is subscribed")
	}
	m.settle, m.mark, m.deaths, m.overdue, m.returns, m.left = nil, nil, nil, false, false, false
}

func (m *model) absorbLoad(t *rapid.T) {
	if len(m.fx.Load) == 0 {
		return
	}
	require.Empty(bare{t}, m.asked, "two loads under way")
	require.False(bare{t}, m.failed, "asked again without being told")
	if m.q.window.scanned {
		require.LessOrEqual(bare{t}, len(m.fx.Load), scanMost)
	} else {
		require.LessOrEqual(bare{t}, len(m.fx.Load), scanMost/2)
	}
	require.True(bare{t}, slices.IsSorted(m.fx.Load))
	require.Len(bare{t}, slices.Compact(slices.Clone(m.fx.Load)), len(m.fx.Load))
	for _, seq := range m.fx.Load {
		e := m.item(m.journal.tags[seq])
		require.NotNil(bare{t}, e, "asked for an unknown record")
		require.Equal(bare{t}, waiting, e.place)
		require.True(bare{t}, e.expires == 0 || e.expires > m.now, "loads what has expired")
	}
	m.asked = slices.Clone(m.fx.Load)
}

// compare checks the fields of an entry.
func (m *model) compare(t *rapid.T, e *item, got *Entry) {
	require.Equal(bare{t}, [...]uint64{e.seq, uint64(e.redeliveries), uint64(e.expires), uint64(e.size)},
		[...]uint64{got.Seq, uint64(got.Redeliveries), uint64(got.Expires), uint64(got.Size)},
		"seq, redeliveries, expires, size")
	if got.Message != nil {
		require.Same(bare{t}, e.message, got.Message)
	} else {
		require.NotZero(bare{t}, e.seq, "a memory-only message was lost")
	}
}

// check compares the whole queue with the model. It holds between events.
func (m *model) check(t *rapid.T) {
	if m.checks++; m.seldom && m.checks%16 != 0 {
		return
	}
	places := m.q.audit(bare{t}, m.latest)
	require.Equal(bare{t}, len(m.items), len(places), "an entry was lost or made up")
	want := Stats{Subscriptions: len(m.peers), Loaded: m.q.window.held, LoadedBytes: m.q.window.bytes}
	var seqs []uint64
	next := int64(never)
	for _, e := range m.items {
		at, there := places[e.tag]
		ensure(t, there, "it is nowhere")
		switch e.place {
		case waiting:
			ensure(t, at.in == inWaiting, "it should wait")
			want.Waiting++
		case coming:
			ensure(t, at.in == inLater, "it should come later")
			due, ok := m.q.DueOf(e.tag)
			ensure(t, ok && due == e.due, "it comes at another time")
			want.Later++
			next = min(next, due)
		case flying:
			ensure(t, at.l == &m.q.subs[e.holder].inFlight, "it should be in flight")
			want.InFlight++
		case lapsed:
			ensure(t, at.in == inLapsed, "it should have lapsed")
			want.Dying++
		default:
			ensure(t, at.in == inDying, "it should be dying")
			want.Dying++
		}
		if e.seq != 0 {
			seqs = append(seqs, e.seq)
			survives := m.journal.marks[e.seq]
			ensure(t, e.redeliveries == survives || e.adopted && e.redeliveries < survives, "the count would not survive")
			ensure(t, e.tag == m.journal.tags[e.seq], "the journal has another message there")
			ensure(t, e.place != coming || m.journal.dues[e.seq] == e.due, "when it comes would not survive")
		}
	}
	require.Equal(bare{t}, want, m.q.Stats())
	due, ok := m.q.NextDue()
	require.Equal(bare{t}, next, due)
	require.Equal(bare{t}, next != never, ok)
	require.Equal(bare{t}, len(m.items) == 0, m.q.Empty())
	require.Equal(bare{t}, len(seqs), len(m.journal.tags), "the journal keeps what is gone, or has lost what is not")

	slices.Sort(seqs)
	low, ok := m.q.LowestSeq()
	require.Equal(bare{t}, len(seqs) > 0, ok)
	if ok {
		require.Equal(bare{t}, seqs[0], low)
	}
	n := rapid.IntRange(0, 12).Draw(t, "oldest")
	require.Equal(bare{t}, append([]uint64{}, seqs[:min(n, len(seqs))]...), seqsOf(m.q.Oldest(n)))
	m.checkBytes(t)
	m.checkBrowse(t)
	m.checkKnowledge(t)
	m.checkGroups(t)
}

// checkBytes checks the weights and what a planned hand-over must take along.
func (m *model) checkBytes(t *rapid.T) {
	var journaled, memory int64
	var want, got [][3]uint64 // tags, the next record and counts
	next := uint64(0)
	for _, e := range slices.Backward(m.items) {
		if e.seq != 0 {
			journaled += int64(e.size)
			next = e.seq
		} else if !e.hollow {
			memory += int64(e.size)
			count := e.redeliveries
			if e.place == flying {
				count++
			}
			want = append(want, [3]uint64{e.tag, next, uint64(count)})
		}
	}
	j, o := m.q.Weight()
	require.Equal(bare{t}, [...]int64{journaled, memory}, [...]int64{j, o}, "weight in the journal and in memory only")
	m.q.Memory(func(e Entry, before uint64) {
		ensure(t, e.Message != nil, "a memory-only message lost its body")
		got = append(got, [3]uint64{e.Tag, before, uint64(e.Redeliveries)})
	})
	slices.Reverse(want)
	require.Equal(bare{t}, want, got, "what is only in memory")
}

// bare is a test without its Helper, which costs more than most checks do.
type bare struct{ t *rapid.T }

func (b bare) Errorf(format string, args ...any) { b.t.Errorf(format, args...) }
func (b bare) FailNow()                          { b.t.FailNow() }

// ensure is require.True without its price, for what is asked very often.
func ensure(t require.TestingT, ok bool, text string) {
	if !ok {
		require.Fail(t, text)
	}
}
