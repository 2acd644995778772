package stomp

import (
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// only is the one connection of a server.
func only(t *testing.T, s *Server) *conn {
	t.Helper()
	all := func() []*conn {
		s.mu.Lock()
		defer s.mu.Unlock()
		var all []*conn
		for c := range s.conns {
			all = append(all, c)
		}
		return all
	}()
	require.Len(t, all, 1)
	return all[0]
}

// A connection that has nothing to write has no goroutine for it, and is answered all the same.
func TestAnIdleConnectionHasNoWriter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := piped(t, newFakeBroker())
		c.send("CONNECT\naccept-version:1.1\nheart-beat:0,10000\n\n^")
		c.expect("CONNECTED")
		_, _ = c.r.ReadByte() // ends the frame
		desk := &only(t, s).desk
		require.NotEqual(t, writerAway, desk.Load(), "it stays a little")
		time.Sleep(stays + time.Millisecond)
		synctest.Wait()
		require.Equal(t, writerAway, desk.Load())
		at, _ := bytesFor(c, time.Minute)
		require.Len(t, at, 8, "it beats")
		require.Equal(t, writerAway, desk.Load())
		_ = c.nc.SetReadDeadline(time.Time{})
		c.send("SEND\ndestination:/queue/a\nreceipt:1\n\n^")
		require.Equal(t, "1", c.expect("RECEIPT").get("receipt-id"))
		time.Sleep(2 * stays)
		synctest.Wait()
		require.Equal(t, writerAway, desk.Load())
		c.send("DISCONNECT\nreceipt:bye\n\n^")
		require.Equal(t, "bye", c.expect("RECEIPT").get("receipt-id"))
		synctest.Wait()
		require.Equal(t, writerGone, desk.Load())
	})
}

// Whenever somebody calls the writer, also as it is about to go, it comes.
func TestNoCallOfTheWriterIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := piped(t, newFakeBroker())
		c.send("CONNECT\naccept-version:1.2\n\n^")
		c.expect("CONNECTED")
		pauses := []time.Duration{0, 1, time.Millisecond, stays - 1, stays, stays + 1, 2 * stays}
		for i := range 2000 {
			time.Sleep(pauses[rand.IntN(len(pauses))])
			asked := time.Now()
			c.send(fmt.Sprintf("SEND\ndestination:/queue/a\nreceipt:%d\n\n^", i))
			require.Equal(t, fmt.Sprint(i), c.expect("RECEIPT").get("receipt-id"))
			require.Less(t, time.Since(asked), time.Millisecond, "it is not the alarm that brings it")
		}
	})
}

// A connection whose writer is away ends at once all the same, when it has to.
func TestAnIdleConnectionCanBeAbandoned(t *testing.T) {
	broker := newFakeBroker()
	s := start(t, broker)
	c := login(t, s, "1.2")
	desk := &only(t, s).desk
	require.Eventually(t, func() bool { return desk.Load() == writerAway }, wait, time.Millisecond)
	only(t, s).abandon()
	_ = c.nc.SetReadDeadline(time.Now().Add(wait))
	_, err := c.r.ReadByte() // ends CONNECTED
	for err == nil {
		_, err = c.r.ReadByte()
	}
	require.NotErrorIs(t, err, os.ErrDeadlineExceeded)
	require.Eventually(t, func() bool { return desk.Load() == writerGone }, wait, time.Millisecond)
}
