package jetstream

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sluice-mq/sluice/gateway"
)

// side is one end of a link in the model, with what was done to it.
type side struct {
	*link
	sent  map[uint64][]byte // what was said in a session, a byte for each sheet
	taken []byte            // what was taken since the link came up
	of    uint64            // the other end's session then
	queue []sheet           // on its way to this end
}

// Whatever is lost on the way: what an end takes while a link is up is, without a gap, what the other end said from the
// beginning of a session; and once nothing is lost any more the link is up and everything arrives.
func TestLinksBringAllOrEnd(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sessions := uint64(0)
		session := func() uint64 { sessions++; return sessions }
		a := &side{link: newLink("b", session), sent: map[uint64][]byte{}}
		b := &side{link: newLink("a", session), sent: map[uint64][]byte{}}
		now := int64(0)
		next := byte(0)
		say := func(from, to *side, frames bool) {
			var content []byte
			if frames {
				if !from.up {
					return
				}
				next++
				content = []byte{next}
				from.sent[from.mine] = append(from.sent[from.mine], next)
			}
			to.queue = append(to.queue, from.say(now, content))
		}
		hear := func(at, other *side) {
			s := at.queue[0]
			at.queue = at.queue[1:]
			up := at.up
			c := at.hear(&s, now)
			if c.down {
				require.True(t, up)
			}
			if c.up {
				at.taken, at.of = nil, s.from
			}
			if c.take {
				require.True(t, at.up)
				require.Equal(t, at.of, s.from)
				at.taken = append(at.taken, s.frames...)
				said := other.sent[s.from]
				require.LessOrEqual(t, len(at.taken), len(said))
				require.Equal(t, said[:len(at.taken)], at.taken)
			}
			if c.answer {
				say(at, other, false)
			}
		}
		steps := rapid.IntRange(0, 200).Draw(t, "steps")
		for range steps {
			at, other := a, b
			if rapid.Bool().Draw(t, "b") {
				at, other = b, a
			}
			now += int64(rapid.IntRange(0, 1e9).Draw(t, "time"))
			switch rapid.IntRange(0, 5).Draw(t, "what") {
			case 0:
				say(at, other, false)
			case 1, 2:
				say(at, other, true)
			case 3:
				if len(at.queue) > 0 {
					hear(at, other)
				}
			case 4:
				if len(at.queue) > 0 && rapid.IntRange(0, 3).Draw(t, "lose") == 0 {
					at.queue = at.queue[1:]
				}
			case 5:
				at.look(now)
			}
		}
		for range 12 { // greetings, and nothing is lost
			say(a, b, false)
			say(b, a, false)
			for len(a.queue)+len(b.queue) > 0 {
				if len(a.queue) > 0 {
					hear(a, b)
				}
				if len(b.queue) > 0 {
					hear(b, a)
				}
			}
		}
		require.True(t, a.up && b.up)
		say(a, b, true)
		say(b, a, true)
		hear(b, a)
		hear(a, b)
		require.Equal(t, a.sent[a.mine], b.taken)
		require.Equal(t, b.sent[b.mine], a.taken)
	})
}

func TestASilentLinkEnds(t *testing.T) {
	n := uint64(0)
	session := func() uint64 { n++; return n }
	a, b := newLink("b", session), newLink("a", session)
	for range 3 {
		s := a.say(1, nil)
		b.hear(&s, 1)
		s = b.say(1, nil)
		a.hear(&s, 1)
	}
	require.True(t, a.up)
	require.False(t, a.look(1+silence))
	require.True(t, a.look(2+silence))
	require.False(t, a.up)
}

func drawFrame(t *rapid.T) *gateway.Frame {
	f := &gateway.Frame{
		Kind: gateway.FrameKind(rapid.Byte().Draw(t, "kind")), Shard: rapid.IntRange(0, MaxShards-1).Draw(t, "shard"),
		Epoch: rapid.Uint64().Draw(t, "epoch"), Number: rapid.Uint64().Draw(t, "number"), Subscription: rapid.Uint64().Draw(t, "sub"),
		Tag: rapid.Uint64().Draw(t, "tag"), Seq: rapid.Uint64().Draw(t, "seq"), Redeliveries: rapid.Uint32().Draw(t, "n"),
		Count: rapid.Int64().Draw(t, "count"), Tags: rapid.SliceOf(rapid.Uint64()).Draw(t, "tags"),
		Queue: rapid.String().Draw(t, "queue"), Transaction: rapid.String().Draw(t, "tx"),
		Group: rapid.String().Draw(t, "group"), Seqs: rapid.SliceOf(rapid.Uint64()).Draw(t, "seqs"), Counts: rapid.SliceOf(rapid.Uint32()).Draw(t, "counts"),
	}
	if rapid.Bool().Draw(t, "message") {
		f.Message = drawMessage(t)
	}
	for range rapid.IntRange(0, 3).Draw(t, "messages") {
		f.Messages = append(f.Messages, drawMessage(t))
	}
	if rapid.Bool().Draw(t, "error") {
		f.Err = &gateway.Error{Kind: gateway.NoSpace, Text: rapid.String().Draw(t, "text")}
	}
	return f
}

