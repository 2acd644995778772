package conformance

import (
	"slices"

	"github.com/stretchr/testify/require"
)

// habitRows are what clients of the field do, each in its own way.
func habitRows() []row {
	return []row{
		{name: "FTS3 speaks 1.0 by activemq-cpp", ask: func(p *play) {
			c := p.dial()
			c.Send("CONNECT", "", "client-id:"+p.queue, "login:guest", "passcode:guest")
			p.want(c, "CONNECTED", "version:1.0", "heart-beat:0,0")
			c.Send("SUBSCRIBE", "", "ack:client", "activemq.dispatchAsync:true", "activemq.prefetchSize:1000",
				"destination:"+p.queue, "id:conn:session:1", "receipt:3")
			p.want(c, "RECEIPT", "receipt-id:3")
			d := p.login("1.0")
			require.NoError(p.t, d.Write(p.sent(`{"vo":"atlas"} `+"\x00", "JMSXDeliveryCount:0", "JMSXGroupSeq:0", "expires:0",
				"persistent:true", "priority:4", "timestamp:1700000000000", "vo:atlas", "receipt:5")))
			p.want(d, "RECEIPT", "receipt-id:5")
			p.want(c, "MESSAGE", "subscription:conn:session:1", "vo:atlas", "timestamp:1700000000000", "persistent:true", `={"vo":"atlas"} `)
			c.Send("UNSUBSCRIBE", "", "id:conn:session:1", "receipt:ignore:7")
			p.want(c, "RECEIPT", "receipt-id:ignore:7")
			p.open(d)
		}},
		{name: "DIRAC decorates SUBSCRIBE and UNSUBSCRIBE", ask: func(p *play) {
			c := p.login("1.1")
			p.subscribe(c, "id:consumer1", "ack:client-individual", "persistent:true")
			p.send(p.queue, `{"a": 1}`)
			m := p.want(c, "MESSAGE", "subscription:consumer1")
			c.Send("ACK", "", "message-id:"+m.Get("message-id"), "subscription:consumer1")
			c.Ask("UNSUBSCRIBE", "", "destination:"+p.queue, "id:consumer1")
			p.leave(c)
			p.left()
		}},
		{name: "PanDA names the prefetch in two dialects", ask: func(p *play) {
			p.sendAll(many(4)...)
			c := p.login("1.2", "client-id:"+p.queue, "heart-beat:60000,0")
			p.subscribe(c, "id:1", "ack:client-individual", "activemq.prefetchSize:2", "prefetch-count:2")
			p.wantMessages(c, "0", "1")
			d := p.login("1.2")
			p.subscribe(d, "id:1")
			p.wantMessages(d, "2", "3")
			p.open(c)
		}},
		{name: "APEL SSM pings with a transaction named by a Python dictionary", ask: func(p *play) {
			c := p.login("1.1")
			const id = `{'transaction'\c '1700000000.5'}`
			c.Send("BEGIN", "", "transaction:"+id)
			c.Send("ABORT", "", "transaction:"+id)
			p.open(c)
		}},
		{name: "stomp-php says DISCONNECT with a client-id", ask: func(p *play) {
			c := p.login("1.2", "client-id:"+p.queue, "heart-beat:0,0")
			c.Send("DISCONNECT", "", "client-id:"+p.queue)
			require.Empty(p.t, c.Closed())
		}},
		{name: "ruby clients put a blank before a receipt", ask: func(p *play) {
			c := p.login("")
			c.Send("SEND", "x", "destination: "+p.queue, "receipt: msg-1")
			p.want(c, "RECEIPT", "receipt-id:msg-1")
			p.left("x")
		}},
		{name: "stompjs names the message-id beside the id", ask: func(p *play) {
			p.sendAll("a")
			c := p.login("1.2")
			p.subscribe(c, "id:sub-0", "ack:client")
			m := p.want(c, "MESSAGE", "=a", "subscription:sub-0")
			c.Ask("ACK", "", "message-id:"+m.Get("message-id"), "subscription:sub-0", "id:"+m.Get("ack"))
			p.leave(c)
			p.left()
		}},
		{name: "a Nagios probe connects and goes", ask: func(p *play) {
			for range 10 {
				require.NoError(p.t, p.dial().Conn().Close())
			}
			p.open(p.login("1.2"))
		}},
		{name: "stompclt shovels all headers that it received", ask: func(p *play) {
			p.send(p.queue, "x", "persistent:true", "color:red")
			m := p.rest()[0]
			c := p.login("1.2")
			c.Ask("SEND", m.Body, slices.Clone(m.Lines)...)
			again := p.rest()
			require.Len(p.t, again, 1)
			p.holds(again[0], "MESSAGE", "color:red", "persistent:true", "timestamp:"+m.Get("timestamp"), "destination:"+p.queue)
			require.NotEqual(p.t, m.Get("message-id"), again[0].Get("message-id"))
		}},
	}
}
