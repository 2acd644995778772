package ledger

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/sluice-mq/sluice/tests/conformance/raw"
	"github.com/sluice-mq/sluice/tests/node"
)

// Queues are spread over the shards.
var Queues = [...]string{"faults.a", "faults.b", "faults.c", "faults.d", "faults.e"}

// Producer numbers its messages over all its connections.
type Producer struct {
	Name       string
	next       int
	Window     int
	Persistent bool
	// Parts is how many messages a transaction has; 0 sends without transactions.
	Parts int
	Rnd   *rand.Rand
	txs   int
	// Refusable: an ERROR for a message is noted and the next one is sent.
	Refusable bool
	// Size is what bodies are filled up to; 0 is a mixture of small ones.
	Size int
}

// Run sends with a window of receipts until the connection ends.
func (p *Producer) Run(c *raw.Client, l *Ledger) {
	step := p.send
	if p.Parts > 0 {
		step = p.commit
	}
	for range p.Window {
		step(c, l)
	}
	for {
		f, err := c.Next()
		if err != nil {
			return
		}
		if f.Command == "ERROR" && p.Refusable && l.Refuse(f) {
			step(c, l)
			continue
		}
		if f.Command != "RECEIPT" {
			l.Fault("producer %s got %v", p.Name, f)
			return
		}
		l.Receipt(f.Get("receipt-id"))
		step(c, l)
	}
}

// body names a message and has some weight.
func (p *Producer) body(name string) string {
	size := p.Rnd.IntN(600)
	if p.Rnd.IntN(50) == 0 {
		size = 20_000
	}
	if p.Size > 0 {
		size = p.Size
	}
	return name + " " + strings.Repeat(".", size)
}

func (p *Producer) fresh() string {
	p.next++
	return fmt.Sprintf("%s/%d", p.Name, p.next)
}

func (p *Producer) send(c *raw.Client, l *Ledger) {
	name, queue := p.fresh(), Queues[p.Rnd.IntN(len(Queues))]
	l.Sent(name, queue, "")
	c.Send("SEND", p.body(name), "destination:/queue/"+queue, fmt.Sprintf("persistent:%v", p.Persistent), "receipt:send "+name)
}

// commit sends to several Queues in one transaction.
func (p *Producer) commit(c *raw.Client, l *Ledger) {
	p.txs++
	tx := fmt.Sprintf("%s-tx%d", p.Name, p.txs)
	var all strings.Builder
	all.WriteString(raw.Text("BEGIN", "", "transaction:"+tx))
	first := p.Rnd.IntN(len(Queues))
	for i := range p.Parts {
		name, queue := p.fresh(), Queues[(first+i)%len(Queues)]
		l.Sent(name, queue, tx)
		all.WriteString(raw.Text("SEND", p.body(name), "destination:/queue/"+queue, "persistent:true", "transaction:"+tx))
	}
	all.WriteString(raw.Text("COMMIT", "", "transaction:"+tx, "receipt:commit "+tx))
	_ = c.Write(all.String())
}

// Consumer takes a queue's messages and acknowledges them lag messages late,
// so that some are always unacknowledged.
type Consumer struct {
	Queue string
	Lag   int
	Stop  string // the name of the message to stop at, or empty
}

// Run returns when the connection ends, or when the message to stop at came and
// everything is acknowledged.
func (k *Consumer) Run(c *raw.Client, l *Ledger) {
	c.Send("SUBSCRIBE", "", "destination:/queue/"+k.Queue, "id:1", "ack:client-individual", "activemq.prefetchSize:200")
	type held struct{ name, ack string }
	var unacked []held
	last := map[string]int{}
	stopping, owed := false, 0
	ack := func() {
		for len(unacked) > k.Lag || stopping && len(unacked) > 0 {
			l.Acking(unacked[0].name)
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
			l.Receipt(f.Get("receipt-id"))
		case "MESSAGE":
			name, who, number := NameOf(f.Body)
			l.Delivered(name, k.Queue, f.Get("redelivered") == "true")
			if number <= last[who] {
				l.Fault("%s: %s/%d came after %s/%d on one connection (redelivered %s)", k.Queue, who, number, who, last[who], f.Get("redelivered"))
			}
			last[who] = number
			unacked = append(unacked, held{name, f.Get("ack")})
			stopping = stopping || name == k.Stop
			ack()
		default:
			l.Fault("consumer of %s got %v", k.Queue, f)
			return
		}
	}
}

// Traffic is what is connected to a node in one round.
type Traffic struct{ sync.WaitGroup }

// Produce connects producers.
func (w *Traffic) Produce(t *testing.T, n *node.Node, l *Ledger, ps ...*Producer) {
	for _, p := range ps {
		c := raw.Login(t, n.Addr("stomp"), "1.2")
		w.Go(func() { p.Run(c, l) })
	}
}

// Consume connects consumers.
func (w *Traffic) Consume(t *testing.T, n *node.Node, l *Ledger, ks ...*Consumer) {
	for _, k := range ks {
		c := raw.Login(t, n.Addr("stomp"), "1.2")
		w.Go(func() { k.Run(c, l); _ = c.Conn().Close() })
	}
}

// Drain acknowledges all that is in the Queues: a last message in each, behind all
// others, says where they end.
func Drain(t *testing.T, n *node.Node, l *Ledger, round int) {
	t.Helper()
	c := raw.Login(t, n.Addr("stomp"), "1.2")
	var w Traffic
	for i, queue := range Queues {
		name := fmt.Sprintf("end%d/%d", i, round+1)
		l.Sent(name, queue, "")
		c.Ask("SEND", name+" ", "destination:/queue/"+queue, "persistent:true")
		l.Receipt("send " + name)
		w.Consume(t, n, l, &Consumer{Queue: queue, Stop: name})
	}
	w.Wait()
	_ = c.Conn().Close()
	if left := l.Undrained(); left > 0 {
		t.Logf("%d receipted messages were acknowledged at most without a receipt", left)
	}
}
