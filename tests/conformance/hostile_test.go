package conformance

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/tests/conformance/raw"
	"github.com/sluice-mq/sluice/tests/node"
)

// maxGrowth is how much memory the worst of clients may cost the node.
const maxGrowth = 256 << 20

// victim is a node under attack, with a client that must not notice.
type victim struct {
	*node.Node
	t       *testing.T
	started int64
	client  *raw.Client
}

func attack(t *testing.T, settings ...string) *victim {
	t.Helper()
	n := node.Start(t, settings...)
	now, _ := n.Resident()
	v := &victim{Node: n, t: t, started: now, client: raw.Login(t, n.Addr("stomp"), "1.2")}
	v.client.Ask("SUBSCRIBE", "", "destination:/queue/innocent", "id:1")
	t.Cleanup(v.unharmed)
	return v
}

// unharmed checks that old and new clients are served, and what it all cost.
func (v *victim) unharmed() {
	v.t.Helper()
	next := raw.Login(v.t, v.Addr("stomp"), "1.2")
	next.Ask("SEND", "unharmed", "destination:/queue/innocent", "persistent:true")
	if m := v.client.Expect("MESSAGE"); m.Body != "unharmed" {
		v.t.Errorf("something else came: %v", m)
	}
	_, most := v.Resident()
	v.t.Logf("the node grew from %d to at most %d MiB", v.started>>20, most>>20)
	if most-v.started > maxGrowth {
		v.t.Error("that is too much")
	}
}

// insult is something that no good client says.
type insult struct {
	name string
	// text is said after a login with version 1.2, or without one.
	text     string
	stranger bool
	// answer is part of the ERROR's message.
	answer string
	// survives: the connection goes on.
	survives bool
}

