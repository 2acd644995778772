package wire

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
)

// readAll reads frames until an error, which is io.EOF when all went well.
func readAll(r *Reader) (frames []Frame, err error) {
	for {
		var f Frame
		if err := r.Next(&f); err != nil {
			return frames, err
		}
		frames = append(frames, f)
	}
}

func fields(namesAndValues ...string) gateway.Header {
	var h gateway.Header
	for i := 0; i < len(namesAndValues); i += 2 {
		h = append(h, gateway.Field{Name: namesAndValues[i], Value: namesAndValues[i+1]})
	}
	return h
}

func send(h gateway.Header, body string) Frame {
	f := Frame{Command: "SEND", Header: h}
	_, f.Length = h.Get("content-length")
	if body != "" {
		f.Body = []byte(body)
	}
	return f
}

type readCase struct {
	name     string
	versions []Version // all three when empty
	in       string
	want     []Frame
}

// run reads the case in one piece and byte by byte.
func (c readCase) run(t *testing.T) {
	versions := c.versions
	if len(versions) == 0 {
		versions = []Version{V10, V11, V12}
	}
	for _, v := range versions {
		for arrival, src := range map[string]io.Reader{
			"in one piece": strings.NewReader(c.in),
			"byte by byte": iotest.OneByteReader(strings.NewReader(c.in)),
			"with the end": iotest.DataErrReader(strings.NewReader(c.in)),
		} {
			t.Run(c.name+"/"+v.String()+"/"+arrival, func(t *testing.T) {
				r := NewReader(src, BeforeLogin())
				r.SetVersion(v)
				got, err := readAll(r)
				require.Equal(t, io.EOF, err)
				require.Equal(t, c.want, got)
				require.Zero(t, r.Buffered())
			})
		}
	}
}

func TestReaderFraming(t *testing.T) {
	ab := send(fields("a", "b"), "")
	for _, c := range []readCase{
		{name: "an empty stream has no frame", in: ""},
		{name: "heart-beats alone are no frame", in: "\n\n\r\n\n"},
		{name: "a frame needs no headers and no body", in: "DISCONNECT\n\n\x00", want: []Frame{{Command: "DISCONNECT"}}},
		{name: "lines end with LF", in: "SEND\na:b\n\nhello\x00", want: []Frame{send(fields("a", "b"), "hello")}},
		{name: "lines end with CRLF in every version", in: "SEND\r\na:b\r\n\r\nhello\x00\r\n", want: []Frame{send(fields("a", "b"), "hello")}},
		{name: "line ends may be mixed", in: "SEND\na:b\r\n\nhello\x00", want: []Frame{send(fields("a", "b"), "hello")}},
		{name: "CONNECT takes CRLF", in: "CONNECT\r\nlogin:me\r\n\r\n\x00", want: []Frame{{Command: "CONNECT", Header: fields("login", "me")}}},
		{name: "STOMP takes CRLF", in: "STOMP\r\nlogin:me\r\n\r\n\x00", want: []Frame{{Command: "STOMP", Header: fields("login", "me")}}},
		{name: "line ends before a command are skipped", in: "\n\r\n\nSEND\na:b\n\n\x00", want: []Frame{ab}},
		{name: "NULs before a command are skipped", in: "\x00\x00\n\x00SEND\na:b\n\n\x00", want: []Frame{ab}},
		{name: "two NULs after a body are skipped", in: "SEND\na:b\n\n\x00\x00SEND\na:b\n\n\x00\x00", want: []Frame{ab, ab}},
		{name: "blank lines of blanks are skipped", in: "  \n\t\nSEND\na:b\n\n\x00", want: []Frame{ab}},
		{name: "blanks around the command are trimmed", in: " SEND \t\na:b\n\n\x00", want: []Frame{ab}},
		{name: "blanks before a CRLF are trimmed from the command", in: "SEND \r\na:b\n\n\x00", want: []Frame{ab}},
		{name: "frames may follow back to back", in: "SEND\na:b\n\n1\x00SEND\na:b\n\n2\x00", want: []Frame{send(fields("a", "b"), "1"), send(fields("a", "b"), "2")}},
		{name: "an unknown command is a frame", in: "SED x\na:b\n\n\x00", want: []Frame{{Command: "SED x", Header: fields("a", "b")}}},
		{name: "commands are case-sensitive", in: "send\na:b\n\n\x00", want: []Frame{{Command: "send", Header: fields("a", "b")}}},
		{name: "a body without a length ends at the NUL", in: "SEND\n\na\r\nb\n\n:\\\x00", want: []Frame{send(nil, "a\r\nb\n\n:\\")}},
		{name: "4-byte UTF-8 survives", in: "SEND\nк\U0001F600:\U0001F680\n\n\U0001F600\x00", want: []Frame{send(fields("к\U0001F600", "\U0001F680"), "\U0001F600")}},
	} {
		c.run(t)
	}
}

