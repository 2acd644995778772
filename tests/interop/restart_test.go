package interop

import (
	"fmt"
	"maps"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/tests/conformance/raw"
	"github.com/sluice-mq/sluice/tests/node"
)

// producer sends numbered messages with receipts, several under way at once, until its
// connection ends. It knows which of them were receipted.
type producer struct {
	client    *raw.Client
	name      string
	first     int // number of the next message
	receipted []int
	progress  chan struct{} // gets a word every ten receipts
}

const (
	// inFlight is how many messages a producer has under way.
	inFlight = 20
	// perLife is how many it sends at most before the node ends.
	perLife = 2000
)

func (p *producer) run() {
	sent := p.first
	send := func() {
		if sent == p.first+perLife {
			return
		}
		p.client.Send("SEND", p.name+" "+strconv.Itoa(sent), "destination:/queue/restart", "persistent:true", "receipt:"+strconv.Itoa(sent))
		sent++
	}
	for range inFlight {
		send()
	}
	for {
		f, err := p.client.Next()
		if err != nil || f.Command != "RECEIPT" {
			break
		}
		number, _ := strconv.Atoi(f.Get("receipt-id"))
		p.receipted = append(p.receipted, number)
		if len(p.receipted)%10 == 0 {
			select {
			case p.progress <- struct{}{}:
			default:
			}
		}
		send()
	}
	p.first = sent
}

// ledger is what a test knows about the messages of the queue.
type ledger struct {
	receipted, acked map[string]bool
	// seen are those that were delivered in an earlier life of the node, so that
	// another delivery must be marked. A kill may forget the marks of its last moment.
	seen map[string]bool
	// fresh are those that were delivered in this life.
	fresh map[string]bool
}

// end ends the node's life.
func (l *ledger) end(n *node.Node, kill bool) {
	if kill {
		n.Kill()
	} else {
		n.Stop()
		maps.Copy(l.seen, l.fresh)
	}
	clear(l.fresh)
}

// consume acknowledges every other of some messages, for sure, and gives the rest back.
func (l *ledger) consume(t *testing.T, n *node.Node) {
	c := raw.Login(t, n.Addr("stomp"), "1.2")
	c.Send("SUBSCRIBE", "", "destination:/queue/restart", "id:1", "ack:client-individual", "activemq.prefetchSize:20")
	var messages []raw.Frame
	for range 20 {
		messages = append(messages, c.Expect("MESSAGE"))
	}
	for i := 0; i < len(messages); i += 2 {
		c.Send("ACK", "", "id:"+messages[i].Get("ack"), "receipt:"+messages[i].Body)
	}
	c.Send("DISCONNECT", "")
	acked := map[string]bool{}
	for _, f := range c.Closed() { // further messages come between the receipts
		switch f.Command {
		case "RECEIPT":
			acked[f.Get("receipt-id")] = true
		case "MESSAGE":
			messages = append(messages, f)
		default:
			require.Fail(t, f.String())
		}
	}
	require.Len(t, acked, 10)
	for _, m := range messages {
		l.check(t, m.Body, m.Get("redelivered"))
	}
	for body := range acked {
		l.acked[body] = true
	}
}

// check holds a delivery against what is known.
func (l *ledger) check(t *testing.T, body, redelivered string) {
	t.Helper()
	require.False(t, l.acked[body], "%s came back after its ACK was confirmed", body)
	if l.seen[body] {
		require.Equal(t, "true", redelivered, "%s was here before", body)
	}
	l.fresh[body] = true
}

func TestReceiptedMessagesSurviveEveryEnd(t *testing.T) {
	t.Parallel()
	n := node.Start(t)
	l := &ledger{receipted: map[string]bool{}, acked: map[string]bool{}, seen: map[string]bool{}, fresh: map[string]bool{}}
	producers := []*producer{{name: "a"}, {name: "b"}, {name: "c"}}
	for round, kill := range []bool{true, false, true, false, true} {
		var done sync.WaitGroup
		for _, p := range producers {
			p.client, p.receipted, p.progress = raw.Login(t, n.Addr("stomp"), "1.2"), nil, make(chan struct{}, 1)
			done.Go(p.run)
		}
		for range 3 + round { // each round ends at another moment
			for _, p := range producers {
				<-p.progress
			}
		}
		l.consume(t, n)
		l.end(n, kill)
		done.Wait()
		for _, p := range producers {
			for _, number := range p.receipted {
				l.receipted[p.name+" "+strconv.Itoa(number)] = true
			}
		}
		n.Restart()
	}
	last := map[string]int{}
	found := map[string]bool{}
	for _, m := range drained(t, n, "/queue/restart") {
		body := string(m.Body)
		require.False(t, found[body], "%s came twice", body)
		l.check(t, body, m.Header.Get("redelivered"))
		found[body] = true
		name, text, _ := strings.Cut(body, " ")
		number, err := strconv.Atoi(text)
		require.NoError(t, err)
		if before, ok := last[name]; ok {
			require.Greater(t, number, before, "order of producer %s", name)
		}
		last[name] = number
	}
	require.NotEmpty(t, l.receipted)
	for body := range l.receipted {
		require.True(t, found[body] || l.acked[body], "%s was receipted and is lost", body)
	}
	t.Logf("%d receipted, %d acknowledged, %d found at the end", len(l.receipted), len(l.acked), len(found))
}

