package listen_test

import (
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/protocols/internal/listen"
)

var (
	loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	far      = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
)

// remotes tells a test where each connection comes from, and echoes.
func remotes(to chan<- string) func(context.Context, net.Conn) {
	return func(ctx context.Context, c net.Conn) {
		to <- c.RemoteAddr().String()
		c.(*listen.Conn).LoggedIn()
		echo(ctx, c)
	}
}

func TestATrustedProxySaysWhomItBrings(t *testing.T) {
	told := make(chan string, 1)
	r := start(t, listen.Config{TrustedProxies: loopback}, remotes(told))
	for header, want := range map[string]string{
		"PROXY TCP4 203.0.113.9 10.0.0.1 4711 61613\r\n":                                         "203.0.113.9:4711",
		"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xcb\x00\x71\x09\x0a\x00\x00\x01\x12\x67\xee\xff": "203.0.113.9:4711",
		"PROXY UNKNOWN\r\n": "",
	} {
		c := r.dial(t)
		_, err := io.WriteString(c, header+"and more in one packet\n")
		require.NoError(t, err)
		got := make([]byte, len("and more in one packet\n"))
		_, err = io.ReadFull(c, got)
		require.NoError(t, err)
		require.Equal(t, "and more in one packet\n", string(got))
		if want == "" {
			want = c.LocalAddr().String()
		}
		require.Equal(t, want, <-told)
		requireEcho(t, c, "later")
	}
}

func TestTLSComesAfterTheProxysHeader(t *testing.T) {
	ca, told := newIssuer(t), make(chan gateway.Introduction, 1)
	r := start(t, listen.Config{TLS: ca.server(t), TrustedProxies: loopback}, introduced(told))
	c := r.dial(t)
	_, err := io.WriteString(c, "PROXY TCP4 203.0.113.9 10.0.0.1 4711 61613\r\n")
	require.NoError(t, err)
	requireEcho(t, tls.Client(c, ca.client()), "within")
	require.True(t, (<-told).Secure)
}

func TestWhatAProxyPassesOnInTheClearIsNotSecure(t *testing.T) {
	told := make(chan gateway.Introduction, 1)
	r := start(t, listen.Config{TrustedProxies: loopback}, introduced(told))
	c := r.dial(t)
	_, err := io.WriteString(c, "PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\n")
	require.NoError(t, err)
	requireEcho(t, c, "x")
	require.False(t, (<-told).Secure)
}

// PROXY spoofing: whoever is not trusted cannot say that it is somebody else.
func TestAStrangersProxyHeaderIsNotRead(t *testing.T) {
	told := make(chan string, 1)
	r := start(t, listen.Config{TrustedProxies: far}, remotes(told))
	c := r.dial(t)
	requireEcho(t, c, "PROXY TCP4 203.0.113.9 10.0.0.1 4711 61613\r")
	require.Equal(t, c.LocalAddr().String(), <-told)
}

func TestATrustedProxyHasToSayWhomItBrings(t *testing.T) {
	var log syncBuffer
	r := start(t, listen.Config{TrustedProxies: loopback, Logger: slog.New(slog.NewTextHandler(&log, nil)), Limits: listen.Limits{Login: 200 * time.Millisecond}},
		func(context.Context, net.Conn) { panic("nobody knows who this is") })
	for _, begin := range []string{"CONNECT\n\n\x00", "PROXY TCP4 1.2.3.4", "\r\n\r\n\x00\r\nQUIT\n\x21\x11\xff\xff", ""} {
		c := r.dial(t)
		_, err := io.WriteString(c, begin)
		require.NoError(t, err)
		got, _ := io.ReadAll(c) // a reset is as good
		require.Empty(t, got)
	}
	require.NoError(t, r.Wait(t.Context()))
	require.EqualValues(t, 4, r.Stats().Refused.Proxy)
	require.NotContains(t, log.String(), "panic")
	require.Contains(t, log.String(), "does not begin with a header of the PROXY protocol")
}

// Limits for addresses are those of the clients, not of the proxy that brings them all.
func TestClientsBehindAProxyAreCountedThemselves(t *testing.T) {
	r := start(t, listen.Config{TrustedProxies: loopback, Refuse: words, Limits: listen.Limits{MaxPerAddress: 2}}, echo)
	dial := func(from string) net.Conn {
		c := r.dial(t)
		_, err := io.WriteString(c, "PROXY TCP4 "+from+" 10.0.0.1 1 2\r\n")
		require.NoError(t, err)
		return c
	}
	for _, from := range []string{"203.0.113.1", "203.0.113.1", "203.0.113.2", "203.0.113.3"} {
		requireEcho(t, dial(from), "in")
	}
	got, err := io.ReadAll(dial("203.0.113.1"))
	require.NoError(t, err)
	require.Equal(t, "Too many connections from this address have not logged in\n", string(got))
	require.EqualValues(t, 1, r.Stats().Refused.Address)
}
