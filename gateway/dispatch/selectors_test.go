package dispatch

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/selector"
)

// store is a journal of messages for a queue: it answers loads and counts how often each was read.
type store struct {
	q     *Queue
	fx    Effects
	msgs  []*gateway.Message
	reads map[uint64]int
	loads int
	got   map[SubID][]uint64
	stop  bool
}

func newStore(cfg Config) *store {
	return &store{q: NewQueue(cfg), reads: map[uint64]int{}, got: map[SubID][]uint64{}}
}

func colored(color string) *gateway.Message {
	return &gateway.Message{Priority: plainPriority, Header: gateway.Header{{Name: "color", Value: color}}}
}

func grouped(group, seq string) *gateway.Message {
	m := colored(group)
	m.Header = append(m.Header, gateway.Field{Name: groupHeader, Value: group}, gateway.Field{Name: sequenceHeader, Value: seq})
	return m
}

// put stores a message; without its body only the journal has it.
func (s *store) put(m *gateway.Message, body bool) uint64 {
	s.msgs = append(s.msgs, m)
	e := Entry{Tag: uint64(len(s.msgs)), Seq: uint64(len(s.msgs)), Size: 100, Lane: LaneOf(m)}
	if body {
		e.Message = m
	}
	s.q.Stored(e, 1, &s.fx)
	s.settle()
	return e.Tag
}

func (s *store) subscribe(id SubID, c Consumer) {
	s.q.Subscribe(id, c, 1, &s.fx)
	s.settle()
}

// settle carries out effects until there are no more.
func (s *store) settle() {
	for {
		for _, d := range s.fx.Deliver {
			s.got[d.Sub] = append(s.got[d.Sub], d.Entry.Tag)
		}
		load := slices.Clone(s.fx.Load)
		s.fx.Reset()
		if len(load) == 0 || s.stop {
			return
		}
		s.loads++
		msgs := make([]*gateway.Message, len(load))
		for i, seq := range load {
			s.reads[seq]++
			msgs[i] = s.msgs[seq-1]
		}
		s.q.Loaded(load, msgs, 1, &s.fx)
	}
}

func selecting(t testing.TB, text string) Consumer {
	s, err := selector.Parse(text)
	require.NoError(t, err)
	return Consumer{Prefetch: 10, Selector: s}
}

// A match behind a million others is found in some hundred loads, each message is looked at once whoever asks, and
// little of it stays in memory.
func TestAMatchBehindAMillion(t *testing.T) {
	const million = 1_000_000
	s := newStore(Config{WindowMessages: 1024, WindowBytes: 8 << 20})
	blue, red := colored("blue"), colored("red")
	for range million {
		s.put(blue, false)
	}
	s.put(red, false)
	s.subscribe(1, selecting(t, "color = 'red'"))
	require.Equal(t, []uint64{million + 1}, s.got[1])
	require.LessOrEqual(t, s.loads, million/scanMost+5)
	require.LessOrEqual(t, s.q.Stats().Loaded, 1024)
	for seq, n := range s.reads {
		require.Equal(t, 1, n, seq)
	}
	require.LessOrEqual(t, s.q.filters[0].spans, 2)

	loads := s.loads
	s.subscribe(2, selecting(t, "color = 'red'"))
	require.NoError(t, s.q.Ack(1, []uint64{million + 1}, 1, &s.fx))
	s.q.Tick(2, &s.fx)
	s.settle()
	s.put(blue, true)
	require.Equal(t, loads, s.loads, "nothing is looked at twice")
	s.put(red, true)
	require.Equal(t, 2, len(s.got[1])+len(s.got[2]), "a new one is judged when it comes")
	require.Equal(t, loads, s.loads)
}

// While a selector is searched for, a consumer without one gets everything at once.
func TestAScanDoesNotBlockOthers(t *testing.T) {
	s := newStore(Config{WindowMessages: 64, WindowBytes: 1 << 20})
	for range 20_000 {
		s.put(colored("blue"), false)
	}
	s.stop = true
	s.subscribe(1, selecting(t, "color = 'red'"))
	s.subscribe(2, Consumer{Prefetch: 3})
	load := slices.Clone(s.q.window.asked)
	require.NotEmpty(t, load)
	s.stop = false
	for s.q.Stats().Waiting > 0 && len(s.got[2]) < 1000 {
		seqs := make([]uint64, 0, len(s.q.window.asked))
		for _, r := range s.q.window.asked {
			if r.open {
				seqs = append(seqs, r.seq)
			}
		}
		if len(seqs) > 0 {
			msgs := make([]*gateway.Message, len(seqs))
			for i := range seqs {
				msgs[i] = s.msgs[seqs[i]-1]
			}
			s.q.Loaded(seqs, msgs, 1, &s.fx)
		}
		before := len(s.got[2])
		for range 3 {
			for _, d := range s.fx.Deliver {
				s.got[d.Sub] = append(s.got[d.Sub], d.Entry.Tag)
			}
			s.fx.Reset()
			if held := s.q.subs[2].inFlight; held.n > 0 {
				require.NoError(t, s.q.Ack(2, []uint64{held.first().Tag}, 1, &s.fx))
			}
		}
		require.Greater(t, len(s.got[2])+len(s.fx.Deliver), before, "it must get on with each load")
	}
	require.True(t, slices.IsSorted(s.got[2]))
	require.Empty(t, s.got[1])
}