func insults() []insult {
	send := func(lines ...string) string {
		return raw.Text("SEND", "x", append([]string{"destination:/queue/insult"}, lines...)...)
	}
	to := func(command, destination string) string {
		return raw.Text(command, "", "id:1", "destination:"+destination)
	}
	numbered := strings.Repeat("a:b\n", 100_000)
	all := []insult{
		{name: "an unknown command", text: "HELO x\n\n\x00", answer: "Unknown STOMP action"},
		{name: "binary", text: "\x01\x02\x03\xff\xfe\n\n\x00", answer: "Unknown STOMP action"},
		{name: "a NUL in a header", text: "SEND\ndest\x00ination:/queue/a\n\n\x00", answer: "NUL"},
		{name: "a carriage return in a header", text: "SEND\na:b\rc\n\n\x00", answer: "carriage return"},
		{name: "a header without a name", text: "SEND\n:x\n\n\x00", answer: "header line"},
		{name: "a command that never ends", text: strings.Repeat("A", 1<<20), answer: "maximum command length"},
		{name: "a header line of 50 MiB", text: "SEND\na:" + strings.Repeat("b", 50<<20), answer: "maximum header length"},
		{name: "a header name of 50 MiB", text: "SEND\n" + strings.Repeat("b", 50<<20), answer: "maximum header length"},
		{name: "100000 headers", text: "SEND\n" + numbered, answer: "maximum number of headers"},
		{name: "a body of 17 MiB without a length", text: "SEND\ndestination:/queue/a\n\n" + strings.Repeat("x", 17<<20), answer: "maximum data length"},
		{name: "a frame of server's", text: raw.Text("MESSAGE", "x"), answer: "MESSAGE"},
		{name: "no NUL behind the length", text: "SEND\ndestination:/queue/a\ncontent-length:1\n\nxyz\x00", answer: "trailing null"},
		{name: "a stranger's SEND", stranger: true, text: send(), answer: "Not connected"},
		{name: "a stranger's long header", stranger: true, text: "CONNECT\nlogin:" + strings.Repeat("b", 1<<20), answer: "maximum header length"},
		{name: "a stranger's many headers", stranger: true, text: "CONNECT\n" + numbered, answer: "maximum number of headers"},
		{name: "a stranger's body", stranger: true, text: "CONNECT\n\n" + strings.Repeat("b", 1<<20), answer: "maximum data length"},
		{name: "a stranger's 128 long headers", stranger: true, text: "CONNECT\n" + strings.Repeat("a:"+strings.Repeat("b", 9000)+"\n", 128), answer: "maximum frame size"},
		{name: "a send to JetStream's own subjects by wildcard", text: to("SEND", "/queue/$JS.API.>"), answer: "one destination", survives: true},
		{name: "a send to all topics", text: to("SEND", "/topic/>"), answer: "one destination", survives: true},
		{name: "a send to one of many", text: to("SEND", "/topic/a.*.b"), answer: "one destination", survives: true},
		{name: "a name of 64 KiB", text: to("SEND", "/queue/"+strings.Repeat("n", 64<<10)), answer: "maximum header length"},
		{name: "a name of 1025 bytes", text: to("SEND", "/queue/"+strings.Repeat("n", 1025)), answer: "the limit is 1024", survives: true},
		{name: "a subscription to a long name", text: to("SUBSCRIBE", "/topic/"+strings.Repeat("n", 1025)), answer: "the limit is 1024", survives: true},
		{name: "a line feed in a name", text: to("SEND", `/queue/a\nb`), answer: "control character", survives: true},
		{name: "a carriage return in a name", text: to("SUBSCRIBE", `/queue/a\rb`), answer: "control character", survives: true},
		{name: "a bell in a name", text: to("SEND", "/topic/a\ab"), answer: "control character", survives: true},
		{name: "a DEL in a name", text: to("SEND", "/queue/a\x7f"), answer: "control character", survives: true},
		{name: "a name that is no UTF-8", text: to("SEND", "/queue/\xff\xfe"), answer: "UTF-8", survives: true},
		{name: "an empty name", text: to("SEND", "/queue/"), answer: "empty", survives: true},
		{name: "a stranger's ack id", text: raw.Text("ACK", "", "id:1-0"), answer: "Unexpected ACK", survives: true},
		{name: "an ack id that overflows", text: raw.Text("ACK", "", "id:18446744073709551616-99999999999999999999"), answer: "Unexpected ACK", survives: true},
		{name: "a NACK of nothing", text: raw.Text("NACK", "", "id:-"), answer: "Unexpected NACK", survives: true},
		{name: "a COMMIT of nothing", text: raw.Text("COMMIT", "", "transaction:x"), answer: "Invalid transaction id", survives: true},
		{name: "a SEND in no transaction", text: send("transaction:x"), answer: "Invalid transaction id", survives: true},
		{name: "a priority beyond all numbers", text: send("priority:99999999999999999999"), answer: "priority", survives: true},
	}
	for length, answer := range map[string]string{
		"2147483648": "maximum data length", "9223372036854775807": "maximum data length", "9223372036854775808": "maximum data length",
		"99999999999999999999999999": "maximum data length", "-1": "may not be negative", "-9223372036854775809": "may not be negative",
		"0x10": "not a valid integer", "1e3": "not a valid integer", "": "not a valid integer", "1,000": "not a valid integer",
	} {
		all = append(all, insult{name: "content-length " + length, text: send("content-length:" + length), answer: answer})
	}
	return all
}

func TestInsults(t *testing.T) {
	v := attack(t)
	for _, i := range insults() {
		t.Run(i.name, func(t *testing.T) {
			var c *raw.Client
			if i.stranger {
				c = raw.Dial(t, v.Addr("stomp"))
			} else {
				c = raw.Login(t, v.Addr("stomp"), "1.2")
			}
			written := make(chan struct{})
			go func() { // the answer comes before all is said
				defer close(written)
				_ = c.Write(i.text)
			}()
			f := c.Expect("ERROR")
			require.Contains(t, f.Get("message"), i.answer)
			require.Less(t, len(f.String()), 4096, "an ERROR repeats too much")
			if i.survives {
				c.Ask("SEND", "", "destination:/queue/after")
			} else {
				require.Empty(t, c.Closed())
			}
			<-written
			require.True(t, v.Running())
		})
	}
}

