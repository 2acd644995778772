package pubsub

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net/netip"
	"time"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/protocols/internal/listen"
	"github.com/sluice-mq/sluice/protocols/pubsub/lease"
	"github.com/sluice-mq/sluice/protocols/pubsub/push"
	"github.com/sluice-mq/sluice/protocols/pubsub/resource"
	"github.com/sluice-mq/sluice/protocols/pubsub/wire"
)

// Reception bounds what clients can hold that have not shown a token.
type Reception = listen.Limits

// KeyPlace says where a client's token is looked for.
type KeyPlace uint8

const (
	// InHeader: the header x-api-key alone.
	InHeader KeyPlace = iota
	// InBoth: the header, or else key in the query.
	InBoth
	// InURL: key in the query alone.
	InURL
)

// Reader is what the door needs of gateway.Logs.
type Reader interface {
	Read(ctx context.Context, topic string, q gateway.LogQuery) (gateway.LogPage, error)
}

// Config says where and how to serve. The zero value of an optional field is its default.
type Config struct {
	// Address is "host:port"; port 0 takes a free one, see Server.Addr.
	Address string
	// TLS, Judge and TrustedProxies are as for any listener, see listen.Config.
	TLS            *tls.Config
	Judge          func(tls.ConnectionState) (*x509.Certificate, error)
	TrustedProxies []netip.Prefix
	Reception      Reception

	// Guests may use the API without being users of it.
	Guests Guard

	Broker    gateway.Broker
	Directory *resource.Directory
	Logs      Reader
	// Push pushes to endpoints, see NewPusher; nil: nobody does, and there are no push subscriptions. Whoever made it runs it.
	Push *push.Pusher
	// Leases keeps those of subscriptions that have some, see NewLeases; nil: there are no such subscriptions. Whoever made it runs it.
	Leases *lease.Keeper
	// ServiceToken may do everything, and is nobody's; empty: there is none. What of a Config may change later is in Terms.
	ServiceToken string
	Keys         KeyPlace
	// Retention of the logs of new topics. Default 7 days.
	Retention time.Duration
	// MaxMessage is how many bytes the data of a message may have, MaxRequest a whole request. Default 10 MiB, and 32 MiB or what the longest message takes.
	MaxMessage int
	MaxRequest int64
	// Memory is what the requests that are being read may take together, and as much again what is pulled and being written; more wait. Nobody can have all of it: see
	// package budget. Default 256 MiB.
	Memory int64
	// Patience is for how long the store may take. Default 30 s.
	Patience time.Duration
	// BodyTime is for how long a client may send its request. Default one minute.
	BodyTime time.Duration
	// Grace is how long a client may take for an answer, or for a request for which there is memory, beside the time that its bytes take at Pace, in bytes a second, which
	// is the least that is fast enough. Default 10 s, and 64 KiB.
	Grace time.Duration
	Pace  int64
	// Shared: clients may come to other nodes as well.
	Shared bool
	// Version is what /version says; Release is shown to some alone.
	Version wire.Version
	// Usage is what part of a processor, and of the memory, the process takes, each in hundredths; nil: nobody knows.
	Usage func() (cpu, memory float64)
	// Now is the clock; nil: time.Now.
	Now func() time.Time
	// Logger gets what goes wrong here; nil is silence.
	Logger *slog.Logger
}

const (
	defaultRetention  = 7 * 24 * time.Hour
	defaultMaxMessage = 10 << 20
	defaultMaxRequest = 32 << 20
	defaultMemory     = 256 << 20
	defaultPatience   = 30 * time.Second
	defaultBodyTime   = time.Minute
	defaultGrace      = 10 * time.Second
	defaultPace       = 64 << 10
	// smallRequest is how long requests may be that hold no messages.
	smallRequest = 1 << 20
)

func (cfg Config) complete() (Config, error) {
	if cfg.Broker == nil || cfg.Directory == nil || cfg.Logs == nil {
		return cfg, errors.New("pubsub: there is no broker, directory or log to serve")
	}
	if cfg.MaxMessage < 0 || cfg.MaxRequest < 0 || cfg.Memory < 0 || cfg.Retention < 0 || cfg.Patience < 0 || cfg.BodyTime < 0 || cfg.Grace < 0 || cfg.Pace < 0 {
		return cfg, errors.New("pubsub: a limit is negative")
	}
	or(&cfg.Retention, defaultRetention)
	or(&cfg.MaxMessage, defaultMaxMessage)
	or(&cfg.MaxRequest, requestOf(cfg.MaxMessage))
	or(&cfg.Memory, max(defaultMemory, cfg.MaxRequest))
	cfg.Memory = max(cfg.Memory, cfg.MaxRequest)
	or(&cfg.Patience, defaultPatience)
	or(&cfg.BodyTime, defaultBodyTime)
	or(&cfg.Grace, defaultGrace)
	or(&cfg.Pace, defaultPace)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return cfg, nil
}

func or[T comparable](v *T, otherwise T) {
	var zero T
	if *v == zero {
		*v = otherwise
	}
}
