package listen

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const (
	v2TCP4  = proxySignature + "\x21\x11\x00\x0c" + "\xc0\x00\x02\x07" + "\x0a\x00\x00\x01" + "\x1f\x90" + "\xee\xff"
	v2Local = proxySignature + "\x20\x00\x00\x00"
)

func TestProxyHeaders(t *testing.T) {
	v6 := proxySignature + "\x21\x21\x00\x24" + "\x20\x01\x0d\xb8" + strings.Repeat("\x00", 11) + "\x09" + strings.Repeat("\x00", 16) + "\x00\x07\x00\x08"
	tlv := proxySignature + "\x21\x11\x00\x10" + v2TCP4[16:] + "\x20\x00\x01\x00"
	for header, want := range map[string]string{
		"PROXY TCP4 192.0.2.7 10.0.0.1 8080 61613\r\n":   "192.0.2.7:8080",
		"PROXY TCP6 2001:db8::9 2001:db8::1 7 61613\r\n": "[2001:db8::9]:7",
		"PROXY UNKNOWN\r\n":                              "invalid AddrPort",
		"PROXY UNKNOWN ffff::1 ffff::2 9999999 1\r\n":    "invalid AddrPort",
		v2TCP4:  "192.0.2.7:8080",
		tlv:     "192.0.2.7:8080",
		v6:      "[2001:db8::9]:7",
		v2Local: "invalid AddrPort",
	} {
		for k := range len(header) {
			_, _, err := parseProxy([]byte(header[:k]))
			require.ErrorIs(t, err, errProxyShort, "%q", header[:k])
		}
		client, n, err := parseProxy([]byte(header + "CONNECT\n"))
		require.NoError(t, err, "%q", header)
		require.Equal(t, len(header), n)
		require.Equal(t, want, client.String())
	}
}

func TestProxyHeadersThatAreNone(t *testing.T) {
	for header, want := range map[string]error{
		"CONNECT\n":    errNoProxyHeader,
		"PROXX":        errNoProxyHeader,
		"\r\n\r\n\x01": errNoProxyHeader,
		"PROXY TCP4 192.0.2.7 10.0.0.1 8080 61613\n":                     errProxyMalformed,
		"PROXY TCP4 192.0.2.7  10.0.0.1 8080 61613\r\n":                  errProxyMalformed,
		"PROXY TCP4 192.0.2.7 10.0.0.1 65536 61613\r\n":                  errProxyMalformed,
		"PROXY TCP4 192.0.2.7 10.0.0.1 -1 61613\r\n":                     errProxyMalformed,
		"PROXY TCP4 192.0.2.7 10.0.0.1 +1 61613\r\n":                     errProxyMalformed,
		"PROXY TCP4 192.0.2.7 10.0.0.1 01 61613\r\n":                     errProxyMalformed,
		"PROXY TCP4 2001:db8::9 10.0.0.1 1 2\r\n":                        errProxyMalformed,
		"PROXY TCP6 192.0.2.7 10.0.0.1 1 2\r\n":                          errProxyMalformed,
		"PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n":                            errProxyMalformed,
		"PROXY UDP4 192.0.2.7 10.0.0.1 1 2\r\n":                          errProxyMalformed,
		"PROXY \r\n":                                                     errProxyMalformed,
		"PROXY " + strings.Repeat("x", 200):                              errProxyTooLong,
		proxySignature + "\x11\x11\x00\x0c":                              errProxyMalformed, // version 1 in version 2's coat
		proxySignature + "\x2f\x11\x00\x0c":                              errProxyMalformed,
		proxySignature + "\x21\x11\xff\xff":                              errProxyTooLong,
		proxySignature + "\x21\x11\x00\x0b" + strings.Repeat("\x00", 11): errProxyMalformed,
		proxySignature + "\x21\x31\x00\x0c" + strings.Repeat("\x00", 12): errProxyMalformed, // a unix socket
	} {
		_, _, err := parseProxy([]byte(header))
		require.ErrorIs(t, err, want, "%q", header)
	}
}

func FuzzProxyHeader(f *testing.F) {
	for _, s := range []string{v2TCP4, v2Local, "PROXY TCP4 192.0.2.7 10.0.0.1 8080 61613\r\nCONNECT\n", "PROXY UNKNOWN\r\n", "PROXY TCP6 ::1 ::2 1 2\r\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		client, n, err := parseProxy(b)
		switch {
		case err == nil:
			require.LessOrEqual(t, n, len(b))
			require.LessOrEqual(t, n, proxyFixed+proxyMore)
			require.Positive(t, n)
			// It does not depend on how the bytes arrive, nor on what follows.
			again, m, err := parseProxy(b[:n])
			require.NoError(t, err)
			require.Equal(t, client, again)
			require.Equal(t, n, m)
			_, _, err = parseProxy(b[:n-1])
			require.ErrorIs(t, err, errProxyShort)
		case err == errProxyShort:
			require.Less(t, len(b), proxyFixed+proxyMore, "nobody waits for ever")
		default:
			// More bytes make nothing better.
			_, _, later := parseProxy(append(append([]byte(nil), b...), "x\r\n"...))
			require.Error(t, later)
			require.NotErrorIs(t, later, errProxyShort)
		}
	})
}
