package wire

import (
	"bytes"
	"io"
	"strconv"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sluice-mq/sluice/gateway"
)

func TestAppendFrame(t *testing.T) {
	for _, c := range []struct {
		name    string
		v       Version
		command string
		h       gateway.Header
		body    string
		want    string
	}{
		{"a frame ends with NUL and LF", V12, "RECEIPT", fields("receipt-id", "1"), "", "RECEIPT\nreceipt-id:1\n\n\x00\n"},
		{"a text body has no length", V12, "MESSAGE", fields("a", "b"), "hello", "MESSAGE\na:b\n\nhello\x00\n"},
		{"a length is sent where it is asked for, and right", V12, "MESSAGE", fields("content-length", "999", "a", "b"), "hello", "MESSAGE\ncontent-length:5\na:b\n\nhello\x00\n"},
		{"a length of 0 is sent", V12, "MESSAGE", fields("content-length", "0"), "", "MESSAGE\ncontent-length:0\n\n\x00\n"},
		{"a body with a NUL gets a length", V10, "MESSAGE", fields("a", "b"), "1\x00SEND", "MESSAGE\na:b\ncontent-length:6\n\n1\x00SEND\x00\n"},
		{"headers are escaped", V12, "ERROR", fields("receipt-id", "a:b"), "", "ERROR\nreceipt-id:a\\cb\n\n\x00\n"},
		{"CONNECTED is never escaped", V12, "CONNECTED", fields("session", `ID:a\1`), "", "CONNECTED\nsession:ID:a\\1\n\n\x00\n"},
		{"CONNECTED cannot be forged either", V12, "CONNECTED", fields("se:ss\nion", "a\r\nb\x00c"), "", "CONNECTED\nse ss ion:a  b c\n\n\x00\n"},
		{"CONNECT is never escaped", V12, "CONNECT", fields("passcode", `a:\n`), "", "CONNECT\npasscode:a:\\n\n\n\x00\n"},
		{"STOMP is never escaped", V12, "STOMP", fields("passcode", `a:\n`), "", "STOMP\npasscode:a:\\n\n\n\x00\n"},
		{"a command cannot end early", V12, "A\nb:c\x00", nil, "", "A b:c \n\n\x00\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			require.Equal(t, c.want, string(AppendFrame(nil, c.v, c.command, c.h, []byte(c.body))))
			require.Equal(t, "before"+c.want, string(AppendFrame([]byte("before"), c.v, c.command, c.h, []byte(c.body))))
		})
	}
}

func TestAppendField(t *testing.T) {
	const odd = "1\n2\r3:4\\5\x006"
	for _, c := range []struct {
		name string
		got  []byte
		want string
	}{
		{"1.2 escapes names and values", AppendField(nil, V12, odd, odd), `1\n2\r3\c4\\5 6:1\n2\r3\c4\\5 6` + "\n"},
		{"1.1 does, and lets no carriage return through", AppendField(nil, V11, odd, odd), `1\n2\r3\c4\\5 6:1\n2\r3\c4\\5 6` + "\n"},
		{"1.0 keeps colons in values and backslashes", AppendField(nil, V10, odd, odd), `1\n2\r3\c4\5 6:1\n2\r3:4\5 6` + "\n"},
		{"raw fields get blanks", AppendFieldRaw(nil, odd, odd), `1 2 3 4\5 6:1 2 3:4\5 6` + "\n"},
		{"an empty value is a value", AppendField(nil, V12, "a", ""), "a:\n"},
		{"a field without a name is not written", AppendField(nil, V12, "", "b"), ""},
		{"a raw field without a name is not written", AppendFieldRaw(nil, "", "b"), ""},
		{"bytes above ASCII are left alone", AppendField(nil, V12, "к\U0001F600", "\xff\t"), "к\U0001F600:\xff\t\n"},
	} {
		t.Run(c.name, func(t *testing.T) { require.Equal(t, c.want, string(c.got)) })
	}
}

func TestAppendFrameAllocatesRoomOnce(t *testing.T) {
	h, body := sampleHeader(), sampleBody()
	require.LessOrEqual(t, testing.AllocsPerRun(100, func() { AppendFrame(nil, V12, cmdMessage, h, body) }), 1.0)
	dst := make([]byte, 0, 4096)
	require.Zero(t, testing.AllocsPerRun(100, func() { dst = AppendFrame(dst[:0], V12, cmdMessage, h, body) }))
}

