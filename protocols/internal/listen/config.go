package listen

import (
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net"
	"net/netip"
	"runtime"
	"time"
)

// Config says where and how to listen. The zero value of an optional field is its default.
type Config struct {
	// Address is "host:port"; port 0 takes a free one, see Listener.Addr.
	Address string
	// TLS is how to speak TLS; nil is not to.
	TLS *tls.Config
	// Judge looks at what a TLS client showed, after each handshake, resumed ones included. It returns the client's
	// certificate, or nil if it showed none, and in words for its owner why it is not trusted. It is called concurrently and
	// may block, within the limits of the connections that are not logged in. Without it certificates count only if TLS has verified them.
	Judge func(tls.ConnectionState) (*x509.Certificate, error)
	// TrustedProxies are the networks whose connections begin with a header of the PROXY protocol, version 1 or 2. It is
	// required of them, and never read from anybody else.
	TrustedProxies []netip.Prefix
	Limits
	// Refuse, if not nil, is called for a connection that is turned away so that
	// the door can say why in its protocol. The connection has a deadline of
	// one second and is closed afterwards; it must not be kept. Called concurrently.
	Refuse func(c net.Conn, why string)
	// Logger gets accept errors, what was turned away, and panics; nil is silence.
	Logger *slog.Logger
	// Clock tells the time of day for how often refusals are logged. Deadlines of sockets are the runtime's. Default time.Now.
	Clock func() time.Time
}

// Limits bound what strangers can hold.
type Limits struct {
	// MaxConnections is how many connections may be open at once; 0 or less is no limit.
	MaxConnections int
	// MaxUnknown is how many may be let in at once that are not logged in; the rest waits. One address has half of
	// them at most, the next a quarter, and so on. Default 512, but no more than a quarter of MaxConnections (and at least 8).
	MaxUnknown int
	// MaxPerAddress is how many connections of one address (of one /64 network, for IPv6) may be there before their
	// login, those that wait included. Default 2048.
	MaxPerAddress int
	// MaxWaiting is how many may wait at once. Default 4096, but no more than a quarter of MaxConnections (and at least 8). Less than 0: none.
	MaxWaiting int
	// MaxHandshakes is how many TLS handshakes may be under way at once; the rest waits. Default 32 for each processor.
	MaxHandshakes int
	// Wait is how long a connection may wait for its turn, at each of the two gates. Default 10 s.
	Wait time.Duration
	// Login is the time for the header of the PROXY protocol, and that for the TLS handshake and the login together. Default 10 s.
	Login time.Duration
}

const (
	defaultUnknown    = 512
	defaultPerAddress = 2048
	defaultWaiting    = 4096
	// fewest is what a small MaxConnections leaves of the defaults.
	fewest              = 8
	handshakesProcessor = 32
	defaultPatience     = 10 * time.Second
)

func orDefault[T int | time.Duration](v, d T) T {
	if v == 0 {
		return d
	}
	return v
}

// complete fills in the defaults.
func (l Limits) complete() Limits {
	part := func(most int) int {
		if l.MaxConnections <= 0 {
			return most
		}
		return min(most, max(fewest, l.MaxConnections/4))
	}
	l.MaxUnknown = orDefault(l.MaxUnknown, part(defaultUnknown))
	l.MaxWaiting = max(0, orDefault(l.MaxWaiting, part(defaultWaiting)))
	l.MaxPerAddress = orDefault(l.MaxPerAddress, defaultPerAddress)
	l.MaxHandshakes = orDefault(l.MaxHandshakes, handshakesProcessor*runtime.GOMAXPROCS(0))
	l.Wait = orDefault(l.Wait, defaultPatience)
	l.Login = orDefault(l.Login, defaultPatience)
	return l
}

func (cfg Config) complete() Config {
	cfg.Limits = cfg.Limits.complete()
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	return cfg
}
