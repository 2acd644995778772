package conformance

import (
	"strconv"

	"github.com/stretchr/testify/require"
)

func subscribeRows() []row {
	return []row{
		{name: "B3.66 the receipt of SUBSCRIBE is before the first message", ask: func(p *play) {
			for range 20 {
				p.sendAll("a")
				c := p.login("1.1")
				c.Send("SUBSCRIBE", "", "id:1", "destination:"+p.queue, "receipt:r")
				p.want(c, "RECEIPT", "receipt-id:r")
				p.want(c, "MESSAGE", "=a")
				p.leave(c)
			}
		}},
		{name: "A4 the id comes back as subscription", ask: func(p *play) {
			for _, v := range []string{"1.0", "1.1", "1.2"} {
				c := p.login(v)
				p.subscribe(c, "id:some-id")
				p.send(p.queue, "a")
				p.want(c, "MESSAGE", "subscription:some-id")
				p.leave(c)
			}
		}},
		{name: "A4 no id in 1.0", ask: func(p *play) {
			c := p.login("1.0")
			p.subscribe(c)
			p.send(p.queue, "a")
			p.want(c, "MESSAGE", "=a", "!subscription")
		}},
		{name: "B4.96 no id in 1.1 and 1.2", ask: func(p *play) {
			for _, v := range []string{"1.1", "1.2"} {
				c := p.login(v)
				c.Send("SUBSCRIBE", "", "destination:"+p.queue, "receipt:r")
				p.refused(c, "receipt-id:r")
				c.Send("UNSUBSCRIBE", "", "destination:"+p.queue, "receipt:r")
				p.refused(c, "receipt-id:r")
			}
		}},
		{name: "A4 an ack mode nobody knows is auto", ask: func(p *play) {
			c := p.login("1.2")
			p.subscribe(c, "id:1", "ack:whatever")
			p.sendAll("a", "b")
			p.wantMessages(c, "a", "b")
			p.leave(c)
			p.left()
		}},
		{name: "A4 ack header only in 1.2 and only where it is needed", ask: func(p *play) {
			for _, v := range []string{"1.0", "1.1", "1.2"} {
				for _, mode := range []string{"auto", "client", "client-individual"} {
					c := p.login(v)
					p.subscribe(c, "id:1", "ack:"+mode)
					p.sendAll("a")
					m := p.want(c, "MESSAGE", "=a")
					_, there := m.Lookup("ack")
					require.Equal(p.t, v == "1.2" && mode != "auto", there, "%s %s %v", v, mode, m)
					p.leave(c)
					p.rest()
				}
			}
		}},
		{name: "B4.118 UNSUBSCRIBE by id", ask: func(p *play) {
			for _, v := range []string{"1.0", "1.1", "1.2"} {
				c := p.login(v)
				p.subscribe(c, "id:1")
				c.Ask("UNSUBSCRIBE", "", "id:1")
				p.sendAll("a")
				p.open(c)
				p.left("a")
			}
		}},
		{name: "B4.118 UNSUBSCRIBE by destination in 1.0", ask: func(p *play) {
			c := p.login("1.0")
			p.subscribe(c)
			c.Ask("UNSUBSCRIBE", "", "destination:"+p.queue)
			p.sendAll("a")
			p.open(c)
			p.left("a")
		}},
		{name: "B4.118 UNSUBSCRIBE without a receipt", ask: func(p *play) {
			c := p.login("1.1")
			p.subscribe(c, "id:1")
			c.Send("UNSUBSCRIBE", "", "id:1")
			p.open(c)
			p.sendAll("a")
			p.left("a")
		}},
		{name: "A4 UNSUBSCRIBE by the other name", ask: func(p *play) {
			c := p.login("1.0")
			p.subscribe(c)
			c.Send("UNSUBSCRIBE", "", "id:1", "receipt:r") // it was given none
			p.refused(c, "receipt-id:r")
			c = p.login("1.0")
			p.subscribe(c, "id:1")
			c.Ask("UNSUBSCRIBE", "", "destination:"+p.queue)
		}},
		{name: "A4 colons in ids", ask: func(p *play) {
			for _, v := range []string{"1.0", "1.1", "1.2"} {
				id := `a\cb`
				if v == "1.0" {
					id = "a:b"
				}
				c := p.login(v)
				p.subscribe(c, "id:"+id)
				p.sendAll("x")
				p.want(c, "MESSAGE", "subscription:"+id)
				c.Ask("UNSUBSCRIBE", "", "id:"+id)
			}
		}},
		{name: "A4 UNSUBSCRIBE of nothing", ask: func(p *play) {
			c := p.login("1.1")
			c.Send("UNSUBSCRIBE", "", "id:none", "receipt:r")
			p.refused(c, "receipt-id:r")
			c = p.login("1.0")
			c.Send("UNSUBSCRIBE", "", "destination:"+p.queue, "receipt:r")
			p.refused(c, "receipt-id:r")
		}},
		{name: "B4.119 an id twice is accepted", ask: func(p *play) {
			c := p.login("1.1")
			p.subscribe(c, "id:1")
			c.Ask("SUBSCRIBE", "", "id:1", "destination:"+p.queue+".other")
			p.open(c)
		}},
		{name: "B4.124 subscribing again after UNSUBSCRIBE", ask: func(p *play) {
			c := p.login("1.1")
			for range 3 {
				p.subscribe(c, "id:1")
				p.sendAll("a")
				p.wantMessages(c, "a")
				c.Ask("UNSUBSCRIBE", "", "id:1")
			}
		}},
		{name: "B4.108 a prefetch of one", ask: func(p *play) {
			p.sendAll(many(5)...)
			c, d := p.login("1.2"), p.login("1.2")
			p.subscribe(c, "id:1", "ack:client", "activemq.prefetchSize:1")
			m := p.want(c, "MESSAGE", "=0")
			p.subscribe(d, "id:1", "ack:client", "activemq.prefetchSize:3")
			p.wantMessages(d, "1", "2", "3")
			c.Ask("SEND", "", "destination:"+p.queue+".open") // nothing else came
			c.Send("ACK", "", "id:"+m.Get("ack"))
			p.want(c, "MESSAGE", "=4")
		}},
		{name: "A4 a prefetch of zero delivers nothing", ask: func(p *play) {
			p.sendAll("a")
			c := p.login("1.2")
			p.subscribe(c, "id:1", "ack:client", "activemq.prefetchSize:0")
			p.left("a")
			p.open(c)
		}},
		{name: "A4 a prefetch that is no number is ignored", ask: func(p *play) {
			c := p.login("1.2")
			p.subscribe(c, "id:1", "activemq.prefetchSize:junk")
			p.sendAll(many(10)...)
			p.wantMessages(c, many(10)...)
		}},
		{name: "A4 headers of other brokers are ignored", ask: func(p *play) {
			c := p.login("1.2")
			p.subscribe(c, "id:1", "persistent:true", "subscription-type:MULTICAST", "durable-subscription-name:x", "activemq.unknown:1", "activemq.retroactive:True", "exclusive:false")
			p.sendAll("a")
			p.wantMessages(c, "a")
		}},
		{name: "B4.117 prefetched messages go to the next consumer", ask: func(p *play) {
			p.sendAll(many(10)...)
			c := p.login("1.1")
			p.subscribe(c, "id:1", "ack:client")
			p.wantMessages(c, many(10)...)
			d := p.login("1.1")
			p.subscribe(d, "id:1")
			c.Ask("UNSUBSCRIBE", "", "id:1")
			p.wantMessages(d, many(10)...)
		}},
		{name: "B4.122 ack ids are unique", ask: func(p *play) {
			c := p.login("1.2")
			c.Ask("SUBSCRIBE", "", "id:1", "destination:"+p.topic, "ack:client")
			c.Ask("SUBSCRIBE", "", "id:2", "destination:"+p.topic, "ack:client")
			p.send(p.topic, "a")
			one, two := p.want(c, "MESSAGE", "=a"), p.want(c, "MESSAGE", "=a")
			require.NotEqual(p.t, one.Get("subscription"), two.Get("subscription"))
			require.NotEqual(p.t, one.Get("ack"), two.Get("ack"))
			c.Ask("ACK", "", "id:"+two.Get("ack"))
			c.Ask("ACK", "", "id:"+one.Get("ack"))
		}},
		{name: "A2 a topic reaches all who listen and nobody later", ask: func(p *play) {
			c, d := p.login("1.1"), p.login("1.0")
			c.Ask("SUBSCRIBE", "", "id:1", "destination:"+p.topic)
			d.Ask("SUBSCRIBE", "", "destination:"+p.topic)
			p.send(p.topic, "a")
			p.want(c, "MESSAGE", "=a", "destination:"+p.topic, "subscription:1")
			p.want(d, "MESSAGE", "=a", "destination:"+p.topic)
			e := p.login("1.1")
			e.Ask("SUBSCRIBE", "", "id:1", "destination:"+p.topic)
			p.send(p.topic, "b")
			p.want(e, "MESSAGE", "=b")
		}},
		{name: "A4 acknowledgements on a topic", ask: func(p *play) {
			for _, mode := range []string{"client", "client-individual"} {
				for _, verb := range []string{"ACK", "NACK"} {
					c := p.login("1.2")
					c.Ask("SUBSCRIBE", "", "id:1", "destination:"+p.topic, "ack:"+mode)
					p.send(p.topic, "a")
					m := p.want(c, "MESSAGE", "=a", "ack")
					c.Ask(verb, "", "id:"+m.Get("ack"))
					p.leave(c)
				}
			}
		}},
		{name: "A2 wildcards on topics", ask: func(p *play) {
			one, all := p.login("1.1"), p.login("1.1")
			one.Ask("SUBSCRIBE", "", "id:1", "destination:"+p.topic+".*")
			all.Ask("SUBSCRIBE", "", "id:1", "destination:"+p.topic+".>")
			for _, name := range []string{"", ".a", ".a.b", ".c"} {
				p.send(p.topic+name, name)
			}
			p.want(one, "MESSAGE", "=.a", "destination:"+p.topic+".a")
			p.want(one, "MESSAGE", "=.c", "destination:"+p.topic+".c")
			for _, name := range []string{"", ".a", ".a.b", ".c"} {
				p.want(all, "MESSAGE", "="+name, "destination:"+p.topic+name)
			}
		}},
		{name: "B4.121 noLocal", ask: func(p *play) {
			c := p.login("1.1")
			c.Ask("SUBSCRIBE", "", "id:1", "destination:"+p.topic, "activemq.noLocal:true")
			c.Ask("SEND", "mine", "destination:"+p.topic)
			p.send(p.topic, "another's")
			p.want(c, "MESSAGE", "=another's")
		}},
		{name: "B4.121 own messages without noLocal", ask: func(p *play) {
			c := p.login("1.1")
			c.Ask("SUBSCRIBE", "", "id:1", "destination:"+p.topic)
			c.Send("SEND", "mine", "destination:"+p.topic)
			p.want(c, "MESSAGE", "=mine")
		}},
		{name: "B4.120 two consumers share", ask: func(p *play) {
			c, d := p.login("1.1"), p.login("1.1")
			p.subscribe(c, "id:1", "ack:client", "activemq.prefetchSize:2")
			p.subscribe(d, "id:1", "ack:client", "activemq.prefetchSize:2")
			p.sendAll(many(4)...)
			seen := map[string]bool{}
			for range 2 {
				seen[p.want(c, "MESSAGE").Body], seen[p.want(d, "MESSAGE").Body] = true, true
			}
			for i := range 4 {
				require.True(p.t, seen[strconv.Itoa(i)])
			}
		}},
	}
}
