package conformance

import (
	"strings"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/tests/conformance/raw"
)

// echo subscribes with one version, has the raw frame sent by another connection of a
// version and returns what is delivered.
func (p *play) echo(receiver, sender, frame string) raw.Frame {
	p.t.Helper()
	s := p.login(receiver)
	p.subscribe(s, "id:echo")
	c := p.login(sender)
	require.NoError(p.t, c.Write(frame))
	m := p.want(s, "MESSAGE")
	p.leave(s)
	p.open(c)
	return m
}

// sent makes a SEND to the queue.
func (p *play) sent(body string, lines ...string) string {
	return raw.Text("SEND", body, append([]string{"destination:" + p.queue}, lines...)...)
}

// written sends bytes on a fresh connection of a version and returns that connection.
func (p *play) written(version, text string) *raw.Client {
	p.t.Helper()
	c := p.login(version)
	require.NoError(p.t, c.Write(text))
	return c
}

func framingRows() []row {
	return append([]row{
		{name: "B2.32 CRLF everywhere", ask: func(p *play) {
			for _, v := range []string{"1.0", "1.2"} {
				text := strings.ReplaceAll(p.sent("a\nb", "color:blue"), "\n", "\r\n") + "\r\n"
				p.holds(p.echo(v, v, text), "MESSAGE", "=a\r\nb", "color:blue")
			}
		}},
		{name: "B2.33 noise between frames", ask: func(p *play) {
			for _, v := range []string{"1.0", "1.1", "1.2"} {
				p.holds(p.echo(v, v, "\n\n"+p.sent("a")+"\n\n\x00\n\x00\x00"), "MESSAGE", "=a")
			}
		}},
		{name: "B2.34 byte by byte", ask: func(p *play) {
			s, c := p.login("1.1"), p.login("1.1")
			p.subscribe(s, "id:1")
			for _, b := range []byte(p.sent("body", "content-length:4", "a:b")) {
				require.NoError(p.t, c.Write(string(b)))
			}
			p.want(s, "MESSAGE", "=body", "a:b")
		}},
		{name: "B2.35 an unknown command", ask: func(p *play) {
			p.fatal(p.written("1.1", raw.Text("WRONG", "")), "message~WRONG")
		}},
		{name: "B2.36 SED is not SEND", ask: func(p *play) {
			p.fatal(p.written("1.0", "SED\ndestination:"+p.queue+"\n\nx\x00"))
			p.left()
		}},
		{name: "A1 short forms of old scripts", ask: func(p *play) {
			c := p.login("1.0")
			c.Ask("SUB", "", "destination:"+p.queue)
			p.send(p.queue, "a")
			p.want(c, "MESSAGE", "=a")
			c.Ask("UNSUB", "", "destination:"+p.queue)
			p.open(c)
		}},
		{name: "B2.37 blanks around values in 1.0", ask: func(p *play) {
			m := p.echo("1.2", "1.0", p.sent("x", "a:  b c  ", "tab:\tx\t"))
			p.holds(m, "MESSAGE", "a:b c", "tab:x")
		}},
		{name: "B2.38 blanks around values in 1.1", ask: func(p *play) {
			p.holds(p.echo("1.1", "1.1", p.sent("x", "a:  b c  ")), "MESSAGE", "a:  b c  ")
		}},
		{name: "B2.39 blanks around names and values in 1.2", ask: func(p *play) {
			p.holds(p.echo("1.2", "1.2", p.sent("x", " a\t:\tb ")), "MESSAGE", " a\t:\tb ")
		}},
		{name: "B2.63 two NULs behind a body", ask: func(p *play) {
			p.holds(p.echo("1.0", "1.0", p.sent("a")+"\x00"), "MESSAGE", "=a")
		}},
		{name: "B2.63 a header line without a colon", ask: func(p *play) {
			m := p.echo("1.1", "1.1", p.sent("x", "nonsense", "a:b"))
			p.holds(m, "MESSAGE", "a:b", differs(p, "!nonsense", "nonsense:", "what is no header should not become one"))
		}},
		{name: "B2.46 a header without a name", ask: func(p *play) {
			c := p.written("1.1", p.sent("x", ":value"))
			if p.ours {
				p.fatal(c)
			} else { // ActiveMQ 5 drops the connection without a word
				c.Closed()
			}
			p.left()
		}},
		{name: "A1 raw colons in values", ask: func(p *play) {
			p.holds(p.echo("1.0", "1.0", p.sent("x", "a:b:c")), "MESSAGE", "a:b:c")
			p.holds(p.echo("1.1", "1.1", p.sent("x", "a:b:c")), "MESSAGE", `a:b\cc`)
		}},
		{name: "B2.45 the first of a repeated header", ask: func(p *play) {
			m := p.echo("1.2", "1.2", p.sent("x", "a:1", "a:2", "destination:/queue/elsewhere"))
			p.holds(m, "MESSAGE", "a:1", "destination:"+p.queue)
			require.Equal(p.t, 1, strings.Count("\n"+strings.Join(m.Lines, "\n"), "\na:"))
		}},
		{name: "B2.55 a line feed before SEND", ask: func(p *play) {
			p.holds(p.echo("1.0", "1.0", "\n"+p.sent("a")), "MESSAGE", "=a")
		}},
		{name: "B2.56 UTF-8 in header names", ask: func(p *play) {
			for _, v := range []string{"1.0", "1.1", "1.2"} {
				p.holds(p.echo(v, v, p.sent("x", "größe:世界")), "MESSAGE", "größe:世界")
			}
		}},
		{name: "B2.57 content-type", ask: func(p *play) {
			p.holds(p.echo("1.1", "1.1", p.sent("x", "content-type:text/uppercase")), "MESSAGE", "content-type:text/uppercase")
			p.holds(p.echo("1.1", "1.1", p.sent("x")), "MESSAGE", "!content-type")
		}},
		{name: "A1 names are case-sensitive", ask: func(p *play) {
			p.holds(p.echo("1.1", "1.1", p.sent("x", "Color:1", "color:2")), "MESSAGE", "Color:1", "color:2")
		}},
	}, append(escapeRows(), bodyRows()...)...)
}