func TestReaderHeaders(t *testing.T) {
	newer := []Version{V11, V12}
	for _, c := range []readCase{
		{name: "the first colon splits", in: "SEND\na:b:c\n\n\x00", want: []Frame{send(fields("a", "b:c"), "")}},
		{name: "a value may be empty", in: "SEND\na:\n\n\x00", want: []Frame{send(fields("a", ""), "")}},
		{name: "repeated headers stay in order", in: "SEND\na:1\nb:2\na:3\n\n\x00", want: []Frame{send(fields("a", "1", "b", "2", "a", "3"), "")}},
		{name: "a line without a colon is ignored", in: "SEND\nnothing\na:b\n\n\x00", want: []Frame{send(fields("a", "b"), "")}},
		{name: "a frame of such lines only has no headers", in: "SEND\nnothing\n\n\x00", want: []Frame{send(nil, "")}},
		{name: "values are trimmed in 1.0, names never", versions: []Version{V10}, in: "SEND\n a : \t b c \t \nd:   \n\n\x00", want: []Frame{send(fields(" a ", "b c", "d", ""), "")}},
		{name: "nothing is trimmed since 1.1", versions: newer, in: "SEND\n a\t: b c \t\n\n\x00", want: []Frame{send(fields(" a\t", " b c \t"), "")}},
		{name: "1.0 has no escapes", versions: []Version{V10}, in: "SEND\nn\\c:\\n\\c\\\\\\r\n\n\x00", want: []Frame{send(fields(`n\c`, `\n\c\\\r`), "")}},
		{name: "1.1 unescapes \\n, \\c and \\\\ and keeps \\r", versions: []Version{V11}, in: "SEND\na:1\\n2\\c3\\\\4\\r5\n\n\x00", want: []Frame{send(fields("a", "1\n2:3\\4\\r5"), "")}},
		{name: "1.2 unescapes \\r, too", versions: []Version{V12}, in: "SEND\na:1\\n2\\c3\\\\4\\r5\n\n\x00", want: []Frame{send(fields("a", "1\n2:3\\4\r5"), "")}},
		{name: "names are unescaped like values", versions: newer, in: "SEND\na\\cb\\n:1\n\n\x00", want: []Frame{send(fields("a:b\n", "1"), "")}},
		{name: "undefined escapes stay", versions: newer, in: "SEND\na:c1\\\\\\:\\n\\23\\t\\\n\n\x00", want: []Frame{send(fields("a", "c1\\\\:\n\\23\\t\\"), "")}},
		{name: "an escaped backslash begins no escape", versions: newer, in: "SEND\na:\\\\n\n\n\x00", want: []Frame{send(fields("a", `\n`), "")}},
		{name: "CONNECT is never unescaped", in: "CONNECT\npasscode:a\\n\\\\\\c\\r\n\n\x00", want: []Frame{{Command: "CONNECT", Header: fields("passcode", `a\n\\\c\r`)}}},
		{name: "STOMP is never unescaped", in: "STOMP\npasscode:a\\n\n\n\x00", want: []Frame{{Command: "STOMP", Header: fields("passcode", `a\n`)}}},
		{name: "CONNECTED is never unescaped", in: "CONNECTED\nsession:ID:a\\c1\n\n\x00", want: []Frame{{Command: "CONNECTED", Header: fields("session", `ID:a\c1`)}}},
	} {
		c.run(t)
	}
}

func TestReaderContentLength(t *testing.T) {
	length := func(command, n, body string) Frame {
		f := send(fields("content-length", n), body)
		f.Command = command
		return f
	}
	for _, c := range []readCase{
		{name: "a counted body may hold NULs and line ends", in: "SEND\ncontent-length:5\n\na\x00\n\x00b\x00", want: []Frame{length("SEND", "5", "a\x00\n\x00b")}},
		{name: "MESSAGE is counted", in: "MESSAGE\ncontent-length:2\n\n\x00a\x00", want: []Frame{length("MESSAGE", "2", "\x00a")}},
		{name: "ERROR is counted", in: "ERROR\ncontent-length:2\n\n\x00a\x00", want: []Frame{length("ERROR", "2", "\x00a")}},
		{name: "0 is a length", in: "SEND\ncontent-length:0\n\n\x00", want: []Frame{length("SEND", "0", "")}},
		{name: "blanks around the number do not matter", versions: []Version{V11, V12}, in: "SEND\ncontent-length: 1 \n\na\x00", want: []Frame{length("SEND", " 1 ", "a")}},
		{name: "the first of two counts", in: "SEND\ncontent-length:1\ncontent-length:x\n\na\x00", want: []Frame{send(fields("content-length", "1", "content-length", "x"), "a")}},
		{name: "counted frames follow back to back", in: "SEND\ncontent-length:1\n\n\x00\x00SEND\ncontent-length:1\n\n\n\x00", want: []Frame{length("SEND", "1", "\x00"), length("SEND", "1", "\n")}},
		{name: "on ACK it is ignored and stays", in: "ACK\ncontent-length:8511\n\n\x00DISCONNECT\n\n\x00", want: []Frame{
			{Command: "ACK", Header: fields("content-length", "8511")}, {Command: "DISCONNECT"}}},
		{name: "on SUBSCRIBE even nonsense is ignored", in: "SUBSCRIBE\ncontent-length:-x\n\n\x00", want: []Frame{
			{Command: "SUBSCRIBE", Header: fields("content-length", "-x")}}},
	} {
		c.run(t)
	}
}