// Whoever does not log in, whatever it does instead, is told so and cut.
func TestSlowLogins(t *testing.T) {
	v := attack(t, "limits.login_timeout=1s")
	for name, pieces := range map[string]string{
		"silence": "", "line feeds": strings.Repeat("\n", 10_000), "NULs": strings.Repeat("\x00", 10_000),
		"byte by byte": "CONNECT\naccept-version:1.2\nlogin:" + strings.Repeat("x", 9000),
		"HTTP":         "GET / HTTP/1.1\r\nHost: here\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := raw.Dial(t, v.Addr("stomp"))
			began := time.Now()
			stop, done := make(chan struct{}), make(chan struct{})
			go func() {
				defer close(done)
				tick := time.NewTicker(10 * time.Millisecond)
				defer tick.Stop()
				for _, b := range []byte(pieces) {
					if c.Write(string(b)) != nil {
						return
					}
					select {
					case <-tick.C:
					case <-stop:
						return
					}
				}
			}()
			require.Contains(t, c.Expect("ERROR").Get("message"), "Login timeout")
			require.Empty(t, c.Closed())
			took := time.Since(began)
			close(stop)
			<-done
			require.GreaterOrEqual(t, took, 900*time.Millisecond)
			require.Less(t, took, 15*time.Second)
		})
	}
}

// Names are names: whatever they look like, they reach nothing but themselves.
func TestNamesOfOtherWorlds(t *testing.T) {
	v := attack(t)
	everything := raw.Login(t, v.Addr("stomp"), "1.2")
	everything.Ask("SUBSCRIBE", "", "destination:/topic/>", "id:everything")
	c := raw.Login(t, v.Addr("stomp"), "1.2")
	for i, name := range []string{
		"$JS.API.STREAM.NAMES", "$JS.API.STREAM.DELETE.QUEUES", "$SYS.REQ.SERVER.PING", "_INBOX.x", "$KV.a", "a..b", ".", "..", ".a", "a.",
		"a b", "a  b", "%2A", "%", "世界", "a/b", "a.*b", "a>", ">.a*", "\U0001f600", `back\\slash`, "q:1", "$", strings.Repeat("n", 1024),
		strings.Repeat("n.", 512), "DROP TABLE", "\u202e", "'\"`${x}",
	} {
		if strings.Contains(name, ">.") {
			continue // a wildcard is wherever a token is ">"
		}
		name = strings.ReplaceAll(name, ":", `\c`)
		for _, kind := range []string{"queue", "topic"} {
			d, body := "/"+kind+"/"+name, fmt.Sprintf("%s %d", kind, i)
			c.Ask("SUBSCRIBE", "", "destination:"+d, "id:1")
			sender := raw.Login(t, v.Addr("stomp"), "1.2")
			sender.Ask("SEND", body, "destination:"+d, "persistent:true")
			m := c.Expect("MESSAGE")
			require.Equal(t, body, m.Body, name)
			require.Equal(t, d, m.Get("destination"))
			c.Ask("UNSUBSCRIBE", "", "id:1")
			_ = sender.Conn().Close()
		}
		m := everything.Expect("MESSAGE")
		require.Equal(t, fmt.Sprintf("topic %d", i), m.Body, "a topic wildcard sees topics alone")
	}
}

