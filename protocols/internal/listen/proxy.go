package listen

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net/netip"
	"strconv"
	"strings"
)

const (
	// proxySignature begins a header of version 2, proxyWord one of version 1.
	proxySignature = "\r\n\r\n\x00\r\nQUIT\n"
	proxyWord      = "PROXY "
	// proxyLine is the longest header of version 1 with its end, as the protocol has it.
	proxyLine = 107
	// proxyFixed is what precedes the addresses in version 2; proxyMore bounds what may follow, extensions
	// included. The protocol allows 64 KiB; what is in use has some hundred bytes.
	proxyFixed = 16
	proxyMore  = 2048
)

var (
	errNoProxyHeader  = errors.New("it does not begin with a header of the PROXY protocol, which the configuration says it does")
	errProxyMalformed = errors.New("its header of the PROXY protocol is malformed")
	errProxyTooLong   = errors.New("its header of the PROXY protocol is too long")
	// errProxyShort: more bytes are needed.
	errProxyShort = errors.New("its header of the PROXY protocol ends early")
)

// parseProxy reads a header of version 1 or 2 at the beginning of b. It returns the client's address, which is
// not valid if the proxy speaks for itself or does not say, and how many bytes the header has; or
// errProxyShort if b may be the beginning of a longer one.
func parseProxy(b []byte) (client netip.AddrPort, n int, err error) {
	switch {
	case beginsWith(b, proxySignature):
		return parseProxy2(b)
	case beginsWith(b, proxyWord):
		return parseProxy1(b)
	}
	return netip.AddrPort{}, 0, errNoProxyHeader
}

// beginsWith reports whether b begins with s, as far as it goes.
func beginsWith(b []byte, s string) bool {
	k := min(len(b), len(s))
	return string(b[:k]) == s[:k]
}

// parseProxy1 reads "PROXY TCP4 source destination port port\r\n".
func parseProxy1(b []byte) (client netip.AddrPort, n int, err error) {
	end := bytes.IndexByte(b[:min(len(b), proxyLine)], '\n')
	if end < 0 {
		if len(b) >= proxyLine {
			return client, 0, errProxyTooLong
		}
		return client, 0, errProxyShort
	}
	line, ok := strings.CutSuffix(string(b[:end]), "\r")
	if !ok {
		return client, 0, errProxyMalformed
	}
	words := strings.Split(line, " ")
	if len(words) >= 2 && words[1] == "UNKNOWN" { // whatever follows is to be ignored
		return client, end + 1, nil
	}
	if len(words) != 6 {
		return client, 0, errProxyMalformed
	}
	from, ok1 := endpoint(words[1], words[2], words[4])
	_, ok2 := endpoint(words[1], words[3], words[5])
	if !ok1 || !ok2 {
		return client, 0, errProxyMalformed
	}
	return from, end + 1, nil
}

// endpoint reads an address and a port as version 1 writes them.
func endpoint(family, address, port string) (netip.AddrPort, bool) {
	a, err := netip.ParseAddr(address)
	if err != nil || a.Zone() != "" || (family != "TCP4" || !a.Is4()) && (family != "TCP6" || !a.Is6()) {
		return netip.AddrPort{}, false
	}
	p, err := strconv.ParseUint(port, 10, 16)
	if err != nil || strconv.FormatUint(p, 10) != port {
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(a.Unmap(), uint16(p)), true
}

// parseProxy2 reads the binary header.
func parseProxy2(b []byte) (client netip.AddrPort, n int, err error) {
	if len(b) < proxyFixed {
		return client, 0, errProxyShort
	}
	n = proxyFixed + int(binary.BigEndian.Uint16(b[14:]))
	if n > proxyFixed+proxyMore {
		return client, 0, errProxyTooLong
	}
	command, family := b[12], b[13]
	if command != 0x20 && command != 0x21 {
		return client, 0, errProxyMalformed
	}
	if len(b) < n {
		return client, 0, errProxyShort
	}
	rest := b[proxyFixed:n]
	switch {
	case command == 0x20 || family == 0x00: // LOCAL, or from whom it does not say
		return client, n, nil
	case family == 0x11 && len(rest) >= 12:
		client = netip.AddrPortFrom(netip.AddrFrom4([4]byte(rest)), binary.BigEndian.Uint16(rest[8:]))
	case family == 0x21 && len(rest) >= 36:
		client = netip.AddrPortFrom(netip.AddrFrom16([16]byte(rest)).Unmap(), binary.BigEndian.Uint16(rest[32:]))
	default:
		return client, 0, errProxyMalformed
	}
	return client, n, nil
}
