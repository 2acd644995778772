package app

import (
	"log/slog"
	"strings"
	"time"

	"github.com/sluice-mq/sluice/protocols/stomp"
)

// openDoor takes the address of a listener. A new protocol is one case here.
func (n *node) openDoor(l Listener, cfg Config, log *slog.Logger) error {
	switch l.Protocol {
	case Stomp:
		settings := stompConfig(l, cfg, n, log)
		d, err := stomp.New(settings)
		if err != nil {
			return err
		}
		settings.Address = d.Addr().String()
		n.doors = append(n.doors, listener{Stomp, d, func() (door, error) { return stomp.New(settings) }})
	case Nats:
		return n.openNats(cfg.DataDir, log)
	case Admin: // it is there already
	}
	return nil
}

func stompConfig(l Listener, cfg Config, n *node, log *slog.Logger) stomp.Config {
	errors := stomp.ActiveMQ
	if l.Errors == StrictErrors {
		errors = stomp.Strict
	}
	return stomp.Config{
		Address:        l.Address.String(),
		MaxConnections: cfg.Limits.MaxConnections,
		Broker:         n.broker,
		Logger:         log,
		Errors:         errors,
		ServerHeader:   strings.ReplaceAll(l.ServerHeader, "{version}", ReadBuild().Version),
		HeartBeatGrace: float64(l.HeartBeatGrace),
		Limits: stomp.Limits{
			Body:                int(cfg.Limits.MaxMessageSize),
			Login:               time.Duration(cfg.Limits.LoginTimeout),
			Subscriptions:       cfg.Limits.SubscriptionsPerConnection,
			Transactions:        cfg.Limits.TransactionsPerConnection,
			TransactionBytes:    int(cfg.Limits.TransactionSize),
			TransactionMessages: cfg.Limits.TransactionMessages,
		},
	}
}
