package websocket

import (
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func newTestOutbox(t *testing.T) (*outbox, net.Conn) {
	ours, theirs := net.Pipe()
	o := newOutbox(ours, &sync.Pool{New: func() any { return new([]byte) }})
	t.Cleanup(func() {
		o.fail(net.ErrClosed)
		_ = ours.Close()
		_ = theirs.Close()
		o.running.Wait()
	})
	return o, theirs
}

func write(t *testing.T, o *outbox, text string) {
	t.Helper()
	n, err := o.library([]byte(text), false)
	require.NoError(t, err)
	require.Equal(t, len(text), n)
}

// The library gives up on a client after five seconds of writing: it must never be the one that waits.
func TestWhatTheLibraryWritesNeverWaits(t *testing.T) {
	o, client := newTestOutbox(t)
	for range 10 {
		write(t, o, "pong ")
	}
	o.cork()
	write(t, o, "frame one ")
	write(t, o, "frame two ")
	flushed := make(chan error, 1)
	go func() { flushed <- o.flush(false) }()
	got := make([]byte, 70)
	_, err := io.ReadFull(client, got)
	require.NoError(t, err)
	require.Equal(t, strings.Repeat("pong ", 10)+"frame one frame two ", string(got), "nothing overtakes anything")
	require.NoError(t, <-flushed)
}

func TestRepliesThatNobodyTakesAreBounded(t *testing.T) {
	o, _ := newTestOutbox(t)
	var err error
	sum := 0
	for ; err == nil && sum < 1<<20; sum += 100 {
		_, err = o.library([]byte(strings.Repeat("p", 100)), false)
	}
	require.ErrorIs(t, err, errReplies)
	require.LessOrEqual(t, sum, 2*maxReplies)
}

func TestFlushTellsThatTheClientTakesNothing(t *testing.T) {
	o, _ := newTestOutbox(t)
	o.allow(20 * time.Millisecond)
	o.cork()
	write(t, o, strings.Repeat("x", 3*portion))
	require.ErrorIs(t, o.ease(), os.ErrDeadlineExceeded)
	_, err := o.library([]byte("more"), false)
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
}

// A client that takes something of each portion in time may take as long as it likes for all.
func TestEachPortionHasItsOwnTime(t *testing.T) {
	o, client := newTestOutbox(t)
	const patience = 400 * time.Millisecond
	o.allow(patience)
	o.cork()
	write(t, o, strings.Repeat("x", 4*portion))
	flushed := make(chan error, 1)
	go func() { flushed <- o.flush(false) }()
	began := time.Now()
	buf := make([]byte, portion)
	for range 4 {
		time.Sleep(patience / 2)
		_, err := io.ReadFull(client, buf)
		require.NoError(t, err)
	}
	require.NoError(t, <-flushed)
	require.Greater(t, time.Since(began), patience)
}
