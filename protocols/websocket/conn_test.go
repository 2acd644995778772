package websocket_test

import (
	"bytes"
	"compress/flate"
	"context"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/protocols/websocket"
)

// B7: RabbitMQ's frame_accumulation; ActiveMQ takes one frame in one message alone.
func TestMessagesAreAStreamHoweverTheyAreCut(t *testing.T) {
	got := make(chan string, 1)
	s := start(t, websocket.Config{}, func(_ context.Context, c net.Conn) {
		all, err := io.ReadAll(c)
		if err != nil {
			all = []byte(err.Error())
		}
		got <- string(all)
	})
	c := upgrade(t, s)
	c.send(frame(fin|text, "one ") + frame(fin|bin, "two ") + frame(text, "thr") + frame(0, "") + frame(fin|ping, "between") + frame(fin|0, "ee ") + frame(fin|text, ""))
	c.expect(fin|pong, "between")
	for _, b := range []byte(frame(fin|bin, "four")) {
		c.send(string([]byte{b}))
	}
	c.send(frame(fin|closing, "\x03\xe8"))
	require.Equal(t, "one two three four", <-got)
	c.expectClose(1000, "")
}

func TestAnswersComeInTheKindThatTheClientUses(t *testing.T) {
	s := start(t, websocket.Config{}, echo)
	c := upgrade(t, s)
	c.send(frame(fin|text, "first"))
	c.expect(fin|text, "first")
	c.send(frame(fin|bin, "then"))
	c.expect(fin|text, "then")
	c.send(frame(fin|bin, "no text \xff"))
	c.expect(fin|bin, "no text \xff") // a browser would end the connection over this in a text

	c = upgrade(t, s)
	c.send(frame(fin|bin, "first"))
	c.expect(fin|bin, "first")
	c.send(frame(fin|text, "then"))
	c.expect(fin|bin, "then")
}

func TestEachFrameIsAMessage(t *testing.T) {
	big := strings.Repeat("ö", 100<<10)
	s := start(t, websocket.Config{}, func(_ context.Context, c net.Conn) {
		w := c.(*websocket.Conn)
		_ = w.WriteFrame([]byte("one"))
		_ = w.WriteFrame([]byte("two"))
		_ = w.WriteFrame([]byte("head "), []byte(big), []byte(" tail"))
		_ = w.WriteFrame([]byte("four"))
		_ = w.Flush()
		_ = w.CloseFor("")
	})
	c := upgrade(t, s)
	c.expect(fin|text, "one")
	c.expect(fin|text, "two")
	whole := ""
	for {
		h, p, err := c.next()
		require.NoError(t, err)
		whole += p
		if h&0xf != 0 {
			require.EqualValues(t, text, h)
		}
		if h&fin != 0 {
			break
		}
		require.LessOrEqual(t, len(p), 64<<10)
	}
	require.Equal(t, "head "+big+" tail", whole)
	c.expect(fin|text, "four")
	c.expectClose(1000, "")
}

func TestHostileFramesEndTheConnectionInWords(t *testing.T) {
	s := start(t, websocket.Config{}, echo)
	for name, c := range map[string]struct {
		bytes  string
		code   uint16
		reason string
	}{
		"a negative length":     {"\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x02\x03\x04", 0, ""},
		"a huge length":         {"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\x01\x02\x03\x04" + strings.Repeat("x", 70<<10), 1009, "limit"},
		"no mask":               {"\x81\x05hello", 0, ""},
		"reserved bits":         {frame(fin|0x40|text, "x"), 1002, "rsv"},
		"an unknown opcode":     {frame(fin|3, "x"), 1002, "opcode"},
		"a long ping":           {frame(fin|ping, strings.Repeat("x", 126)), 1002, "control"},
		"a ping in pieces":      {frame(ping, "x"), 1002, "control"},
		"a continuation first":  {frame(fin|0, "x"), 1002, "continuation"},
		"a message in another":  {frame(text, "x") + frame(fin|text, "y"), 1002, "message"},
		"a close of one byte":   {frame(fin|closing, "x"), 1002, "close"},
		"a close of a bad code": {frame(fin|closing, "\x03\xec"), 1002, "invalid status"},
	} {
		t.Run(name, func(t *testing.T) {
			client := upgrade(t, s)
			client.send(c.bytes)
			for {
				h, p, err := client.next()
				if err != nil {
					require.Zero(t, c.code, "%v", err)
					break
				}
				if h == fin|closing {
					require.Equal(t, c.code, uint16(p[0])<<8|uint16(p[1]), "%q", p)
					require.Contains(t, p[2:], c.reason)
					break
				}
			}
			_, _ = io.Copy(io.Discard, client.nc)
		})
	}
	require.NoError(t, s.Wait(t.Context()))
	client := upgrade(t, s)
	client.send(frame(fin|text, "the others are served"))
	client.expect(fin|text, "the others are served")
}