func TestReaderRefuses(t *testing.T) {
	all, newer := []Version{V10, V11, V12}, []Version{V11, V12}
	for _, c := range []struct {
		name     string
		versions []Version
		strict   bool
		in       string
		want     string
	}{
		{"a negative length", all, false, "SEND\ncontent-length:-1\n\n\x00", "Specified content-length may not be negative"},
		{"a length below every integer", all, false, "SEND\ncontent-length:-99999999999999999999\n\n\x00", "Specified content-length may not be negative"},
		{"a length that is no number", all, false, "SEND\ncontent-length:1x\n\na\x00", "Specified content-length is not a valid integer [1x]"},
		{"an empty length", all, false, "SEND\ncontent-length:\n\na\x00", "Specified content-length is not a valid integer []"},
		{"a length above every integer", all, false, "SEND\ncontent-length:99999999999999999999\n\n\x00", "The maximum data length was exceeded"},
		{"a length above the limit", all, false, "SEND\ncontent-length:32769\n\n\x00", "The maximum data length was exceeded"},
		{"a counted body without a NUL after it", all, false, "SEND\ncontent-length:1\n\nab\x00", "content-length bytes were read and there was no trailing null byte"},
		{"a header without a name", all, false, "SEND\n:v\tw\n\n\x00", `Unable to parser header line [:v\tw]`},
		{"a long header without a name, shortened", all, false, "SEND\n:" + strings.Repeat("x", 100) + "\n\n\x00", "Unable to parser header line [:" + strings.Repeat("x", 63) + "...]"},
		{"a NUL in a header line", all, false, "SEND\na:b\x00c\n\n\x00", unexpectedNUL},
		{"a NUL after the last header line", all, false, "SEND\na:b\n\x00", unexpectedNUL},
		{"a NUL in the command line", all, false, "SEND\x00", unexpectedNUL},
		{"a carriage return in a value", all, false, "SEND\na:b\rc:d\n\n\x00", `Unexpected carriage return in header line [a:b\rc:d]`},
		{"a carriage return in a name", all, false, "SEND\na\rb:c\n\n\x00", `Unexpected carriage return in header line [a\rb:c]`},
		{"two carriage returns before a line feed", all, false, "SEND\na:b\r\r\n\n\x00", `Unexpected carriage return in header line [a:b\r]`},
		{"a carriage return in a command", all, false, "SEND\rX\n\n\x00", `Unexpected carriage return in command line [SEND\rX]`},
		{"when strict, a header line without a colon", all, true, "SEND\nab\n\n\x00", "Unable to parser header line [ab]"},
		{"when strict, an undefined escape in a value", newer, true, "SEND\na:is\\ttab\n\n\x00", `Undefined escape sequence in header line [a:is\ttab]`},
		{"when strict, an undefined escape in a name", newer, true, "SEND\na\\t:b\n\n\x00", `Undefined escape sequence in header line [a\t:b]`},
		{"when strict, a backslash at the end", newer, true, "SEND\na:b\\\n\n\x00", `Undefined escape sequence in header line [a:b\]`},
		{"when strict, \\r in 1.1", []Version{V11}, true, "SEND\na:\\r\n\n\x00", `Undefined escape sequence in header line [a:\r]`},
	} {
		for _, v := range c.versions {
			t.Run(c.name+"/"+v.String(), func(t *testing.T) {
				for _, src := range []io.Reader{strings.NewReader(c.in), iotest.OneByteReader(strings.NewReader(c.in))} {
					r := NewReader(src, BeforeLogin())
					r.SetVersion(v)
					r.SetStrict(c.strict)
					f := Frame{Command: "left over"}
					err := r.Next(&f)
					require.Equal(t, &Error{c.want}, err)
					require.Equal(t, Frame{}, f, "nothing of a refused frame is shown")
					require.Equal(t, err, r.Next(&f), "the stream cannot be read on")
				}
			})
		}
	}
}

