package conformance

import (
	"strings"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/tests/conformance/raw"
)

// ackLines are the headers with which a version acknowledges a message.
func ackLines(version string, m raw.Frame) []string {
	switch version {
	case "1.0":
		return []string{"message-id:" + m.Get("message-id")}
	case "1.1":
		return []string{"message-id:" + m.Get("message-id"), "subscription:" + m.Get("subscription")}
	}
	return []string{"id:" + m.Get("ack")}
}

// acked subscribes, takes five messages, acknowledges some of them and leaves.
func acked(version, mode string, acks []int, left ...string) func(p *play) {
	return func(p *play) {
		p.sendAll(many(5)...)
		c := p.login(version)
		p.subscribe(c, "id:1", "ack:"+mode)
		messages := p.wantMessages(c, many(5)...)
		for _, i := range acks {
			c.Ask("ACK", "", ackLines(version, messages[i])...)
		}
		p.leave(c)
		rest := p.rest()
		var bodies []string
		for _, m := range rest {
			p.holds(m, "MESSAGE", "redelivered:true")
			bodies = append(bodies, m.Body)
		}
		require.Equal(p.t, left, bodies)
	}
}

func acknowledgeRows() []row {
	rows := []row{
		{name: "B4.93 nothing acknowledged", ask: acked("1.0", "client", nil, many(5)...)},
		{name: "A4 auto acknowledges", ask: acked("1.1", "auto", nil)},
		{name: "B4.94 client, cumulative, 1.0", ask: acked("1.0", "client", []int{2}, "3", "4")},
		{name: "B4.94 client, cumulative, 1.1", ask: acked("1.1", "client", []int{2}, "3", "4")},
		{name: "B4.94 client, cumulative, 1.2", ask: acked("1.2", "client", []int{2}, "3", "4")},
		{name: "B4.95 client-individual, 1.0", ask: acked("1.0", "client-individual", []int{1, 3}, "0", "2", "4")},
		{name: "B4.95 client-individual, 1.1", ask: acked("1.1", "client-individual", []int{1, 3}, "0", "2", "4")},
		{name: "B4.95 client-individual, 1.2", ask: acked("1.2", "client-individual", []int{3, 1}, "0", "2", "4")},
		{name: "B4.99 one ACK for all", ask: acked("1.2", "client", []int{4})},
		{name: "B4.97 1.1 without a subscription", ask: func(p *play) {
			p.sendAll("a")
			c := p.login("1.1")
			p.subscribe(c, "id:1", "ack:client")
			m := p.want(c, "MESSAGE", "=a")
			c.Send("ACK", "", "message-id:"+m.Get("message-id"), "receipt:r")
			p.refused(c, "receipt-id:r")
			c.Ask("ACK", "", ackLines("1.1", m)...)
			p.leave(c)
			p.left()
		}},
		{name: "B4.98 1.2 with a message-id alone", ask: func(p *play) {
			p.sendAll("a")
			c := p.login("1.2")
			p.subscribe(c, "id:1", "ack:client")
			m := p.want(c, "MESSAGE", "=a")
			c.Send("ACK", "", "message-id:"+m.Get("message-id"), "receipt:r")
			p.refused(c, "receipt-id:r")
			c.Ask("ACK", "", ackLines("1.2", m)...)
			p.leave(c)
			p.left()
		}},
		{name: "C iDDS acknowledges the message-id as id", ask: func(p *play) {
			p.sendAll("a")
			c := p.login("1.2")
			p.subscribe(c, "id:1", "ack:client")
			m := p.want(c, "MESSAGE", "=a")
			c.Send("ACK", "", "id:"+m.Get("message-id"), "receipt:r")
			p.want(c, differs(p, "RECEIPT", "ERROR", "what is meant is clear, and a client does it"), "receipt-id:r")
		}},
		{name: "C clients that do not unescape message-ids", ask: func(p *play) {
			p.sendAll("a", "b")
			c := p.login("1.1")
			p.subscribe(c, "id:1", "ack:client-individual")
			messages := p.wantMessages(c, "a", "b")
			c.Ask("ACK", "", "subscription:1", "message-id:"+messages[0].Get("message-id"))
			c.Ask("ACK", "", "subscription:1", "message-id:"+strings.ReplaceAll(messages[1].Get("message-id"), `\c`, ":"))
			p.leave(c)
			p.left()
		}},
		{name: "A4 what is acknowledged cannot be again", ask: func(p *play) {
			p.sendAll(many(3)...)
			c := p.login("1.1")
			p.subscribe(c, "id:1", "ack:client")
			messages := p.wantMessages(c, many(3)...)
			c.Ask("ACK", "", ackLines("1.1", messages[1])...)
			for _, m := range messages[:2] {
				c.Send("ACK", "", append(ackLines("1.1", m), "receipt:r")...)
				p.refused(c, "receipt-id:r", "message~Unexpected ACK received for message-id")
			}
			p.leave(c)
			p.left("2")
		}},
		{name: "B4.101 the wrong subscription or message", ask: func(p *play) {
			p.sendAll("a")
			c := p.login("1.1")
			p.subscribe(c, "id:1", "ack:client")
			m := p.want(c, "MESSAGE", "=a")
			for _, verb := range []string{"ACK", "NACK"} {
				c.Send(verb, "", "message-id:"+m.Get("message-id"), "subscription:wrong", "receipt:r")
				p.refused(c, "receipt-id:r")
				c.Send(verb, "", `message-id:ID\cnowhere-1-1-0\c1\c-1\c1\c1`, "subscription:1", "receipt:r")
				p.refused(c, "receipt-id:r")
			}
			p.leave(c)
			p.left("a")
		}},
		{name: "B4.102 ACK where nothing is to be acknowledged", ask: func(p *play) {
			p.sendAll("a")
			c := p.login("1.1")
			p.subscribe(c, "id:1")
			m := p.want(c, "MESSAGE", "=a")
			c.Send("ACK", "", append(ackLines("1.1", m), "receipt:r")...)
			p.refused(c, "receipt-id:r", "message~Unexpected ACK received for message-id")
		}},
		{name: "A4 a receipt without headers that a version needs", ask: func(p *play) {
			for _, v := range []string{"1.0", "1.1", "1.2"} {
				c := p.login(v)
				c.Send("ACK", "", "receipt:r")
				p.refused(c, "receipt-id:r")
			}
		}},
		{name: "A4 1.0 with a subscription", ask: func(p *play) {
			p.sendAll("a")
			c := p.login("1.0")
			p.subscribe(c, "id:1", "ack:client")
			m := p.want(c, "MESSAGE", "=a")
			c.Ask("ACK", "", ackLines("1.1", m)...)
			p.leave(c)
			p.left()
		}},
		{name: "B4.106 a dropped connection's messages go to another client", ask: func(p *play) {
			p.sendAll(many(3)...)
			c, d := p.login("1.2"), p.login("1.2")
			p.subscribe(c, "id:1", "ack:client-individual")
			messages := p.wantMessages(c, many(3)...)
			c.Ask("ACK", "", ackLines("1.2", messages[1])...)
			p.subscribe(d, "id:1", "ack:client-individual")
			require.NoError(p.t, c.Conn().Close())
			for _, body := range []string{"0", "2"} {
				p.want(d, "MESSAGE", "="+body, "redelivered:true")
			}
		}},
		{name: "A3 the message-id stays over redeliveries", ask: func(p *play) {
			p.sendAll("a")
			var ids []string
			for range 3 {
				c := p.login("1.0")
				p.subscribe(c, "ack:client")
				ids = append(ids, p.want(c, "MESSAGE", "=a").Get("message-id"))
				p.leave(c)
			}
			require.Equal(p.t, []string{ids[0], ids[0], ids[0]}, ids)
		}},
	}
	return append(rows, nackRows()...)
}

