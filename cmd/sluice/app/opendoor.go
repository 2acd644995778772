package app

import (
	"log/slog"
	"net/netip"
	"strings"
	"time"

	"github.com/sluice-mq/sluice/protocols/stomp"
	"github.com/sluice-mq/sluice/protocols/websocket"
)

// openDoor takes the address of a listener. A new protocol is one case here.
func (n *node) openDoor(l Listener, cfg Config, log *slog.Logger) error {
	switch l.Protocol {
	case Stomp:
		settings := stompConfig(l, cfg, n, log)
		if trust := n.guard.trust(l); trust != nil {
			settings.TLS, settings.Judge = trust.TLS(), trust.Judge
		}
		d, err := stomp.New(settings)
		if err != nil {
			return err
		}
		settings.Address = d.Addr().String()
		n.add(listener{Stomp, d, func() (door, error) { return stomp.New(settings) }})
	case WebSocket:
		return n.openWebSocket(l, cfg, log)
	case Nats, NatsWebSocket, MQTT:
		if n.figures.nats.Load() != nil { // one for all of them, and it is there
			return nil
		}
		return n.openNats(cfg, log)
	case PubSubProtocol:
		return n.openPubSub(l, cfg, log)
	case AuthN:
		return n.openAuthN(l, cfg, log)
	case Admin: // it is there already
	}
	return nil
}

func stompConfig(l Listener, cfg Config, n *node, log *slog.Logger) stomp.Config {
	return stomp.Config{
		Address:        l.Address.String(),
		MaxConnections: l.connections(cfg.Limits),
		TrustedProxies: l.proxies(),
		Reception:      stomp.Reception{MaxUnknown: cfg.Limits.LoggingIn},
		Broker:         n.broker,
		Memory:         n.memory,
		Logger:         log,
		Personality:    l.Personality.door(),
		Errors:         l.Errors.door(),
		UserID:         l.UserID,
		ServerHeader:   strings.ReplaceAll(l.ServerHeader, "{version}", ReadBuild().Version),
		HeartBeatGrace: float64(l.HeartBeatGrace),
		Limits: stomp.Limits{
			Body:                int(l.messageSize(cfg.Limits)),
			Login:               time.Duration(cfg.Limits.LoginTimeout),
			Subscriptions:       cfg.Limits.SubscriptionsPerConnection,
			Transactions:        cfg.Limits.TransactionsPerConnection,
			TransactionBytes:    int(cfg.Limits.TransactionSize),
			TransactionMessages: cfg.Limits.TransactionMessages,
		},
	}
}

// door is the personality as the door calls it.
func (p Personality) door() stomp.Personality {
	switch p {
	case RabbitMQPersonality:
		return stomp.RabbitMQ
	case ArtemisPersonality:
		return stomp.Artemis
	case ApolloPersonality:
		return stomp.Apollo
	case StrictPersonality:
		return stomp.Strict
	case ActiveMQPersonality:
	}
	return stomp.ActiveMQ
}

// errors is the style of a personality.
func (p Personality) errors() ErrorStyle {
	if p.door().FatalErrors() {
		return StrictErrors
	}
	return ActiveMQErrors
}

// door is the error style as the door calls it; empty is the personality's.
func (e ErrorStyle) door() stomp.Errors {
	switch e {
	case ActiveMQErrors:
		return stomp.LenientErrors
	case StrictErrors:
		return stomp.FatalErrors
	}
	return stomp.UsualErrors
}

// connections is how many the listener may have at once.
func (l Listener) connections(limits Limits) int {
	if l.MaxConnections > 0 {
		return l.MaxConnections
	}
	return limits.MaxConnections
}

// messageSize is that of the largest message that comes by the listener.
func (l Listener) messageSize(limits Limits) ByteSize {
	if l.MaxMessageSize > 0 {
		return l.MaxMessageSize
	}
	return limits.MaxMessageSize
}

func (l Listener) proxies() []netip.Prefix {
	all := make([]netip.Prefix, len(l.ProxyProtocol))
	for i, p := range l.ProxyProtocol {
		all[i] = netip.Prefix(p)
	}
	return all
}

// openWebSocket opens a door for STOMP that stands behind WebSocket.
func (n *node) openWebSocket(l Listener, cfg Config, log *slog.Logger) error {
	settings := stompConfig(l, cfg, n, log)
	way := websocket.Config{
		Address: l.Address.String(), Path: l.Path, Origins: l.Origins, Compression: l.Compression, TrustedProxies: l.proxies(),
		Reception:  websocket.Reception{MaxConnections: l.connections(cfg.Limits), MaxUnknown: cfg.Limits.LoggingIn, Login: time.Duration(cfg.Limits.LoginTimeout)},
		MaxMessage: int64(l.messageSize(cfg.Limits)) + headerRoom, Logger: log,
	}
	if trust := n.guard.trust(l); trust != nil {
		way.TLS, way.Judge = trust.TLS(), trust.Judge
	}
	open := func() (door, error) {
		carrier, err := websocket.New(way)
		if err != nil {
			return nil, err
		}
		settings := settings
		settings.Transport = carrier
		return stomp.New(settings)
	}
	d, err := open()
	if err != nil {
		return err
	}
	way.Address = d.Addr().String()
	n.add(listener{WebSocket, d, open})
	return nil
}
