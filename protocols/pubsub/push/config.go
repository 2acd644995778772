package push

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net/netip"
	"time"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/protocols/pubsub/lead"
	"github.com/sluice-mq/sluice/protocols/pubsub/resource"
	"github.com/sluice-mq/sluice/protocols/pubsub/wire"
)

// Reader is what a Pusher needs of gateway.Logs.
type Reader interface {
	Read(ctx context.Context, topic string, q gateway.LogQuery) (gateway.LogPage, error)
}

// Config of a Pusher. The zero value of an optional field is its default.
type Config struct {
	Directory *resource.Directory
	Logs      Reader
	// Translate makes of a message what an endpoint gets.
	Translate func(*gateway.Message) wire.Message
	// Node is this one's name. Nodes returns the names of those that are alive and push, as far as this one knows, itself among them; none: this one knows
	// nothing now, as it has lost the others, and pushes nothing. It is asked often. A nil Nodes: there is no other one.
	Node  string
	Nodes func() []string
	// TLS says which certificates of endpoints are trusted, by its RootCAs; nil: the system's.
	TLS *tls.Config
	// PrivateAddresses lets endpoints be inside the operator's networks. AllowedNetworks are reached whatever they are. Else endpoints have public addresses.
	PrivateAddresses bool
	AllowedNetworks  []netip.Prefix
	// PerEndpoint is how many pushes may be under way to one host and port at once. Default 4.
	PerEndpoint int
	// Timeout is what an endpoint has for its answer. Default 30 s.
	Timeout time.Duration
	// Grace is what pushes under way have to end when the node stops. Default 5 s.
	Grace time.Duration
	// Memory is what all pushes under way may take together; more wait. Default 64 MiB.
	Memory int64
	// Look is how long a message may be in the log until an idle subscription hears of it, if there are no Arrivals. Default 3 s.
	Look time.Duration
	// Arrivals may be nil. With them idle subscriptions look by themselves once a minute.
	Arrivals lead.Arrivals
	// Logger gets what goes wrong; nil is silence.
	Logger *slog.Logger
}

const (
	defaultPerEndpoint = 4
	defaultTimeout     = 30 * time.Second
	defaultGrace       = 5 * time.Second
	defaultMemory      = 64 << 20
	defaultLook        = 3 * time.Second
	rareLook           = time.Minute
	// patience is what the store has for reading, and for moving a cursor.
	patience = 30 * time.Second
	// pushBytes is what the messages of one push have together, but for the first.
	pushBytes = 1 << 20
)

func (cfg Config) complete() (Config, error) {
	if cfg.Directory == nil || cfg.Logs == nil || cfg.Translate == nil {
		return cfg, errors.New("push: there is no directory, log or translation to push with")
	}
	if cfg.PerEndpoint < 0 || cfg.Timeout < 0 || cfg.Grace < 0 || cfg.Memory < 0 || cfg.Look < 0 {
		return cfg, errors.New("push: a limit is negative")
	}
	or(&cfg.PerEndpoint, defaultPerEndpoint)
	or(&cfg.Timeout, defaultTimeout)
	or(&cfg.Grace, defaultGrace)
	or(&cfg.Memory, defaultMemory)
	or(&cfg.Look, defaultLook)
	if cfg.Arrivals != nil {
		cfg.Look = rareLook
	}
	if cfg.Nodes == nil {
		alone := []string{cfg.Node}
		cfg.Nodes = func() []string { return alone }
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
