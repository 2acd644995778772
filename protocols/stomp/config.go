package stomp

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/protocols/internal/listen"
	"github.com/sluice-mq/sluice/protocols/stomp/wire"
)

// Transport brings connections to a server instead of its own listener: STOMP within something else.
type Transport = listen.Transport

// Reception bounds what clients can hold that have not logged in.
type Reception = listen.Limits

// Stats count the connections of a server.
type Stats = listen.Stats

// Config says how a server serves. The zero value of an optional field is its default.
type Config struct {
	// Address is "host:port" to listen on; port 0 takes a free one, see Server.Addr.
	Address string
	// Transport, if not nil, brings the connections. Then there is no listener, and what follows up to Reception is of no
	// account: it is the transport's business.
	Transport Transport
	// MaxConnections is how many may be open at once; 0 is no limit.
	MaxConnections int
	// TLS is how to speak TLS; nil is not to.
	TLS *tls.Config
	// Judge looks at what a TLS client showed, after each handshake. It returns the client's certificate, or nil if it
	// showed none, and in words for its owner why it is not trusted. It is called concurrently and may block.
	Judge func(tls.ConnectionState) (*x509.Certificate, error)
	// TrustedProxies are the networks whose connections begin with a header of the PROXY protocol. It is required of
	// them, and never read from anybody else.
	TrustedProxies []netip.Prefix
	// Reception bounds connections before their login. Its MaxConnections and Login are those of this Config.
	Reception Reception
	// Broker is what the server leans on. Required.
	Broker gateway.Broker
	// Logger gets connections and refusals; nil is silence.
	Logger *slog.Logger
	Limits Limits
	// Memory is what this server shares with others; nil is that it has some of its own.
	Memory *Memory
	// Personality is the broker that clients take this for, Errors a part of it that may be chosen apart.
	Personality Personality
	Errors      Errors
	// ServerHeader is the server header of CONNECTED; empty is the Personality's.
	ServerHeader string
	// UserID: messages carry the name of who sent them as JMSXUserID.
	UserID bool
	// HeartBeatGrace is how many of its periods a client that promised heart-beats
	// may be silent; one second is added. Default 2.
	HeartBeatGrace float64
	// Clock tells the time of day for the names of sessions and how often faults are logged. Deadlines of sockets
	// are the runtime's. Default time.Now.
	Clock func() time.Time
}

// Limits bound what one connection can make the server hold.
type Limits struct {
	// Body is the largest message body in bytes. Default 100 MiB, as ActiveMQ's.
	Body int
	// Login is how long a connection may take until its CONNECT is there. Default 10 s.
	Login time.Duration
	// Subscriptions a connection may have at once. Default 10000.
	Subscriptions int
	// Transactions a connection may have open at once. Default 1000.
	Transactions int
	// TransactionBytes and TransactionMessages bound what all open
	// transactions of a connection hold together. Default 64 MiB and 10000. An
	// acknowledgement counts 128 bytes.
	TransactionBytes, TransactionMessages int
	// OutstandingBytes and OutstandingFrames bound what was read but not yet
	// answered; above either the server stops reading. Default 16 MiB and 4096.
	OutstandingBytes, OutstandingFrames int
	// Stall is how long a peer may take nothing of what is written to it before
	// it counts as gone. Default 30 s.
	Stall time.Duration
}

func orDefault[T comparable](v, d T) T {
	var zero T
	if v == zero {
		return d
	}
	return v
}

// complete fills in the defaults and reports what makes no sense.
func (cfg Config) complete() (Config, error) {
	if cfg.Broker == nil {
		return cfg, errors.New("stomp: no broker given")
	}
	l := &cfg.Limits
	for _, n := range []int{l.Body, l.Subscriptions, l.Transactions, l.TransactionBytes,
		l.TransactionMessages, l.OutstandingBytes, l.OutstandingFrames, int(l.Login), int(l.Stall), cfg.MaxConnections} {
		if n < 0 {
			return cfg, errors.New("stomp: a limit is negative")
		}
	}
	if int(cfg.Personality) >= len(dialects) || cfg.Errors > FatalErrors {
		return cfg, errors.New("stomp: no such personality")
	}
	if cfg.HeartBeatGrace < 0 || cfg.HeartBeatGrace > 100 {
		return cfg, errors.New("stomp: the heart-beat grace must be between 0 and 100")
	}
	l.Body = orDefault(l.Body, 100<<20)
	l.Login = orDefault(l.Login, 10*time.Second)
	l.Subscriptions = orDefault(l.Subscriptions, 10000)
	l.Transactions = orDefault(l.Transactions, 1000)
	l.TransactionBytes = orDefault(l.TransactionBytes, 64<<20)
	l.TransactionMessages = orDefault(l.TransactionMessages, 10000)
	l.OutstandingBytes = orDefault(l.OutstandingBytes, 16<<20)
	l.OutstandingFrames = orDefault(l.OutstandingFrames, 4096)
	l.Stall = orDefault(l.Stall, 30*time.Second)
	if cfg.Memory == nil {
		cfg.Memory = NewMemory(0, 0)
	}
	if most := wire.AfterLogin(l.Body).Frame; int64(most) > cfg.Memory.frames {
		return cfg, fmt.Errorf("stomp: a frame may have %d bytes, and there is memory for %d", most, cfg.Memory.frames)
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	cfg.ServerHeader = orDefault(cfg.ServerHeader, cfg.Personality.ServerHeader("dev"))
	cfg.HeartBeatGrace = orDefault(cfg.HeartBeatGrace, 2)
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	return cfg, nil
}
