package nats_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/core"
	"github.com/sluice-mq/sluice/gateway/gatewaytest"
	"github.com/sluice-mq/sluice/protocols/nats"
	"github.com/sluice-mq/sluice/protocols/nats/leaf"
)

const patience = gatewaytest.Wait

type rules = gatewaytest.Rules

// house is a NATS server, a broker on a store in memory and the door between them.
type house struct {
	t      testing.TB
	server *server.Server
	store  *gatewaytest.Memory
	broker *core.Broker
	door   *nats.Door
	served chan error
	cutOff func() // ends the context of Serve
	book   string
	log    *journal
}

// journal is a log that tests read.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(b)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// options change what newHouse builds.
type options struct {
	limits nats.Limits
	core   core.Config
	deny   rules
	clock  func() time.Time
	book   string
	leaf   func(addr string) string // where the door connects as a leaf node instead
	// node names the node in a cluster, and server is its server then.
	node   string
	server *server.Server
	alone  bool // clients have no streams of their own
	// member has the broker in a cluster of brokers; the door knows nothing of that.
	member *gatewaytest.Node
}

// accounts are laid out as those of the embedded server.
const accounts = `
accounts {
  SLUICE { jetstream: enabled, users: [ { user: store, password: x } ] }
  USERS {
    jetstream: { max_store: 64MB, max_memory: 16MB, max_streams: 20, max_consumers: 20 }
    users: [ { user: users, password: x } ]
    exports: [ { stream: "queue.>", accounts: [ INBOUND ] }, { stream: "topic.>", accounts: [ INBOUND ] }, { stream: "$JS.ACK.QUEUES.>", accounts: [ INBOUND ] }, { stream: "$JS.API.CONSUMER.MSG.NEXT.QUEUES.>", accounts: [ INBOUND ] } ]
    imports: [ { stream: { account: OUTBOUND, subject: "topic.>" } }, { service: { account: "$SYS", subject: "sluice.N.api.>" }, to: "$JS.API.>" } ]
  }
  INBOUND {
    users: [ { user: inbound, password: x } ]
    exports: []
    imports: [
      { stream: { account: USERS, subject: "queue.>" } }, { stream: { account: USERS, subject: "topic.>" } }, { stream: { account: USERS, subject: "$JS.ACK.QUEUES.>" } }, { stream: { account: USERS, subject: "$JS.API.CONSUMER.MSG.NEXT.QUEUES.>" } }
      { stream: { account: "$SYS", subject: "$SYS.ACCOUNT.USERS.DISCONNECT" } }
    ]
  }
  OUTBOUND { users: [ { user: outbound, password: x } ], exports: [ { stream: "topic.>", accounts: [ USERS ] } ] }
  "$SYS" {
    users: [ { user: system, password: x } ]
    exports: [ { stream: "$SYS.ACCOUNT.USERS.DISCONNECT", accounts: [ INBOUND ] }, { service: "sluice.N.api.>", accounts: [ USERS ] } ]
  }
}
system_account: "$SYS"
no_auth_user: users
leafnodes { host: 127.0.0.1, port: -1, no_advertise: true, compression: off, authorization { users: [ { user: leaf, password: x, account: USERS } ] } }
`

func newServer(t testing.TB) *server.Server {
	o := &server.Options{
		ServerName: "n1",
		DontListen: true, NoSigs: true, NoLog: true, MaxPayload: 31 << 20, MaxPending: 64 << 20, NoFastProducerStall: true,
		JetStream: true, StoreDir: t.TempDir(),
	}
	require.NoError(t, o.ProcessConfigString(strings.ReplaceAll(accounts, "sluice.N.", "sluice.n1.")))
	s, err := server.NewServer(o)
	require.NoError(t, err)
	s.Start()
	require.True(t, s.ReadyForConnections(patience))
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	return s
}

func newHouse(t testing.TB, o options) *house {
	if _, benchmark := t.(*testing.B); !benchmark && o.node == "" {
		t.Cleanup(func() { goleak.VerifyNone(t, goleak.IgnoreCurrent()) })
	}
	if o.server == nil {
		o.server = newServer(t)
	}
	h := &house{t: t, server: o.server, store: gatewaytest.NewMemory(gatewaytest.NewDisk(2)), log: &journal{}, served: make(chan error, 1), book: o.book}
	t.Cleanup(h.store.Close)
	cfg := o.core
	cfg.Node, cfg.Store, cfg.Authenticator, cfg.Logger = "n1", h.store, gatewaytest.Everyone{}, slog.New(slog.NewTextHandler(h.log, nil))
	if o.member != nil {
		cfg.Store, cfg.Cluster = o.member, o.member
	}
	if cfg.Authorizer = o.deny; o.deny == nil {
		cfg.Authorizer = gatewaytest.Everyone{}
	}
	var err error
	h.broker, err = core.New(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, h.broker.Close(context.Background())) })
	door := h.config()
	door.Logger, door.Limits, door.Clock = cfg.Logger, o.limits, o.clock
	if o.node != "" {
		door.Node, door.Prefix = o.node, "sluice."+o.node+"."
	}
	door.Own = "sluice." + o.server.Name() + "."
	if o.alone {
		door.Account = ""
	}
	if o.leaf != nil {
		door.Leaf.Addr = o.leaf(door.Leaf.Addr)
	}
	h.door, err = nats.New(door)
	require.NoError(t, err)
	serving, cancel := context.WithCancel(context.Background())
	h.cutOff = cancel
	t.Cleanup(cancel)
	go func() { h.served <- h.door.Serve(serving) }()
	t.Cleanup(func() { _ = h.door.Drain(context.Background()) })
	return h
}

