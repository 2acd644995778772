package stomp

import (
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// through sends frame in one version and returns how a subscriber of another sees it.
func through(t *testing.T, from, to, frame string) reply {
	t.Helper()
	s := start(t, newFakeBroker())
	sub := login(t, s, to)
	sub.send("SUBSCRIBE\nid:0\ndestination:/queue/a\nreceipt:r\n\n^")
	sub.expectReceipt("r")
	login(t, s, from).send(frame)
	return sub.expect("MESSAGE")
}

func TestB2Row32CarriageReturns(t *testing.T) {
	s := start(t, newFakeBroker())
	c := dial(t, s)
	c.send("CONNECT\r\naccept-version:1.2\r\n\r\n^\r\n")
	c.expect("CONNECTED")
	c.send("SUBSCRIBE\r\nid:0\r\ndestination:/queue/a\r\n\r\n^\r\nSEND\r\ndestination:/queue/a\r\nk:v\r\n\r\nhi^\r\n")
	m := c.expect("MESSAGE")
	require.Equal(t, "v", m.get("k"))
	require.Equal(t, "hi", m.body)
}

func TestB2Rows33And55And61NoiseBetweenFrames(t *testing.T) {
	s := start(t, newFakeBroker())
	c := dial(t, s)
	c.send("\n\n^\nCONNECT\n\n^\n^^\n")
	c.expect("CONNECTED")
	c.send("\n\nSEND\ndestination:/queue/a\nreceipt:1\n\nx^^\n\n^\nSEND\ndestination:/queue/a\nreceipt:2\n\nx^\n\n")
	c.expectReceipt("1")
	c.expectReceipt("2")
}

func TestB2Row34ByteByByte(t *testing.T) {
	c := login(t, start(t, newFakeBroker()), "1.1")
	for _, b := range []byte("SEND\ndestination:/queue/a\ncontent-length:3\nreceipt:slow\n\na\x00b\x00") {
		_, err := c.nc.Write([]byte{b})
		require.NoError(t, err)
	}
	c.expectReceipt("slow")
}

func TestB2Rows35And36UnknownCommand(t *testing.T) {
	s := start(t, newFakeBroker())
	for _, command := range []string{"SED", "SENDXYZ", "SUBSCRIBER", "send", strings.Repeat("X", 1000)} {
		c := login(t, s, "1.1")
		c.send(command + "\ndestination:/queue/a\nreceipt:r\n\nbody^")
		r := c.expectError("Unknown STOMP action: " + quote(command))
		require.Equal(t, "r", r.get("receipt-id"))
		require.Equal(t, "1.0,1.1,1.2", r.get("version"))
		c.expectClosed()
	}
}

func TestA1ShortCommands(t *testing.T) {
	c := login(t, start(t, newFakeBroker()), "1.0")
	c.send("SUB\ndestination:/queue/a\nreceipt:1\n\n^UNSUB\ndestination:/queue/a\nreceipt:2\n\n^")
	c.expectReceipt("1")
	c.expectReceipt("2")
}

func TestB2Rows37To39Blanks(t *testing.T) {
	frame := "SEND\ndestination:/queue/a\nk: v \t\n\n^"
	require.Equal(t, "v", through(t, "1.0", "1.2", frame).get("k"))
	require.Equal(t, " v \t", through(t, "1.1", "1.2", frame).get("k"))
	require.Equal(t, " v \t", through(t, "1.2", "1.2", frame).get("k"))
	require.Equal(t, " v ", through(t, "1.2", "1.2", "SEND\ndestination:/queue/a\n k : v \n\n^").get(" k "))
}

func TestB2Rows40To44And64Escapes(t *testing.T) {
	frame := "SEND\ndestination:/queue/a\nk:\\\\1\\c2\\n3\n\n^"
	require.Equal(t, `\\1\c2\n3`, through(t, "1.2", "1.2", frame).get("k"))
	require.Equal(t, `\\1\c2\n3`, through(t, "1.1", "1.1", frame).get("k"))
	require.Equal(t, `\\1\c2\n3`, through(t, "1.0", "1.0", frame).get("k"), "1.0 is kept literally")
	require.Equal(t, `\1:2\n3`, through(t, "1.2", "1.0", frame).get("k"), "no line can be smuggled into 1.0")
	require.Equal(t, `\r`, through(t, "1.2", "1.2", "SEND\ndestination:/queue/a\nk:\\r\n\n^").get("k"))
	require.Equal(t, `\\r`, through(t, "1.1", "1.1", "SEND\ndestination:/queue/a\nk:\\r\n\n^").get("k"))
	// Row 41 and 44: what is no escape stays.
	require.Equal(t, `c1\\\c\n\\23`, through(t, "1.1", "1.1", "SEND\ndestination:/queue/a\nk:c1\\:\\n\\23\n\n^").get("k"))
	require.Equal(t, `\\value\c`, through(t, "1.1", "1.1", "SEND\ndestination:/queue/a\nk:\\value:\n\n^").get("k"))
	// Row 43: names too.
	require.Equal(t, "v", through(t, "1.2", "1.2", "SEND\ndestination:/queue/a\na\\cb:v\n\n^").get(`a\cb`))
}

func TestB2Row42UndefinedEscapeInStrictMode(t *testing.T) {
	c := login(t, start(t, newFakeBroker(), strict), "1.2")
	c.send("SEND\ndestination:/queue/a\nk:is\\ttab\n\n^")
	c.expect("ERROR")
	c.expectClosed()
}

func TestB2Row45FirstOfRepeatedHeadersWins(t *testing.T) {
	m := through(t, "1.1", "1.2", "SEND\ndestination:/queue/a\ndestination:/queue/b\nk:1\nk:2\npriority:7\npriority:2\n\n^")
	require.Equal(t, 1, strings.Count(strings.Join(m.lines, "\n"), "k:"))
	require.Equal(t, "1", m.get("k"))
	require.Equal(t, "7", m.get("priority"))
	many := "SEND\ndestination:/queue/a\n" + strings.Repeat("x:1\ny:2\n", 40) + "\n^"
	require.Len(t, through(t, "1.1", "1.2", many).lines, 8)
}

func TestB2Row46EmptyHeaderName(t *testing.T) {
	c := login(t, start(t, newFakeBroker()), "1.1")
	c.send("SEND\ndestination:/queue/a\n:v\n\n^")
	require.Contains(t, c.expect("ERROR").body, "header line")
	c.expectClosed()
}

func TestB2Rows47And48ContentLength(t *testing.T) {
	s := start(t, newFakeBroker())
	c := login(t, s, "1.1")
	c.send("SUBSCRIBE\nid:0\ndestination:/queue/a\n\n^" +
		"SEND\ndestination:/queue/a\ncontent-length:3\n\na^b^SEND\ndestination:/queue/a\ncontent-length:3\n\n^^^^" +
		"SEND\ndestination:/queue/a\ncontent-length:0\n\n^SEND\ndestination:/queue/a\n\ntext^")
	for _, want := range [][2]string{{"3", "a\x00b"}, {"3", "\x00\x00\x00"}, {"0", ""}, {"", "text"}} {
		m := c.expect("MESSAGE")
		require.Equal(t, want[0], m.get("content-length"))
		require.Equal(t, want[1], m.body)
	}
}

func TestA1BytesOrText(t *testing.T) {
	for frame, length := range map[string]string{
		"amq-msg-type:text\ncontent-length:2\n\nhi^": "",
		"amq-msg-type:TEXT\ncontent-length:2\n\n^i^": "2", // could not be framed otherwise
		"amq-msg-type:bytes\n\nhi^":                  "2",
	} {
		require.Equal(t, length, through(t, "1.1", "1.1", "SEND\ndestination:/queue/a\n"+frame).get("content-length"), frame)
	}
	c := login(t, start(t, newFakeBroker()), "1.1")
	c.send("SEND\ndestination:/queue/a\namq-msg-type:map\nreceipt:r\n\nhi^")
	require.Equal(t, "r", c.expectError("Unsupported message type 'map'").get("receipt-id"))
	c.expectAlive()
}

func TestB2Row49StaleContentLengthOnAckIsIgnored(t *testing.T) {
	c := login(t, start(t, newFakeBroker()), "1.0")
	c.send("SUBSCRIBE\ndestination:/queue/a\nack:client\n\n^SEND\ndestination:/queue/a\n\nx^")
	id := c.expect("MESSAGE").get("message-id")
	c.send("ACK\nmessage-id:" + id + "\ncontent-length:8511\nreceipt:r\n\n^")
	c.expectReceipt("r")
}

func TestB2Rows50And53And54Limits(t *testing.T) {
	s := start(t, newFakeBroker(), func(cfg *Config) { cfg.Limits.Body = 1000 })
	for frame, words := range map[string]string{
		"SEND\ndestination:/queue/a\ncontent-length:-1\n\nx^":                           "content-length may not be negative",
		"SEND\ndestination:/queue/a\ncontent-length:x\n\nx^":                            "content-length",
		"SEND\ndestination:/queue/a\ncontent-length:1001\n\n":                           "maximum",
		"SEND\ndestination:/queue/a\n\n" + strings.Repeat("x", 2000):                    "maximum",
		"SEND\ndestination:/queue/a\nk:" + strings.Repeat("x", 11000) + "\n\n^":         "maximum header length",
		strings.Repeat("S", 2000) + "\n\n^":                                             "maximum command length",
		"SEND\ndestination:/queue/a\n" + strings.Repeat("k:v\n", 1100) + "\n^":          "maximum number of headers",
		"SEND\ndestination:/queue/a\ncontent-length:2\n\nxyz^":                          "",
		"SEND\ndestination:/queue/a\n" + strings.Repeat("k\x00:v\n", 1) + "\n^":         "NUL",
		"SEND\ndestination:/queue/a\ncontent-length:99999999999999999999999999\n\nxyz^": "maximum",
	} {
		c := login(t, s, "1.1")
		_, _ = io.WriteString(c.nc, strings.ReplaceAll(frame, "^", "\x00"))
		r := c.expect("ERROR")
		require.Contains(t, strings.ToLower(r.body), strings.ToLower(words))
		c.expectClosed()
	}
	c := login(t, s, "1.1")
	c.send("SEND\ndestination:/queue/a\nreceipt:r\n\n" + strings.Repeat("x", 1000) + "^")
	c.expectReceipt("r")
}

func TestLimitsBeforeLoginAreSmall(t *testing.T) {
	s := start(t, newFakeBroker())
	c := dial(t, s)
	_, _ = io.WriteString(c.nc, "CONNECT\n"+strings.Repeat("k:"+strings.Repeat("v", 8000)+"\n", 100))
	require.Contains(t, c.expect("ERROR").body, "maximum frame size")
	c.expectClosed()
}

func TestB2Rows51And56And62UTF8(t *testing.T) {
	m := through(t, "1.1", "1.2", "SEND\ndestination:/queue/a\nключ:значение\n\n🐘 𝄞^")
	require.Equal(t, "значение", m.get("ключ"))
	require.Equal(t, "🐘 𝄞", m.body)
}

func TestB2Row52BigBodies(t *testing.T) {
	for _, size := range []int{directBody - 1, directBody, 3 << 20} {
		body := strings.Repeat("0123456789abcdef", size/16)
		s := start(t, newFakeBroker())
		c := login(t, s, "1.1")
		c.send("SUBSCRIBE\nid:0\ndestination:/queue/a\n\n^SEND\ndestination:/queue/a\n\nbefore^")
		c.send("SEND\ndestination:/queue/a\n\n" + body + "^SEND\ndestination:/queue/a\n\nafter^")
		require.Equal(t, "before", c.expect("MESSAGE").body)
		require.Equal(t, body, c.expect("MESSAGE").body)
		require.Equal(t, "after", c.expect("MESSAGE").body)
	}
}

func TestB2Row57ContentType(t *testing.T) {
	require.Equal(t, "application/json", through(t, "1.1", "1.1", "SEND\ndestination:/queue/a\ncontent-type:application/json\n\n{}^").get("content-type"))
	require.False(t, through(t, "1.1", "1.1", "SEND\ndestination:/queue/a\n\n{}^").has("content-type"))
}

func TestB2Row58TextWithoutLength(t *testing.T) {
	m := through(t, "1.2", "1.2", "SEND\ndestination:/queue/a\n\njust text^")
	require.False(t, m.has("content-length"))
	require.Equal(t, "just text", m.body)
}

func TestB2Row63TwoNulsAndLineWithoutColon(t *testing.T) {
	c := login(t, start(t, newFakeBroker()), "1.0")
	c.send("SEND\ndestination:/queue/a\nno colon here\nreceipt:1\n\nx^^SEND\ndestination:/queue/a\nreceipt:2\n\ny^^")
	c.expectReceipt("1")
	c.expectReceipt("2")
}

func TestA1ServerFramesEndWithNulAndOneLineFeed(t *testing.T) {
	c := dial(t, start(t, newFakeBroker()))
	c.send("CONNECT\n\n^BEGIN\ntransaction:t\nreceipt:1\n\n^FOO\n\n^")
	all, err := io.ReadAll(c.r)
	require.NoError(t, err)
	frames := strings.SplitAfter(string(all), "\x00\n")
	require.Len(t, frames, 4)
	require.Empty(t, frames[3])
	require.True(t, strings.HasPrefix(frames[0], "CONNECTED\n"))
	require.Equal(t, "RECEIPT\nreceipt-id:1\n\n\x00\n", frames[1])
	require.True(t, strings.HasPrefix(frames[2], "ERROR\n"))
}
