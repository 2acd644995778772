package app

import (
	"context"
	"log/slog"
	"time"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/protocols/pubsub"
	"github.com/sluice-mq/sluice/protocols/pubsub/courier"
)

// openCourier begins to run the routes that this node leads.
func (n *node) openCourier(cfg Config, log *slog.Logger) error {
	settings := courier.Config{
		Directory: n.directory, Logs: n.store.Logs(), Node: cfg.Node, Arrivals: n.arrivals(cfg, "route"), Logger: log,
		Open:  func(ctx context.Context) (gateway.Session, error) { return n.own(ctx, "route") },
		Grace: min(mostGrace, time.Duration(cfg.ShutdownTimeout)/2),
	}
	if cfg.Cluster != nil {
		settings.Nodes = func() []string { return pushing(n.store.Current(), n.store.Nodes()) }
	}
	c, err := pubsub.NewCourier(settings)
	if err != nil {
		return err
	}
	n.courier.Store(c)
	n.accompany("courier", c.Run)
	return nil
}
