package wire

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestKnownCommandsCostNoAllocation(t *testing.T) {
	for _, command := range []string{
		"CONNECT", "STOMP", "CONNECTED", "SEND", "SUBSCRIBE", "SUB", "UNSUBSCRIBE", "UNSUB", "ACK", "NACK",
		"BEGIN", "COMMIT", "ABORT", "DISCONNECT", "MESSAGE", "RECEIPT", "ERROR",
	} {
		src := bytes.NewReader(bytes.Repeat([]byte(command+"\n\n\x00"), 200))
		r := NewReader(src, BeforeLogin())
		var f Frame
		require.NoError(t, r.Next(&f)) // all are in the buffer now
		require.Zero(t, testing.AllocsPerRun(100, func() { _ = r.Next(&f) }), command)
		require.Equal(t, Frame{Command: command}, f)
	}
}
