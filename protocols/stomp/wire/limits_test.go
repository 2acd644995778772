package wire

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
)

// endless repeats a text for ever, or for a number of bytes, and counts what was read.
type endless struct {
	text string
	left int
	read int
}

func (e *endless) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) && e.left > 0 {
		c := copy(p[n:min(len(p), n+e.left)], e.text[e.read%len(e.text):])
		n, e.read, e.left = n+c, e.read+c, e.left-c
	}
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

// allocated returns how many bytes do allocates.
func allocated(do func()) int {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	do()
	runtime.ReadMemStats(&after)
	return int(after.TotalAlloc - before.TotalAlloc)
}

func TestLimitsBeforeAndAfterLogin(t *testing.T) {
	require.Equal(t, Limits{Command: 1024, HeaderLine: 10240, Headers: 128, Body: 32768, Frame: 65536}, BeforeLogin())
	require.Equal(t, Limits{Command: 1024, HeaderLine: 10240, Headers: 1000, Body: 5, Frame: 5 + 1<<20}, AfterLogin(5))
	require.Equal(t, 0, AfterLogin(-1).Body)
	require.Equal(t, math.MaxInt, AfterLogin(math.MaxInt).Frame)
}

func TestLimitsAreExact(t *testing.T) {
	limits := Limits{Command: 8, HeaderLine: 10, Headers: 2, Body: 5, Frame: 0}
	const (
		command = "The maximum command length was exceeded"
		line    = "The maximum header length was exceeded"
		headers = "The maximum number of headers was exceeded"
		data    = "The maximum data length was exceeded"
		frame   = "The maximum frame size was exceeded"
	)
	for _, c := range []struct {
		name  string
		frame int
		in    string
		want  string // empty when the frame is taken
	}{
		{"a command of the limit", 0, "12345678\n\n\x00", ""},
		{"a command of the limit before CRLF", 0, "12345678\r\n\r\n\x00", ""},
		{"a longer command", 0, "123456789\n\n\x00", command},
		{"a longer command before CRLF", 0, "123456789\r\n\r\n\x00", command},
		{"a longer command without an end", 0, "1234567890", command},
		{"a header line of the limit", 0, "SEND\n123:567890\n\n\x00", ""},
		{"a header line of the limit before CRLF", 0, "SEND\r\n123:567890\r\n\r\n\x00", ""},
		{"a longer header line", 0, "SEND\n123:5678901\n\n\x00", line},
		{"a longer header line without a colon", 0, "SEND\n12345678901\n\n\x00", line},
		{"a longer header line without an end", 0, "SEND\n123:56789012", line},
		{"as many headers as allowed", 0, "SEND\na:1\na:1\n\n\x00", ""},
		{"one header more", 0, "SEND\na:1\na:1\na:1\n\n\x00", headers},
		{"lines without a colon count", 0, "SEND\na\na\na\n\n\x00", headers},
		{"a body of the limit", 0, "SEND\n\n12345\x00", ""},
		{"a longer body", 0, "SEND\n\n123456\x00", data},
		{"a longer body without an end", 0, "SEND\n\n123456", data},
		{"a counted body of the limit", 0, "SEND\nl:\n\n12345\x00", ""},
		{"a frame of the limit", 15, "SEND\na:1\n\n12345\x00", ""},
		{"a frame over it by its body", 14, "SEND\na:1\n\n12345\x00", frame},
		{"a frame over it by a body without an end", 14, "SEND\na:1\n\n12345", frame},
		{"a frame of headers only", 10, "SEND\na:1\n\n\x00", ""},
		{"a frame over it by its headers", 9, "SEND\na:1\n\n\x00", frame},
		{"a frame over it by headers without an end", 8, "SEND\na:1", frame},
		{"a frame over it by its command", 4, "SEND\n\n\x00", frame},
	} {
		for arrival, src := range map[string]io.Reader{
			"in one piece": strings.NewReader(c.in),
			"byte by byte": iotest.OneByteReader(strings.NewReader(c.in)),
		} {
			t.Run(c.name+"/"+arrival, func(t *testing.T) {
				l := limits
				l.Frame = c.frame
				err := NewReader(src, l).Next(new(Frame))
				if c.want == "" {
					require.NoError(t, err)
					return
				}
				require.Equal(t, &Error{c.want}, err)
			})
		}
	}
}

func TestLimitsOfCountedBodies(t *testing.T) {
	l := BeforeLogin()
	l.Body, l.Frame = 5, 0
	require.NoError(t, NewReader(strings.NewReader("SEND\ncontent-length:5\n\n12345\x00"), l).Next(new(Frame)))
	require.Equal(t, &Error{"The maximum data length was exceeded"},
		NewReader(strings.NewReader("SEND\ncontent-length:6\n\n"), l).Next(new(Frame)), "before the body arrives")
	l.Frame = len("SEND\ncontent-length:5\n\n") + 4
	require.Equal(t, &Error{"The maximum frame size was exceeded"},
		NewReader(strings.NewReader("SEND\ncontent-length:5\n\n"), l).Next(new(Frame)), "before the body arrives")
}