// Scans stop without credit, and what selectors are known not to select survives with its number bounded.
func TestScansStopWithoutCredit(t *testing.T) {
	s := newStore(Config{WindowMessages: 64, WindowBytes: 1 << 20})
	for i := range 30_000 {
		s.put(colored([]string{"red", "blue"}[i%2]), false)
	}
	c := selecting(t, "color = 'red'")
	s.subscribe(1, c)
	require.Len(t, s.got[1], 10)
	loads := s.loads
	require.LessOrEqual(t, loads, 2)
	s.q.Tick(2, &s.fx)
	s.settle()
	require.Equal(t, loads, s.loads, "no credit, no load")
	for len(s.got[1]) < 15_000 {
		require.NoError(t, s.q.Ack(1, s.got[1][len(s.got[1])-10:], 1, &s.fx))
		s.settle()
		require.LessOrEqual(t, s.q.filters[0].spans, spansMost+1)
	}
	require.Equal(t, 15_000, s.q.Stats().Waiting)
	most := 0
	for _, n := range s.reads {
		most = max(most, n)
	}
	require.LessOrEqual(t, s.loads, 30_000/loadStep+10)
	require.LessOrEqual(t, most, 4)
	t.Logf("%d loads, at most %d of one", s.loads, most)
}

// A selector that asks for redeliveries is asked again when a message comes back.
func TestRedeliveredSelectorsAreAskedAgain(t *testing.T) {
	s := newStore(Config{WindowMessages: 64, WindowBytes: 1 << 20})
	s.subscribe(1, selecting(t, "JMSRedelivered = FALSE"))
	s.subscribe(2, selecting(t, "JMSRedelivered = TRUE"))
	tag := s.put(colored("red"), true)
	require.Equal(t, []uint64{tag}, s.got[1])
	s.q.Unsubscribe(1, nil, 1, &s.fx)
	s.settle()
	require.Equal(t, []uint64{tag}, s.got[2])
}

// A group stays with who got its first message, also when others are idle; it moves when that one goes, in order, or when it is closed.
func TestGroupsAreSticky(t *testing.T) {
	s := newStore(Config{WindowMessages: 64, WindowBytes: 1 << 20})
	s.subscribe(1, Consumer{Prefetch: 2})
	s.subscribe(2, Consumer{Prefetch: 10})
	for i := range 8 {
		s.put(grouped([]string{"a", "b"}[i%2], fmt.Sprint(i)), true)
	}
	require.Equal(t, []uint64{1, 3}, s.got[1])
	require.Equal(t, []uint64{2, 4, 6, 8}, s.got[2], "nothing of another's group, whatever the credit")
	s.q.Unsubscribe(1, nil, 1, &s.fx)
	s.settle()
	require.Equal(t, []uint64{2, 4, 6, 8, 1, 3, 5, 7}, s.got[2], "in order")

	s.subscribe(3, Consumer{Prefetch: 10})
	s.put(grouped("a", "9"), true)
	require.Len(t, s.got[2], 9, "nothing moves to one that comes")
	s.put(grouped("a", "-1"), true)
	require.Len(t, s.got[2], 10)
	s.put(grouped("a", "1"), true)
	require.Equal(t, []uint64{11}, s.got[3], "closed; and the new one goes to who has fewer")
}

// New groups are spread, and a million messages of groups whose consumer has no credit cost an event nothing.
func TestBlockedGroupsAreNotLookedAt(t *testing.T) {
	s := newStore(Config{WindowMessages: 64, WindowBytes: 1 << 20})
	s.subscribe(1, Consumer{Prefetch: 1})
	s.subscribe(2, Consumer{Prefetch: 1000})
	for range 2 {
		for g := range 2000 {
			s.put(grouped(fmt.Sprint(g), ""), false)
		}
	}
	require.LessOrEqual(t, len(s.q.lanes.own), groupsMost)
	require.LessOrEqual(t, len(s.q.lanes.list), groupsMost+buckets)
	require.Len(t, s.got[1], 1)
	holders := map[uint64]SubID{}
	for id, tags := range s.got {
		for _, tag := range tags {
			group := (tag - 1) % 2000
			require.True(t, holders[group] == 0 || holders[group] == id)
			holders[group] = id
		}
	}
	s.q.Unsubscribe(1, nil, 1, &s.fx)
	s.settle()
	for done := 0; done < len(s.got[2]); {
		batch := s.got[2][done:]
		done = len(s.got[2])
		require.NoError(t, s.q.Ack(2, batch, 1, &s.fx))
		s.settle()
	}
	require.True(t, s.q.Empty())
}

// Higher priorities first, the oldest of each first; without the option the order is that of coming.
func TestPriorities(t *testing.T) {
	for _, on := range []bool{true, false} {
		s := newStore(Config{WindowMessages: 3, WindowBytes: 1 << 20, Priorities: on})
		for _, p := range []uint8{4, 0, 9, 4, 9} {
			m := colored("x")
			m.Priority = p
			s.put(m, p != 9)
		}
		s.subscribe(1, Consumer{Prefetch: 9})
		want := []uint64{1, 2, 3, 4, 5}
		if on {
			want = []uint64{3, 5, 1, 4, 2}
		}
		require.Equal(t, want, s.got[1])
	}
}

// What waits changes its lane with the configuration.
func TestConfigureChangesTheOrder(t *testing.T) {
	s := newStore(Config{WindowMessages: 64, WindowBytes: 1 << 20})
	for _, p := range []uint8{4, 9, 0, 9} {
		m := colored("x")
		m.Priority = p
		s.put(m, true)
	}
	cfg := Config{WindowMessages: 64, WindowBytes: 1 << 20, Priorities: true}
	s.q.Configure(cfg, 1, &s.fx)
	s.subscribe(1, Consumer{Prefetch: 1})
	require.Equal(t, []uint64{2}, s.got[1])
	cfg.Priorities = false
	s.q.Configure(cfg, 1, &s.fx)
	require.NoError(t, s.q.Ack(1, []uint64{2}, 1, &s.fx))
	s.settle()
	require.Equal(t, []uint64{2, 1}, s.got[1])
}
