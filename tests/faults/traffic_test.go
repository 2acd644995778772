package faults

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/sluice-mq/sluice/tests/conformance/raw"
	"github.com/sluice-mq/sluice/tests/node"
)

// queues are spread over the shards.
var queues = [...]string{"faults.a", "faults.b", "faults.c", "faults.d", "faults.e"}

// producer numbers its messages over all its connections.
type producer struct {
	name       string
	next       int
	window     int
	persistent bool
	// parts is how many messages a transaction has; 0 sends without transactions.
	parts int
	rnd   *rand.Rand
	txs   int
	// refusable: an ERROR for a message is noted and the next one is sent.
	refusable bool
	// size is what bodies are filled up to; 0 is a mixture of small ones.
	size int
}

// run sends with a window of receipts until the connection ends.
func (p *producer) run(c *raw.Client, l *ledger) {
	step := p.send
	if p.parts > 0 {
		step = p.commit
	}
	for range p.window {
		step(c, l)
	}
	for {
		f, err := c.Next()
		if err != nil {
			return
		}
		if f.Command == "ERROR" && p.refusable && l.refuse(f) {
			step(c, l)
			continue
		}
		if f.Command != "RECEIPT" {
			l.mu.Lock()
			l.fault("producer %s got %v", p.name, f)
			l.mu.Unlock()
			return
		}
		l.receipt(f.Get("receipt-id"))
		step(c, l)
	}
}

// body names a message and has some weight.
func (p *producer) body(name string) string {
	size := p.rnd.IntN(600)
	if p.rnd.IntN(50) == 0 {
		size = 20_000
	}
	if p.size > 0 {
		size = p.size
	}
	return name + " " + strings.Repeat(".", size)
}

func (p *producer) fresh() string {
	p.next++
	return fmt.Sprintf("%s/%d", p.name, p.next)
}

func (p *producer) send(c *raw.Client, l *ledger) {
	name, queue := p.fresh(), queues[p.rnd.IntN(len(queues))]
	l.sent(name, queue, "")
	c.Send("SEND", p.body(name), "destination:/queue/"+queue, fmt.Sprintf("persistent:%v", p.persistent), "receipt:send "+name)
}

// commit sends to several queues in one transaction.
func (p *producer) commit(c *raw.Client, l *ledger) {
	p.txs++
	tx := fmt.Sprintf("%s-tx%d", p.name, p.txs)
	var all strings.Builder
	all.WriteString(raw.Text("BEGIN", "", "transaction:"+tx))
	first := p.rnd.IntN(len(queues))
	for i := range p.parts {
		name, queue := p.fresh(), queues[(first+i)%len(queues)]
		l.sent(name, queue, tx)
		all.WriteString(raw.Text("SEND", p.body(name), "destination:/queue/"+queue, "persistent:true", "transaction:"+tx))
	}
	all.WriteString(raw.Text("COMMIT", "", "transaction:"+tx, "receipt:commit "+tx))
	_ = c.Write(all.String())
}

// consumer takes a queue's messages and acknowledges them lag messages late,
// so that some are always unacknowledged.
type consumer struct {
	queue string
	lag   int
	stop  string // the name of the message to stop at, or empty
}

const subscribe = "SUBSCRIBE"

// run returns when the connection ends, or when the message to stop at came and
// everything is acknowledged.
func (k *consumer) run(c *raw.Client, l *ledger) {
	c.Send(subscribe, "", "destination:/queue/"+k.queue, "id:1", "ack:client-individual", "activemq.prefetchSize:200")
	type held struct{ name, ack string }
	var unacked []held
	last := map[string]int{}
	stopping, owed := false, 0
	ack := func() {
		for len(unacked) > k.lag || stopping && len(unacked) > 0 {
			l.acking(unacked[0].name)
			c.Send("ACK", "", "id:"+unacked[0].ack, "receipt:ack "+unacked[0].name)
			unacked, owed = unacked[1:], owed+1
		}
	}
	for !stopping || owed > 0 {
		f, err := c.Next()
		if err != nil {
			return
		}
		switch f.Command {
		case "RECEIPT":
			owed--
			l.receipt(f.Get("receipt-id"))
		case "MESSAGE":
			name, who, number := nameOf(f.Body)
			l.delivered(name, k.queue, f.Get("redelivered") == "true")
			l.mu.Lock()
			if number <= last[who] {
				l.fault("%s: %s/%d came after %s/%d on one connection (redelivered %s)", k.queue, who, number, who, last[who], f.Get("redelivered"))
			}
			l.mu.Unlock()
			last[who] = number
			unacked = append(unacked, held{name, f.Get("ack")})
			stopping = stopping || name == k.stop
			ack()
		default:
			l.mu.Lock()
			l.fault("consumer of %s got %v", k.queue, f)
			l.mu.Unlock()
			return
		}
	}
}

// traffic is what is connected to a node in one round.
type traffic struct{ done sync.WaitGroup }

func (w *traffic) produce(t *testing.T, n *node.Node, l *ledger, ps ...*producer) {
	for _, p := range ps {
		c := raw.Login(t, n.Addr("stomp"), "1.2")
		w.done.Go(func() { p.run(c, l) })
	}
}

func (w *traffic) consume(t *testing.T, n *node.Node, l *ledger, ks ...*consumer) {
	for _, k := range ks {
		c := raw.Login(t, n.Addr("stomp"), "1.2")
		w.done.Go(func() { k.run(c, l); _ = c.Conn().Close() })
	}
}

// drain acknowledges all that is in the queues: a last message in each, behind all
// others, says where they end.
func drain(t *testing.T, n *node.Node, l *ledger, round int) {
	t.Helper()
	c := raw.Login(t, n.Addr("stomp"), "1.2")
	var w traffic
	for i, queue := range queues {
		name := fmt.Sprintf("end%d/%d", i, round+1)
		l.sent(name, queue, "")
		c.Ask("SEND", name+" ", "destination:/queue/"+queue, "persistent:true")
		l.receipt("send " + name)
		w.consume(t, n, l, &consumer{queue: queue, stop: name})
	}
	w.done.Wait()
	_ = c.Conn().Close()
	if left := l.undrained(); left > 0 {
		t.Logf("%d receipted messages were acknowledged at most without a receipt", left)
	}
}
