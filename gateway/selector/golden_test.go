package selector

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
)

// golden is what a real ActiveMQ answered over its socket.
type golden struct {
	// Broker is its server header.
	Broker string
	// Messages are the headers that were sent, in order.
	Messages [][][2]string
	Answers  []answer
}

// answer is that to one selector.
type answer struct {
	Selector string
	// Matches has 1 or 0 for each message; it is empty if the selector was refused.
	Matches string
}

var goldenFile = filepath.Join("testdata", "activemq.json")

const goldenTopic = "golden.selectors"

// refusals are selectors that ActiveMQ refuses.
var refusals = []string{
	"a.b = 1", "a = 09", "a == 1", "a != 1", "a = 1 garbage", "a = 1 AND", "(a = 1", "a = 1)", "=TEST 'test'", "3 + 5", "True AND 3+5", "a > 'x'", "a > NULL", "a = NULL",
	"a BETWEEN 'a' AND 'c'", "a IN ()", "a IN (1)", "'x' IN ('x')", "a LIKE b", "a LIKE 'x' ESCAPE 'ab'", "TRUE = 'x'", "TRUE > FALSE", "a = 0xFFFFFFFFFFFFFFFFFFFFFF", "a = 0L", "a> =5",
	"a < > 5", "a = 'x", "a NOT = 1", "a > 1 > 2", "UNKNOWN(a)", "REGEX(a)", "a = 1 ANDb=2", "NOT n BETWEEN 1 AND 3", "a = 5f", "1", "'a'",
}

// furtherSelectors are accepted by ActiveMQ and cannot be drawn.
var furtherSelectors = []string{
	"n = 21 -- words\n", "n = 21 /* words */ AND /* ** */ TRUE", "NOT n = 21", "NOT NOT TRUE", "n = 1 = TRUE", "n IS NULL IS NULL", "n", "NOT n", "(n)", "TRUE", "FALSE", "NULL",
	"n + 1 = '211'", "'' + JMSPriority = '4'", "n + s = '21abc'", "-n = -21", "+n = 21", "-JMSPriority < -3", "JMSMessageID LIKE 'ID:%'", "JMSMessageID IS NULL", "JMSTimestamp > 1000", "JMSExpiration = 0",
	"JMSRedelivered = FALSE", "NOT JMSRedelivered", "JMSXGroupID IS NULL", "JMSXGroupSeq = 0", "JMSReplyTo IS NULL", "type = '1'", "priority = 4", "destination IS NULL", "receipt IS NULL", "persistent = 'true'",
	"expires IS NULL", "message IS NULL", "REGEX('^a', s)", "REGEX('b$', s) = TRUE", "NOT REGEX('[0-9]+', n)", "INLIST(SPLIT('1,2,21', ','), n)", "INLIST(MAKELIST('abc', 'ab'), s)", "REPLACE('a-b', '-', 'abc') = 'aabcb'",
	"n BETWEEN 1 AND 30 AND s LIKE 'a%' OR t IS NULL", "n > 1 AND n < 30 AND NOT (s = 'abc' OR s = 'ab')", "2147483647 + JMSPriority < 0", "n = -9223372036854775808", "9007199254740993.0 > n",
}

// TestActiveMQSaysTheSame holds the engine against what was recorded.
func TestActiveMQSaysTheSame(t *testing.T) {
	if address := os.Getenv("SLUICE_RECORD_SELECTORS"); address != "" {
		record(t, address)
	}
	text, err := os.ReadFile(goldenFile)
	require.NoError(t, err)
	var g golden
	require.NoError(t, json.Unmarshal(text, &g))
	require.Greater(t, len(g.Answers), 300)
	for _, a := range g.Answers {
		s, err := Parse(a.Selector)
		if a.Matches == "" {
			require.Error(t, err, "%s is refused by %s", a.Selector, g.Broker)
			continue
		}
		require.NoError(t, err, a.Selector)
		for i, headers := range g.Messages {
			require.Equal(t, a.Matches[i] == '1', s.MatchMessage(received(headers), 0), "%s with %q", a.Selector, headers)
		}
	}
}

// received is the message that a broker makes of a frame with these headers.
func received(headers [][2]string) *gateway.Message {
	m := &gateway.Message{
		ID: "ID:1", Destination: gateway.Destination{Kind: gateway.KindTopic, Name: goldenTopic}, Priority: gateway.DefaultPriority, Timestamp: 1795000000000,
	}
	for _, h := range headers {
		switch h[0] {
		case "priority":
			n, _ := strconv.Atoi(h[1])
			m.Priority = uint8(n)
		case "persistent":
			m.Persistent = h[1] == "true"
		default:
			m.Header = append(m.Header, gateway.Field{Name: h[0], Value: h[1]})
		}
	}
	return m
}