func TestNextAllocatesTheFrameOnly(t *testing.T) {
	stream := bytes.Repeat(AppendFrame(nil, V12, cmdSend, sampleHeader(), sampleBody()), 2000)
	r := NewReader(bytes.NewReader(stream), AfterLogin(1<<20))
	r.SetVersion(V12)
	var f Frame
	for range 500 { // until the buffer has its size
		require.NoError(t, r.Next(&f))
	}
	// The header lines, the fields, the body.
	require.LessOrEqual(t, testing.AllocsPerRun(1000, func() { _ = r.Next(&f) }), 3.0)
	require.Equal(t, sampleHeader(), f.Header)
}

// texts draws texts of all bytes but some, rich in those that matter.
func texts(without string) *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		special := rapid.SampledFrom([]byte(":\\\n\r nrc\t\x00"))
		b := rapid.SliceOf(rapid.OneOf(special, special, rapid.Byte())).Draw(t, "text")
		for i := range b {
			if bytes.IndexByte([]byte(without), b[i]) >= 0 {
				b[i] = 'x'
			}
		}
		return string(b)
	})
}

func TestWhatIsWrittenIsReadBack(t *testing.T) {
	commands := rapid.SampledFrom([]string{"SEND", "MESSAGE", "ERROR", "ACK", "RECEIPT", "CONNECT", "STOMP", "CONNECTED", "ODD"})
	for _, c := range []struct {
		v                     Version
		notInNames, notInText string
	}{
		{V10, "\x00\n\r:", "\x00\n\r \t"}, // no escapes, and values are trimmed
		{V11, "\x00\r", "\x00\r"},
		{V12, "\x00", "\x00"},
	} {
		t.Run(c.v.String(), rapid.MakeCheck(func(t *rapid.T) {
			command := commands.Draw(t, "command")
			notInNames, notInText := c.notInNames, c.notInText
			if unescaped(command) {
				notInNames, notInText = notInNames+"\n\r:", notInText+"\n\r"
			}
			var h gateway.Header
			for range rapid.IntRange(0, 5).Draw(t, "fields") {
				name := "n" + texts(notInNames).Draw(t, "name")
				h = append(h, gateway.Field{Name: name, Value: texts(notInText).Draw(t, "value")})
			}
			var body []byte
			if counted(command) {
				body = rapid.SliceOf(rapid.Byte()).Draw(t, "body")
				h = append(h, fields("content-length", strconv.Itoa(len(body)))...)
			} else {
				body = []byte(texts("\x00").Draw(t, "body"))
			}
			if len(body) == 0 {
				body = nil
			}
			want := Frame{Command: command, Header: h, Body: body, Length: counted(command)}
			in := AppendFrame(nil, c.v, command, h, body)
			in = append(in, in...)
			for _, src := range []io.Reader{bytes.NewReader(in), iotest.OneByteReader(bytes.NewReader(in))} {
				r := NewReader(src, AfterLogin(1<<20))
				r.SetVersion(c.v)
				r.SetStrict(true)
				got, err := readAll(r)
				require.Equal(t, io.EOF, err)
				require.Equal(t, []Frame{want, want}, got)
			}
		}))
	}
}

func TestNoTextCanForgeAFrame(t *testing.T) {
	for _, v := range []Version{V10, V11, V12} {
		t.Run(v.String(), rapid.MakeCheck(func(t *rapid.T) {
			name, value := "n"+texts("").Draw(t, "name"), texts("").Draw(t, "value")
			command := rapid.SampledFrom([]string{"MESSAGE", "CONNECTED"}).Draw(t, "command")
			body := []byte(texts("").Draw(t, "body"))
			if unescaped(command) {
				body = nil
			}
			h := fields("first", "1", name, value, "last", "2")
			r := NewReader(bytes.NewReader(AppendFrame(nil, v, command, h, body)), AfterLogin(1<<20))
			r.SetVersion(v)
			got, err := readAll(r)
			require.Equal(t, io.EOF, err)
			require.Len(t, got, 1)
			fieldsGot := got[0].Header
			if n := len(fieldsGot); fieldsGot[n-1].Name == contentLength {
				fieldsGot = fieldsGot[:n-1]
			}
			require.Len(t, fieldsGot, 3)
			require.Equal(t, fields("first", "1"), fieldsGot[:1])
			require.Equal(t, fields("last", "2"), fieldsGot[2:])
			require.Equal(t, string(body), string(got[0].Body))
		}))
	}
}
