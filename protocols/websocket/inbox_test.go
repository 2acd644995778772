package websocket_test

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sluice-mq/sluice/protocols/websocket"
)

// Whole messages are read without the library, others by it: whatever the mixture and however it arrives and is read, it is one stream.
func TestAnyMixtureOfFramesIsOneStream(t *testing.T) {
	type visit struct {
		sizes []int
		got   chan string
	}
	visits := make(chan visit, 1)
	s := start(t, websocket.Config{}, loggedIn(func(_ context.Context, c net.Conn) {
		v := <-visits
		var all strings.Builder
		for i := 0; ; i++ {
			p := make([]byte, v.sizes[i%len(v.sizes)])
			n, err := c.Read(p)
			all.Write(p[:n])
			if err != nil {
				if err != io.EOF {
					all.WriteString(err.Error())
				}
				v.got <- all.String()
				return
			}
		}
	}))
	rapid.Check(t, func(r *rapid.T) {
		size := rapid.OneOf(rapid.IntRange(0, 40), rapid.IntRange(0, 5000), rapid.IntRange(65000, 70000))
		var sent, want strings.Builder
		put := func(head byte) {
			body := strings.Repeat(rapid.StringMatching("[a-z]{3}").Draw(r, "body"), 1+size.Draw(r, "size")/3)
			want.WriteString(body)
			sent.WriteString(frame(head, body))
		}
		for range rapid.IntRange(1, 12).Draw(r, "messages") {
			switch rapid.IntRange(0, 4).Draw(r, "kind") {
			case 0:
				sent.WriteString(frame(fin|ping, "here?"))
			case 1:
				put(text)
				if rapid.Bool().Draw(r, "between") {
					sent.WriteString(frame(fin|pong, ""))
				}
				put(0)
				sent.WriteString(frame(fin, ""))
			default:
				put(fin | bin)
			}
		}
		sent.WriteString(frame(fin|closing, "\x03\xe8"))
		c, v := upgrade(t, s), visit{rapid.SliceOfN(rapid.IntRange(1, 70000), 1, 4).Draw(r, "reads"), make(chan string, 1)}
		defer c.nc.Close()
		visits <- v
		rest := sent.String()
		for len(rest) > 0 {
			n := min(len(rest), rapid.OneOf(rapid.IntRange(1, 20), rapid.IntRange(1, 100000)).Draw(r, "cut"))
			if len(rest) > 20*n {
				n = len(rest)
			}
			c.send(rest[:n])
			rest = rest[n:]
		}
		require.Equal(r, want.String(), <-v.got)
	})
}

// Who is sent away in the middle of a message is told why at once, and may finish it.
func TestGoodbyeInTheMiddleOfAMessage(t *testing.T) {
	parted := make(chan error, 1)
	s := start(t, websocket.Config{}, func(_ context.Context, c net.Conn) {
		_, _ = c.Read(make([]byte, 7))
		parted <- c.(*websocket.Conn).CloseFor("too much")
	})
	c := upgrade(t, s)
	whole := frame(fin|bin, strings.Repeat("\x81\x05hello", 100))
	c.send(whole[:300])
	c.expectClose(1008, "too much")
	c.send(whole[300:] + frame(fin|ping, "") + frame(fin|closing, "\x03\xf0"))
	c.expectEnd()
	require.NoError(t, <-parted, "what followed was understood")
}