// config has all that a door needs.
func (h *house) config() nats.Config {
	v, err := h.server.Varz(nil)
	require.NoError(h.t, err)
	as := func(user string) *natsgo.Conn { return h.connect(natsgo.UserInfo(user, "x"), natsgo.NoReconnect()) }
	return nats.Config{
		Inbound: as("inbound"), Outbound: as("outbound"), Answers: as("users"), Workers: as("users"), System: as("system"), Account: "USERS",
		Broker: h.broker, Interest: h.interest,
		Listen:    func() (net.Addr, error) { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 4222}, nil },
		Listening: func(subject string) bool { return interested(h.t, h.server, "USERS", subject) },
		Connected: func(id uint64) bool { return h.server.GetClient(id) != nil },
		Pending: func(id uint64) int {
			z, err := h.server.Connz(&server.ConnzOptions{CID: id})
			if err != nil || len(z.Conns) == 0 {
				return 0
			}
			return z.Conns[0].Pending
		},
		Queue: func(name string) (int, bool) {
			state, known := h.broker.Queue(name)
			return state.Waiting, known
		},
		Leaf: leaf.Login{Addr: net.JoinHostPort("127.0.0.1", strconv.Itoa(v.LeafNode.Port)), User: "leaf", Password: "x"},
		Book: h.book,
	}
}

// interest reports whether a native client would hear a subject from the door.
func (h *house) interest(subject string) bool { return interested(h.t, h.server, "OUTBOUND", subject) }

// taken reports whether the door listens for what native clients publish.
func (h *house) taken(subject string) bool { return interested(h.t, h.server, "USERS", subject) }

func interested(t testing.TB, s *server.Server, account, subject string) bool {
	a, err := s.LookupAccount(account)
	require.NoError(t, err)
	return a.SubscriptionInterest(subject)
}

// count waits until the door has counted what a test knows to have happened.
func (h *house) count(want nats.Stats) {
	h.t.Helper()
	if !assert.Eventually(h.t, func() bool { return h.door.Stats() == want }, patience, time.Millisecond) {
		require.Equal(h.t, want, h.door.Stats())
	}
}

// connect opens a native client's connection.
func (h *house) connect(opts ...natsgo.Option) *natsgo.Conn {
	nc, err := natsgo.Connect("nats://in-process", append([]natsgo.Option{natsgo.InProcessServer(h.server)}, opts...)...)
	require.NoError(h.t, err)
	h.t.Cleanup(nc.Close)
	return nc
}

func (h *house) jetStream(opts ...jetstream.JetStreamOpt) jetstream.JetStream {
	js, err := jetstream.New(h.connect(), opts...)
	require.NoError(h.t, err)
	return js
}

func (h *house) session() gateway.Session {
	s, err := h.broker.Open(context.Background(), gateway.Login{Protocol: "test"})
	require.NoError(h.t, err)
	return s
}

func queue(name string) gateway.Destination {
	return gateway.Destination{Kind: gateway.KindQueue, Name: name}
}

func topic(name string) gateway.Destination {
	return gateway.Destination{Kind: gateway.KindTopic, Name: name}
}

// reader stands for a STOMP client that subscribes.
type reader struct {
	t    testing.TB
	sub  gateway.Subscription
	wake chan struct{}
}

func (h *house) subscribe(s gateway.Session, d gateway.Destination) *reader {
	r := &reader{t: h.t, wake: make(chan struct{}, 1)}
	var err error
	r.sub, err = s.Subscribe(gateway.SubscribeOptions{Destination: d, Prefetch: 1000, AutoAck: true, Wake: func() {
		select {
		case r.wake <- struct{}{}:
		default:
		}
	}})
	require.NoError(h.t, err)
	return r
}

// next waits for n messages.
func (r *reader) next(n int) []*gateway.Message {
	r.t.Helper()
	var all []*gateway.Message
	deadline := time.After(patience)
	batch := make([]gateway.Delivery, 100)
	for len(all) < n {
		got := r.sub.Next(batch[:min(len(batch), n-len(all))], 1<<20)
		for _, d := range batch[:got] {
			all = append(all, d.Message)
		}
		r.sub.Written(got)
		if got > 0 {
			continue
		}
		select {
		case <-r.wake:
		case <-deadline:
			require.FailNow(r.t, "messages are missing", "%d of %d came", len(all), n)
		}
	}
	return all
}

// send sends as a STOMP client does and waits for the outcome.
func (h *house) send(s gateway.Session, m *gateway.Message) error {
	done := make(outcome, 1)
	if m.Priority == 0 {
		m.Priority = gateway.DefaultPriority
	}
	s.Send(m, done, 0)
	select {
	case err := <-done:
		return err
	case <-time.After(patience):
		return fmt.Errorf("no outcome")
	}
}

type outcome chan error

func (o outcome) Complete(_ uint64, err error) { o <- err }

// ctx is for one attempt of some: what a server that is still settling is asked it may never answer.
func ctx(t testing.TB) context.Context {
	c, cancel := context.WithTimeout(context.Background(), patience/3)
	t.Cleanup(cancel)
	return c
}

// listen subscribes natively and is known to the server when it returns.
func listen(t testing.TB, nc *natsgo.Conn, subject string) *natsgo.Subscription {
	sub, err := nc.SubscribeSync(subject)
	require.NoError(t, err)
	require.NoError(t, nc.Flush())
	return sub
}

func hear(t testing.TB, sub *natsgo.Subscription) *natsgo.Msg {
	t.Helper()
	m, err := sub.NextMsg(patience)
	require.NoError(t, err)
	return m
}
