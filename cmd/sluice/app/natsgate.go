package app

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/jetstream/embed"
	"github.com/sluice-mq/sluice/protocols/nats"
)

// consumersDir, in the data directory, is where the consumers of native users are kept, a file each.
const consumersDir = "consumers"

// anonymousUser stands in the gate for clients that show nothing; the server has no name for their account.
const anonymousUser = "anonymous"

// openGate opens the gate for native clients that log in.
func (n *node) openGate(cfg Config, log *slog.Logger) error {
	books := filepath.Join(cfg.DataDir, consumersDir)
	if err := os.MkdirAll(books, 0o700); err != nil {
		return fmt.Errorf("consumers of native users: %w", err)
	}
	ends, err := n.server.Connect(embed.Inbound, "ends of native connections")
	if err != nil {
		return err
	}
	opened := make(chan struct{})
	var gate *nats.Gate
	n.server.Guard(func(ctx context.Context, c embed.Newcomer) (embed.Place, error) {
		select { // clients may come before the gate has said that it is there
		case <-opened:
			return n.judge(ctx, gate, c, log)
		case <-ctx.Done():
			return embed.Place{}, ctx.Err()
		}
	})
	gate, err = nats.NewGate(nats.GateConfig{
		Broker: n.broker, Voucher: n.voucher, Authorizer: nats.Answers{Authorizer: &n.guard.identity},
		Open: func(token string) (nats.Config, error) { return n.userDoor(token, books, cfg, log) },
		Ends: ends, EndsSubject: "$SYS.ACCOUNT.*.DISCONNECT", Listen: n.server.Listen,
		Connected: n.server.Connected, Disconnect: n.server.Disconnect, Logger: log,
	})
	if err != nil {
		return err
	}
	n.gate = gate
	close(opened)
	n.add(listener{protocol: Nats, door: gate})
	n.figures.nats.Store(&nativeFigures{gate.Stats})
	return nil
}

// judge has the gate decide about a client of the embedded server, and names the account of its user.
func (n *node) judge(ctx context.Context, gate *nats.Gate, c embed.Newcomer, log *slog.Logger) (embed.Place, error) {
	a, err := gate.Enter(ctx, c.ID, gateway.Login{
		Credentials: gateway.Credentials{Login: c.User, Passcode: c.Password, Token: c.Token, Certificate: c.Certificate, CertificateErr: c.CertificateErr},
		Protocol:    c.Protocol, Remote: c.Remote, Listener: c.Listener, Library: c.Library,
	})
	if err != nil {
		return embed.Place{}, err
	}
	space, err := n.space(a.Token)
	if err != nil {
		log.Warn("a native client is refused: its user can have no account", "user", a.Name, "remote", c.Remote, "error", err)
	}
	return embed.Place{Space: space, Name: a.Name, Until: a.Until}, err
}

// space is the account of a user.
func (n *node) space(token string) (embed.Space, error) {
	if token == anonymousUser {
		token = ""
	}
	return n.server.Space(token)
}

// userDoor is the configuration of a user's door.
func (n *node) userDoor(token, books string, cfg Config, log *slog.Logger) (nats.Config, error) {
	space, err := n.space(token)
	if err != nil {
		return nats.Config{}, err
	}
	d, err := n.nativeDoor(space.Account, log)
	if err != nil {
		return d, err
	}
	d.Node, d.Prefix, d.Own, d.Account = n.server.Node(), space.Own, space.Own, string(space.Account)
	d.User = &nats.User{Topics: space.Own, Disconnects: "$SYS.ACCOUNT." + string(space.Account) + ".DISCONNECT"}
	d.MQTT = cfg.listens(MQTT)
	d.Book = filepath.Join(books, token+".json")
	d.Leaf.Addr, d.Leaf.User, d.Leaf.Password, err = n.server.LeafOf(space)
	if err != nil {
		closeAll(d)
	}
	return d, err
}

// embedListeners puts the listeners for native clients into the embedded server's configuration.
func (n *node) embedListeners(cfg Config, e *embed.Config) {
	e.Guarded = cfg.Auth != nil
	for _, l := range cfg.Listeners {
		var secured embed.Secured
		if trust := n.guard.trust(l); trust != nil {
			secured = embed.Secured{TLS: trust.TLS(), Certificate: trust.Judge}
		}
		switch l.Protocol {
		case Nats:
			e.Address, e.Secured = l.Address.String(), secured
			e.MaxConnections = l.connections(cfg.Limits)
		case NatsWebSocket:
			e.WebSocket = &embed.WebSocket{Address: l.Address.String(), Secured: secured, Origins: l.Origins, SameOrigin: len(l.Origins) == 0}
		case MQTT:
			e.MQTT = &embed.MQTT{Address: l.Address.String(), Secured: secured}
		case Stomp, WebSocket, PubSubProtocol, AuthN, Admin: // not the server's
		}
	}
}

// listens reports whether there is a listener of the protocol.
func (c Config) listens(p Protocol) bool {
	return slices.ContainsFunc(c.Listeners, func(l Listener) bool { return l.Protocol == p })
}

// native are the listeners of the embedded server besides that of NATS itself.
func (n *node) native() map[Protocol]net.Addr {
	all := map[Protocol]net.Addr{}
	if n.server == nil {
		return all
	}
	if at := n.server.WebSocketAddr(); at != nil {
		all[NatsWebSocket] = at
	}
	if at := n.server.MQTTAddr(); at != nil {
		all[MQTT] = at
	}
	return all
}
