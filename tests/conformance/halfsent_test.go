package conformance

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/tests/conformance/raw"
)

// Frames of which only a half is sent share one memory, whether they come by STOMP or by STOMP over WebSocket.
func TestHalfSentFramesShareTheirMemory(t *testing.T) {
	const connections, half, receiving = 40, 12 << 20, 32 << 20
	v := attack(t, "listeners=stomp=127.0.0.1:0,websocket=127.0.0.1:0,admin=127.0.0.1:0", fmt.Sprintf("limits.receiving_memory=%dMiB", receiving>>20))
	began := fmt.Sprintf("SEND\ndestination:/queue/a\ncontent-length:%d\n\n", 16<<20) + strings.Repeat("b", half)
	login := raw.Text("CONNECT", "", "accept-version:1.2", "host:localhost")
	var all sync.WaitGroup
	for i := range connections {
		protocol, first, rest := "stomp", login, began
		if i%2 == 1 {
			protocol, first, rest = "websocket", webSocketRequest+webSocketFrame(login), webSocketFrame(began)
		}
		nc, err := net.DialTimeout("tcp", v.Addr(protocol), raw.Patience)
		require.NoError(t, err)
		defer nc.Close()
		_, err = io.WriteString(nc, first)
		require.NoError(t, err)
		all.Go(func() {
			_ = nc.SetWriteDeadline(time.Now().Add(3 * time.Second))
			_, _ = io.WriteString(nc, rest) // most of them are not taken
		})
	}
	all.Wait()
	v.unharmed()
	_, most := v.Resident()
	require.Less(t, most-v.started, int64(4*receiving), "of %d MiB that were to come", connections*half>>20)
}

const webSocketRequest = "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: v12.stomp\r\n\r\n"

// webSocketFrame is a message with a mask of zeros.
func webSocketFrame(payload string) string {
	header := binary.BigEndian.AppendUint64([]byte{0x82, 0x80 | 127}, uint64(len(payload)))
	return string(append(header, 0, 0, 0, 0)) + payload
}
