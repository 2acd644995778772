package stomp

import (
	"bufio"
	"context"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// piped serves one connection over a pipe, within a bubble of false time.
func piped(t *testing.T, b *fakeBroker, change ...func(*Config)) (*client, *Server) {
	t.Helper()
	cfg := Config{Broker: b}
	for _, f := range change {
		f(&cfg)
	}
	s, err := newServer(cfg)
	require.NoError(t, err)
	ours, theirs := net.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer theirs.Close()
		s.ServeConn(context.Background(), theirs)
	}()
	t.Cleanup(func() {
		ours.Close()
		<-done
	})
	return &client{t: t, nc: ours, r: bufio.NewReader(ours)}, s
}

// bytesFor reads for d and returns when each byte came, counted from now.
func bytesFor(c *client, d time.Duration) (at []time.Duration, err error) {
	begin := time.Now()
	_ = c.nc.SetReadDeadline(begin.Add(d))
	for {
		_, err := c.r.ReadByte()
		if err != nil {
			return at, err
		}
		at = append(at, time.Since(begin))
	}
}

func TestB1Row06ServerBeatsInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := piped(t, newFakeBroker())
		c.send("CONNECT\naccept-version:1.1\nheart-beat:0,1000\n\n^")
		c.expect("CONNECTED")
		lf, err := c.r.ReadByte() // ends the frame
		require.NoError(t, err)
		require.Equal(t, byte('\n'), lf)
		at, _ := bytesFor(c, 10*time.Second)
		require.Len(t, at, 14)
		last := time.Duration(0)
		for _, when := range at {
			require.Equal(t, 700*time.Millisecond, when-last)
			last = when
		}
	})
}

func TestFramesCountAsServerBeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := piped(t, newFakeBroker())
		c.send("CONNECT\naccept-version:1.1\nheart-beat:0,1000\n\n^")
		c.expect("CONNECTED")
		_, _ = c.r.ReadByte()
		for i := range 20 {
			time.Sleep(600 * time.Millisecond)
			c.send("BEGIN\ntransaction:" + string(rune('a'+i)) + "\nreceipt:r\n\n^")
			first, err := c.r.Peek(1)
			require.NoError(t, err)
			require.Equal(t, "R", string(first), "no beat before the receipt")
			c.expectReceipt("r")
			_, _ = c.r.ReadByte()
		}
	})
}

func TestB1Rows07And11SilentClientIsCutWithWords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBroker()
		c, _ := piped(t, b)
		c.send("CONNECT\naccept-version:1.1\nheart-beat:1000,0\n\n^")
		c.expect("CONNECTED")
		begin := time.Now()
		c.expectError("Heart-beat missed: nothing was received for 3s")
		require.Equal(t, 3*time.Second, time.Since(begin))
		c.expectClosed()
		synctest.Wait()
		require.Zero(t, b.sessions())
	})
}

func TestB1Row08ClientBeatsKeepTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := piped(t, newFakeBroker())
		c.send("CONNECT\naccept-version:1.1\nheart-beat:2000,0\n\n^")
		c.expect("CONNECTED")
		for range 20 {
			time.Sleep(time.Second)
			c.send("\n")
		}
		c.expectAlive()
	})
}

func TestB1Row09SendAfterMissedBeatIsNotAccepted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBroker()
		c, _ := piped(t, b)
		c.send("CONNECT\naccept-version:1.1\nheart-beat:1000,0\n\n^")
		c.expect("CONNECTED")
		time.Sleep(10 * time.Second)
		c.expect("ERROR")
		_, _ = io.WriteString(c.nc, "SEND\ndestination:/queue/a\n\nlate\x00")
		c.expectClosed()
		require.Zero(t, b.stored())
	})
}

func TestB1Row12LateBeatsAreForgiven(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := piped(t, newFakeBroker())
		c.send("CONNECT\naccept-version:1.1\nheart-beat:1000,0\n\n^")
		c.expect("CONNECTED")
		for range 5 {
			time.Sleep(2900 * time.Millisecond)
			c.send("\n")
		}
		c.expectAlive()
	})
}

func TestNoHeartBeatIsNeverCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, header := range []string{"", "heart-beat:0,0\n", "heart-beat:0,60000\n", "heart-beat:999999999999,0\n"} {
			c, _ := piped(t, newFakeBroker())
			c.send("CONNECT\naccept-version:1.1\n" + header + "\n^")
			c.expect("CONNECTED")
			_ = c.nc.SetReadDeadline(time.Time{})
			go func() { _, _ = io.Copy(io.Discard, c.nc) }()
			time.Sleep(100 * time.Hour)
			_, err := io.WriteString(c.nc, "SEND\ndestination:/queue/a\n\nstill here\x00")
			require.NoError(t, err)
		}
	})
}

func TestB1Row21LoginTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, said := range []string{"", "\n", "CONNECT\naccept-ver"} {
			begin := time.Now()
			c, _ := piped(t, newFakeBroker())
			if said != "" {
				c.send(said)
			}
			c.expectError("Login timeout: no CONNECT frame arrived in time")
			require.Equal(t, 10*time.Second, time.Since(begin))
			c.expectClosed()
		}
	})
}

func TestTricklingBytesDoNotExtendTheLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := piped(t, newFakeBroker())
		begin := time.Now()
		gone := make(chan struct{})
		go func() {
			defer close(gone)
			for {
				if _, err := io.WriteString(c.nc, "\n"); err != nil {
					return
				}
				time.Sleep(time.Second)
			}
		}()
		r, err := c.next()
		took := time.Since(begin)
		c.nc.Close()
		<-gone
		require.NoError(t, err)
		require.Equal(t, "Login timeout: no CONNECT frame arrived in time", r.body)
		require.Equal(t, 10*time.Second, took)
	})
}

func TestClientThatTakesNothingIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBroker()
		c, _ := piped(t, b)
		c.send("CONNECT\naccept-version:1.1\n\n^")
		c.expect("CONNECTED")
		c.send("\n") // the pipe has taken all before it
		c.send("SUBSCRIBE\nid:1\ndestination:/queue/a\n\n^SEND\ndestination:/queue/a\n\nx^")
		time.Sleep(29 * time.Second)
		synctest.Wait()
		require.Equal(t, 1, b.sessions())
		time.Sleep(2 * time.Second)
		synctest.Wait()
		require.Zero(t, b.sessions())
	})
}
