package interop

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/tests/conformance/raw"
)

// cpp is a connection as activemq-cpp makes it: STOMP 1.0 without a version, headers in the order of their names, a line
// feed behind each frame, commands counted, and texts of C, whose NUL is a part of them.
type cpp struct {
	*raw.Client
	p        *play
	commands int
	id       string      // of the connection
	held     []raw.Frame // messages that came before an answer
}

func dialCPP(p *play, node int, clientID string) *cpp {
	c := &cpp{Client: raw.Dial(p, p.at(node)), p: p, id: "ID:fts01.example.org-43210-1763700000000-0:" + strconv.Itoa(node)}
	c.frame("CONNECT", "", "client-id:"+clientID, "login:guest", "passcode:guest")
	// The first CONNECTED is the answer, whatever it says.
	require.Equal(p, clientID, c.Expect("CONNECTED").Get("session"))
	return c
}

// frame writes a frame and returns the number of its command.
func (c *cpp) frame(command, body string, lines ...string) int {
	c.commands++
	require.NoError(c.p, c.Write(raw.Text(command, body, lines...)+"\n"))
	return c.commands
}

// sync writes a frame that wants a response, and awaits it.
func (c *cpp) sync(command, body string, lines ...string) {
	n := strconv.Itoa(c.commands + 1)
	c.frame(command, body, append(lines, "receipt:"+n)...)
	c.answered("RECEIPT", n)
}

// ignored writes a frame whose failure is none, and awaits what is answered.
func (c *cpp) ignored(answer, command string, lines ...string) {
	receipt := "ignore:" + strconv.Itoa(c.commands+1)
	c.frame(command, "", append(lines, "receipt:"+receipt)...)
	c.answered(answer, receipt)
}

// answered reads up to an answer.
func (c *cpp) answered(command, receipt string) {
	for {
		f, err := c.Next()
		require.NoError(c.p, err)
		if f.Command == "MESSAGE" {
			c.held = append(c.held, f)
			continue
		}
		require.Equal(c.p, command, f.Command, f)
		require.Equal(c.p, receipt, f.Get("receipt-id"))
		return
	}
}

// next is the next message.
func (c *cpp) next() (m raw.Frame) {
	if len(c.held) == 0 {
		return c.Expect("MESSAGE")
	}
	m, c.held = c.held[0], c.held[1:]
	return m
}

// message are the headers of a message that is sent.
func (c *cpp) message(destination string, more ...string) []string {
	return append([]string{
		"JMSXDeliveryCount:0", "JMSXGroupSeq:0", "destination:" + destination, "expires:4102444800000", "persistent:true", "priority:4", "timestamp:1763700000123",
	}, more...)
}

// consumer are the headers of a consumer.
func (c *cpp) consumer(destination, id string, more ...string) []string {
	return append([]string{
		"ack:client", "activemq.dispatchAsync:true", "activemq.maximumPendingMessageLimit:0", "activemq.prefetchSize:1000", "activemq.priority:0",
		"destination:" + destination, "id:" + id,
	}, more...)
}

// fts sends the reports of FTS: text with a NUL, bytes, and, as older ones do, text with two.
func fts(p *play) {
	const topic = "/topic/transfer.fts_monitoring_state"
	reader := raw.Login(p, p.at(2), "1.2")
	reader.Ask("SUBSCRIBE", "", "id:1", "destination:"+topic)
	sender := dialCPP(p, 0, "fts-producer")
	// The nodes tell one another who listens.
	for heard := false; !heard; {
		sender.sync("SEND", "", sender.message(topic)...)
		_, err := reader.Within(p.soon / 100)
		heard = err == nil
	}
	const reports = 120
	for i := range reports {
		report := fmt.Sprintf(`{"file_id": %d, "vo_name": "atlas"} `, i)
		lines := sender.message(topic, "vo:atlas")
		switch i % 3 {
		case 0:
			sender.sync("SEND", report, lines...)
		case 1: // the text's own NUL and that of the frame
			sender.sync("SEND", report+"\x00", lines...)
		default:
			sender.sync("SEND", report, append([]string{"content-length:" + strconv.Itoa(len(report))}, lines...)...)
		}
	}
	for i := 0; i < reports; {
		m := reader.Expect("MESSAGE")
		if m.Body == "" {
			continue // of the beginning
		}
		require.Equal(p, fmt.Sprintf(`{"file_id": %d, "vo_name": "atlas"} `, i), m.Body)
		require.Equal(p, []string{"atlas", "4102444800000", "true", "1763700000123", "4"},
			[]string{m.Get("vo"), m.Get("expires"), m.Get("persistent"), m.Get("timestamp"), m.Get("priority")})
		_, isBytes := m.Lookup("content-length")
		require.Equal(p, i%3 == 2, isBytes)
		i++
	}
	sender.frame("DISCONNECT", "")
	require.Empty(p, sender.Closed())
}

