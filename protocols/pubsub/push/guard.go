package push

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"syscall"
)

// guard knows which addresses pushes may go to: those of the public internet, and what the configuration adds. It is asked about the address that is dialled,
// after names were resolved: what a name stood for before does not count.
type guard struct {
	// private: what is inside may be reached as well.
	private bool
	// allowed are networks that may be reached whatever they are.
	allowed []netip.Prefix
	// closed are for those alone who are in allowed; inside are the networks of machines that trust whoever comes from near.
	closed, inside     []netip.Prefix
	translated, global netip.Prefix
}

func newGuard(private bool, allowed []netip.Prefix) *guard {
	return &guard{
		private: private, allowed: allowed,
		closed: prefixes(
			"0.0.0.0/8",                                               // this host
			"169.254.0.0/16",                                          // the link, and with it the metadata of clouds
			"100.100.100.200/32", "168.63.129.16/32", "fd00:ec2::/32", // and elsewhere
			"192.0.0.0/24", "192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32", "3fff::/20", // protocols, examples
			"192.88.99.0/24", "2001::/23", "2002::/16", // tunnels: the address inside is what would be reached
			"224.0.0.0/4", "240.0.0.0/4", // many, reserved, all
		),
		inside: prefixes(
			"127.0.0.0/8", "::1/128", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7",
			"100.64.0.0/10", // behind a provider's translation
			"198.18.0.0/15", // measurements
		),
		translated: netip.MustParsePrefix("64:ff9b::/96"),
		global:     netip.MustParsePrefix("2000::/3"),
	}
}

func prefixes(texts ...string) (all []netip.Prefix) {
	for _, s := range texts {
		all = append(all, netip.MustParsePrefix(s))
	}
	return all
}

// permits reports whether a push may go to an address.
func (g *guard) permits(a netip.Addr) bool {
	a = a.WithZone("").Unmap()
	in := func(p netip.Prefix) bool { return p.Contains(a) }
	switch {
	case slices.ContainsFunc(g.allowed, in):
		return true
	case g.translated.Contains(a): // it stands for the address of IPv4 in its last bytes
		b := a.As16()
		return g.permits(netip.AddrFrom4([4]byte(b[12:])))
	case slices.ContainsFunc(g.closed, in):
		return false
	case slices.ContainsFunc(g.inside, in):
		return g.private
	}
	return a.Is4() || g.global.Contains(a)
}

// errAddress is the error of a connection to where none may be.
var errAddress = errors.New("pushes may not go to this address")

// control is a net.Dialer's: it sees each address before it is connected to.
func (g *guard) control(network, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%w: %s %q", errAddress, network, address)
	}
	if !g.permits(at.Addr()) {
		return fmt.Errorf("%w: %s", errAddress, at.Addr())
	}
	return nil
}