func escapeRows() []row {
	// What a sender wrote and what a receiver reads, for each version.
	all := `a:\\ \c \n \r`
	return []row{
		{name: "B2.40 four escapes in 1.2", ask: func(p *play) {
			p.holds(p.echo("1.2", "1.2", p.sent("x", all)), "MESSAGE", all)
		}},
		{name: "B2.40 three escapes in 1.1", ask: func(p *play) {
			p.holds(p.echo("1.1", "1.1", p.sent("x", `a:\\ \c \n`)), "MESSAGE", `a:\\ \c \n`)
		}},
		{name: "B2.40 from 1.2 to 1.1", ask: func(p *play) {
			p.holds(p.echo("1.1", "1.2", p.sent("x", `a:\\ \c \n`)), "MESSAGE", `a:\\ \c \n`)
		}},
		{name: "B2.64 no escapes in 1.0", ask: func(p *play) {
			m := p.echo("1.0", "1.0", p.sent("x", `a:b\nevil\c1`, "c:d"))
			require.NotContains(p.t, m.Body, "evil")
			want := differs(p, `b\nevil\c1`, "b", "a decoded line feed lets a sender forge headers")
			require.Equal(p.t, want, m.Get("a"))
		}},
		{name: "B2.64 a line feed cannot reach a 1.0 receiver", ask: func(p *play) {
			m := p.echo("1.0", "1.2", p.sent("x", `a:b\nforged\c1`))
			_, forged := m.Lookup("forged")
			require.Equal(p.t, differs(p, false, true, "headers must not be forged"), forged, "%v", m)
		}},
		{name: "B2.41 undefined escapes stay", ask: func(p *play) {
			m := p.echo("1.1", "1.1", p.sent("x", `a:c1\:\n\23`))
			p.holds(m, "MESSAGE", `a:c1\\\c\n\\23`)
		}},
		{name: "B2.44 a backslash before a word", ask: func(p *play) {
			m := p.echo("1.1", "1.1", p.sent("x", `a:\value:`))
			p.holds(m, "MESSAGE", `a:\\value\c`)
		}},
		{name: "B2.43 escapes in names", ask: func(p *play) {
			p.holds(p.echo("1.2", "1.2", p.sent("x", `a\cb:1`)), "MESSAGE", `a\cb:1`)
		}},
		{name: "A1 receipt-ids are escaped", ask: func(p *play) {
			c := p.login("1.1")
			c.Send("SEND", "", "destination:"+p.queue, `receipt:a\cb\nc`)
			p.want(c, "RECEIPT", `receipt-id:a\cb\nc`)
			c.Send("SEND", "", `receipt:a\cb`)
			p.want(c, "ERROR", `receipt-id:a\cb`)
		}},
		{name: "A1 message-ids are escaped in 1.1 and not in 1.0", ask: func(p *play) {
			require.Contains(p.t, p.echo("1.0", "1.0", p.sent("x")).Get("message-id"), "ID:")
			require.Contains(p.t, p.echo("1.1", "1.1", p.sent("x")).Get("message-id"), `ID\c`)
		}},
	}
}