func TestStrangersCannotAcknowledge(t *testing.T) {
	v := attack(t)
	c, stranger := raw.Login(t, v.Addr("stomp"), "1.2"), raw.Login(t, v.Addr("stomp"), "1.2")
	c.Ask("SEND", "mine", "destination:/queue/mine")
	c.Ask("SUBSCRIBE", "", "destination:/queue/mine", "id:1", "ack:client-individual")
	m := c.Expect("MESSAGE")
	stranger.Ask("SUBSCRIBE", "", "destination:/queue/mine", "id:1", "ack:client-individual")
	for _, verb := range []string{"ACK", "NACK"} {
		for _, id := range []string{m.Get("ack"), m.Get("message-id")} {
			stranger.Send(verb, "", "id:"+id, "receipt:r")
			require.Equal(t, "r", stranger.Expect("ERROR").Get("receipt-id"))
		}
	}
	c.Ask("ACK", "", "id:"+m.Get("ack"))
	c.Ask("DISCONNECT", "")
	c = raw.Login(t, v.Addr("stomp"), "1.2")
	c.Ask("SEND", "next", "destination:/queue/mine")
	require.Equal(t, "next", stranger.Expect("MESSAGE").Body, "it had gone to nobody else")
}

func TestTransactionsHaveLimits(t *testing.T) {
	v := attack(t, "limits.transactions_per_connection=20", "limits.transaction_messages=50", "limits.transaction_size=1MiB")
	c := raw.Login(t, v.Addr("stomp"), "1.2")
	refused := func(command, body string, lines ...string) {
		t.Helper()
		c.Send(command, body, append(lines, "receipt:r")...)
		f := c.Expect("ERROR")
		require.Equal(t, "r", f.Get("receipt-id"))
		require.Contains(t, f.Get("message"), "limit")
	}
	for i := range 20 {
		c.Ask("BEGIN", "", fmt.Sprint("transaction:", i))
	}
	refused("BEGIN", "", "transaction:20")
	for range 50 {
		c.Ask("SEND", "x", "destination:/queue/tx", "transaction:0")
	}
	refused("SEND", "x", "destination:/queue/tx", "transaction:1")
	c.Ask("ABORT", "", "transaction:0")
	refused("SEND", strings.Repeat("x", 2<<20), "destination:/queue/tx", "transaction:2")
	refused("COMMIT", "", "transaction:2") // torn, so it must not commit
	c.Ask("SEND", "all of it", "destination:/queue/tx", "transaction:3")
	c.Ask("COMMIT", "", "transaction:3")
	c.Send("SUBSCRIBE", "", "destination:/queue/tx", "id:1")
	require.Equal(t, "all of it", c.Expect("MESSAGE").Body)
}

func TestSubscriptionsHaveALimit(t *testing.T) {
	const limit = 10_000
	v := attack(t)
	c := raw.Login(t, v.Addr("stomp"), "1.2")
	var all strings.Builder
	for i := range limit {
		all.WriteString(raw.Text("SUBSCRIBE", "", fmt.Sprint("destination:/queue/many.", i), fmt.Sprint("id:", i)))
	}
	require.NoError(t, c.Write(all.String()))
	c.Ask("SEND", "last", "destination:/queue/elsewhere")
	c.Send("SUBSCRIBE", "", "destination:/queue/many", "id:more", "receipt:r")
	f := c.Expect("ERROR")
	require.Equal(t, "r", f.Get("receipt-id"))
	require.Contains(t, f.Get("message"), "limit")
	sender := raw.Login(t, v.Addr("stomp"), "1.2")
	sender.Ask("SEND", "x", fmt.Sprint("destination:/queue/many.", limit-1))
	require.Equal(t, fmt.Sprint(limit-1), c.Expect("MESSAGE").Get("subscription"))
	c.Ask("UNSUBSCRIBE", "", "id:0")
	c.Ask("SUBSCRIBE", "", "destination:/queue/many", "id:more")
}

