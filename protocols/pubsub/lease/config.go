package lease

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/protocols/pubsub/resource"
	"github.com/sluice-mq/sluice/protocols/pubsub/wire"
)

// Reader is what a Keeper needs of gateway.Logs.
type Reader interface {
	Read(ctx context.Context, topic string, q gateway.LogQuery) (gateway.LogPage, error)
}

// Others are the other nodes, which ask and are asked.
type Others interface {
	// Ask has a node answer a question, until ctx ends: then the one of whoever answers ends as well. Errors: Unavailable, if it does not, or is not there.
	Ask(ctx context.Context, node string, question []byte) ([]byte, error)
	// Answer has questions of other nodes answered from now on, each by a call of its own, until stop is called; that returns when none is under way. ctx ends with stop.
	Answer(answer func(ctx context.Context, question []byte) []byte) (stop func(), err error)
}

// Config of a Keeper. The zero value of an optional field is its default.
type Config struct {
	Directory *resource.Directory
	Logs      Reader
	// Translate makes of a message what clients get.
	Translate func(*gateway.Message) wire.Message
	// Open opens a session for the dead letters: of somebody who may write to all topics.
	Open func(context.Context) (gateway.Session, error)
	// Node is this one's name. Nodes returns the names of those that are alive, itself among them; none: this one has lost the others, and hands out
	// nothing. It is asked often. A nil Nodes: there is no other one.
	Node  string
	Nodes func() []string
	// Others is nil if there are none.
	Others Others
	// Arrivals, if not nil, has wake called whenever something may have come to a topic, until stop is called; wake does not block. Without it who waits looks each
	// Look, default 250 ms.
	Arrivals func(topic string, wake func()) (stop func())
	Look     time.Duration
	// Patience is for how long the store may take. Default 30 s.
	Patience time.Duration
	// Now is the clock; nil: time.Now.
	Now func() time.Time
	// Logger gets what goes wrong; nil is silence.
	Logger *slog.Logger
}

const (
	defaultLook     = 250 * time.Millisecond
	defaultPatience = 30 * time.Second
)

func (cfg Config) complete() (Config, error) {
	if cfg.Directory == nil || cfg.Logs == nil || cfg.Translate == nil || cfg.Open == nil {
		return cfg, errors.New("lease: there is no directory, log, translation or session to keep leases with")
	}
	if cfg.Look < 0 || cfg.Patience < 0 {
		return cfg, errors.New("lease: a limit is negative")
	}
	if cfg.Look == 0 {
		cfg.Look = defaultLook
	}
	if cfg.Patience == 0 {
		cfg.Patience = defaultPatience
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