// Before the login a message is short, afterwards it may be as long as the door allows.
func TestMessagesAreBounded(t *testing.T) {
	login := make(chan struct{})
	s := start(t, websocket.Config{MaxMessage: 1 << 20}, func(ctx context.Context, c net.Conn) {
		select {
		case <-login:
			c.(*websocket.Conn).LoggedIn()
		default:
		}
		_, err := io.Copy(io.Discard, c)
		if err == nil {
			_, _ = c.Write([]byte("all read"))
		}
		_ = c.(*websocket.Conn).CloseFor("")
	})
	long := frame(fin|bin, strings.Repeat("x", 70<<10))
	c := upgrade(t, s)
	c.send(long)
	c.expectClose(1009, "")
	close(login)
	c = upgrade(t, s)
	c.send(long + frame(fin|closing, "\x03\xe8"))
	c.expectClose(1000, "")
	c = upgrade(t, s)
	c.send(frame(fin|bin, strings.Repeat("x", 2<<20)))
	c.expectClose(1009, "")
}

// A message's limit counts what comes out of it, not what goes in.
func TestWebSocketBombIsRefused(t *testing.T) {
	most := make(chan int, 1)
	s := start(t, websocket.Config{Compression: true, MaxMessage: 1 << 20}, loggedIn(func(_ context.Context, c net.Conn) {
		n, _ := io.Copy(io.Discard, c)
		most <- int(n)
	}))
	c := dial(t, s.Addr())
	c.send(request("Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"))
	a, _ := c.answer()
	require.Contains(t, a.Header.Get("Sec-WebSocket-Extensions"), "permessage-deflate; client_no_context_takeover; server_no_context_takeover")
	var bomb bytes.Buffer
	w, err := flate.NewWriter(&bomb, 9)
	require.NoError(t, err)
	_, err = w.Write(make([]byte, 4<<20))
	require.NoError(t, err)
	require.NoError(t, w.Flush())
	require.Less(t, bomb.Len(), 10<<10)
	c.send(frame(fin|0x40|bin, strings.TrimSuffix(bomb.String(), "\x00\x00\xff\xff")))
	c.expectClose(1009, "")
	require.LessOrEqual(t, <-most, 1<<20+1)

	// Without having agreed on it, nothing is decompressed.
	plain := upgrade(t, s)
	plain.send(frame(fin|0x40|bin, bomb.String()[:100]))
	plain.expectClose(1002, "rsv")
}

func TestCompressedMessagesAreRead(t *testing.T) {
	s := start(t, websocket.Config{Compression: true}, loggedIn(echo))
	c := dial(t, s.Addr())
	c.send(request("Sec-WebSocket-Extensions: permessage-deflate\r\n"))
	c.answer()
	var z bytes.Buffer
	w, err := flate.NewWriter(&z, 9)
	require.NoError(t, err)
	_, _ = io.WriteString(w, "hello hello hello")
	require.NoError(t, w.Flush())
	c.send(frame(fin|0x40|text, strings.TrimSuffix(z.String(), "\x00\x00\xff\xff")))
	c.expect(fin|text, "hello hello hello")
}

func TestDeadlinesEndARead(t *testing.T) {
	errs := make(chan error, 2)
	s := start(t, websocket.Config{}, func(_ context.Context, c net.Conn) {
		_ = c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		_, err := c.Read(make([]byte, 10))
		errs <- err
		_, err = c.Read(make([]byte, 10))
		errs <- err
		_, _ = c.Write([]byte("it can still be written"))
		_ = c.(*websocket.Conn).CloseFor("you were silent for too long: " + strings.Repeat("ö", 100))
	})
	c := upgrade(t, s)
	c.send("\x81") // half of a header
	require.ErrorIs(t, <-errs, os.ErrDeadlineExceeded)
	require.Error(t, <-errs)
	c.expect(fin|text, "it can still be written")
	c.expectClose(1008, "you were silent for too long: ")
}

// What has come is to be had at once: a client that sends slowly is not silent.
func TestBytesOfAnUnfinishedMessageAreReadAtOnce(t *testing.T) {
	got := make(chan string, 10)
	s := start(t, websocket.Config{}, func(_ context.Context, c net.Conn) {
		buf := make([]byte, 100)
		for {
			n, err := c.Read(buf)
			if err != nil {
				return
			}
			got <- string(buf[:n])
		}
	})
	c := upgrade(t, s)
	whole := frame(fin|text, "0123456789")
	c.send(whole[:7])
	require.Equal(t, "0", <-got)
	c.send(whole[7:9])
	require.Equal(t, "12", <-got)
	c.send(whole[9:])
	require.Equal(t, "3456789", <-got)
}

