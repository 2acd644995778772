package courier

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/route"
	"github.com/sluice-mq/sluice/protocols/pubsub/lead"
	"github.com/sluice-mq/sluice/protocols/pubsub/resource"
)

// Config of a Courier. The zero value of an optional field is its default.
type Config struct {
	Directory *resource.Directory
	Logs      route.Reader
	// Open opens the session that copies are sent on: it needs to be somebody who may write to all topics.
	Open func(context.Context) (gateway.Session, error)
	// Kept are attributes that copies have whatever their route says.
	Kept []string
	// Node is this one's name. Nodes returns the names of those that are alive and run routes, as far as this one knows, itself among them; none: this one
	// knows nothing now, as it has lost the others, and runs nothing. It is asked often. A nil Nodes: there is no other one.
	Node  string
	Nodes func() []string
	// Grace is what copies under way have to end when the node stops. Default 5 s.
	Grace time.Duration
	// Look is how long a message may be in the log until an idle route hears of it, if there are no Arrivals. Default 3 s.
	Look time.Duration
	// Arrivals may be nil. With them idle routes look by themselves once a minute.
	Arrivals lead.Arrivals
	// Now is the clock; nil: time.Now.
	Now func() time.Time
	// Logger gets what goes wrong; nil is silence.
	Logger *slog.Logger
}

const (
	defaultGrace = 5 * time.Second
	defaultLook  = 3 * time.Second
	rareLook     = time.Minute
	// leastPause is how long a route stands still after something went wrong, mostPause if it does for a while.
	leastPause = 50 * time.Millisecond
	mostPause  = 5 * time.Second
	// farewell is what the store has for writing down how far a route is that ends here.
	farewell = 2 * time.Second
)

func (cfg Config) complete() (Config, error) {
	if cfg.Directory == nil || cfg.Logs == nil || cfg.Open == nil {
		return cfg, errors.New("courier: there is no directory, log or session to copy with")
	}
	if cfg.Grace < 0 || cfg.Look < 0 {
		return cfg, errors.New("courier: a limit is negative")
	}
	if cfg.Grace == 0 {
		cfg.Grace = defaultGrace
	}
	switch {
	case cfg.Arrivals != nil:
		cfg.Look = rareLook
	case cfg.Look == 0:
		cfg.Look = defaultLook
	}
	if cfg.Nodes == nil {
		alone := []string{cfg.Node}
		cfg.Nodes = func() []string { return alone }
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return cfg, nil
}
