package app

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"time"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/jetstream"
	"github.com/sluice-mq/sluice/protocols/pubsub"
	"github.com/sluice-mq/sluice/protocols/pubsub/lead"
	"github.com/sluice-mq/sluice/protocols/pubsub/push"
)

// schemas are those of the topics of HTTP Pub/Sub, at every door. Until they are known no door is open.
type schemas struct{ of *callers }

// Check implements gateway.Schemas.
func (s schemas) Check(topic string, number int, m *gateway.Message) error {
	if d := s.of.directory.Load(); d != nil {
		return d.Check(topic, number, m)
	}
	return nil
}

// mostGrace is what pushes under way have to end when the node stops, if it has so much time.
const mostGrace = 5 * time.Second

// openPusher begins to push what this node leads.
func (n *node) openPusher(cfg Config, log *slog.Logger) error {
	settings := push.Config{
		Directory: n.directory, Logs: n.store.Logs(), Node: cfg.Node, PrivateAddresses: cfg.PubSub.Push.AllowPrivateAddresses, AllowedNetworks: cfg.PubSub.Push.networks(),
		Grace: min(mostGrace, time.Duration(cfg.ShutdownTimeout)/2), Logger: log,
	}
	var err error
	if settings.TLS, err = authorities(cfg.PubSub.Push.CA); err != nil {
		return fmt.Errorf("pubsub.push.ca: %w", err)
	}
	if cfg.Cluster != nil {
		settings.Nodes = func() []string { return pushing(n.store.Current(), n.store.Nodes()) }
	}
	settings.Arrivals = n.arrivals(cfg, "push")
	pusher, err := pubsub.NewPusher(settings)
	if err != nil {
		return err
	}
	n.pusher.Store(pusher)
	n.accompany("pusher", pusher.Run)
	return nil
}

// arrivals tells what comes to topics; nil where what is sent on other nodes is not heard here.
func (n *node) arrivals(cfg Config, who string) lead.Arrivals {
	if cfg.Cluster != nil && cfg.TopicDelivery == LocalDelivery {
		return nil
	}
	var nodes func() []string
	if cfg.Cluster != nil {
		nodes = func() []string { return pushing(n.store.Current(), n.store.Nodes()) }
	}
	return lead.Listen(func(ctx context.Context) (gateway.Session, error) { return n.own(ctx, who) }, nodes)
}

// own opens a session that may do everything.
func (n *node) own(ctx context.Context, who string) (gateway.Session, error) {
	return n.broker.Open(ctx, gateway.Login{Protocol: ownSession, Remote: who})
}

// accompany runs something beside the doors, until the node stops: first it is told to begin nothing more, with the doors, and then waited for.
func (n *node) accompany(name string, run func(context.Context) error) {
	running, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = run(running) // it ends with the context, and says so
	}()
	n.hush = append(n.hush, stop)
	n.parts = append(n.parts, part{name, func(ctx context.Context) error {
		stop()
		select {
		case <-ended:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}})
}

// pushing are the names of the nodes that share what is to be pushed, as one of them sees it; nobody while it is out of touch with the others.
func pushing(current bool, all []jetstream.Node) (names []string) {
	if !current {
		return nil
	}
	for _, n := range all {
		if n.Linked && !n.Leaving {
			names = append(names, n.Name)
		}
	}
	return names
}

// authorities are those of the system and those of the files; nil if there are no files.
func authorities(files []File) (*tls.Config, error) {
	if len(files) == 0 {
		return nil, nil
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		return nil, fmt.Errorf("the system's authorities: %w", err)
	}
	for _, name := range paths(files) {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		if !pool.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("%s has no certificate in PEM", name)
		}
	}
	return &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, nil
}

// networks are those that are reached whatever they are.
func (p Push) networks() (all []netip.Prefix) {
	for _, n := range p.AllowedNetworks {
		all = append(all, netip.Prefix(n))
	}
	return all
}

// fill makes no list of an empty one.
func (p *Push) fill() {
	if len(p.AllowedNetworks) == 0 {
		p.AllowedNetworks = nil
	}
	if len(p.CA) == 0 {
		p.CA = nil
	}
}

// push wants networks that mean what they say.
func (v *validator) push(p Push) {
	for i, n := range p.AllowedNetworks {
		path := fmt.Sprintf("pubsub.push.allowed_networks[%d]", i)
		switch a := netip.Prefix(n).Addr(); {
		case a.Is4In6():
			v.say(path, "%v is a network of IPv4 in the words of IPv6, which no address is in", n)
		case netip.Prefix(n).Bits() == 0:
			v.say(path, "%v is every address, those that only this machine should reach among them", n)
		}
	}
	for i, f := range p.CA {
		if f == "" {
			v.say(fmt.Sprintf("pubsub.push.ca[%d]", i), "names no file")
		}
	}
}
