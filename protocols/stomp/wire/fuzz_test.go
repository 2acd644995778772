package wire

import (
	"bytes"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
)

// withLength returns the header as AppendFrame writes it: with the true length.
func withLength(h gateway.Header, n int) gateway.Header {
	h = slices.Clone(h)
	for i := range h {
		if h[i].Name == contentLength {
			h[i].Value = strconv.Itoa(n)
		}
	}
	return h
}

// requireWithin fails when the frame is larger than the limits allow.
func requireWithin(t *testing.T, l Limits, f Frame) {
	sum := len(f.Command) + len(f.Body)
	require.LessOrEqual(t, len(f.Command), l.Command)
	require.LessOrEqual(t, len(f.Header), l.Headers)
	for _, field := range f.Header {
		line := len(field.Name) + len(field.Value)
		require.Less(t, line, l.HeaderLine, "with its colon it is at most equal")
		require.NotEmpty(t, field.Name)
		sum += line
	}
	require.LessOrEqual(t, len(f.Body), l.Body)
	require.LessOrEqual(t, sum, l.frame())
}

func FuzzReader(f *testing.F) {
	for _, seed := range []string{
		"",
		"\n\r\n\x00CONNECT\r\naccept-version:1.0,1.1,1.2\r\nhost:/\r\npasscode:a\\nb\r\n\r\n\x00\r\n",
		"SEND\ndestination:/queue/a\n\nhello\x00\x00\nSEND\ndestination:/queue/a\ncontent-length:5\n\n\x00\n\x00\r:\x00",
		"SEND\na:1\\n2\\c3\\\\4\\r5\\t6\\\nnocolon\n b : c \na:2\n\n\x00",
		"ACK\ncontent-length:8511\nid:ID\\c1\n\n\x00",
		"SEND\ncontent-length:-1\n\n\x00", "SEND\ncontent-length:99999999999\n\nabc", "SEND\ncontent-length:x\n\n\x00",
		"SEND\ncontent-length:+3\n\nabc\x00", "SEND\ncontent-length:2\n\nabc\x00",
		"SEND\nnocolon\n\n\x00", "SEND\n:empty\n\n\x00", "SEND\na:b\rc\n\n\x00", "SEND\na:\x00\n\n\x00", "SEND\na:\x00\nb", "SED \t\r\n\r\n\x00",
		"SEND\n\n" + strings.Repeat("x", 40<<10) + "\x00",
		"MESSAGE\ncontent-length:70000\n\n" + strings.Repeat("\x00", 70000) + "\x00",
		"SEND\n" + strings.Repeat("name:value\n", 200) + "\n\x00",
		strings.Repeat("c", 2000),
	} {
		for v := V10; v <= V12; v++ {
			f.Add([]byte(seed), byte(v), v == V12, uint32(1<<20))
			f.Add([]byte(seed), byte(v), false, uint32(50))
		}
	}
	f.Fuzz(func(t *testing.T, in []byte, version byte, strict bool, scale uint32) {
		v := Version(version%3) + V10
		l := AfterLogin(int(scale % (2 << 20)))
		if scale%2 == 0 {
			n := int(scale % 1000)
			l = Limits{Command: n % 20, HeaderLine: n % 100, Headers: n % 7, Body: n, Frame: n / 3 * 4}
		}
		read := func(src io.Reader) ([]Frame, error) {
			r := NewReader(src, l)
			r.SetVersion(v)
			r.SetStrict(strict)
			r.SetRoom(func(n int) error {
				require.LessOrEqual(t, n, l.frame())
				return nil
			})
			return readAll(r)
		}
		var frames []Frame
		var err error
		taken := allocated(func() { frames, err = read(bytes.NewReader(in)) })
		// A header line of two bytes costs a field of 32; a frame of three (in
		// this test's list) 72 and more, while that list grows.
		require.Less(t, taken, 8*maxBuffer+100*len(in), "memory follows what arrived")
		slowly, slowErr := read(iotest.OneByteReader(bytes.NewReader(in)))
		require.Equal(t, frames, slowly, "arrival does not matter")
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			require.Equal(t, err, slowErr)
		} else {
			require.IsType(t, &Error{}, err)
			require.IsType(t, &Error{}, slowErr)
		}
		r := NewReader(bytes.NewReader(in), l)
		r.SetVersion(v)
		r.SetStrict(strict)
		r.SetRoom(func(int) error { return io.ErrShortBuffer })
		small, smallErr := readAll(r)
		require.LessOrEqual(t, len(small), len(frames))
		require.True(t, len(small) == len(frames) || smallErr == io.ErrShortBuffer, "what is small needs no room")
		for i, frame := range small {
			require.Equal(t, frames[i], frame)
			require.LessOrEqual(t, len(frame.Body), maxBuffer)
		}
		for _, frame := range frames {
			requireWithin(t, l, frame)
			out := AppendFrame(nil, v, frame.Command, frame.Header, frame.Body)
			r := NewReader(bytes.NewReader(out), Limits{Command: math.MaxInt, HeaderLine: math.MaxInt, Headers: math.MaxInt, Body: math.MaxInt})
			r.SetVersion(v)
			r.SetStrict(true)
			again, err := readAll(r)
			require.Equal(t, io.EOF, err)
			frame.Header = withLength(frame.Header, len(frame.Body))
			require.Equal(t, []Frame{frame}, again)
		}
	})
}

func FuzzEscape(f *testing.F) {
	for _, seed := range []string{"", "plain", "\\", `\\`, `\n\c\\\r\t`, "a:b\nc\rd\x00", `c1\:\n\23`, "к\U0001F600"} {
		f.Add(seed, seed)
	}
	f.Fuzz(func(t *testing.T, name, value string) {
		for v := V10; v <= V12; v++ {
			text, ok := unescape(value, v)
			require.LessOrEqual(t, len(text), len(value))
			if !strings.Contains(value, `\`) {
				require.True(t, ok)
				require.Equal(t, value, text)
			}
			for _, line := range [][]byte{AppendField(nil, v, name, value), AppendFieldRaw(nil, name, value)} {
				if name == "" {
					require.Empty(t, line)
					continue
				}
				require.Equal(t, len(line)-1, bytes.IndexByte(line, '\n'), "one line")
				require.Equal(t, -1, bytes.IndexAny(line, "\r\x00"))
			}
		}
		// NUL has no escape; a carriage return has none in 1.1.
		wanted := strings.ReplaceAll(value, "\x00", " ")
		escaped := string(appendText(nil, value, escapes))
		got, ok := unescape(escaped, V12)
		require.True(t, ok)
		require.Equal(t, wanted, got)
		got, ok = unescape(escaped, V11)
		require.Equal(t, !strings.Contains(value, "\r"), ok)
		require.Equal(t, strings.ReplaceAll(wanted, "\r", `\r`), got)
	})
}
