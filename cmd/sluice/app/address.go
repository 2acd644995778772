package app

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// Address is "host:port". The host is a name, an IPv4 address, an IPv6 address
// in brackets, or empty for all of the machine's addresses.
type Address struct {
	Host string
	Port uint16
}

// UnmarshalText reads what the type's comment says. Port 0 is a free port.
func (a *Address) UnmarshalText(text []byte) error {
	host, port, err := net.SplitHostPort(string(text))
	if err != nil {
		return fmt.Errorf("%q is not an address (want host:port, such as 127.0.0.1:61613)", text)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return fmt.Errorf("%q has no usable port (want a number from 0 to 65535)", text)
	}
	if strings.ContainsFunc(host, func(r rune) bool { return r <= ' ' || r == '/' || r == 0x7f }) {
		return fmt.Errorf("%q has no usable host", text)
	}
	*a = Address{Host: host, Port: uint16(n)}
	return nil
}

// String writes "host:port".
func (a Address) String() string { return net.JoinHostPort(a.Host, strconv.Itoa(int(a.Port))) }

// MarshalText writes String.
func (a Address) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// Loopback reports whether only this machine can reach the address. Names
// other than localhost count as reachable: nobody knows where they lead tomorrow.
func (a Address) Loopback() bool {
	if a.Host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(a.Host)
	return err == nil && ip.IsLoopback()
}

// Network is a range of addresses, "10.0.0.0/8", or a single one.
type Network netip.Prefix

// UnmarshalText reads what the type's comment says.
func (n *Network) UnmarshalText(text []byte) error {
	if ip, err := netip.ParseAddr(string(text)); err == nil && ip.Zone() == "" {
		*n = Network(netip.PrefixFrom(ip, ip.BitLen()))
		return nil
	}
	p, err := netip.ParsePrefix(string(text))
	if err != nil {
		return fmt.Errorf("%q is not a network, such as 10.0.0.0/8", text)
	}
	*n = Network(p.Masked())
	return nil
}

// String writes it with its length.
func (n Network) String() string { return netip.Prefix(n).String() }

// MarshalText writes String.
func (n Network) MarshalText() ([]byte, error) { return []byte(n.String()), nil }
