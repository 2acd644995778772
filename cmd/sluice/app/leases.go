package app

import (
	"context"
	"log/slog"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/protocols/pubsub"
	"github.com/sluice-mq/sluice/protocols/pubsub/lease"
)

// leaseQuestions is what nodes ask one another about leases.
const leaseQuestions = "lease"

// openLeases begins to keep the leases that fall to this node.
func (n *node) openLeases(cfg Config, log *slog.Logger) error {
	settings := lease.Config{
		Directory: n.directory, Logs: n.store.Logs(), Node: cfg.Node, Arrivals: n.arrivals(cfg, "leases"), Logger: log,
		Open: func(ctx context.Context) (gateway.Session, error) { return n.own(ctx, "leases") },
	}
	if cfg.Cluster != nil {
		settings.Nodes = func() []string { return pushing(n.store.Current(), n.store.Nodes()) }
		settings.Others = n.store.Questions(leaseQuestions)
	}
	keeper, err := pubsub.NewLeases(settings)
	if err != nil {
		return err
	}
	n.leases.Store(keeper)
	running, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := keeper.Run(running); running.Err() == nil {
			log.Error("leases cannot be kept", "error", err)
		}
	}()
	n.hush = append(n.hush, keeper.Hurry)
	n.parts = append(n.parts, part{"leases", func(ctx context.Context) error {
		stop()
		select {
		case <-ended:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}})
	return nil
}