func TestLimitsMayChangeBetweenFrames(t *testing.T) {
	long := "SEND\n\n" + strings.Repeat("x", 100) + "\x00"
	l := BeforeLogin()
	r := NewReader(strings.NewReader(long+long), l)
	require.NoError(t, r.Next(new(Frame)))
	l.Body = 99
	r.SetLimits(l)
	require.Equal(t, &Error{"The maximum data length was exceeded"}, r.Next(new(Frame)))
}

func TestAClaimedLengthCostsNoMemory(t *testing.T) {
	in := "SEND\ncontent-length:100000000\n\n0123456789"
	n := allocated(func() {
		r := NewReader(strings.NewReader(in), AfterLogin(100<<20))
		require.Equal(t, io.ErrUnexpectedEOF, r.Next(new(Frame)))
	})
	require.Less(t, n, 1<<20)
}

// A body that comes is read into memory of its size with little garbage beside it.
func TestALargeBodyLeavesLittleGarbage(t *testing.T) {
	for _, size := range []int{1 << 20, 10 << 20} {
		in := "SEND\ncontent-length:" + strconv.Itoa(size) + "\n\n" + strings.Repeat("x", size) + "\x00"
		n := allocated(func() {
			var f Frame
			require.NoError(t, NewReader(strings.NewReader(in), AfterLogin(100<<20)).Next(&f))
			require.Len(t, f.Body, size)
		})
		require.Less(t, n, size*8/5)
	}
}

func TestAnEndlessHeaderLineIsRefusedEarly(t *testing.T) {
	for name, prefix := range map[string]string{"command": "", "header": "SEND\na:"} {
		t.Run(name, func(t *testing.T) {
			src := &endless{text: "x", left: 50 << 20}
			var err error
			n := allocated(func() {
				err = NewReader(io.MultiReader(strings.NewReader(prefix), src), AfterLogin(1<<20)).Next(new(Frame))
			})
			require.IsType(t, &Error{}, err)
			require.LessOrEqual(t, src.read, 10<<10+maxBuffer)
			require.Less(t, n, 4*maxBuffer)
		})
	}
}

func TestTooManyHeadersAreRefusedEarly(t *testing.T) {
	src := &endless{text: "name:value\n", left: 100_000 * len("name:value\n")}
	r := NewReader(io.MultiReader(strings.NewReader("SEND\n"), src), AfterLogin(1<<20))
	require.Equal(t, &Error{"The maximum number of headers was exceeded"}, r.Next(new(Frame)))
	require.LessOrEqual(t, src.read, 1001*len("name:value\n")+maxBuffer)
}

func TestAnEndlessBodyIsRefusedAtTheLimit(t *testing.T) {
	src := &endless{text: "x", left: 50 << 20}
	n := allocated(func() {
		r := NewReader(io.MultiReader(strings.NewReader("SEND\n\n"), src), AfterLogin(1<<20))
		require.Equal(t, &Error{"The maximum data length was exceeded"}, r.Next(new(Frame)))
	})
	require.LessOrEqual(t, src.read, 1<<20+maxBuffer)
	require.Less(t, n, 3<<20)
}

func TestNoiseCostsNoMemory(t *testing.T) {
	for name, c := range map[string]struct {
		bytes int
		wrap  func(io.Reader) io.Reader
	}{
		"a flood":      {10 << 20, func(r io.Reader) io.Reader { return r }},
		"byte by byte": {1 << 20, iotest.OneByteReader},
	} {
		t.Run(name, func(t *testing.T) {
			src := &endless{text: "\n\r\n\x00 \t\n", left: c.bytes}
			frame := strings.NewReader("SEND\na:b\n\nhello\x00")
			var f Frame
			n := allocated(func() {
				r := NewReader(c.wrap(io.MultiReader(src, frame)), BeforeLogin())
				require.NoError(t, r.Next(&f))
			})
			require.Equal(t, send(fields("a", "b"), "hello"), f)
			require.Less(t, n, 4*maxBuffer)
		})
	}
}

func TestHeadersLargerThanTheBuffer(t *testing.T) {
	h := fields()
	for i := range 100 {
		h = append(h, fields("name-"+strconv.Itoa(i), strings.Repeat("v", 10000))...)
	}
	l := AfterLogin(1 << 20)
	in := AppendFrame(nil, V12, cmdSend, h, []byte("hello"))
	in = AppendFrame(in, V12, cmdSend, fields("a", "b"), []byte("next"))
	in = append(in, "SEND\n\n"...)
	r := NewReader(io.MultiReader(bytes.NewReader(in), strings.NewReader("last\x00")), l)
	frames, err := readAll(r)
	require.Equal(t, io.EOF, err)
	require.Equal(t, []Frame{send(h, "hello"), send(fields("a", "b"), "next"), send(nil, "last")}, frames)
	require.LessOrEqual(t, len(r.data), maxBuffer, "the large buffer is given back")

	l.Frame = 500_000
	r = NewReader(bytes.NewReader(in), l)
	require.Equal(t, &Error{"The maximum frame size was exceeded"}, r.Next(new(Frame)))
	require.LessOrEqual(t, len(r.data), 1<<20)
}

