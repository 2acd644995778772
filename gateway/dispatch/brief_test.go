package dispatch

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sluice-mq/sluice/gateway"
)

// ofGroup is an entry of a group, which may be none.
func ofGroup(tag uint64, group string) Entry {
	m := &gateway.Message{Priority: gateway.DefaultPriority}
	if group != "" {
		m.Header = gateway.Header{{Name: groupHeader, Value: group}}
	}
	return Entry{Tag: tag, Seq: tag, Message: m, Size: 10, Lane: LaneOf(m)}
}

// briefly is a queue with brief groups, and who has what of it.
type briefly struct {
	q    *Queue
	fx   Effects
	now  int64
	all  map[uint64]string // groups of what is not gone, by tag
	held map[uint64]SubID
	due  map[uint64]int64
	subs map[SubID]int // what each may still get
	last SubID
}

// carryOut takes deliveries: nobody gets something of a group while somebody else has, or something before it comes later.
func (b *briefly) carryOut(t *rapid.T) {
	for _, d := range b.fx.Deliver {
		tag, group := d.Entry.Tag, b.all[d.Entry.Tag]
		require.NotContains(t, b.held, tag)
		require.LessOrEqual(t, b.due[tag], b.now)
		for other, g := range b.all {
			if g == group && g != "" && other != tag {
				by, held := b.held[other]
				require.False(t, held && by != d.Sub, "%d goes to %d while %d has %d", tag, d.Sub, by, other)
				require.False(t, b.due[other] > b.now, "%d goes out while %d comes later", tag, other)
				require.False(t, !held && other < tag, "%d goes out before %d", tag, other)
			}
		}
		b.held[tag] = d.Sub
		b.subs[d.Sub]--
	}
	if len(b.fx.Load) > 0 {
		seqs := append([]uint64{}, b.fx.Load...)
		messages := make([]*gateway.Message, len(seqs))
		for i, seq := range seqs {
			messages[i] = ofGroup(seq, b.all[seq]).Message
		}
		b.fx.Reset()
		b.q.Loaded(seqs, messages, b.now, &b.fx)
		b.carryOut(t)
		return
	}
	b.fx.Reset()
}

// mine are the tags that a subscription has.
func (b *briefly) some(t *rapid.T) (tag uint64, sub SubID) {
	if len(b.held) == 0 {
		t.Skip("nobody has anything")
	}
	tags := []uint64{}
	for tag := uint64(1); tag <= uint64(len(b.all)+1000); tag++ {
		if _, held := b.held[tag]; held {
			tags = append(tags, tag)
		}
	}
	tag = rapid.SampledFrom(tags).Draw(t, "tag")
	return tag, b.held[tag]
}

// TestBriefGroups: whoever comes, goes, acknowledges and gives back, now or for later, a brief group is with one at a time and goes out in its order; and all of it does.
func TestBriefGroups(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := &briefly{
			q: NewQueue(Config{WindowMessages: 8, WindowBytes: 1000, BriefGroups: true}), now: 1,
			all: map[uint64]string{}, held: map[uint64]SubID{}, due: map[uint64]int64{}, subs: map[SubID]int{},
		}
		tag := uint64(0)
		back := func(t *rapid.T, tag uint64, sub SubID, delay int64) {
			group := b.all[tag]
			var behind []uint64
			for other := tag + 1; other <= tag+1000; other++ { // what is behind it comes back with it
				if b.held[other] == sub && b.all[other] == group && group != "" {
					behind = append(behind, other)
				}
			}
			for _, other := range append(behind, tag) {
				delete(b.held, other)
			}
			if delay > 0 {
				b.due[tag] = b.now + delay
			}
			if len(behind) > 0 {
				require.NoError(t, b.q.Release(sub, behind, gateway.Return{}, b.now, &b.fx))
			}
			require.NoError(t, b.q.Release(sub, []uint64{tag}, gateway.Return{Redelivered: true, Delay: time.Duration(delay) * time.Millisecond}, b.now, &b.fx))
			b.carryOut(t)
		}
		t.Repeat(map[string]func(*rapid.T){
			"stored": func(t *rapid.T) {
				tag++
				b.all[tag] = rapid.SampledFrom([]string{"", "a", "b", "c"}).Draw(t, "group")
				b.q.Stored(ofGroup(tag, b.all[tag]), b.now, &b.fx)
				b.carryOut(t)
			},
			"subscribe": func(t *rapid.T) {
				b.last++
				b.subs[b.last] = rapid.IntRange(1, 5).Draw(t, "prefetch")
				b.q.Subscribe(b.last, Consumer{Prefetch: b.subs[b.last]}, b.now, &b.fx)
				b.carryOut(t)
			},
			"enough": func(t *rapid.T) {
				if b.last > 0 {
					b.q.Subscribe(SubID(rapid.Uint64Range(1, uint64(b.last)).Draw(t, "sub")), Consumer{}, b.now, &b.fx)
					b.carryOut(t)
				}
			},
			"acknowledge": func(t *rapid.T) {
				tag, sub := b.some(t)
				delete(b.held, tag)
				delete(b.all, tag)
				require.NoError(t, b.q.Ack(sub, []uint64{tag}, b.now, &b.fx))
				b.carryOut(t)
			},
			"back": func(t *rapid.T) {
				tag, sub := b.some(t)
				back(t, tag, sub, rapid.SampledFrom([]int64{0, 5, 20}).Draw(t, "delay"))
			},
			"tick": func(t *rapid.T) {
				b.now += int64(rapid.IntRange(1, 20).Draw(t, "millis"))
				b.q.Tick(b.now, &b.fx)
				b.carryOut(t)
			},
		})
		for tag, sub := range b.held { // one after another, until nothing is left
			back(t, tag, sub, 0)
			break
		}
		for round := 0; len(b.all) > 0; round++ {
			require.Less(t, round, 3*int(tag)+10, "some of it never goes out")
			b.now += 100
			for tag, sub := range b.held {
				delete(b.held, tag)
				delete(b.all, tag)
				require.NoError(t, b.q.Ack(sub, []uint64{tag}, b.now, &b.fx))
				b.carryOut(t)
				break
			}
			b.last++
			b.subs[b.last] = 3
			b.q.Subscribe(b.last, Consumer{Prefetch: 3}, b.now, &b.fx)
			b.carryOut(t)
			b.q.Tick(b.now, &b.fx)
			b.carryOut(t)
		}
		require.True(t, b.q.Empty(), fmt.Sprint(b.q.Stats()))
		b.q.Tick(b.now, &b.fx)
		require.Nil(t, b.q.lanes, "nothing is left of the groups")
	})
}