// ftsConsumer is activemq-cpp's consumer: it takes the id of its subscription apart at the colons, and acknowledges all up to
// a message with a receipt that it ignores.
func ftsConsumer(p *play) {
	const queue = "/queue/transfer.fts_monitoring_complete"
	c := dialCPP(p, 1, "fts-consumer")
	for i := range 50 {
		c.sync("SEND", fmt.Sprintf("%d", i), c.message(queue)...)
	}
	id := c.id + ":1:1"
	c.sync("SUBSCRIBE", "", c.consumer(queue, id)...)
	for i := range 50 {
		m := c.next()
		require.Equal(p, strconv.Itoa(i), m.Body)
		require.Equal(p, id, m.Get("subscription"))
		require.NotContains(p, m.Get("message-id"), `\`)
		if i%10 == 9 {
			c.ignored("RECEIPT", "ACK", "message-id:"+m.Get("message-id"))
			c.ignored("ERROR", "ACK", "message-id:"+m.Get("message-id")) // that it has been done is no failure either
		}
	}
	c.sync("UNSUBSCRIBE", "", "id:"+id)
	c.sync("SEND", "later", c.message(queue)...)
	c.sync("SUBSCRIBE", "", c.consumer(queue, c.id+":1:2")...)
	require.Equal(p, "later", c.next().Body)
	c.sync("DISCONNECT", "")
	require.Empty(p, c.Closed())
}

// ftsDurable subscribes durably in 1.0, with the right and the wrong spelling of the header, and a name that is the client-id.
func ftsDurable(p *play) {
	const topic, name = "/topic/transfer.fts_monitoring_start", "fts-durable"
	spellings := []string{"activemq.subcriptionName:" + name, "activemq.subscriptionName:" + name}
	attend := func() *cpp {
		c := dialCPP(p, 0, name)
		c.sync("SUBSCRIBE", "", append(c.consumer(topic, c.id+":1:1"), spellings...)...)
		return c
	}
	leave := func(c *cpp) {
		c.sync("UNSUBSCRIBE", "", "id:"+c.id+":1:1")
		c.sync("DISCONNECT", "")
		require.Empty(p, c.Closed())
	}
	leave(attend())
	sender := dialCPP(p, 0, "fts-durable-sender")
	for i := range 20 {
		sender.sync("SEND", strconv.Itoa(i), sender.message(topic)...)
	}
	c := attend()
	for i := range 20 {
		m := c.next()
		require.Equal(p, strconv.Itoa(i), m.Body)
		c.ignored("RECEIPT", "ACK", "message-id:"+m.Get("message-id"))
	}
	c.sync("UNSUBSCRIBE", "", "id:"+c.id+":1:1")
	// The end of the subscription: its id is the client's.
	c.ignored("RECEIPT", "UNSUBSCRIBE", append(spellings, "id:"+name)...)
	c.sync("DISCONNECT", "")
	require.Empty(p, c.Closed())
	sender.sync("SEND", "nobody hears this", sender.message(topic)...)
	c = attend()
	sender.sync("SEND", "a new beginning", sender.message(topic)...)
	require.Equal(p, "a new beginning", c.next().Body)
}

// activemqComposite sends to, and takes from, several destinations at once, as activemq-cpp writes them.
func activemqComposite(p *play) {
	parts := []string{"/queue/grid.first", "/queue/grid.second", "/topic/grid.third"}
	c := raw.Login(p, p.at(0), "1.2")
	c.Ask("SUBSCRIBE", "", "id:third", "destination:"+parts[2])
	c.Send("SEND", "to all", "destination:"+strings.Join(parts, ","), "receipt:sent")
	answers := map[string]string{}
	for len(answers) < 2 { // in any order
		f, err := c.Within(p.soon)
		require.NoError(p, err)
		require.NotEqual(p, "ERROR", f.Command, f)
		answers[f.Command] = f.Body
	}
	require.Equal(p, map[string]string{"RECEIPT": "", "MESSAGE": "to all"}, answers)
	d := raw.Login(p, p.at(1), "1.2")
	require.Equal(p, "RECEIPT", ask(p, d, "SUBSCRIBE", "", "id:both", "destination:"+parts[0]+","+parts[1]).Command)
	from := map[string]bool{}
	for range 2 {
		m := d.Expect("MESSAGE")
		require.Equal(p, "to all", m.Body)
		from[m.Get("destination")] = true
	}
	require.Equal(p, map[string]bool{parts[0]: true, parts[1]: true}, from)
}

// ask sends a frame with a receipt and returns what is answered.
func ask(p *play, c *raw.Client, command, body string, lines ...string) raw.Frame {
	c.Send(command, body, append(lines, "receipt:asked")...)
	f, err := c.Within(p.soon)
	require.NoError(p, err)
	if f.Command == "ERROR" {
		require.FailNow(p, f.String())
	}
	return f
}
