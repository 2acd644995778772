package listen_test

import (
	"context"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/protocols/internal/listen"
)

func TestSilentSocketsHaveKeepAliveAndNoDelay(t *testing.T) {
	options := make(chan [2]int, 1)
	r := start(t, listen.Config{}, func(_ context.Context, c net.Conn) { options <- socketOptions(c.(*listen.Conn).NetConn()) })
	r.dial(t)
	select {
	case got := <-options:
		require.Equal(t, [2]int{1, 1}, got)
	case <-time.After(soon):
		t.Fatal("not served")
	}
}

// socketOptions returns SO_KEEPALIVE and TCP_NODELAY as the kernel has them.
func socketOptions(c *net.TCPConn) (got [2]int) {
	raw, err := c.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		got[0], _ = syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_KEEPALIVE)
		got[1], _ = syscall.GetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_NODELAY)
	})
	return
}
