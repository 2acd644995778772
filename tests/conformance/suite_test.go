package conformance

import (
	"crypto/rand"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/tests/conformance/raw"
	"github.com/sluice-mq/sluice/tests/node"
)

// addrVariable names a foreign broker to ask.
const addrVariable = "SLUICE_CONFORMANCE_ADDR"

func TestMain(m *testing.M) { os.Exit(node.Run(m)) }

// row is one question.
type row struct {
	name string
	// slow questions take time by their nature; they are asked side by side.
	slow bool
	ask  func(p *play)
}

// play is what a question has: a broker, and destinations of its own.
type play struct {
	t    *testing.T
	addr string
	// ours: the broker is sluice and not ActiveMQ.
	ours  bool
	queue string // "/queue/..."
	topic string // "/topic/..."
}

func TestConformance(t *testing.T) {
	addr := os.Getenv(addrVariable)
	if addr == "" {
		addr = node.Start(t).Addr("stomp")
	}
	probe := raw.Dial(t, addr)
	probe.Send("CONNECT", "", "login:guest", "passcode:guest")
	server := probe.Expect("CONNECTED").Get("server")
	t.Logf("asking %s at %s", server, addr)
	run := rand.Text()[:8]
	for _, table := range []struct {
		name string
		rows []row
	}{
		{"Connect", connectRows()}, {"Framing", framingRows()}, {"Send", sendRows()},
		{"Subscribe", subscribeRows()}, {"Acknowledge", acknowledgeRows()}, {"Transactions", transactionRows()}, {"Habits", habitRows()},
	} {
		t.Run(table.name, func(t *testing.T) {
			for i, r := range table.rows {
				t.Run(r.name, func(t *testing.T) {
					if r.slow {
						t.Parallel()
					}
					name := fmt.Sprintf("conformance.%s.%s.%d", run, table.name, i)
					r.ask(&play{t: t, addr: addr, ours: strings.Contains(server, "Sluice"), queue: "/queue/" + name, topic: "/topic/" + name})
				})
			}
		})
	}
}

// differs picks what is expected where Sluice means to do better than ActiveMQ, for the reason given.
func differs[T any](p *play, ours, activemq T, reason string) T {
	if reason == "" {
		p.t.Fatal("a difference needs a reason")
	}
	if p.ours {
		return ours
	}
	return activemq
}

// dial connects and says nothing.
func (p *play) dial() *raw.Client { return raw.Dial(p.t, p.addr) }

// login connects with a version.
func (p *play) login(version string, lines ...string) *raw.Client {
	p.t.Helper()
	return raw.Login(p.t, p.addr, version, lines...)
}

// holds checks a frame: "name:value" is a header, "name" one of any value, "!name" one
// that must be missing, "name~text" one that holds a text, "=body" the body.
func (p *play) holds(f raw.Frame, command string, conditions ...string) raw.Frame {
	p.t.Helper()
	require.Equal(p.t, command, f.Command, "%v", f)
	for _, c := range conditions {
		if body, ok := strings.CutPrefix(c, "="); ok {
			require.Equal(p.t, body, f.Body, "%v", f)
			continue
		}
		if name, ok := strings.CutPrefix(c, "!"); ok {
			_, there := f.Lookup(name)
			require.False(p.t, there, "%s should not be there: %v", name, f)
			continue
		}
		name, text, contains := strings.Cut(c, "~")
		if !contains || strings.Contains(name, ":") {
			contains = false
			name, text, _ = strings.Cut(c, ":")
		}
		value, there := f.Lookup(name)
		require.True(p.t, there, "%s is missing: %v", name, f)
		switch {
		case contains:
			require.Contains(p.t, value, text, "%v", f)
		case strings.Contains(c, ":"):
			require.Equal(p.t, text, value, "%v", f)
		}
	}
	return f
}

// want reads the next frame and checks it.
func (p *play) want(c *raw.Client, command string, conditions ...string) raw.Frame {
	p.t.Helper()
	f, err := c.Next()
	require.NoError(p.t, err, "instead of %s %q", command, conditions)
	return p.holds(f, command, conditions...)
}

// wantMessages reads messages with those bodies.
func (p *play) wantMessages(c *raw.Client, bodies ...string) (all []raw.Frame) {
	p.t.Helper()
	for _, b := range bodies {
		all = append(all, p.want(c, "MESSAGE", "="+b))
	}
	return all
}

// open checks that a connection still works, and that nothing else came on it.
func (p *play) open(c *raw.Client) {
	p.t.Helper()
	c.Ask("SEND", "", "destination:"+p.queue+".open")
}

// refused reads an ERROR and checks that the connection goes on.
func (p *play) refused(c *raw.Client, conditions ...string) {
	p.t.Helper()
	p.want(c, "ERROR", append(conditions, "message")...)
	p.open(c)
}

// fatal reads an ERROR and the end of the connection.
func (p *play) fatal(c *raw.Client, conditions ...string) {
	p.t.Helper()
	p.want(c, "ERROR", append(conditions, "message")...)
	if more := c.Closed(); p.ours { // ActiveMQ may go on to complain about what is in the middle of the bad frame
		require.Empty(p.t, more)
	}
}

// send sends a message by a connection of its own and waits for its receipt.
func (p *play) send(destination, body string, lines ...string) {
	p.t.Helper()
	c := p.login("1.2")
	c.Ask("SEND", body, append(lines, "destination:"+destination)...)
	p.leave(c)
}

// sendAll sends messages to the queue.
func (p *play) sendAll(bodies ...string) {
	p.t.Helper()
	c := p.login("1.2")
	for _, b := range bodies {
		c.Ask("SEND", b, "destination:"+p.queue)
	}
	p.leave(c)
}

// leave disconnects in good manners; what came meanwhile is thrown away.
func (p *play) leave(c *raw.Client) {
	p.t.Helper()
	c.Send("DISCONNECT", "", "receipt:bye")
	frames := c.Closed()
	require.NotEmpty(p.t, frames)
	p.holds(frames[len(frames)-1], "RECEIPT", "receipt-id:bye")
}

// subscribe subscribes to the queue and waits for the receipt.
func (p *play) subscribe(c *raw.Client, lines ...string) {
	p.t.Helper()
	c.Ask("SUBSCRIBE", "", append(lines, "destination:"+p.queue)...)
}

// rest takes from the queue what is there, up to last messages that it sends itself:
// two, since messages of one delivery mode may overtake those of the other.
func (p *play) rest() (all []raw.Frame) {
	p.t.Helper()
	p.send(p.queue, "the last one")
	p.send(p.queue, "the last one", "persistent:true")
	c := p.login("1.2")
	p.subscribe(c, "id:rest")
	for last := 0; last < 2; {
		if m := p.want(c, "MESSAGE"); m.Body == "the last one" {
			last++
		} else {
			all = append(all, m)
		}
	}
	p.leave(c)
	return all
}

// left checks what is on the queue.
func (p *play) left(bodies ...string) {
	p.t.Helper()
	var got []string
	for _, m := range p.rest() {
		got = append(got, m.Body)
	}
	require.Equal(p.t, bodies, got)
}

// dead reads the dead-letter queue until it finds the copy of a message.
func (p *play) dead(id string) raw.Frame {
	p.t.Helper()
	c := p.login("1.0")
	c.Ask("SUBSCRIBE", "", "destination:/queue/ActiveMQ.DLQ")
	for {
		if m := p.want(c, "MESSAGE"); m.Get("message-id") == id {
			p.leave(c)
			return m
		}
	}
}