// garbage is what arrives at open ports, and worse.
func garbage(random *rand.Rand) string {
	noise := make([]byte, 2048+random.IntN(8192))
	for i := range noise {
		noise[i] = byte(random.Uint32())
	}
	return []string{
		"GET / HTTP/1.1\r\nHost: here\r\nUser-Agent: probe\r\n\r\n\x00",
		"SSH-2.0-OpenSSH_9.6\r\n" + strings.Repeat("x", 20_000),
		"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + strings.Repeat("\xaa", 4096),
		"CONNECT {\"verbose\":false}\r\nPING\r\n\r\n\x00",
		"EHLO there\r\n\r\n\x00", "*1\r\n$4\r\nPING\r\n\r\n\x00",
		"AMQP\x00\x00\x09\x01\n\n\x00",
		"X" + string(noise) + "\n\n\x00", "CONNECT\n" + strings.Repeat("a:b\n", 500),
		"STOMP\naccept-version:7.0\n\n\x00", "CONNECT\nheart-beat:x\n\n\x00",
	}[random.IntN(11)]
}

func TestAThousandConnectionsOfGarbage(t *testing.T) {
	v := attack(t)
	clients := make([]*raw.Client, 1000)
	for i := range clients {
		clients[i] = raw.Dial(t, v.Addr("stomp"))
	}
	random := rand.New(rand.NewPCG(1, 2))
	var all sync.WaitGroup
	wrong := make(chan string, len(clients))
	for _, c := range clients {
		text := garbage(random)
		all.Go(func() { _ = c.Write(text) })
		all.Go(func() {
			if f, err := c.Next(); err != nil || f.Command != "ERROR" || f.Get("message") == "" {
				wrong <- fmt.Sprintf("%v %v after %.40q", f, err, text)
			}
		})
	}
	all.Wait()
	close(wrong)
	for w := range wrong {
		t.Error(w)
	}
}

// A length is a claim: memory follows the bytes.
func TestClaimedLengthsCostNothing(t *testing.T) {
	v := attack(t)
	for range 300 {
		c := raw.Login(t, v.Addr("stomp"), "1.2")
		require.NoError(t, c.Write("SEND\ndestination:/queue/a\ncontent-length:16777216\n\nonly this"))
	}
	v.unharmed()
	now, _ := v.Resident()
	require.Less(t, now-v.started, int64(maxGrowth))
}

// Clients that take nothing of what they asked for hold up nobody else.
func TestClientsThatNeverRead(t *testing.T) {
	v := attack(t)
	body := strings.Repeat("x", 64<<10)
	const lazy, messages = 10, 200
	for i := range lazy {
		c := raw.Login(t, v.Addr("stomp"), "1.2")
		destination := "/topic/lazy"
		if i%2 == 0 {
			destination = fmt.Sprint("/queue/lazy.", i)
		}
		c.Ask("SUBSCRIBE", "", "destination:"+destination, "id:1")
	}
	reader := raw.Login(t, v.Addr("stomp"), "1.2")
	reader.Ask("SUBSCRIBE", "", "destination:/topic/lazy", "id:1")
	sender := raw.Login(t, v.Addr("stomp"), "1.2")
	for i := range messages {
		destination := "/topic/lazy"
		if i%2 == 0 {
			destination = fmt.Sprint("/queue/lazy.", i%lazy)
		}
		sender.Ask("SEND", body, "destination:"+destination, fmt.Sprint("n:", i))
		if i%2 == 1 {
			require.Equal(t, fmt.Sprint(i), reader.Expect("MESSAGE").Get("n"))
		}
	}
	// A client that wants receipts and reads none of them is no longer read itself.
	receipts := strings.Repeat(raw.Text("SEND", "", "destination:/queue/greedy", "receipt:"+strings.Repeat("r", 100)), 200_000)
	greedy := raw.Login(t, v.Addr("stomp"), "1.2")
	_ = greedy.Conn().SetWriteDeadline(time.Now().Add(time.Second))
	_, err := greedy.Conn().Write([]byte(receipts))
	require.Error(t, err, "everything was taken")
}
