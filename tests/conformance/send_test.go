package conformance

import (
	"strconv"
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/tests/conformance/raw"
)

func sendRows() []row {
	return []row{
		{name: "B3.65 the receipt header is not delivered", ask: func(p *play) {
			s := p.login("1.1")
			p.subscribe(s, "id:1")
			p.want(p.written("1.1", p.sent("x", "receipt:r")), "RECEIPT", "receipt-id:r")
			p.want(s, "MESSAGE", "=x", "!receipt")
		}},
		{name: "B3.67 only who asks gets a receipt, in order", ask: func(p *play) {
			c := p.login("1.2")
			for _, n := range many(50) {
				c.Send("SEND", n, "destination:"+p.queue)
				c.Send("SEND", n, "destination:"+p.queue, "persistent:true")
				c.Send("SEND", n, "destination:"+p.queue, "receipt:"+n)
			}
			for _, n := range many(50) {
				p.want(c, "RECEIPT", "receipt-id:"+n)
			}
			p.open(c)
		}},
		{name: "C stompest wants nothing but the receipt-id", ask: func(p *play) {
			c := p.login("1.2")
			c.Send("SEND", "", "destination:"+p.queue, "receipt:r")
			require.Equal(p.t, []string{"receipt-id:r"}, p.want(c, "RECEIPT", "=").Lines)
		}},
		{name: "B3.68 many messages and a DISCONNECT at once", ask: func(p *play) {
			var all strings.Builder
			bodies := many(2000)
			for _, n := range bodies {
				all.WriteString(p.sent(n, "persistent:true"))
			}
			c := p.written("1.1", all.String()+raw.Text("DISCONNECT", ""))
			require.Empty(p.t, c.Closed())
			p.left(bodies...)
		}},
		{name: "B3.69 JMS headers", ask: func(p *play) {
			m := p.echo("1.0", "1.0", p.sent("x", "correlation-id:c1", "priority:3", "type:t345", "JMSXGroupID:abc", "foo:abc", "bar:123", "reply-to:"+p.queue+".back"))
			p.holds(m, "MESSAGE", "correlation-id:c1", "priority:3", "type:t345", "foo:abc", "bar:123", "reply-to:"+p.queue+".back")
			if p.ours { // ActiveMQ keeps the group to itself
				p.holds(m, "MESSAGE", "JMSXGroupID:abc")
			}
		}},
		{name: "B3.70 defaults", ask: func(p *play) {
			m := p.echo("1.0", "1.0", p.sent("x"))
			p.holds(m, "MESSAGE", "priority:4", "expires:0", "timestamp", "message-id", "destination:"+p.queue,
				"!persistent", "!redelivered", "!type", "!correlation-id", "!reply-to", "!ack")
			sent, err := strconv.ParseInt(m.Get("timestamp"), 10, 64)
			require.NoError(p.t, err)
			require.WithinDuration(p.t, time.Now(), time.UnixMilli(sent), time.Minute)
		}},
		{name: "B3.71 what a client cannot set", ask: func(p *play) {
			m := p.echo("1.2", "1.2", p.sent("x", "message-id:mine", "redelivered:true", "subscription:mine", "JMSXUserID:root", "timestamp:1234", "transaction-x:y"))
			p.holds(m, "MESSAGE", "subscription:echo", "!redelivered", "!JMSXUserID", "timestamp:1234", "transaction-x:y")
			require.NotEqual(p.t, "mine", m.Get("message-id"))
		}},
		{name: "B3.73 persistent", ask: func(p *play) {
			p.holds(p.echo("1.1", "1.1", p.sent("x", "persistent:true")), "MESSAGE", "persistent:true")
			p.holds(p.echo("1.1", "1.1", p.sent("x", "persistent:false")), "MESSAGE", "!persistent")
		}},
		{name: "A3 persistent in Python's spelling", ask: func(p *play) {
			m := p.echo("1.1", "1.1", p.sent("x", "persistent:True"))
			p.holds(m, "MESSAGE", differs(p, "persistent:true", "!persistent", "who writes True wants to keep the message"))
		}},
		{name: "A3 a priority below 0", ask: func(p *play) {
			p.holds(p.echo("1.1", "1.1", p.sent("x", "priority:-1")), "MESSAGE", "priority:0")
		}},
		{name: "A3 empty headers stay", ask: func(p *play) {
			p.holds(p.echo("1.1", "1.1", p.sent("x", "reply-to:", "type:", "correlation-id:", "content-type:", "mine:")), "MESSAGE",
				"reply-to:", "type:", "correlation-id:", "content-type:", "mine:")
		}},
		{name: "B3.75 what has expired is not delivered, what follows is", ask: func(p *play) {
			p.send(p.queue, "late", "expires:1")
			p.sendAll("a")
			p.left("a")
		}},
		{name: "A3 without a scheduler its headers pass", ask: func(p *play) {
			seen := differs(p, "!AMQ_SCHEDULED_DELAY", "AMQ_SCHEDULED_DELAY:1", "there always is a scheduler; ActiveMQ has to be told to have one")
			p.holds(p.echo("1.1", "1.1", p.sent("x", "AMQ_SCHEDULED_DELAY:1")), "MESSAGE", seen)
		}},
		{name: "A3 a priority above 9", ask: func(p *play) {
			p.holds(p.echo("1.1", "1.1", p.sent("x", "priority:77")), "MESSAGE", "priority:9")
		}},
		{name: "A3 an expiry in the future is shown", ask: func(p *play) {
			at := strconv.FormatInt(time.Now().Add(time.Hour).UnixMilli(), 10)
			p.holds(p.echo("1.1", "1.1", p.sent("x", "expires:"+at)), "MESSAGE", "expires:"+at)
		}},
		{name: "A3 ttl is nobody's business", ask: func(p *play) {
			p.holds(p.echo("1.1", "1.1", p.sent("x", "ttl:1")), "MESSAGE", "ttl:1", "expires:0")
		}},
		{name: "B3.77 any text for reply-to", ask: func(p *play) {
			for _, text := range []string{"sms:8139577734", "some destination", "/topic/x.y"} {
				p.holds(p.echo("1.0", "1.0", p.sent("x", "reply-to:"+text)), "MESSAGE", "reply-to:"+text)
			}
		}},
		{name: "B3.80 the transaction header is not delivered", ask: func(p *play) {
			c := p.login("1.1")
			c.Ask("BEGIN", "", "transaction:t")
			c.Ask("SEND", "a", "destination:"+p.queue, "transaction:t")
			c.Ask("COMMIT", "", "transaction:t")
			rest := p.rest()
			require.Len(p.t, rest, 1)
			p.holds(rest[0], "MESSAGE", "!transaction", "=a")
		}},
		{name: "B3.84 order, with a pause", ask: func(p *play) {
			s, c := p.login("1.1"), p.login("1.1")
			p.subscribe(s, "id:1")
			for range 2 {
				for _, n := range many(100) {
					c.Send("SEND", n, "destination:"+p.queue)
				}
				p.wantMessages(s, many(100)...)
			}
		}},
		{name: "B3.85 closing under traffic", ask: func(p *play) {
			for range 20 {
				c := p.login("1.1")
				p.subscribe(c, "id:1")
				for _, n := range many(20) {
					c.Send("SEND", n, "destination:"+p.queue)
				}
				require.NoError(p.t, c.Conn().Close())
			}
			p.open(p.login("1.1"))
		}},
		{name: "B3.86 receipts that nobody reads", ask: func(p *play) {
			c := p.login("1.1")
			bodies := many(5000)
			written := make(chan error, 1)
			go func() {
				var err error
				for _, n := range bodies {
					if err == nil {
						err = c.Write(p.sent(n, "receipt:"+n, "fill:"+strings.Repeat(".", 500)))
					}
				}
				written <- err
			}()
			for _, n := range bodies {
				p.want(c, "RECEIPT", "receipt-id:"+n)
			}
			require.NoError(p.t, <-written)
			p.left(bodies...)
		}},
		{name: "B3.87 numbers that are none", ask: func(p *play) {
			for _, line := range []string{"expires:abc", "priority:abc", "timestamp:abc"} {
				c := p.written("1.1", p.sent("x", line, "receipt:r"))
				if p.ours {
					p.refused(c, "receipt-id:r")
				} else { // ActiveMQ drops the connection without a word
					c.Closed()
				}
			}
			p.left()
		}},
		{name: "B3.90 no destination", ask: func(p *play) {
			for _, v := range []string{"1.0", "1.1", "1.2"} {
				c := p.login(v)
				c.Send("SEND", "x", "receipt:r")
				p.refused(c, "receipt-id:r")
				c.Send("SUBSCRIBE", "", "id:1", "receipt:r")
				p.refused(c, "receipt-id:r")
			}
		}},
		{name: "B3.91 an empty destination", ask: func(p *play) {
			for _, command := range []string{"SEND", "SUBSCRIBE"} {
				c := p.login("1.1")
				c.Send(command, "", "destination:", "id:1", "receipt:r")
				if p.ours || command == "SUBSCRIBE" {
					p.refused(c, "receipt-id:r", "message~Invalid empty or 'null' Destination header")
				} else { // ActiveMQ 5.17 drops the connection without a word
					c.Closed()
				}
			}
		}},
		{name: "A2 a name without a prefix is a queue", ask: func(p *play) {
			name := strings.TrimPrefix(p.queue, "/queue/")
			p.send(name, "a")
			rest := p.rest()
			require.Len(p.t, rest, 1)
			p.holds(rest[0], "MESSAGE", "=a", "destination:"+p.queue)
		}},
		{name: "A2 other prefixes are parts of a queue's name", ask: func(p *play) {
			for _, name := range []string{"/dsub/x", "/QUEUE/x", "queue/x", "/exchange/x/y"} {
				name += strings.TrimPrefix(p.queue, "/queue/")
				s := p.login("1.1")
				s.Ask("SUBSCRIBE", "", "id:1", "destination:"+name)
				p.send("/queue/"+name, "a")
				p.want(s, "MESSAGE", "=a", "destination:/queue/"+name)
			}
		}},
		{name: "A2 JMS names of destinations", ask: func(p *play) {
			name := "topic://" + strings.TrimPrefix(p.topic, "/topic/")
			s := p.login("1.0")
			s.Ask("SUBSCRIBE", "", "destination:"+name)
			p.send(name, "a")
			p.want(s, "MESSAGE", "=a", "destination:"+differs(p, p.topic, "/queue/"+name, "ActiveMQ shows such names in its own headers"))
		}},
		{name: "A2 a prefix without a name", ask: func(p *play) {
			for _, name := range []string{"/queue/", "/topic/"} {
				c := p.login("1.1")
				c.Send("SEND", "x", "destination:"+name, "receipt:r")
				if p.ours {
					p.refused(c, "receipt-id:r", "message~Invalid empty or 'null' Destination header")
				} else { // ActiveMQ 5.17 drops the connection without a word
					c.Closed()
				}
			}
		}},
		{name: "A2 blanks around a destination", ask: func(p *play) {
			p.send(" "+p.queue+" ", "a")
			p.left("a")
		}},
		{name: "C headers of iDDS and StompAMQ stay the senders'", ask: func(p *play) {
			c := p.login("1.2")
			p.subscribe(c, "id:1", "ack:client-individual")
			p.send(p.queue, "x", "ack:auto", "id:77", "vo:atlas")
			m := p.want(c, "MESSAGE", "id:77", "vo:atlas", "subscription:1")
			require.NotEqual(p.t, "auto", m.Get("ack"))
			c.Ask("ACK", "", "id:"+m.Get("ack"))
			p.leave(c)
			p.left()
		}},
		{name: "C a sender's ack header reaches who acknowledges nothing", ask: func(p *play) {
			p.holds(p.echo("1.1", "1.1", p.sent("x", "ack:auto")), "MESSAGE", "ack:auto")
		}},
	}
}
