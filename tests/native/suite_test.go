package native_test

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/core"
	"github.com/sluice-mq/sluice/gateway/gatewaytest"
	"github.com/sluice-mq/sluice/jetstream/embed"
	"github.com/sluice-mq/sluice/protocols/nats"
	"github.com/sluice-mq/sluice/protocols/nats/leaf"
)

// people are the users of a test: their passwords are "of " and their names. They implement gateway.Authenticator.
type people struct {
	mu     sync.Mutex
	groups map[string][]string // of those who are somebody
	until  map[string]time.Time
	logins []gateway.Login
}

func (p *people) Authenticate(_ context.Context, l gateway.Login) (gateway.Principal, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.logins = append(p.logins, l)
	who := l.Credentials.Login
	if l.Credentials.Certificate != nil && who == "" {
		if l.Credentials.CertificateErr != nil {
			return gateway.Principal{}, gateway.Errorf(gateway.Unauthenticated, "%s", l.Credentials.CertificateErr)
		}
		who = l.Credentials.Certificate.Subject.CommonName
	} else if l.Credentials.Passcode != "of "+who && l.Credentials.Token != "of "+who {
		return gateway.Principal{}, gateway.Errorf(gateway.Unauthenticated, "User name [%s] or password is invalid.", who)
	}
	groups, ok := p.groups[who]
	if !ok {
		return gateway.Principal{}, gateway.Errorf(gateway.Unauthenticated, "User name [%s] or password is invalid.", who)
	}
	return gateway.Principal{Name: who, Groups: groups, Method: "password", Expires: p.until[who]}, nil
}

func (p *people) Renew(who gateway.Principal) (gateway.Principal, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	groups, ok := p.groups[who.Name]
	if !ok {
		return gateway.Principal{}, gateway.Errorf(gateway.Unauthenticated, "nobody")
	}
	who.Groups = groups
	return who, nil
}

func (p *people) change(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
}

// last is the last login that was not a door's.
func (p *people) last() gateway.Login {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.logins[len(p.logins)-1]
}

// guarded is a node whose native clients log in.
type guarded struct {
	t      testing.TB
	server *embed.Server
	broker *core.Broker
	gate   *nats.Gate
	people *people
	served chan error

	mu   sync.Mutex
	ends []session // that were opened
}

// session is one that the gate opened.
type session struct {
	user  string
	login gateway.Login
}

// guardedOptions change what newGuarded builds.
type guardedOptions struct {
	rules  gatewaytest.Rules
	idle   time.Duration
	embed  func(*embed.Config)
	core   func(*core.Config)
	people *people
	dir    string
	// abandon: what the broker has is left at the end.
	abandon bool
	// authorizer stands around the rules.
	authorizer func(gateway.Authorizer) gateway.Authorizer
}