func TestNonPersistentMessages(t *testing.T) {
	n := node.Start(t)
	c := raw.Login(t, n.Addr("stomp"), "1.2")
	const count = 2000
	for i := range count {
		c.Send("SEND", strconv.Itoa(i), "destination:/queue/light")
	}
	c.Ask("SEND", "", "destination:/queue/other")
	c.Send("SUBSCRIBE", "", "destination:/queue/light", "id:1", "ack:client-individual", "activemq.prefetchSize:"+strconv.Itoa(count))
	for i := range count {
		require.Equal(t, strconv.Itoa(i), c.Expect("MESSAGE").Body)
	}
	_ = c.Conn().Close()
	n.Kill()
	n.Restart()
	last := -1
	for _, m := range drained(t, n, "/queue/light") { // they may be lost, but not muddled
		number, err := strconv.Atoi(string(m.Body))
		require.NoError(t, err)
		require.Greater(t, number, last)
		last = number
	}
}

// Many producers send, leave without waiting for anything, and forget what they sent.
func TestProducersThatLeaveAtOnce(t *testing.T) {
	const count = 10_000
	n := node.Start(t)
	for name, c := range map[string]struct{ line, goodbye string }{
		"persistent, DISCONNECT":     {"persistent:true", raw.Text("DISCONNECT", "")},
		"non-persistent, DISCONNECT": {"persistent:false", raw.Text("DISCONNECT", "")},
		"persistent, just closed":    {"persistent:true", ""},
	} {
		t.Run(name, func(t *testing.T) {
			queue := "/queue/" + strings.ReplaceAll(name, ", ", ".")
			p := raw.Login(t, n.Addr("stomp"), "1.1")
			var all strings.Builder
			for i := range count {
				all.WriteString(raw.Text("SEND", strconv.Itoa(i), "destination:"+queue, c.line))
			}
			require.NoError(t, p.Write(all.String()+c.goodbye))
			require.NoError(t, p.Conn().Close())
			s := raw.Login(t, n.Addr("stomp"), "1.1")
			s.Send("SUBSCRIBE", "", "destination:"+queue, "id:1")
			for i := range count {
				require.Equal(t, strconv.Itoa(i), s.Expect("MESSAGE").Body)
			}
			s.Ask("DISCONNECT", "")
		})
	}
}

func TestTerminationDrains(t *testing.T) {
	n := node.Start(t)
	const count = 500
	quiet, idle := raw.Login(t, n.Addr("stomp"), "1.2"), raw.Login(t, n.Addr("stomp"), "1.2")
	idle.Ask("SUBSCRIBE", "", "destination:/queue/idle", "id:1")
	var all strings.Builder
	for i := range count {
		all.WriteString(raw.Text("SEND", strconv.Itoa(i)+strings.Repeat(".", 500), "destination:/queue/drained", "persistent:true", fmt.Sprintf("receipt:%d", i)))
	}
	require.NoError(t, quiet.Write(all.String()))
	began := time.Now()
	n.Signal(syscall.SIGTERM)
	for i, f := range quiet.Closed() {
		require.Equal(t, "RECEIPT", f.Command)
		require.Equal(t, strconv.Itoa(i), f.Get("receipt-id"))
	}
	require.Empty(t, idle.Closed())
	require.Equal(t, 0, n.Exit(), n.Log())
	require.Less(t, time.Since(began), 10*time.Second)
	n.Restart()
	rest := drained(t, n, "/queue/drained")
	require.Len(t, rest, count)
	for i, m := range rest {
		require.True(t, strings.HasPrefix(string(m.Body), strconv.Itoa(i)+"."), "%d: %s", i, m.Body)
	}
}

// A client that never falls silent cannot hold the node; while it is there, probes
// are told that the node is going.
func TestReadinessGoesBadWhileDraining(t *testing.T) {
	t.Parallel()
	n := node.Start(t)
	require.Equal(t, 200, n.Status("/readyz"))
	c := raw.Login(t, n.Addr("stomp"), "1.2")
	stopped, talking := make(chan struct{}), make(chan struct{}, 1)
	go func() {
		defer close(stopped)
		for c.Write(raw.Text("SEND", "words", "destination:/queue/talker")) == nil {
			select {
			case talking <- struct{}{}:
			default:
			}
		}
	}()
	<-talking
	began := time.Now()
	n.Signal(syscall.SIGTERM)
	require.Eventually(t, func() bool { return n.Status("/readyz") == 503 }, 5*time.Second, time.Millisecond)
	require.Equal(t, 0, n.Exit(), n.Log())
	require.Less(t, time.Since(began), 10*time.Second)
	t.Logf("drained in %v", time.Since(began))
	select {
	case <-stopped:
	case <-time.After(soon):
		require.Fail(t, "the client did not notice")
	}
}