func TestStoppingIsSaidInTheCloseFrame(t *testing.T) {
	in, stop := make(chan struct{}), make(chan struct{})
	s := start(t, websocket.Config{}, func(_ context.Context, c net.Conn) {
		close(in)
		<-stop
		_ = c.(*websocket.Conn).CloseWrite()
	})
	c := upgrade(t, s)
	<-in
	s.StopAccepting()
	close(stop)
	c.expectClose(1001, "the node is stopping")
	c.send(frame(fin|closing, "\x03\xe9"))
	c.expectEnd()
}

// A client that takes nothing costs a buffer, not what it is owed; and its pings do not end it.
func TestASlowReaderHoldsLittleMemory(t *testing.T) {
	var sent atomic.Int64
	errs, heard := make(chan error, 1), make(chan int64, 1)
	body := bytes.Repeat([]byte("x"), 256<<10)
	s := start(t, websocket.Config{}, loggedIn(func(_ context.Context, c net.Conn) {
		w := c.(*websocket.Conn)
		read := make(chan struct{})
		go func() {
			defer close(read)
			n, _ := io.Copy(io.Discard, c)
			heard <- n
		}()
		defer func() { _ = c.Close(); <-read }()
		for {
			_ = w.SetWriteDeadline(time.Now().Add(2 * time.Second))
			err := w.WriteFrame([]byte("h"), body, []byte("t"))
			if err == nil {
				err = w.Flush()
			}
			if err != nil {
				errs <- err
				return
			}
			sent.Add(1)
		}
	}))
	var before, after runtime.MemStats
	c := upgrade(t, s)
	runtime.GC()
	runtime.ReadMemStats(&before)
	last := int64(-1)
	require.Eventually(t, func() bool { // the sockets are full
		now := sent.Load()
		defer func() { last = now }()
		return now == last
	}, soon, 300*time.Millisecond)
	c.send(strings.Repeat(frame(fin|ping, strings.Repeat("p", 100)), 20) + frame(fin|text, "heard"))
	runtime.GC()
	runtime.ReadMemStats(&after)
	require.Less(t, int64(after.HeapAlloc)-int64(before.HeapAlloc), int64(2<<20))
	require.ErrorIs(t, <-errs, os.ErrDeadlineExceeded)
	require.EqualValues(t, len("heard"), <-heard)
}

// Whoever asks for answers and does not take them is not served for ever.
func TestPingsWithoutAnEndAreBounded(t *testing.T) {
	s := start(t, websocket.Config{}, loggedIn(func(_ context.Context, c net.Conn) {
		_ = c.SetDeadline(time.Now().Add(300 * time.Millisecond))
		_, _ = io.Copy(io.Discard, c)
	}))
	c := upgrade(t, s)
	pings := strings.Repeat(frame(fin|ping, strings.Repeat("p", 125)), 1000)
	require.Eventually(t, func() bool { _, err := io.WriteString(c.nc, pings); return err != nil }, soon, time.Microsecond)
	require.NoError(t, s.Wait(t.Context()))
}

func TestSilentClientsAreAskedAndThenGone(t *testing.T) {
	ended := make(chan error, 1)
	s := start(t, websocket.Config{Ping: 30 * time.Millisecond, Silence: 200 * time.Millisecond}, func(_ context.Context, c net.Conn) {
		_, err := c.Read(make([]byte, 1))
		ended <- err
	})
	c := upgrade(t, s)
	for range 3 { // it answers: it stays
		h, p, err := c.next()
		require.NoError(t, err)
		require.EqualValues(t, fin|ping, h)
		c.send(frame(fin|pong, p))
	}
	require.Empty(t, ended)
	h, _, err := c.next()
	require.NoError(t, err)
	require.EqualValues(t, fin|ping, h)
	require.Error(t, <-ended)
	c.expectEnd()
	require.Contains(t, s.log.String(), "does not answer a ping")
}

// A door that does not read, because its client sends too fast, cannot hear the answers either.
func TestNobodyIsGoneWhileWeDoNotListen(t *testing.T) {
	release, read := make(chan struct{}), make(chan error, 1)
	s := start(t, websocket.Config{Ping: 5 * time.Millisecond, Silence: 10 * time.Millisecond}, func(_ context.Context, c net.Conn) {
		<-release
		_, err := c.Read(make([]byte, 1))
		read <- err
	})
	c := upgrade(t, s)
	c.send(frame(fin|text, "x"))
	require.Never(t, func() bool { return s.Stats().Open == 0 }, 100*time.Millisecond, 10*time.Millisecond)
	close(release)
	require.NoError(t, <-read)
}

func TestCancelEndsEverything(t *testing.T) {
	s := start(t, websocket.Config{}, echo)
	c := upgrade(t, s)
	c.send(frame(fin|text, "x"))
	c.expect(fin|text, "x")
	s.cancel()
	require.ErrorIs(t, <-s.served, context.Canceled)
	s.served <- nil
	c.expectEnd()
}