func bodyRows() []row {
	big := strings.Repeat("0123456789abcdef", 3<<16)
	return []row{
		{name: "B2.47 NULs in bodies, frames back to back", ask: func(p *play) {
			s := p.login("1.1")
			p.subscribe(s, "id:1")
			c := p.written("1.1", p.sent("a\x00b", "content-length:3")+p.sent("\x00\x00", "content-length:2")+p.sent("c\nd\x00", "content-length:4"))
			p.wantMessages(s, "a\x00b", "\x00\x00", "c\nd\x00")
			p.open(c)
		}},
		{name: "B2.48 content-length 0", ask: func(p *play) {
			p.holds(p.echo("1.0", "1.0", p.sent("", "content-length:0")), "MESSAGE", "content-length:0", "=")
		}},
		{name: "B2.58 no content-length, none delivered", ask: func(p *play) {
			p.holds(p.echo("1.2", "1.2", p.sent("text")), "MESSAGE", "!content-length", "=text")
		}},
		{name: "A1 content-length makes bytes", ask: func(p *play) {
			p.holds(p.echo("1.2", "1.2", p.sent("text", "content-length:4")), "MESSAGE", "content-length:4", "=text")
		}},
		{name: "A1 amq-msg-type", ask: func(p *play) {
			p.holds(p.echo("1.2", "1.2", p.sent("text", "content-length:4", "amq-msg-type:text")), "MESSAGE", "=text",
				differs(p, "!content-length", "content-length:4", "clients take what has a length for bytes, and the sender says text"))
			p.holds(p.echo("1.2", "1.2", p.sent("text", "amq-msg-type:bytes")), "MESSAGE", "content-length:4", "=text")
			c := p.written("1.2", p.sent("x", "amq-msg-type:wrong"))
			p.want(c, "ERROR", "message")
		}},
		{name: "B2.49 content-length is believed on SEND alone", ask: func(p *play) {
			p.sendAll("a")
			c := p.login("1.0")
			p.subscribe(c, "ack:client")
			m := p.want(c, "MESSAGE", "=a")
			c.Ask("ACK", "", "message-id:"+m.Get("message-id"), "content-length:8511")
			p.leave(c)
			p.left()
		}},
		{name: "B2.50 negative content-length", ask: func(p *play) {
			c := p.written("1.0", p.sent("x", "content-length:-1"))
			if p.ours {
				p.fatal(c, "message~content-length may not be negative")
			} else { // ActiveMQ 5 drops the connection without a word, 6 does as we do
				c.Closed()
			}
		}},
		{name: "A1 content-length that is no number", ask: func(p *play) {
			p.fatal(p.written("1.1", p.sent("x", "content-length:ten")), "message~content-length")
		}},
		{name: "A1 no NUL behind the body", ask: func(p *play) {
			p.fatal(p.written("1.1", p.sent("four", "content-length:2")), "message")
		}},
		{name: "B2.51 four-byte UTF-8", ask: func(p *play) {
			p.holds(p.echo("1.1", "1.1", p.sent("😀 𝒳 世界")), "MESSAGE", "=😀 𝒳 世界")
		}},
		{name: "B2.52 a big body without a length", ask: func(p *play) {
			require.True(p.t, p.echo("1.1", "1.1", p.sent(big)).Body == big)
		}},
		{name: "B2.52 a big body with a length", ask: func(p *play) {
			require.True(p.t, p.echo("1.1", "1.1", p.sent(big, "content-length:3145728")).Body == big)
		}},
		{name: "A1 a header line over 10 KiB", ask: func(p *play) {
			p.fatal(p.written("1.1", p.sent("x", "a:"+strings.Repeat("b", 12_000))), "message~maximum header length")
		}},
		{name: "A1 more than 1000 headers", ask: func(p *play) {
			var lines []string
			for _, n := range many(1001) {
				lines = append(lines, n+":x")
			}
			p.fatal(p.written("1.1", p.sent("x", lines...)), "message~maximum number of headers")
		}},
		{name: "A1 a command over 1024 bytes", ask: func(p *play) {
			p.fatal(p.written("1.1", raw.Text(strings.Repeat("A", 2000), "")), "message~maximum command length")
		}},
	}
}