// record asks the ActiveMQ at an address, and writes down what it answers.
func record(t *testing.T, address string) {
	g := maker{rand.New(rand.NewPCG(17, 2)).IntN}
	out := golden{}
	out.Messages = append(out.Messages, [][2]string{{"n", "21"}, {"s", "abc"}, {"priority", "4"}})
	for range 9 {
		m := g.message()
		headers := [][2]string{{"priority", strconv.Itoa(int(m.Priority))}, {"persistent", strconv.FormatBool(m.Persistent)}}
		for _, f := range m.Header {
			headers = append(headers, [2]string{f.Name, f.Value})
		}
		out.Messages = append(out.Messages, headers)
	}
	selectors := append(append([]string{}, refusals...), furtherSelectors...)
	for range 400 {
		selectors = append(selectors, g.condition(2).text)
	}
	c := connect(t, address)
	out.Broker = c.server
	for i, s := range selectors {
		c.write("SUBSCRIBE", "id", strconv.Itoa(i), "destination", "/topic/"+goldenTopic, "selector", s, "receipt", "s"+strconv.Itoa(i))
		matches := strings.Repeat("0", len(out.Messages))
		if command, _ := c.answer("s" + strconv.Itoa(i)); command == "ERROR" {
			matches = ""
		}
		out.Answers = append(out.Answers, answer{s, matches})
	}
	c.write("SUBSCRIBE", "id", "last", "destination", "/topic/"+goldenTopic, "selector", "last = 'yes'", "receipt", "last")
	c.answer("last")
	for i, headers := range out.Messages {
		fields := []string{"destination", "/topic/" + goldenTopic, "golden", strconv.Itoa(i)}
		for _, h := range headers {
			fields = append(fields, h[0], h[1])
		}
		c.write("SEND", fields...)
	}
	c.write("SEND", "destination", "/topic/"+goldenTopic, "last", "yes", "golden", "-1")
	for {
		command, headers := c.read()
		require.Equal(t, "MESSAGE", command, "%v", headers)
		if headers["subscription"] == "last" {
			break
		}
		sub, err := strconv.Atoi(headers["subscription"])
		require.NoError(t, err)
		if n, err := strconv.Atoi(headers["golden"]); err == nil && n >= 0 {
			matches := []byte(out.Answers[sub].Matches)
			matches[n] = '1'
			out.Answers[sub].Matches = string(matches)
		}
	}
	text, err := json.MarshalIndent(out, "", " ")
	require.NoError(t, err)
	require.NoError(t, os.MkdirAll(filepath.Dir(goldenFile), 0o755))
	require.NoError(t, os.WriteFile(goldenFile, append(text, '\n'), 0o644))
}

// conversation is with a broker.
type conversation struct {
	t      *testing.T
	conn   net.Conn
	reader *bufio.Reader
	server string
}

func connect(t *testing.T, address string) *conversation {
	conn, err := net.Dial("tcp", address)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(2*time.Minute)))
	c := &conversation{t: t, conn: conn, reader: bufio.NewReader(conn)}
	_, err = conn.Write([]byte("CONNECT\naccept-version:1.2\nhost:x\n\n\x00"))
	require.NoError(t, err)
	command, headers := c.read()
	require.Equal(t, "CONNECTED", command)
	c.server = headers["server"]
	return c
}

func (c *conversation) write(command string, fields ...string) {
	escape := strings.NewReplacer("\\", "\\\\", "\n", "\\n", "\r", "\\r", ":", "\\c")
	var b strings.Builder
	b.WriteString(command + "\n")
	for i := 0; i < len(fields); i += 2 {
		fmt.Fprintf(&b, "%s:%s\n", escape.Replace(fields[i]), escape.Replace(fields[i+1]))
	}
	_, err := c.conn.Write([]byte(b.String() + "\n\x00"))
	require.NoError(c.t, err)
}

func (c *conversation) read() (command string, headers map[string]string) {
	frame, err := c.reader.ReadString(0)
	require.NoError(c.t, err)
	head, _, _ := strings.Cut(strings.TrimLeft(frame, "\n"), "\n\n")
	lines := strings.Split(head, "\n")
	headers = make(map[string]string)
	for _, l := range lines[1:] {
		name, value, _ := strings.Cut(l, ":")
		headers[name] = value
	}
	return lines[0], headers
}

func (c *conversation) answer(receipt string) (command string, headers map[string]string) {
	command, headers = c.read()
	require.Equal(c.t, receipt, headers["receipt-id"], "%s %v", command, headers)
	return command, headers
}
