package dispatch

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// A line behaves as a sorted slice does, at sizes that make its chunks grow,
// divide, shrink and go.
func TestLineIsASortedSlice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := newLine()
		var want []Entry
		next := uint64(1 << 20)
		add := func(e Entry) {
			l.add(e)
			at, _ := slices.BinarySearchFunc(want, e.Tag, byTag)
			want = slices.Insert(want, at, e)
		}
		remove := func(at int) {
			i, pos, ok := l.find(want[at].Tag)
			require.True(t, ok)
			require.Equal(t, want[at], l.removeAt(i, pos))
			want = slices.Delete(want, at, at+1)
		}
		expires := rapid.SampledFrom([]int64{0, 0, 0, 1, 2, 3, 50})
		t.Repeat(map[string]func(*rapid.T){
			"append": func(t *rapid.T) {
				n, every := rapid.IntRange(1, 700).Draw(t, "n"), rapid.IntRange(1, 9).Draw(t, "every")
				for i := range n {
					next += 10
					e := Entry{Tag: next, Seq: next * uint64(i%3)}
					if i%every == 0 {
						e.Expires = int64(i%4) + 1
					}
					add(e)
				}
			},
			"insert run": func(t *rapid.T) {
				tag := rapid.Uint64Range(1, next+1).Draw(t, "tag")
				for range rapid.IntRange(1, 300).Draw(t, "n") {
					if _, taken := slices.BinarySearchFunc(want, tag, byTag); !taken {
						add(Entry{Tag: tag, Seq: tag})
					}
					tag++
				}
				next = max(next, tag)
			},
			"insert scattered": func(t *rapid.T) {
				for range rapid.IntRange(1, 30).Draw(t, "n") {
					tag := rapid.Uint64Range(1, next).Draw(t, "tag")
					if _, taken := slices.BinarySearchFunc(want, tag, byTag); !taken {
						add(Entry{Tag: tag, Seq: tag, Expires: expires.Draw(t, "expires")})
					}
				}
			},
			"pop": func(t *rapid.T) {
				for range min(rapid.IntRange(1, 600).Draw(t, "n"), len(want)) {
					remove(0)
				}
			},
			"pop last": func(t *rapid.T) {
				for range min(rapid.IntRange(1, 300).Draw(t, "n"), len(want)) {
					remove(len(want) - 1)
				}
			},
			"remove scattered": func(t *rapid.T) {
				for range min(rapid.IntRange(1, 50).Draw(t, "n"), len(want)) {
					remove(rapid.IntRange(0, len(want)-1).Draw(t, "at"))
				}
			},
			"remove run": func(t *rapid.T) {
				at := rapid.IntRange(0, len(want)).Draw(t, "at")
				for range min(rapid.IntRange(1, 400).Draw(t, "n"), len(want)-at) {
					remove(at)
				}
			},
			"take due": func(t *rapid.T) {
				now := rapid.Int64Range(0, 3).Draw(t, "now")
				var taken, due []Entry
				l.takeDue(now, func(e Entry) { taken = append(taken, e) })
				want = slices.DeleteFunc(want, func(e Entry) bool {
					if e.Expires != 0 && e.Expires <= now {
						due = append(due, e)
						return true
					}
					return false
				})
				require.Equal(t, due, taken)
			},
			"set seq": func(t *rapid.T) {
				if len(want) == 0 {
					t.Skip()
				}
				at := rapid.IntRange(0, len(want)-1).Draw(t, "at")
				i, pos, ok := l.find(want[at].Tag)
				require.True(t, ok)
				next++
				l.setSeq(i, pos, next)
				want[at].Seq = next
			},
			"": func(t *rapid.T) {
				l.audit(t)
				var got []Entry
				l.all(func(e *Entry) bool { got = append(got, *e); return true })
				require.True(t, slices.Equal(want, got))
				_, _, ok := l.find(rapid.Uint64Range(2<<40, 3<<40).Draw(t, "absent"))
				require.False(t, ok)
				for _, c := range l.chunks {
					low := c.lowest()
					seqs := slices.DeleteFunc(seqsOf(c.buf[c.off:c.off+c.n]), func(s uint64) bool { return s == 0 })
					if len(seqs) == 0 {
						require.Zero(t, low)
					} else {
						require.Equal(t, slices.Min(seqs), low)
					}
				}
			},
		})
	})
}

func byTag(e Entry, tag uint64) int {
	switch {
	case e.Tag < tag:
		return -1
	case e.Tag > tag:
		return 1
	}
	return 0
}

func seqsOf(entries []Entry) []uint64 {
	seqs := make([]uint64, len(entries))
	for i := range entries {
		seqs[i] = entries[i].Seq
	}
	return seqs
}

// What was taken out of the middle must not go on costing whole chunks.
func TestLineShrinksInTheMiddle(t *testing.T) {
	l := newLine()
	const n = 100 * chunkFull
	for tag := range uint64(n) {
		l.add(Entry{Tag: tag + 1})
	}
	for tag := range uint64(n) {
		if tag%64 != 0 {
			i, pos, ok := l.find(tag + 1)
			require.True(t, ok)
			l.removeAt(i, pos)
		}
	}
	slots := 0
	for _, c := range l.chunks {
		slots += len(c.buf)
	}
	require.Equal(t, n/64, l.n)
	require.Less(t, slots, 5*l.n+2*chunkFull)
}