func TestReaderStrictTakesWhatTheSpecificationAllows(t *testing.T) {
	for _, c := range []struct {
		in   string
		v    Version
		want gateway.Header
	}{
		{"SEND\na\\c:\\n\\\\\\r\n\n\x00", V12, fields("a:", "\n\\\r")},
		{"SEND\na:\\t\n\n\x00", V10, fields("a", `\t`)},
		{"STOMP\na:\\t\n\n\x00", V12, fields("a", `\t`)},
	} {
		r := NewReader(strings.NewReader(c.in), BeforeLogin())
		r.SetVersion(c.v)
		r.SetStrict(true)
		var f Frame
		require.NoError(t, r.Next(&f))
		require.Equal(t, c.want, f.Header)
	}
}

func TestReaderDoesNotWaitForTheLineEndAfterANUL(t *testing.T) {
	silent := iotest.ErrReader(errors.New("read on after the NUL"))
	for _, in := range []string{"SEND\x00", "SEND\na:b\x00", "SEND\na:b\x00\nSEND\nc:d"} {
		r := NewReader(io.MultiReader(strings.NewReader(in), silent), BeforeLogin())
		require.Equal(t, &Error{unexpectedNUL}, r.Next(new(Frame)), "%q", in)
	}
}

func TestReaderEndOfStream(t *testing.T) {
	whole := "SEND\na:b\ncontent-length:3\n\nxyz\x00"
	for cut := 1; cut < len(whole); cut++ {
		r := NewReader(strings.NewReader(whole[:cut]), BeforeLogin())
		require.Equal(t, io.ErrUnexpectedEOF, r.Next(new(Frame)), "cut after %q", whole[:cut])
	}
	uncounted := "SEND\n\nxyz"
	r := NewReader(strings.NewReader(uncounted), BeforeLogin())
	require.Equal(t, io.ErrUnexpectedEOF, r.Next(new(Frame)))

	large := "SEND\ncontent-length:200000\n\n" + strings.Repeat("x", 150000)
	r = NewReader(strings.NewReader(large), AfterLogin(1<<20))
	require.Equal(t, io.ErrUnexpectedEOF, r.Next(new(Frame)))
}

func TestReaderGivesTheErrorOfItsSourceAfterWhatCameBefore(t *testing.T) {
	broken := errors.New("broken")
	r := NewReader(io.MultiReader(strings.NewReader("SEND\n\n1\x00\nSEND\n\n2\x00SE"), iotest.ErrReader(broken)), BeforeLogin())
	frames, err := readAll(r)
	require.Len(t, frames, 2)
	require.Equal(t, broken, err)
	require.Equal(t, broken, r.Next(new(Frame)))
}

// idle returns nothing, again and again, as no io.Reader should.
type idle struct{}

func (idle) Read([]byte) (int, error) { return 0, nil }

// liar returns more than it was given room for.
type liar struct{}

func (liar) Read(p []byte) (int, error) { return len(p) + 1, nil }

func TestReaderSurvivesBadSources(t *testing.T) {
	require.Equal(t, io.ErrNoProgress, NewReader(idle{}, BeforeLogin()).Next(new(Frame)))
	require.Equal(t, errReadCount, NewReader(liar{}, BeforeLogin()).Next(new(Frame)))
}

func TestReaderVersionCountsFromTheNextFrameOn(t *testing.T) {
	frame := "SEND\na: \\r\\n\n\n\x00"
	r := NewReader(strings.NewReader(frame+frame+frame), BeforeLogin())
	var f Frame
	require.NoError(t, r.Next(&f))
	require.Equal(t, fields("a", `\r\n`), f.Header, "1.0 at first")
	r.SetVersion(V11)
	require.NoError(t, r.Next(&f))
	require.Equal(t, fields("a", " \\r\n"), f.Header)
	r.SetVersion(V12)
	require.NoError(t, r.Next(&f))
	require.Equal(t, fields("a", " \r\n"), f.Header)
}

func TestReaderBufferedIsZeroWhenOnlyNoiseIsLeft(t *testing.T) {
	r := NewReader(strings.NewReader("SEND\n\n1\x00\nSEND\n\n2\x00\r\n\x00\n"), BeforeLogin())
	var f Frame
	require.NoError(t, r.Next(&f))
	require.Equal(t, len("SEND\n\n2\x00\r\n\x00\n"), r.Buffered())
	require.NoError(t, r.Next(&f))
	require.Zero(t, r.Buffered())
}

func TestFramesKeepTheirMemory(t *testing.T) {
	stream := "SEND\na:first\n\nfirst\x00" + strings.Repeat("SEND\na:other\n\nother\x00", 10000)
	r := NewReader(strings.NewReader(stream), BeforeLogin())
	var first, f Frame
	require.NoError(t, r.Next(&first))
	for range 10000 {
		require.NoError(t, r.Next(&f))
	}
	require.Equal(t, send(fields("a", "first"), "first"), first)
	require.Equal(t, len(first.Body), cap(first.Body))
}