func newGuarded(t testing.TB, o guardedOptions) *guarded {
	if !o.abandon {
		already := goleak.IgnoreCurrent()
		t.Cleanup(func() { goleak.VerifyNone(t, already) })
	}
	if o.people == nil {
		o.people = &people{}
	}
	if o.people.groups == nil {
		o.people.groups = map[string][]string{"alice": nil, "bob": nil, "eve": nil, "": nil}
	}
	if o.dir == "" {
		o.dir = t.TempDir()
	}
	quiet := slog.New(slog.DiscardHandler)
	ec := embed.Config{
		Name: "n1", Dir: o.dir, Address: "127.0.0.1:0", MaxPayload: 31 << 20, Logger: quiet, Guarded: true,
		Streams: embed.Streams{Storage: 64 << 20, Memory: 16 << 20, Streams: 20, Consumers: 20},
	}
	if o.embed != nil {
		o.embed(&ec)
	}
	g := &guarded{t: t, people: o.people, served: make(chan error, 1)}
	var err error
	g.server, err = embed.Start(context.Background(), ec)
	require.NoError(t, err)
	t.Cleanup(g.server.Stop)
	store := gatewaytest.NewMemory(gatewaytest.NewDisk(2))
	t.Cleanup(store.Close)
	voucher := nats.NewVoucher(o.people)
	cfg := core.Config{Node: ec.Name, Store: store, Authenticator: voucher, Authorizer: nats.Answers{Authorizer: o.rules}, Logger: quiet}
	if o.authorizer != nil {
		cfg.Authorizer = o.authorizer(cfg.Authorizer)
	}
	if o.core != nil {
		o.core(&cfg)
	}
	g.broker, err = core.New(context.Background(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() {
		c, cancel := context.WithCancel(context.Background())
		defer cancel()
		if o.abandon {
			cancel()
		}
		err := g.broker.Close(c)
		require.True(t, err == nil || o.abandon, err)
	})
	require.NoError(t, os.MkdirAll(filepath.Join(o.dir, "books"), 0o700))
	ends, err := g.server.Connect(embed.Inbound, "ends")
	require.NoError(t, err)
	g.server.Guard(g.judge)
	g.gate, err = nats.NewGate(nats.GateConfig{
		Broker: readers{g, g.broker, cfg.Authorizer}, Voucher: voucher, Authorizer: cfg.Authorizer, Open: g.open(filepath.Join(o.dir, "books"), ec),
		Ends: ends, EndsSubject: "$SYS.ACCOUNT.*.DISCONNECT", Listen: g.server.Listen,
		Connected: g.server.Connected, Disconnect: g.server.Disconnect, Idle: o.idle, Logger: quiet,
	})
	require.NoError(t, err)
	serving, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	go func() { g.served <- g.gate.Serve(serving) }()
	t.Cleanup(func() { _ = g.gate.Drain(context.Background()); <-g.served })
	return g
}

// judge is what stands between the server's entrance and the gate.
func (g *guarded) judge(ctx context.Context, n embed.Newcomer) (embed.Place, error) {
	a, err := g.gate.Enter(ctx, n.ID, gateway.Login{
		Credentials: gateway.Credentials{Login: n.User, Passcode: n.Password, Token: n.Token, Certificate: n.Certificate, CertificateErr: n.CertificateErr},
		Protocol:    n.Protocol, Remote: n.Remote, Listener: n.Listener, Library: n.Library,
	})
	if err != nil {
		return embed.Place{}, err
	}
	space, err := g.space(a.Token)
	return embed.Place{Space: space, Name: a.Name, Until: a.Until}, err
}

func (g *guarded) space(token string) (embed.Space, error) {
	if token == "anonymous" {
		token = ""
	}
	return g.server.Space(token)
}

// open makes the connections of a user's door.
func (g *guarded) open(books string, ec embed.Config) func(string) (nats.Config, error) {
	return func(token string) (nats.Config, error) {
		space, err := g.space(token)
		require.NoError(g.t, err)
		as := func(a embed.Account) *natsgo.Conn {
			nc, err := g.server.Connect(a, "door of "+token)
			require.NoError(g.t, err)
			return nc
		}
		cfg := nats.Config{
			Inbound: as(embed.Inbound), Outbound: as(embed.Outbound), System: as(embed.System), Answers: as(space.Account), Workers: as(space.Account),
			Node: g.server.Node(), Prefix: space.Own, Own: space.Own, Account: string(space.Account), MQTT: ec.MQTT != nil,
			User:      &nats.User{Topics: space.Own, Disconnects: "$SYS.ACCOUNT." + string(space.Account) + ".DISCONNECT"},
			Interest:  func(subject string) bool { return g.server.Interest(embed.Outbound, subject) },
			Listening: func(subject string) bool { return g.server.Interest(space.Account, subject) },
			Connected: g.server.Connected, Pending: g.server.Pending,
			Book: filepath.Join(books, token+".json"),
			Queue: func(name string) (int, bool) {
				state, known := g.broker.Queue(name)
				return state.Waiting, known
			},
		}
		var login leaf.Login
		login.Addr, login.User, login.Password, err = g.server.LeafOf(space)
		cfg.Leaf = login
		return cfg, err
	}
}

// readers has pattern subscriptions hear what their principals may read and nothing else, as the broker promises.
type readers struct {
	g *guarded
	gateway.Broker
	gateway.Authorizer
}

func (r readers) Open(ctx context.Context, l gateway.Login) (gateway.Session, error) {
	s, err := r.Broker.Open(ctx, l)
	if err != nil {
		return nil, err
	}
	r.g.mu.Lock()
	r.g.ends = append(r.g.ends, session{s.Principal().Name, l})
	r.g.mu.Unlock()
	return reading{s, r.Rights(s.Principal())}, nil
}

// end has the broker end the last session of a user.
func (g *guarded) end(user, protocol string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i := len(g.ends) - 1; i >= 0; i-- {
		if e := g.ends[i]; e.user == user && e.login.Protocol == protocol {
			e.login.Ended(gateway.Errorf(gateway.Unauthenticated, "the test wants it"))
			return
		}
	}
	require.FailNow(g.t, "there is no such session")
}

type reading struct {
	gateway.Session
	rights gateway.Rights
}

func (r reading) Subscribe(o gateway.SubscribeOptions) (gateway.Subscription, error) {
	if match := o.Match; o.Destination.IsPattern() && match != nil {
		o.Match = func(m *gateway.Message) bool { return r.rights.May(gateway.Read, m.Destination) == nil && match(m) }
	}
	return r.Session.Subscribe(o)
}

// as logs a user in.
func (g *guarded) as(user string, options ...natsgo.Option) *natsgo.Conn {
	g.t.Helper()
	nc, err := g.login(user, options...)
	require.NoError(g.t, err)
	g.t.Cleanup(nc.Close)
	return nc
}

func (g *guarded) login(user string, options ...natsgo.Option) (*natsgo.Conn, error) {
	return natsgo.Connect("nats://"+g.gate.Addr().String(), append([]natsgo.Option{natsgo.UserInfo(user, "of "+user), natsgo.NoReconnect(), natsgo.Timeout(patience)}, options...)...)
}

// other is a session of a client that speaks something else.
func (g *guarded) other(user string) gateway.Session {
	s, err := g.broker.Open(context.Background(), gateway.Login{Credentials: gateway.Credentials{Login: user, Passcode: "of " + user}, Protocol: "stomp/1.2", Listener: "x"})
	require.NoError(g.t, err)
	g.t.Cleanup(s.Close)
	return s
}

// allow makes rules of what users may do: destinations by action and user. What somebody may use it may create.
func allow(table map[string]map[gateway.Action][]string) gatewaytest.Rules {
	return func(p gateway.Principal, a gateway.Action, d gateway.Destination) error {
		names := table[p.Name][a]
		if a == gateway.Create {
			names = append(slices.Clone(table[p.Name][gateway.Read]), table[p.Name][gateway.Write]...)
		}
		for _, name := range names {
			if name == d.String() || d.String() == "topic://>" && strings.HasPrefix(name, "topic:") || name == "topic://*" && d.Kind == gateway.KindTopic {
				return nil
			}
		}
		verb := map[gateway.Action]string{gateway.Read: "read from", gateway.Write: "write to", gateway.Create: "create", gateway.Manage: "manage"}[a]
		return gateway.Errorf(gateway.Denied, "User %s is not authorized to %s: %s", p.Name, verb, d)
	}
}

// Each user works with queues as if there were no other, by the broker's rules.
func TestUsersWorkWithQueues(t *testing.T) {
	g := newGuarded(t, guardedOptions{rules: allow(map[string]map[gateway.Action][]string{
		"alice": {gateway.Write: {"queue://a"}},
		"bob":   {gateway.Read: {"queue://a"}},
	})})
	alice, bob, eve := g.js("alice"), g.js("bob"), g.js("eve")
	for i := range 10 {
		ack, err := alice.Publish(ctx(t), "queue.a", []byte{byte(i)})
		require.NoError(t, err)
		require.Equal(t, "QUEUES", ack.Stream)
	}
	_, err := bob.Publish(ctx(t), "queue.a", nil)
	require.ErrorContains(t, err, "User bob is not authorized to write to: queue://a")
	for name, js := range map[string]jetstream.JetStream{"alice": alice, "eve": eve} {
		_, err = js.CreateOrUpdateConsumer(ctx(t), "QUEUES", jetstream.ConsumerConfig{Durable: "w", FilterSubject: "queue.a"})
		require.ErrorContains(t, err, "User "+name+" is not authorized to read from: queue://a")
		_, err = js.Consumer(ctx(t), "QUEUES", "a")
		require.ErrorIs(t, err, jetstream.ErrConsumerNotFound, "a queue that %s may not read is not there", name)
	}
	w, err := bob.CreateOrUpdateConsumer(ctx(t), "QUEUES", jetstream.ConsumerConfig{Durable: "w", FilterSubject: "queue.a"})
	require.NoError(t, err)
	batch, err := w.Fetch(10)
	require.NoError(t, err)
	n := 0
	for m := range batch.Messages() {
		require.Equal(t, []byte{byte(n)}, m.Data())
		require.NoError(t, m.DoubleAck(ctx(t)))
		n++
	}
	require.NoError(t, batch.Error())
	require.Equal(t, 10, n)
	_, err = eve.Consumer(ctx(t), "QUEUES", "w")
	require.ErrorIs(t, err, jetstream.ErrConsumerNotFound, "bob's consumer is bob's")
}

func (g *guarded) js(user string, options ...natsgo.Option) jetstream.JetStream {
	js, err := jetstream.New(g.as(user, options...))
	require.NoError(g.t, err)
	return js
}
