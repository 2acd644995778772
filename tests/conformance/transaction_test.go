package conformance

import (
	"strconv"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/tests/conformance/raw"
)

// begin opens a transaction.
func begin(c *raw.Client, id string) { c.Ask("BEGIN", "", "transaction:"+id) }

// end is COMMIT or ABORT.
func end(c *raw.Client, verb, id string) { c.Ask(verb, "", "transaction:"+id) }

// sendIn sends within a transaction; "" is none.
func (p *play) sendIn(c *raw.Client, tx, body string) {
	p.t.Helper()
	lines := []string{"destination:" + p.queue}
	if tx != "" {
		lines = append(lines, "transaction:"+tx)
	}
	c.Ask("SEND", body, lines...)
}

// ackIn acknowledges within a transaction, without a receipt.
func ackIn(c *raw.Client, verb, tx string, m raw.Frame) {
	c.Send(verb, "", append(ackLines("1.2", m), "transaction:"+tx)...)
}

func transactionRows() []row {
	return append([]row{
		{name: "B5.125 COMMIT, ABORT, the same name again", ask: func(p *play) {
			c := p.login("1.1")
			for _, verb := range []string{"COMMIT", "ABORT", "COMMIT"} {
				begin(c, "tx")
				p.sendIn(c, "tx", verb)
				end(c, verb, "tx")
			}
			p.left("COMMIT", "COMMIT")
		}},
		{name: "B5.126 BEGIN twice", ask: func(p *play) {
			c := p.login("1.1")
			begin(c, "tx")
			c.Send("BEGIN", "", "transaction:tx", "receipt:r")
			p.refused(c, "receipt-id:r")
			end(c, "COMMIT", "tx")
		}},
		{name: "A4 transactions nobody began", ask: func(p *play) {
			c := p.login("1.1")
			for _, verb := range []string{"COMMIT", "ABORT"} {
				c.Send(verb, "", "transaction:none", "receipt:r")
				p.refused(c, "receipt-id:r")
			}
			c.Send("SEND", "x", "destination:"+p.queue, "transaction:none", "receipt:r")
			p.refused(c, "receipt-id:r")
			p.left()
		}},
		{name: "A4 frames without the transaction they need", ask: func(p *play) {
			c := p.login("1.1")
			for _, verb := range []string{"BEGIN", "COMMIT", "ABORT"} {
				c.Send(verb, "", "receipt:r")
				p.refused(c, "receipt-id:r")
			}
		}},
		{name: "A4 transactions are a connection's own", ask: func(p *play) {
			c, d := p.login("1.1"), p.login("1.1")
			begin(c, "tx")
			begin(d, "tx")
			p.sendIn(c, "tx", "c")
			p.sendIn(d, "tx", "d")
			end(c, "ABORT", "tx")
			end(d, "COMMIT", "tx")
			p.left("d")
		}},
		{name: "A4 leaving aborts", ask: func(p *play) {
			c := p.login("1.1")
			begin(c, "tx")
			p.sendIn(c, "tx", "never")
			p.leave(c)
			p.left()
		}},
		{name: "B3.67 the receipt of a SEND comes before the COMMIT", ask: func(p *play) {
			c := p.login("1.1")
			begin(c, "tx")
			p.sendIn(c, "tx", "a")
			p.left()
			end(c, "COMMIT", "tx")
			p.left("a")
		}},
		{name: "B5.133 another queue in the transaction", ask: func(p *play) {
			p.sendAll("a")
			c := p.login("1.2")
			p.subscribe(c, "id:1", "ack:client")
			m := p.want(c, "MESSAGE", "=a")
			begin(c, "tx")
			ackIn(c, "ACK", "tx", m)
			c.Ask("SEND", "b", "destination:"+p.queue+".other", "transaction:tx")
			end(c, "COMMIT", "tx")
			p.leave(c)
			p.left()
			p.queue += ".other"
			p.left("b")
		}},
		{name: "B5.135 the order of a commit", ask: func(p *play) {
			c := p.login("1.1")
			p.sendIn(c, "", "m1")
			begin(c, "tx")
			p.sendIn(c, "tx", "t1")
			p.sendIn(c, "", "m2")
			p.sendIn(c, "tx", "t2")
			end(c, "COMMIT", "tx")
			p.sendIn(c, "", "m3")
			p.left("m1", "m2", "t1", "t2", "m3")
		}},
	}, transactionAckRows()...)
}