func TestBodiesOfAllSizes(t *testing.T) {
	const most = 1 << 20
	for _, size := range []int{1, minBuffer, wholeBody - 1, wholeBody, wholeBody + 1, firstBody - 1, firstBody, firstBody + 1, 3*firstBody + 7, most} {
		body := strings.Repeat("0123456789abcde\n", size/16+1)[:size]
		for arrival, wrap := range map[string]func(io.Reader) io.Reader{
			"whole": func(r io.Reader) io.Reader { return r },
			"half":  iotest.HalfReader,
			"bytes": iotest.OneByteReader,
		} {
			t.Run(strconv.Itoa(size)+"/"+arrival, func(t *testing.T) {
				uncounted, counted := fields("a", "b"), fields("content-length", strconv.Itoa(size))
				var in []byte
				in = AppendFrame(in, V12, cmdSend, uncounted, []byte(body))
				in = AppendFrame(in, V12, cmdSend, counted, []byte(body))
				in = AppendFrame(in, V12, cmdSend, uncounted, []byte("after"))
				frames, err := readAll(NewReader(wrap(bytes.NewReader(in)), AfterLogin(most)))
				require.Equal(t, io.EOF, err)
				require.Len(t, frames, 3)
				for _, f := range frames[:2] {
					require.True(t, body == string(f.Body), "the body changed")
					require.LessOrEqual(t, cap(f.Body), size+size/7+8, "memory for no use")
				}
				require.Equal(t, send(uncounted, "after"), frames[2])
			})
		}
	}
}

func TestTheBufferGrowsWithTheStreamAndShrinksWhenItIsQuiet(t *testing.T) {
	frames := strings.Repeat("SEND\na:b\n\nhello\x00", 20000)
	beats := strings.Repeat("\n", 1000)
	r := NewReader(io.MultiReader(strings.NewReader(frames), iotest.OneByteReader(strings.NewReader(beats+"SEND\n\n\x00"))), BeforeLogin())
	require.Len(t, r.data, minBuffer)
	var f Frame
	for range 20000 {
		require.NoError(t, r.Next(&f))
	}
	require.Len(t, r.data, maxBuffer)
	require.NoError(t, r.Next(&f))
	require.Len(t, r.data, minBuffer)
}

// A client that has nothing to send but heart-beats must not keep the buffer of what it sent before.
func TestAHeartBeatAloneGivesTheBufferBack(t *testing.T) {
	for _, beat := range []string{"\n", "\r\n"} {
		burst := strings.NewReader(strings.Repeat("SEND\na:b\n\nhello\x00", 20000))
		r := NewReader(io.MultiReader(burst, strings.NewReader(beat), strings.NewReader("SEND\n\n\x00")), BeforeLogin())
		var f Frame
		for range 20000 {
			require.NoError(t, r.Next(&f))
		}
		require.Len(t, r.data, maxBuffer)
		require.NoError(t, r.Next(&f))
		require.Len(t, r.data, minBuffer)
	}
}

// Small frames that come one by one let it shrink, too, step by step.
func TestTheBufferShrinksWhileLittleComes(t *testing.T) {
	burst := strings.NewReader(strings.Repeat("SEND\na:b\n\nhello\x00", 20000))
	r := NewReader(io.MultiReader(burst, iotest.OneByteReader(strings.NewReader(strings.Repeat("ACK\nid:1\n\n\x00", 100)))), BeforeLogin())
	var f Frame
	for range 20100 {
		require.NoError(t, r.Next(&f))
	}
	require.Len(t, r.data, minBuffer)
}

// Frames stay what they are when the buffer that they came in belongs to somebody else.
func TestFramesOutliveBorrowedBuffers(t *testing.T) {
	var lent Buffers
	var all []Frame
	stream := func(i int) string {
		return strings.Repeat(fmt.Sprintf("SEND\nfrom:%d\n\n%s\x00", i, strings.Repeat(strconv.Itoa(i), 700)), 3)
	}
	for i := range 50 {
		r := NewReader(strings.NewReader(stream(i)), BeforeLogin())
		r.Borrow(&lent)
		for range 3 {
			var f Frame
			require.NoError(t, r.Next(&f))
			all = append(all, f)
		}
		require.Greater(t, len(r.data), minBuffer, "it has borrowed one")
		r.Close()
		require.Error(t, r.Next(new(Frame)))
	}
	for i, f := range all {
		from, _ := f.Header.Get("from")
		require.Equal(t, strconv.Itoa(i/3), from)
		require.Equal(t, strings.Repeat(from, 700), string(f.Body))
	}
}
