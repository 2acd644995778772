package conformance

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/tests/conformance/raw"
)

// connected asks for a login and checks the CONNECTED.
func connected(lines []string, conditions ...string) func(p *play) {
	return func(p *play) {
		c := p.dial()
		c.Send("CONNECT", "", lines...)
		p.want(c, "CONNECTED", conditions...)
		p.open(c)
	}
}

// rejected asks for a login that fails.
func rejected(lines []string, conditions ...string) func(p *play) {
	return func(p *play) {
		c := p.dial()
		c.Send("CONNECT", "", lines...)
		p.fatal(c, conditions...)
	}
}

func connectRows() []row {
	return append([]row{
		{name: "B1.1 request-id is echoed", ask: connected([]string{"request-id:1"}, "response-id:1", "receipt-id:1")},
		{name: "A1 receipt is echoed", ask: connected([]string{"receipt:a:b", "accept-version:1.2"}, "response-id:a:b", "receipt-id:a:b")},
		{name: "B1.2 CONNECTED is never escaped", ask: connected([]string{"accept-version:1.1"}, "session~ID:")},
		{name: "B1.3 the highest common version", ask: connected([]string{"accept-version:1.0,1.1"}, "version:1.1")},
		{name: "B1.3 three versions", ask: connected([]string{"accept-version:1.0,1.1,1.2"}, "version:1.2")},
		{name: "B1.4 unknown versions are ignored", ask: connected([]string{"accept-version:1.0,10.1"}, "version:1.0")},
		{name: "B1.5 no common version", ask: func(p *play) {
			list := differs(p, "version:1.0,1.1,1.2", "message", "the specification wants the list in a header of its own")
			rejected([]string{"accept-version:9.0,10.1"}, list, "message~supported versions are")(p)
		}},
		{name: "B1.10 heart-beat 0", ask: rejected([]string{"accept-version:1.1", "heart-beat:0"}, "message~eart-beat")},
		{name: "B1.10 heart-beat T,0", ask: rejected([]string{"accept-version:1.1", "heart-beat:T,0"}, "message~eart-beat")},
		{name: "B1.10 heart-beat 100,10,50", ask: rejected([]string{"accept-version:1.1", "heart-beat:100,10,50"}, "message~eart-beat")},
		{name: "B1.14 any host will do", ask: func(p *play) {
			for _, host := range []string{"/", "", "nowhere.example.org", "127.0.0.1"} {
				connected([]string{"accept-version:1.2", "host:" + host}, "version:1.2")(p)
			}
		}},
		{name: "B1.14 no host in 1.2", ask: connected([]string{"accept-version:1.2"}, "version:1.2")},
		{name: "B1.16 no version means 1.0", ask: connected(nil, "version:1.0", "heart-beat:0,0", "server~ActiveMQ/", "session")},
		{name: "B1.16 1.3 among others", ask: connected([]string{"accept-version:1.0,1.1,1.3"}, "version:1.1")},
		{name: "B1.16 1.3 alone", ask: rejected([]string{"accept-version:1.3"}, "message")},
		{name: "B1.17 no login where none is needed", ask: connected([]string{"accept-version:1.2", "host:x"}, "version:1.2")},
		{name: "B1.26 heart-beat with blanks", ask: rejected([]string{"accept-version:1.1", "heart-beat:0, 0"}, "message~eart-beat")},
		{name: "B1.26 heart-beat empty", ask: rejected([]string{"accept-version:1.1", "heart-beat:"}, "message~eart-beat")},
		{name: "B1.26 heart-beat negative", ask: connected([]string{"accept-version:1.1", "heart-beat:-1,0"}, "version:1.1")},
		{name: "B1.29 the session is never empty", ask: func(p *play) {
			for _, v := range []string{"1.0", "1.1", "1.2"} {
				c := p.dial()
				c.Send("CONNECT", "", "accept-version:"+v)
				require.NotEmpty(p.t, p.want(c, "CONNECTED").Get("session"))
			}
		}},
		{name: "A1 the session is the client-id", ask: func(p *play) {
			connected([]string{"client-id:" + p.queue}, "session:"+p.queue)(p)
		}},
		{name: "A1 heart-beat is answered the other way round", ask: connected([]string{"accept-version:1.2", "heart-beat:30000,40000"}, "heart-beat:40000,30000")},
		{name: "A1 the first of two heart-beats counts", ask: connected([]string{"accept-version:1.2", "heart-beat:50000,0", "heart-beat:0,30000"}, "heart-beat:0,50000")},
		{name: "A1 heart-beats in 1.0", ask: connected([]string{"heart-beat:50000,60000"}, "version:1.0", "heart-beat:60000,50000")},
		{name: "A1 heart-beats of years", ask: connected([]string{"accept-version:1.1", "heart-beat:99999999999,99999999999"}, "heart-beat:99999999999,99999999999")},
		{name: "A1 blanks around CONNECT", ask: func(p *play) {
			for _, verb := range []string{" CONNECT", "CONNECT "} {
				c := p.dial()
				c.Send(verb, "")
				p.want(c, "CONNECTED", "version:1.0")
			}
		}},
		{name: "A1 a body of CONNECT is ignored", ask: func(p *play) {
			c := p.dial()
			c.Send("CONNECT", "body")
			p.want(c, "CONNECTED", "version:1.0")
			p.open(c)
		}},
		{name: "A1 what follows DISCONNECT is not heard", ask: func(p *play) {
			c := p.login("1.1")
			require.NoError(p.t, c.Write(raw.Text("DISCONNECT", "", "receipt:d")+p.sent("late", "receipt:late")))
			p.want(c, "RECEIPT", "receipt-id:d")
			require.Empty(p.t, c.Closed())
			p.left()
		}},
		{name: "A1 activemq headers are ignored", ask: connected([]string{"activemq.clientType:x", "activemq.faultTolerant:true"}, "version:1.0")},
		{name: "A1 blanks after commas in accept-version", ask: func(p *play) {
			version := differs(p, "version:1.1", "version:1.0", "a blank should not cost a version")
			connected([]string{"accept-version:1.0, 1.1"}, version)(p)
		}},
		{name: "A1 STOMP is CONNECT", ask: func(p *play) {
			c := p.dial()
			c.Send("STOMP", "", "accept-version:1.2", "host:x")
			p.want(c, "CONNECTED", "version:1.2")
			p.open(c)
		}},
		{name: "A1 CONNECT with CRLF in every version", ask: func(p *play) {
			for _, v := range []string{"1.0", "1.1", "1.2"} {
				c := p.dial()
				require.NoError(p.t, c.Write("CONNECT\r\naccept-version:"+v+"\r\n\r\n\x00"))
				p.want(c, "CONNECTED", "version:"+v)
			}
		}},
		{name: "A1 a frame ends with NUL and one line feed", ask: func(p *play) {
			c := p.dial()
			c.Send("CONNECT", "")
			require.NoError(p.t, c.Conn().SetReadDeadline(time.Now().Add(raw.Patience)))
			var all []byte
			for !strings.HasSuffix(string(all), "\x00\n") {
				var b [1]byte
				_, err := c.Conn().Read(b[:])
				require.NoError(p.t, err)
				all = append(all, b[0])
			}
			require.Equal(p.t, 1, strings.Count(string(all), "\x00"), "%q", all)
			c.Send("SEND", "", "destination:"+p.queue, "receipt:a")
			p.want(c, "RECEIPT", "receipt-id:a")
			require.Zero(p.t, c.Beats(), "line feeds that nobody asked for")
		}},
		{name: "A1 DISCONNECT is receipted, then the connection closed", ask: func(p *play) {
			c := p.login("1.2")
			c.Send("DISCONNECT", "", "receipt:a:b")
			require.Len(p.t, c.Closed(), 1)
		}},
		{name: "B1.18 other frames first", ask: func(p *play) {
			c := p.dial()
			c.Send("SEND", "x", "destination:"+p.queue)
			p.want(c, "ERROR", "message")
			if p.ours { // ActiveMQ 5 leaves it open, 6 closes it as we do
				require.Empty(p.t, c.Closed())
			}
			p.left()
		}},
		{name: "B1.19 a second CONNECT", ask: func(p *play) {
			for _, verb := range []string{"CONNECT", "STOMP"} {
				c := p.login("1.1")
				c.Send(verb, "", "accept-version:1.1")
				p.refused(c)
			}
		}},
		{name: "B1.20 frames that only a broker may send", ask: func(p *play) {
			for _, command := range []string{"RECEIPT", "MESSAGE", "CONNECTED", "ERROR"} {
				c := p.login("1.1")
				c.Send(command, "")
				if p.ours {
					p.fatal(c)
				} else { // ActiveMQ 5 leaves some of them open, 6 does as we do
					p.want(c, "ERROR", "message")
				}
			}
		}},
		{name: "B1.25 a client-id that is taken", ask: func(p *play) {
			id := "client-id:" + p.queue
			first := p.login("1.1", id)
			rejected([]string{"accept-version:1.1", id}, "message~already connected")(p)
			p.open(first)
			p.leave(first)
			p.leave(p.login("1.1", id))
		}},
		{name: "B1.23 a killed connection gives its messages back", ask: func(p *play) {
			p.sendAll("a")
			c := p.login("1.1")
			p.subscribe(c, "id:1", "ack:client")
			p.wantMessages(c, "a")
			require.NoError(p.t, c.Conn().Close())
			d := p.login("1.1")
			p.subscribe(d, "id:1")
			p.want(d, "MESSAGE", "=a", "redelivered:true")
		}},
	}, beatRows()...)
}