func transactionAckRows() []row {
	return []row{
		{name: "B4.100 fifty transactions with one ACK each", ask: func(p *play) {
			p.sendAll(many(50)...)
			c := p.login("1.2")
			p.subscribe(c, "id:1", "ack:client-individual", "activemq.prefetchSize:1")
			for i, body := range many(50) {
				m := p.want(c, "MESSAGE", "="+body)
				tx := strconv.Itoa(i)
				c.Send("BEGIN", "", "transaction:"+tx)
				ackIn(c, "ACK", tx, m)
				c.Send("COMMIT", "", "transaction:"+tx)
			}
			p.leave(c)
			p.left()
		}},
		{name: "B4.109 ACKs in a transaction open the window, also after ABORT", ask: func(p *play) {
			p.sendAll(many(4)...)
			c := p.login("1.2")
			begin(c, "tx")
			p.subscribe(c, "id:1", "ack:client", "activemq.prefetchSize:1")
			var messages []raw.Frame
			for _, body := range many(3) {
				m := p.want(c, "MESSAGE", "="+body)
				messages = append(messages, m)
				ackIn(c, "ACK", "tx", m)
			}
			p.want(c, "MESSAGE", "=3")
			end(c, "ABORT", "tx")
			begin(c, "tx2")
			for _, m := range messages {
				ackIn(c, "ACK", "tx2", m)
			}
			end(c, "COMMIT", "tx2")
			p.leave(c)
			p.left("3")
		}},
		{name: "B5.127 ACK outside a transaction after ABORT", ask: func(p *play) {
			for _, mode := range []string{"client", "client-individual"} {
				p.sendAll("a")
				c := p.login("1.2")
				p.subscribe(c, "id:1", "ack:"+mode)
				m := p.want(c, "MESSAGE", "=a")
				begin(c, "tx")
				ackIn(c, "ACK", "tx", m)
				end(c, "ABORT", "tx")
				c.Ask("ACK", "", ackLines("1.2", m)...)
				p.leave(c)
				p.left()
			}
		}},
		{name: "B5.128 ACKs in any order", ask: func(p *play) {
			p.sendAll(many(5)...)
			c := p.login("1.2")
			p.subscribe(c, "id:1", "ack:client-individual")
			messages := p.wantMessages(c, many(5)...)
			begin(c, "tx")
			for _, i := range []int{3, 0, 4, 1, 2} {
				ackIn(c, "ACK", "tx", messages[i])
			}
			end(c, "COMMIT", "tx")
			p.leave(c)
			p.left()
		}},
		{name: "B5.130 ACK and NACK after ABORT", ask: func(p *play) {
			for _, verb := range []string{"ACK", "NACK"} {
				for _, mode := range []string{"client-individual", "client"} {
					p.sendAll(many(3)...)
					c := p.login("1.2")
					p.subscribe(c, "id:1", "ack:"+mode)
					messages := p.wantMessages(c, many(3)...)
					begin(c, "tx")
					for _, m := range messages {
						ackIn(c, "ACK", "tx", m)
					}
					end(c, "ABORT", "tx")
					for _, m := range messages {
						c.Ask(verb, "", ackLines("1.2", m)...)
					}
					p.leave(c)
					p.left()
				}
			}
		}},
		{name: "A4 NACK in a transaction", ask: func(p *play) {
			p.sendAll("a")
			c := p.login("1.2")
			p.subscribe(c, "id:1", "ack:client-individual")
			m := p.want(c, "MESSAGE", "=a")
			begin(c, "tx")
			c.Send("NACK", "", append(ackLines("1.2", m), "transaction:tx", "receipt:r")...)
			want := differs(p, "RECEIPT", "ERROR", "the specification allows it, and it costs nothing")
			p.want(c, want, "receipt-id:r")
			if p.ours {
				end(c, "ABORT", "tx")
				c.Ask("ACK", "", ackLines("1.2", m)...)
				p.leave(c)
				p.left()
			}
		}},
		{name: "B5.131 five times ten", ask: func(p *play) {
			for range 5 {
				p.sendAll(many(10)...)
				c := p.login("1.2")
				begin(c, "tx")
				p.subscribe(c, "id:1", "ack:client")
				for _, m := range p.wantMessages(c, many(10)...) {
					ackIn(c, "ACK", "tx", m)
				}
				end(c, "COMMIT", "tx")
				p.leave(c)
			}
			p.left()
		}},
		{name: "B5.134 COMMIT after UNSUBSCRIBE", ask: func(p *play) {
			p.sendAll("a", "b")
			c := p.login("1.2")
			p.subscribe(c, "id:1", "ack:client")
			messages := p.wantMessages(c, "a", "b")
			begin(c, "tx")
			ackIn(c, "ACK", "tx", messages[0])
			c.Ask("UNSUBSCRIBE", "", "id:1")
			end(c, "COMMIT", "tx")
			p.leave(c)
			if p.ours { // ActiveMQ 5.17 delivers "a" again
				p.left("b")
			}
		}},
		{name: "B5.136 ABORT delivers nothing again", ask: func(p *play) {
			p.sendAll("a")
			c := p.login("1.2")
			p.subscribe(c, "id:1", "ack:client-individual")
			m := p.want(c, "MESSAGE", "=a")
			begin(c, "tx")
			ackIn(c, "ACK", "tx", m)
			end(c, "ABORT", "tx")
			p.send(p.queue, "b")
			p.wantMessages(c, "b")
		}},
		{name: "B5.139 without a COMMIT nothing is acknowledged", ask: func(p *play) {
			p.sendAll("a")
			c := p.login("1.2")
			p.subscribe(c, "id:1", "ack:client-individual")
			m := p.want(c, "MESSAGE", "=a")
			begin(c, "tx")
			ackIn(c, "ACK", "tx", m)
			p.leave(c)
			rest := p.rest()
			require.Len(p.t, rest, 1)
			p.holds(rest[0], "MESSAGE", "=a", "redelivered:true")
		}},
	}
}
