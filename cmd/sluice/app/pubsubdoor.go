package app

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/jetstream"
	"github.com/sluice-mq/sluice/protocols/pubsub"
	"github.com/sluice-mq/sluice/protocols/pubsub/authn"
	"github.com/sluice-mq/sluice/protocols/pubsub/resource"
	"github.com/sluice-mq/sluice/protocols/pubsub/wire"
)

// callers are the users of HTTP Pub/Sub, at every door, from the moment on when they are known. Safe for concurrent use.
type callers struct {
	directory atomic.Pointer[resource.Directory]
}

// VerifyToken implements auth.Tokens.
func (c *callers) VerifyToken(ctx context.Context, token string) (p gateway.Principal, found bool, err error) {
	if d := c.directory.Load(); d != nil {
		return d.VerifyToken(ctx, token)
	}
	return gateway.Principal{}, false, nil
}

// Renew implements auth.Renewer.
func (c *callers) Renew(p gateway.Principal) (now gateway.Principal, found bool, err error) {
	if d := c.directory.Load(); d != nil {
		return d.Renew(p)
	}
	return gateway.Principal{}, false, nil
}

// Rights implements gateway.Authorizer for those whom VerifyToken has found.
func (c *callers) Rights(p gateway.Principal) gateway.Rights {
	return c.directory.Load().Rights(p)
}

// serviceTokenFile, in the data directory, is where a node keeps the service token that it has made itself.
const serviceTokenFile = "pubsub.token"

// openDirectory reads the projects, users, topics and subscriptions of HTTP Pub/Sub, and follows them, whether or not somebody listens for it here: the schemas of topics count at every door, tokens
// open each, and what falls to this node is pushed. The broker is open: it hears of what topics there are before the directory does.
func (n *node) openDirectory(ctx context.Context, cfg Config, log *slog.Logger) error {
	known, err := n.pubsubSecrets(cfg, log)
	if err != nil {
		return err
	}
	following, unfollow := context.WithCancel(context.Background())
	reader := context.AfterFunc(ctx, unfollow) // while it is read as a whole
	rejudged := make(chan struct{}, 1)
	n.directory, err = resource.Open(following, resource.Config{
		Facts: n.store.Registry(), ServiceToken: known.service, Vault: known.vault, Loan: known.loan, Keys: identifierKeys, Shared: cfg.Cluster != nil, Logger: log,
		Judged: func() {
			select {
			case rejudged <- struct{}{}:
			default:
			}
		},
	})
	reader()
	if err != nil {
		unfollow()
		return err
	}
	n.guard.callers.directory.Store(n.directory)
	n.agree(known, cfg)
	n.rejudged = rejudged
	n.parts = append(n.parts, part{"projects", func(context.Context) error { unfollow(); return nil }})
	return nil
}

// pubsubSecrets are what tokens of HTTP Pub/Sub are known by.
type pubsubSecrets struct {
	// service is the service token, empty where nobody listens for HTTP Pub/Sub.
	service string
	// vault keeps users' tokens; nil: nothing does.
	vault *resource.Vault
	// loan is what tokens are made of that are lent, the same on all nodes; empty: there are none.
	loan string
}

// errShortToken is about a service token.
var errShortToken = fmt.Errorf("it is shorter than %d characters: it opens everything, and could be guessed", leastServiceToken)

func (n *node) pubsubSecrets(cfg Config, log *slog.Logger) (s pubsubSecrets, err error) {
	r := &secrets{environ: n.guard.environ, beside: n.guard.beside}
	if s.service, err = r.read(cfg.PubSub.ServiceToken); err != nil {
		return s, fmt.Errorf("pubsub.service_token: %w", err)
	}
	s.loan = s.service
	if !cfg.listens(PubSubProtocol) { // nobody is given a token here, and those that were given elsewhere open the other doors
		s.service = ""
		return s, nil
	}
	if s.service == "" {
		if s.service, err = ownServiceToken(filepath.Join(cfg.DataDir, serviceTokenFile), log); err != nil {
			return s, fmt.Errorf("making a service token: %w", err)
		}
		if cfg.Cluster == nil { // else each node has another one
			s.loan = s.service
		}
	}
	if len(s.service) < leastServiceToken {
		return s, fmt.Errorf("pubsub.service_token: %w", errShortToken)
	}
	key, err := r.read(cfg.PubSub.TokenKey)
	if err == nil && key != "" {
		s.vault, err = resource.NewVault([]byte(key))
	}
	if err != nil {
		return s, fmt.Errorf("pubsub.token_key: %w", err)
	}
	for _, w := range r.warnings {
		log.Warn(w)
	}
	return s, nil
}

// agree keeps the terms of the doors for HTTP Pub/Sub, if there are any.
func (n *node) agree(known pubsubSecrets, cfg Config) {
	if known.service != "" {
		n.terms.Store(&pubsub.Terms{
			ServiceToken: known.service, Keys: cfg.PubSub.AuthOption.door(), Retention: time.Duration(cfg.PubSub.Retention), MaxMessage: int(cfg.PubSub.MaxMessageBytes),
		})
	}
}

// changePubSub puts in force what a configuration says of HTTP Pub/Sub, but for what needs a start. After an error all is as it was.
func (n *node) changePubSub(cfg Config, log *slog.Logger) error {
	trust, err := authorities(cfg.PubSub.Push.CA)
	if err != nil {
		return fmt.Errorf("pubsub.push.ca: %w", err)
	}
	known, err := n.pubsubSecrets(cfg, log)
	if err != nil {
		return err
	}
	n.agree(known, cfg)
	n.directory.Trust(known.service, known.loan)
	for _, l := range n.listening() {
		switch s := l.door.(type) {
		case *pubsub.Server:
			err = errors.Join(err, s.Change(*n.terms.Load()))
		case *authn.Server:
			s.Trust(known.service)
		}
	}
	n.pusher.Load().Reach(cfg.PubSub.Push.AllowPrivateAddresses, cfg.PubSub.Push.networks(), trust)
	return err
}