func nackRows() []row {
	return []row{
		{name: "B4.103 NACK sends to the dead-letter queue", ask: func(p *play) {
			for _, v := range []string{"1.1", "1.2"} {
				p.send(p.queue, "poison", "persistent:true", "color:red")
				c := p.login(v)
				p.subscribe(c, "id:1", "ack:client-individual")
				m := p.want(c, "MESSAGE", "=poison")
				c.Ask("NACK", "", ackLines(v, m)...)
				p.leave(c)
				p.left()
				dead := p.dead(strings.ReplaceAll(m.Get("message-id"), `\c`, ":"))
				p.holds(dead, "MESSAGE", "=poison", "original-destination:"+p.queue, "color:red", "persistent:true", "expires:0", "destination:/queue/ActiveMQ.DLQ")
			}
		}},
		{name: "B4.103 NACK drops what is not persistent", ask: func(p *play) {
			p.sendAll("poison")
			c := p.login("1.2")
			p.subscribe(c, "id:1", "ack:client-individual")
			c.Ask("NACK", "", ackLines("1.2", p.want(c, "MESSAGE"))...)
			p.leave(c)
			p.left()
		}},
		{name: "A4 NACK hits one message, also in client mode", ask: func(p *play) {
			p.sendAll(many(3)...)
			c := p.login("1.2")
			p.subscribe(c, "id:1", "ack:client")
			messages := p.wantMessages(c, many(3)...)
			c.Ask("NACK", "", ackLines("1.2", messages[1])...)
			p.leave(c)
			p.left("0", "2")
		}},
		{name: "A4 NACK in 1.0", ask: func(p *play) {
			p.sendAll("a")
			c := p.login("1.0")
			p.subscribe(c, "id:1", "ack:client")
			m := p.want(c, "MESSAGE", "=a")
			c.Send("NACK", "", append(ackLines("1.0", m), "receipt:r")...)
			p.refused(c, "receipt-id:r")
			p.leave(c)
			p.left("a")
		}},
		{name: "B5.129 ACK the even and NACK the odd", ask: func(p *play) {
			for _, mode := range []string{"client-individual", "client"} {
				p.sendAll(many(10)...)
				c := p.login("1.2")
				p.subscribe(c, "id:1", "ack:"+mode, "activemq.prefetchSize:1")
				for i, body := range many(10) {
					m := p.want(c, "MESSAGE", "="+body)
					verb := "ACK"
					if i%2 == 1 {
						verb = "NACK"
					}
					c.Send(verb, "", ackLines("1.2", m)...)
				}
				p.leave(c)
				p.left()
			}
		}},
	}
}
