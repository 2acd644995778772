package websocket

import (
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// bursts gives each of its parts to a Read of its own, if there is room for it.
type bursts struct{ parts []string }

func (b *bursts) Read(p []byte) (int, error) {
	if len(b.parts) == 0 {
		return 0, io.EOF
	}
	n := copy(p, b.parts[0])
	if b.parts[0] = b.parts[0][n:]; b.parts[0] == "" {
		b.parts = b.parts[1:]
	}
	return n, nil
}

// Who sends much must not pay for those who are idle with a call to the system more for each message, and keeps nothing of it once it is idle.
func TestTheInboxGrowsOnceAndShrinksWithAHeartBeat(t *testing.T) {
	// A masked frame, whose mask is zero.
	frame := func(body string) string {
		return string([]byte{finBit | opText, maskBit | 126, byte(len(body) >> 8), byte(len(body)), 0, 0, 0, 0}) + body
	}
	body := strings.Repeat("x", 1000)
	from := &bursts{}
	for range 10 {
		from.parts = append(from.parts, frame(body))
	}
	beat := string([]byte{finBit | opText, maskBit | 1, 0, 0, 0, 0, '\n'})
	from.parts = append(from.parts, beat, beat, frame(body))
	reads := 0
	in := inbox{from: reader(func(p []byte) (int, error) { reads++; return from.Read(p) }), roomy: func() bool { return true },
		buffers: &sync.Pool{New: func() any { b := make([]byte, portion); return &b }}, small: make([]byte, idleBuffer)}
	take := func(want string) {
		require.NoError(t, in.await())
		h, err := in.next()
		require.NoError(t, err)
		in.take(h)
		got := ""
		for p := make([]byte, 4096); in.ours; {
			n, err := in.payload(p)
			require.NoError(t, err)
			got += string(p[:n])
		}
		require.Equal(t, want, got)
	}
	for range 10 {
		take(body)
	}
	require.Equal(t, 11, reads, "but for the first message, one for each")
	require.Len(t, in.small, readBuffer)
	require.Nil(t, in.large)
	take("\n")
	take("\n")
	require.Len(t, in.small, idleBuffer)
	take(body)
	require.Equal(t, io.EOF, in.await())
}

type reader func([]byte) (int, error)

func (r reader) Read(p []byte) (int, error) { return r(p) }
