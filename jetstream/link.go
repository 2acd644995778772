package jetstream

import (
	"encoding/binary"

	"github.com/sluice-mq/sluice/gateway"
)

// link is one node's end of what it says to another node and hears from it. It is pure: time
// comes with the events, and what is to be sent or told comes out.
//
// Each end names its part with a number of its own that it never uses twice, its session. What is said carries both
// sessions, as far as the speaker knows them, and counts from 1. Whoever misses a number, hears of a new session,
// or hears nothing, gives itself a new session: so the other end hears of that, and both begin anew. NATS brings
// what one node says in order, but may lose any of it when a route breaks.
type link struct {
	node         string
	mine, theirs uint64
	said, heard  uint64 // how many sheets of frames
	up           bool
	last         int64 // when something was heard
	asked        int64 // the other's time in the last sheet from it, to be echoed
	session      func() uint64
}

// sheet is what travels between two nodes at once: a greeting, or frames.
type sheet struct {
	from, to uint64 // sessions
	number   uint64 // of this sheet, if it has frames; of the last one that had, if it is a greeting
	sent     int64  // the speaker's time
	echo     int64  // the listener's time in the last sheet that the speaker heard
	owns     []tenure
	leaving  bool   // the speaker gives its shards to others
	speaks   uint64 // the newest language that the speaker knows
	words    []word // since language 4
	frames   []byte
}

// tenure is a shard that the speaker owns.
type tenure struct {
	shard int
	epoch uint64
}

// silence is how long nothing may be heard of a node, in nanoseconds.
const silence = int64(2e9)

func newLink(node string, session func() uint64) *link {
	l := &link{node: node, session: session}
	l.mine = session()
	return l
}

// say makes a greeting; frames, if there are any, make it a sheet that counts.
func (l *link) say(now int64, frames []byte) sheet {
	if len(frames) > 0 {
		l.said++
	}
	return sheet{from: l.mine, to: l.theirs, number: l.said, sent: now, echo: l.asked, frames: frames}
}

// change is what an event did to a link.
type change struct {
	up, down bool  // down comes first
	take     bool  // the frames of the sheet are to be taken
	echo     int64 // our time that the other end has heard, 0 if it did not say
	answer   bool  // the other end should hear of us at once
}

// hear takes a sheet from the other end.
func (l *link) hear(s *sheet, now int64) (c change) {
	if s.from != l.theirs {
		if l.up {
			c.down = l.begin()
		}
		l.theirs, c.answer = s.from, true
	}
	l.last, l.asked = now, s.sent
	if s.to != l.mine { // it does not know us yet, or not any more
		c.answer = true
		return c
	}
	if len(s.frames) > 0 {
		l.heard++
	}
	if s.number != l.heard { // something was lost on the way
		return change{down: l.begin(), answer: true}
	}
	c.echo, c.up, c.take = s.echo, !l.up, len(s.frames) > 0
	l.up = true
	return c
}

// look ends a link of which nothing is heard.
func (l *link) look(now int64) (down bool) {
	if l.up && now-l.last > silence {
		return l.begin()
	}
	return false
}

// begin gives this end a new session and reports whether the link was up. The other end's is kept: it is still good if it
// hears of ours.
func (l *link) begin() (was bool) {
	was = l.up
	l.mine, l.said, l.heard, l.up = l.session(), 0, 0, false
	return was
}

const (
	sheetVersion = 1
	mostOwned    = MaxShards
	// language counts what nodes can say to one another. A node says nothing that is newer than what the one that it speaks
	// to announces, and understands all before its own.
	language = 4
	// wordLanguage is the first that says who owns what.
	wordLanguage = 4
	// leavingFlag is a bit of a sheet's flags. Unknown ones mean nothing.
	leavingFlag = 1
)

// languageOf is the language that has frames of a kind.
func languageOf(kind gateway.FrameKind) uint64 {
	switch {
	case kind >= gateway.FrameSeek:
		return 3
	case kind >= gateway.FrameAdopt:
		return 2
	}
	return 1
}

// appendSheet appends a sheet's encoding to dst: version (1), the length of the head (2), the head, and the frames as the rest. The
// head has the sessions, number, times, the shards that are owned, flags, the speaker's language, and what it knows of owners; who reads it skips what follows in it.
func appendSheet(dst []byte, s *sheet) []byte {
	dst = append(dst, sheetVersion, 0, 0)
	start := len(dst)
	for _, n := range []uint64{s.from, s.to, s.number, uint64(s.sent), uint64(s.echo), uint64(len(s.owns))} {
		dst = binary.AppendUvarint(dst, n)
	}
	for _, o := range s.owns {
		dst = binary.AppendUvarint(dst, uint64(o.shard))
		dst = binary.AppendUvarint(dst, o.epoch)
	}
	flags := uint64(0)
	if s.leaving {
		flags |= leavingFlag
	}
	dst = binary.AppendUvarint(dst, flags)
	dst = binary.AppendUvarint(dst, s.speaks)
	if s.speaks >= wordLanguage {
		dst = appendWords(dst, s.words)
	}
	binary.BigEndian.PutUint16(dst[start-2:], uint16(len(dst)-start))
	return append(dst, s.frames...)
}

func readSheet(b []byte) (*sheet, error) {
	if len(b) < 3 || b[0] != sheetVersion || int(binary.BigEndian.Uint16(b[1:])) > len(b)-3 {
		return nil, errBadRecord
	}
	head := 3 + int(binary.BigEndian.Uint16(b[1:]))
	d := decoder{b: b[3:head]}
	s := &sheet{from: d.uvarint(), to: d.uvarint(), number: d.uvarint(), sent: int64(d.uvarint()), echo: int64(d.uvarint())}
	n := d.uvarint()
	if n > mostOwned {
		return nil, errBadRecord
	}
	for range n {
		o := tenure{int(d.uvarint()), d.uvarint()}
		if o.shard < 0 || o.shard >= MaxShards {
			return nil, errBadRecord
		}
		s.owns = append(s.owns, o)
	}
	s.leaving, s.speaks = d.uvarint()&leavingFlag != 0, d.uvarint()
	if s.speaks >= wordLanguage {
		s.words = d.words()
	}
	if d.failed || s.from == 0 {
		return nil, errBadRecord
	}
	s.frames = b[head:]
	return s, nil
}

// framesIn reads all frames of a sheet.
func framesIn(b []byte) (all []*gateway.Frame, err error) {
	for len(b) > 0 {
		var f *gateway.Frame
		if f, b, err = nextFrame(b); err != nil {
			return nil, err
		}
		all = append(all, f)
	}
	return all, nil
}