func beatRows() []row {
	return []row{
		{name: "B1.6 the broker beats as it was asked to", slow: true, ask: func(p *play) {
			c := p.login("1.1", "heart-beat:0,1000")
			for i := range 4 {
				began := time.Now()
				_ = c.Conn().SetReadDeadline(began.Add(raw.Patience))
				b, err := c.Byte()
				require.NoError(p.t, err)
				require.Equal(p.t, byte('\n'), b)
				if took := time.Since(began); p.ours { // ActiveMQ's first may come late
					require.Less(p.t, took, 3*time.Second)
					if i > 0 {
						require.Greater(p.t, took, 300*time.Millisecond)
					}
				}
			}
		}},
		{name: "B1.7 a silent client is cut, not before its time", slow: true, ask: func(p *play) {
			c := p.dial()
			began := time.Now()
			c.Send("CONNECT", "", "accept-version:1.1", "heart-beat:1000,0")
			p.want(c, "CONNECTED")
			frames := c.Closed()
			require.Greater(p.t, time.Since(began), time.Second)
			if p.ours { // B1.11: it is told why
				require.Len(p.t, frames, 1)
				p.holds(frames[0], "ERROR", "message~eart-beat")
			}
			// B1.9: what it says now is not heard
			_ = c.Write(raw.Text("SEND", "late", "destination:"+p.queue))
			p.left()
		}},
		{name: "B1.8 a client that beats is kept", slow: true, ask: func(p *play) {
			keepsBeating(p, "heart-beat:1000,0", 400*time.Millisecond)
		}},
		{name: "B1.12 a client that is a bit late is kept", slow: true, ask: func(p *play) {
			if !p.ours {
				p.t.Skip("ActiveMQ is strict by default, which is the most frequent complaint about it")
			}
			keepsBeating(p, "heart-beat:400,0", 600*time.Millisecond)
		}},
		{name: "A1 no promise, no cut", slow: true, ask: func(p *play) {
			c := p.login("1.1", "heart-beat:0,0")
			_, err := c.Within(3 * time.Second)
			require.ErrorIs(p.t, err, os.ErrDeadlineExceeded)
			p.open(c)
		}},
	}
}

// keepsBeating lets a client beat for a while.
func keepsBeating(p *play, promise string, period time.Duration) {
	c := p.login("1.1", promise)
	for range int(4 * time.Second / period) {
		require.NoError(p.t, c.Write("\n"))
		f, err := c.Within(period)
		require.True(p.t, errors.Is(err, os.ErrDeadlineExceeded), "%v %v", f, err)
	}
	p.open(c)
}

// many are numbered texts.
func many(n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = strconv.Itoa(i)
	}
	return all
}
