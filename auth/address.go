package auth

import (
	"context"
	"net/netip"
)

type addressKey struct{}

// WithAddress returns a context that says who asks, for ports that share out what they have between hosts.
func WithAddress(ctx context.Context, a netip.Prefix) context.Context {
	return context.WithValue(ctx, addressKey{}, a)
}

// AddressOf returns the host that a login comes from, as HostOf made it; the zero value if nobody knows.
func AddressOf(ctx context.Context) netip.Prefix {
	a, _ := ctx.Value(addressKey{}).(netip.Prefix)
	return a
}

// HostOf returns what counts as one host behind "ip:port": an IPv4 address, or the /64 network of an IPv6 address, of which a
// host has as many addresses as it likes. The zero value stands for what is no address.
func HostOf(remote string) netip.Prefix {
	ap, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Prefix{}
	}
	a := ap.Addr().Unmap().WithZone("")
	bits := 32
	if a.Is6() {
		bits = 64
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}

// hostText writes a host for its owner: "192.0.2.1", "2001:db8::/64".
func hostText(p netip.Prefix) string {
	switch {
	case !p.IsValid():
		return "this address"
	case p.Addr().Is4():
		return p.Addr().String()
	}
	return p.String()
}