// serviceToken is the one of now; empty where nobody listens for HTTP Pub/Sub.
func (n *node) serviceToken() string {
	if t := n.terms.Load(); t != nil {
		return t.ServiceToken
	}
	return ""
}

// ownServiceToken is the one that a node has made itself, and makes it first.
func ownServiceToken(path string, log *slog.Logger) (string, error) {
	r := &secrets{}
	if _, err := os.Stat(path); os.IsNotExist(err) {
		if err := jetstream.ReplaceFile(path, []byte(resource.NewToken()+"\n")); err != nil {
			return "", err
		}
		log.Info("a service token for HTTP Pub/Sub was made, with which projects and users are made; pubsub.service_token takes its place", "file", path)
	}
	return r.file(path)
}

// rejudgeEvery is how long what somebody may do stays as it was on other doors, after it was changed by HTTP.
const rejudgeEvery = time.Second

// rejudge has everybody's rights looked at again when they may have changed, not too often. The doors are open.
func (n *node) rejudge() {
	ctx, cancel := context.WithCancel(context.Background())
	var background sync.WaitGroup
	background.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-n.rejudged:
			}
			n.broker.Reauthorize()
			if n.gate != nil {
				n.gate.Reauthorize()
			}
			if pause(ctx, rejudgeEvery) != nil {
				return
			}
		}
	})
	n.parts = append(n.parts, part{"rights", func(context.Context) error {
		cancel()
		background.Wait()
		return nil
	}})
}

// openPubSub opens a door for HTTP Pub/Sub.
func (n *node) openPubSub(l Listener, cfg Config, log *slog.Logger) error {
	settings := pubsub.Config{
		Address: l.Address.String(), TrustedProxies: l.proxies(),
		Reception: pubsub.Reception{MaxConnections: l.connections(cfg.Limits), MaxUnknown: cfg.Limits.LoggingIn, Login: time.Duration(cfg.Limits.LoginTimeout)},
		Broker:    n.broker, Directory: n.directory, Logs: n.store.Logs(), Push: n.pusher.Load(), Leases: n.leases.Load(), Shared: cfg.Cluster != nil, Version: release(), Usage: usage(),
		Logger: log,
	}
	if trust := n.guard.trust(l); trust != nil {
		settings.TLS, settings.Judge = trust.TLS(), trust.Judge
	}
	if cfg.Auth != nil && !cfg.Auth.open() {
		settings.Guests = pubsub.Guard{Authenticator: &n.guard.identity, Authorizer: &n.guard.identity}
	}
	open := func() (*pubsub.Server, error) {
		terms, settings := n.terms.Load(), settings
		settings.ServiceToken, settings.Keys, settings.Retention, settings.MaxMessage = terms.ServiceToken, terms.Keys, terms.Retention, terms.MaxMessage
		return pubsub.New(settings)
	}
	d, err := open()
	if err != nil {
		return err
	}
	settings.Address = d.Addr().String()
	n.add(listener{PubSubProtocol, d, func() (door, error) { return open() }})
	return nil
}

// door is the place as the door calls it.
func (a AuthOption) door() pubsub.KeyPlace {
	switch a {
	case InBoth:
		return pubsub.InBoth
	case InURL:
		return pubsub.InURL
	case InHeader:
	}
	return pubsub.InHeader
}

// release is what clients of HTTP Pub/Sub are told of what runs.
func release() wire.Version {
	b := ReadBuild()
	v := wire.Version{
		BuildTime: b.Time, Go: b.Go, Compiler: runtime.Compiler, OS: runtime.GOOS, Architecture: runtime.GOARCH, Release: b.Version, Distro: distribution("/etc/os-release"),
	}
	v.Hostname, _ = os.Hostname() // without it there is none
	return v
}

// distribution is what an os-release file says that the system is; empty if it does not.
func distribution(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		if name, ok := strings.CutPrefix(lines.Text(), "PRETTY_NAME="); ok {
			return strings.Trim(name, `"'`)
		}
	}
	return ""
}

// pubsub wants what listeners for HTTP Pub/Sub need.
func (v *validator) pubsub(c Config) {
	count(v, "pubsub.retention", c.PubSub.Retention, seconds(60), maxRetention)
	count(v, "pubsub.max_message_bytes", c.PubSub.MaxMessageBytes, KiB, maxMessageSize)
	if c.PubSub.MaxMessageBytes > c.Limits.MaxMessageSize {
		v.say("pubsub.max_message_bytes", "is more than limits.max_message_size")
	}
	v.push(c.PubSub.Push)
	for i, l := range c.Listeners {
		if l.Protocol == AuthN {
			v.authn(fmt.Sprintf("listeners[%d]", i), l, c)
		}
	}
	if t := c.PubSub.ServiceToken; t != "" && !t.elsewhere() && len(t) < leastServiceToken {
		v.say("pubsub.service_token", "is shorter than %d characters: it opens everything, and could be guessed", leastServiceToken)
	}
}

const (
	// leastServiceToken is how long a service token has to be.
	leastServiceToken = 16
	maxRetention      = Duration(10 * 365 * 24 * time.Hour)
)

// warnings are what its owner should know.
func (p PubSub) warnings() (all []string) {
	if p.ServiceToken != "" && !p.ServiceToken.elsewhere() {
		all = append(all, "pubsub.service_token stands in the configuration itself; file:NAME, env:NAME or credential:NAME says where it is")
	}
	return all
}