func TestFramesComeBackAsTheyWere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var encoded []byte
		n := rapid.IntRange(0, 4).Draw(t, "frames")
		for range n {
			encoded = appendFrame(encoded, drawFrame(t))
		}
		s := sheet{from: 1, to: rapid.Uint64().Draw(t, "to"), number: 3, sent: 4, echo: 5, owns: []tenure{{1, 2}}, leaving: rapid.Bool().Draw(t, "leaving"), speaks: 7, frames: encoded}
		got, err := readSheet(appendSheet(nil, &s))
		require.NoError(t, err)
		require.Equal(t, appendSheet(nil, &s), appendSheet(nil, got))
		frames, err := framesIn(got.frames)
		require.NoError(t, err)
		require.Len(t, frames, n)
		var again []byte
		for _, f := range frames {
			again = appendFrame(again, f)
		}
		require.Equal(t, len(encoded), len(again))
		require.True(t, string(encoded) == string(again))
	})
}

func topicFrames() []*gateway.Frame {
	m := &gateway.Message{ID: "id", Destination: gateway.Destination{Kind: gateway.KindTopic, Name: "a.b"}, Header: gateway.Header{{Name: "n", Value: "v"}}, Body: []byte("body")}
	return []*gateway.Frame{
		{Kind: gateway.FrameInterest, Subscription: 7, Queue: "a.*", Group: "\x00\xff of any bytes"},
		{Kind: gateway.FrameInterest, Subscription: 8, Queue: "a.>"},
		{Kind: gateway.FrameDisinterest, Subscription: 7},
		{Kind: gateway.FramePublish, Seq: 8, Tags: []uint64{3, 7}, Message: m},
		{Kind: gateway.FrameHeard, Count: 1024, Seq: 1 << 20},
	}
}

// What is said about topics arrives as it was said: a topic stays one, and what waits of it does not hold its sheet.
func TestFramesOfTopicsComeBackAsTheyWere(t *testing.T) {
	for _, f := range topicFrames() {
		b := appendFrame(nil, f)
		got, rest, err := nextFrame(b)
		require.NoError(t, err)
		require.Empty(t, rest)
		require.Equal(t, f, got)
		if f.Message != nil {
			clear(b)
			require.Equal(t, "body", string(got.Message.Body))
		}
	}
}

// What came with a language is not said to who announces one before it.
func TestNodesOfAnOlderBuildAreToldWhatTheyKnow(t *testing.T) {
	for speaks, want := range map[uint64]int{0: 1, 1: 1, 2: 3, 3: 3} {
		e := &linkEnd{link: newLink("n2", func() uint64 { return 1 }), some: make(chan struct{}, 1), speaks: speaks}
		e.up = true
		l := &links{all: map[string]*linkEnd{"n2": e}}
		for _, kind := range []gateway.FrameKind{gateway.FrameAdopt, gateway.FrameAdopted, gateway.FrameOffered} {
			l.Send("n2", &gateway.Frame{Kind: kind})
		}
		frames, err := framesIn(e.out)
		require.NoError(t, err)
		require.Len(t, frames, want, "to one that speaks %d", speaks)
		require.Equal(t, gateway.FrameOffered, frames[want-1].Kind)
	}
}

// A newer build's frame with fields that this one does not know is read as far as it is known.
func TestFieldsOfNewerBuildsAreSkipped(t *testing.T) {
	b := appendFrame(nil, &gateway.Frame{Kind: gateway.FrameAck, Shard: 1, Epoch: 2, Number: 3})
	b = append(b, 9, 9, 9)
	b[3] += 3
	f, rest, err := nextFrame(b)
	require.NoError(t, err)
	require.Empty(t, rest)
	require.Equal(t, &gateway.Frame{Kind: gateway.FrameAck, Shard: 1, Epoch: 2, Number: 3}, f)
}

func TestHeadsOfNewerBuildsAreReadAsFarAsTheyAreKnown(t *testing.T) {
	words := []word{{claim{tenure{3, 4}, "n2"}, true}}
	b := appendSheet(nil, &sheet{from: 1, to: 2, owns: []tenure{{3, 4}}, speaks: 5, words: words})
	b = append(b, 9, 9, 9)
	b[2] += 3
	b = append(b, "frames"...)
	s, err := readSheet(b)
	require.NoError(t, err)
	require.Equal(t, &sheet{from: 1, to: 2, owns: []tenure{{3, 4}}, speaks: 5, words: words, frames: []byte("frames")}, s)
}

// FuzzSheet: bytes of another node, or of nobody, never panic nor make this one allocate more than they can hold.
func FuzzSheet(f *testing.F) {
	s := sheet{from: 1, to: 2, number: 3, sent: 4, echo: 5, owns: []tenure{{1, 2}}, leaving: true, speaks: 6}
	s.frames = appendFrame(nil, &gateway.Frame{Kind: gateway.FrameAck, Tags: []uint64{1, 2}, Queue: "q"})
	f.Add(appendSheet(nil, &s))
	for _, x := range append(topicFrames(), &gateway.Frame{Kind: gateway.FrameAdopt, Seqs: []uint64{1, 9}, Counts: []uint32{0, 1}}) {
		s.frames = appendFrame(s.frames, x)
	}
	f.Add(appendSheet(nil, &s))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := readSheet(b)
		if err != nil {
			return
		}
		if frames, err := framesIn(s.frames); err == nil {
			for _, x := range frames {
				again, _, err := nextFrame(appendFrame(nil, x))
				require.NoError(t, err)
				require.Equal(t, appendFrame(nil, x), appendFrame(nil, again))
			}
		}
	})
}
