package relay_test

import (
	"fmt"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/relay"
)

// far is a node that hands out what it got when the test says so.
type far struct {
	got, heard       []*gateway.Frame // heard: what it said that it had handed out
	relayed, dropped int
}

func (f *far) Send(x *gateway.Frame) {
	if x.Kind == gateway.FrameHeard {
		f.heard = append(f.heard, x)
		return
	}
	f.got = append(f.got, x)
}
func (f *far) Relayed()      { f.relayed++ }
func (f *far) Dropped(n int) { f.dropped += n }

// senders wait for their completions.
type senders struct{ waits map[uint64]bool }

func (s *senders) Complete(token uint64, err error) {
	if err != nil || !s.waits[token] {
		panic(fmt.Sprintf("%d is told twice, or too much: %v", token, err))
	}
	delete(s.waits, token)
}

// Whatever a node does: what comes there comes in order, no more than a link may carry is ahead, each message is relayed, parked or dropped, who is kept waiting is let go
// once, and nobody waits for ever.
func TestALinkCarriesWhatItMay(t *testing.T) {
	const most, size = 16 << 20, 1 << 20 // of bytes
	body := make([]byte, size)
	rapid.Check(t, func(t *rapid.T) {
		n, s := &far{}, &senders{waits: map[uint64]bool{}}
		l := relay.New(n, "n2", slog.New(slog.DiscardHandler))
		var now int64
		sent, handed, each := 0, 0, 0
		left := false
		t.Repeat(map[string]func(*rapid.T){
			"send": func(t *rapid.T) {
				for range rapid.IntRange(1, 40).Draw(t, "n") {
					m := &gateway.Message{ID: fmt.Sprint(sent), Body: body}
					each = m.Size()
					sent++
					s.waits[uint64(sent)] = true
					if !l.Relay(m, nil, 7, s, uint64(sent), now) {
						delete(s.waits, uint64(sent))
					}
				}
			},
			"hand out": func(t *rapid.T) {
				k := rapid.IntRange(0, len(n.got)-handed).Draw(t, "n")
				handed += k
				l.HeardOf(uint64(k), uint64(k*each))
			},
			"wait": func(t *rapid.T) {
				now += int64(rapid.IntRange(0, 1500).Draw(t, "ms"))
				l.LetGo(now)
			},
			"": func(t *rapid.T) {
				last := -1
				for _, f := range n.got {
					var id int
					_, err := fmt.Sscan(f.Message.ID, &id)
					require.NoError(t, err)
					require.Greater(t, id, last)
					require.EqualValues(t, 7, f.Seq)
					last = id
				}
				require.LessOrEqual(t, (len(n.got)-handed)*each, most+each)
				require.Equal(t, len(n.got), n.relayed)
				require.Equal(t, sent, n.relayed+n.dropped+len(s.waits))
			},
		})
		if rapid.Bool().Draw(t, "it goes") {
			l.Leave()
			left = true
		} else {
			now += 2001
			l.LetGo(now)
		}
		require.Empty(t, s.waits)
		require.Equal(t, sent, n.relayed+n.dropped)
		if left {
			require.False(t, l.Relay(&gateway.Message{}, nil, 0, s, 0, now))
			require.Equal(t, sent, n.relayed+n.dropped, "nobody is there to lose it")
		}
	})
}

// What came from a node is said to be handed out, some at once, and all of it in the end is not less than what was.
func TestWhatWasHandedOutIsSaid(t *testing.T) {
	n := &far{}
	l := relay.New(n, "n2", slog.New(slog.DiscardHandler))
	for range 5000 {
		l.Complete(100, nil)
	}
	require.NotEmpty(t, n.heard)
	require.Less(t, len(n.heard), 10)
	var messages, bytes uint64
	for _, f := range n.heard {
		messages, bytes = messages+uint64(f.Count), bytes+f.Seq
	}
	require.Greater(t, messages, uint64(5000-1025))
	require.LessOrEqual(t, messages, uint64(5000))
	require.Equal(t, 100*messages, bytes)
	l.Leave()
	l.Complete(1<<30, nil)
	require.Less(t, len(n.heard), 10)
}
