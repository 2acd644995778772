package nats

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	natsgo "github.com/nats-io/nats.go"

	"github.com/sluice-mq/sluice/gateway"
)

// GateConfig says whom a gate asks.
type GateConfig struct {
	Broker gateway.Broker
	// Voucher stands before the broker's Authenticator.
	Voucher *Voucher
	// Authorizer is the broker's. The gate asks it what is no matter of destinations, and whose figures a user may see.
	Authorizer gateway.Authorizer
	// Open returns the configuration of a door for a user in whose account it stands: the connections, which are handed over, what a door asks of the server, and in
	// User the subjects. The gate fills in the rest. It may be called from several goroutines.
	Open func(token string) (Config, error)
	// Ends hears the ends of all users' connections on EndsSubject. The gate takes it over and closes it.
	Ends        *natsgo.Conn
	EndsSubject string
	// Listen lets native clients connect and returns where. It is called once.
	Listen func() (net.Addr, error)
	// Connected reports whether a client's connection, by the server's number, is there; Disconnect ends it.
	Connected  func(id uint64) bool
	Disconnect func(id uint64)
	// Idle is for how long the door of a user is kept of whom no connection is left (5 minutes). It should be longer than ids of
	// messages are remembered, or what is repeated after that is stored twice.
	Idle time.Duration
	// Users bounds the users who are there at the same time (1,000). Each costs some 50 goroutines and a megabyte.
	Users int
	// Logger gets what goes wrong; nil is silence. Clock is nil for time.Now.
	Logger *slog.Logger
	Clock  func() time.Time
}

const (
	defaultIdle  = 5 * time.Minute
	defaultUsers = 1000
)

// Gate lets native clients in and keeps a door for each user of whom some are there. Its methods may be called concurrently; Serve once.
type Gate struct {
	cfg    GateConfig
	server string // whose connections they are
	addr   net.Addr

	context context.Context // ends when everything must end at once
	cut     context.CancelFunc
	failed  chan error    // of doors that ended by themselves
	rouse   chan struct{} // the broker has ended a session
	swept   chan struct{}
	over    chan struct{}
	running sync.WaitGroup // doors

	mu      sync.Mutex
	users   map[string]*user
	clients map[uint64]*client
	leaving bool
	past    Stats // what doors counted that are closed
}

// client is a connection that was let in.
type client struct {
	user    *user
	session gateway.Session
	remote  string
	// over: the broker has ended the session.
	over *atomic.Bool
}

// Admission is where a client that was let in belongs.
type Admission struct {
	// Token stands for its user: it is in the user's account.
	Token string
	// Name is what it is called in the server.
	Name string
	// Until is when its proof is worth nothing any more; zero is never.
	Until time.Time
}

// NewGate opens the gate. It takes Ends over, also when it fails. Whatever becomes of the gate, Drain it.
func NewGate(cfg GateConfig) (*Gate, error) {
	if cfg.Ends == nil || cfg.Broker == nil || cfg.Voucher == nil || cfg.Authorizer == nil || cfg.Open == nil || cfg.Listen == nil || cfg.Connected == nil || cfg.Disconnect == nil {
		cfg.Ends.Close() // which a nil one allows
		return nil, errors.New("nats: a gate needs all that its configuration has")
	}
	if cfg.Idle <= 0 {
		cfg.Idle = defaultIdle
	}
	if cfg.Users <= 0 {
		cfg.Users = defaultUsers
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	g := &Gate{
		cfg: cfg, server: cfg.Ends.ConnectedServerId(), failed: make(chan error, 1), rouse: make(chan struct{}, 1), swept: make(chan struct{}), over: make(chan struct{}),
		users: make(map[string]*user), clients: make(map[uint64]*client),
	}
	g.context, g.cut = context.WithCancel(context.Background())
	_, err := cfg.Ends.Subscribe(cfg.EndsSubject, g.ended)
	if err == nil {
		err = cfg.Ends.FlushTimeout(flushWithin)
	}
	if err == nil {
		g.addr, err = cfg.Listen()
	}
	if err != nil {
		g.cut()
		cfg.Ends.Close()
		return nil, fmt.Errorf("nats: %w", err)
	}
	go g.sweep()
	return g, nil
}

// Addr is where native clients connect.
func (g *Gate) Addr() net.Addr { return g.addr }

// Enter decides about a client, by the server's number of its connection. With an error it must not come in: one
// that the broker gave and recorded. It may take as long as ctx allows.
func (g *Gate) Enter(ctx context.Context, id uint64, login gateway.Login) (Admission, error) {
	over := new(atomic.Bool)
	login.Ended = g.toldOf(over)
	session, err := g.cfg.Broker.Open(ctx, login)
	if err != nil {
		g.cfg.Logger.Debug("a native client is not let in", "remote", login.Remote, "error", err)
		return Admission{}, err
	}
	g.leave(id) // if it logs in once more
	who := session.Principal()
	for done := false; !done; {
		u, err := g.enter(ctx, who, login.Remote)
		if err != nil {
			session.Close()
			g.cfg.Logger.Warn("a native client could not be served", "user", who.Name, "remote", login.Remote, "error", err)
			return Admission{}, err
		}
		done = g.seat(id, &client{u, session, login.Remote, over})
	}
	a := Admission{Token: TokenOf(who), Name: who.Name, Until: who.Expires}
	if a.Name == "" {
		a.Name = anonymousToken
	}
	return a, nil
}

// toldOf is what the broker calls when it ends a session. Nothing more may be done there.
func (g *Gate) toldOf(over *atomic.Bool) func(*gateway.Error) {
	return func(*gateway.Error) {
		over.Store(true)
		tell(g.rouse)
	}
}

// seat puts a connection into the list, unless its user's door has begun to close meanwhile.
func (g *Gate) seat(id uint64, c *client) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if c.user.closing || g.clients == nil {
		c.user.clients--
		return false
	}
	g.clients[id] = c
	c.user.where.arrived(id, c.remote)
	return true
}

// leave is told that a connection has ended.
func (g *Gate) leave(id uint64) {
	g.mu.Lock()
	c := g.clients[id]
	delete(g.clients, id)
	if c != nil {
		c.user.where.departed(id)
	}
	g.mu.Unlock()
	g.gone(c)
}

// gone forgets a connection that is in the list no more; nil is none.
func (g *Gate) gone(c *client) {
	if c == nil {
		return
	}
	c.session.Close()
	g.release(c.user)
}

// ended is the callback for ends of connections. Those of other servers have numbers of their own.
func (g *Gate) ended(m *natsgo.Msg) {
	var event struct {
		Client struct {
			ID uint64 `json:"id"`
		} `json:"client"`
		Server struct {
			ID string `json:"id"`
		} `json:"server"`
	}
	if json.Unmarshal(m.Data, &event) == nil && event.Server.ID == g.server {
		g.leave(event.Client.ID)
	}
}

// sweep finds what nobody told of, until everything ends.
func (g *Gate) sweep() {
	defer close(g.swept)
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()
	for {
		select {
		case <-g.context.Done():
			return
		case <-ticker.C:
		case <-g.rouse:
		}
		g.mu.Lock()
		over := make(map[uint64]bool, len(g.clients))
		for id, c := range g.clients {
			over[id] = c.over.Load()
		}
		g.mu.Unlock()
		for id, ended := range over {
			if ended {
				g.cfg.Disconnect(id)
			}
			if ended || !g.cfg.Connected(id) {
				g.leave(id)
			}
		}
		g.closeIdle()
	}
}

// Reauthorize has users and rules that changed hold for those who are here: who is nobody any more is disconnected. It is called after the
// broker's own.
func (g *Gate) Reauthorize() {
	g.mu.Lock()
	clients := make(map[uint64]gateway.Principal, len(g.clients))
	for id, c := range g.clients {
		clients[id] = c.session.Principal()
	}
	users := make([]*user, 0, len(g.users))
	for _, u := range g.users {
		users = append(users, u)
	}
	g.mu.Unlock()
	for id, p := range clients {
		if _, err := g.cfg.Voucher.Renew(p); err != nil {
			g.cfg.Disconnect(id)
			g.leave(id)
		}
	}
	for _, u := range users {
		g.renew(u)
	}
}

// Serve returns nil after Drain. When ctx is done or the embedded server is gone, it ends everything at once and
// says so. Nothing of the gate and its doors runs when it returns.
func (g *Gate) Serve(ctx context.Context) error {
	var err error
	select {
	case <-g.over:
		return nil
	case <-ctx.Done():
		err = ctx.Err()
	case err = <-g.failed:
	}
	g.cut()
	_ = g.Drain(context.Background()) // cut off, or under way in another goroutine
	return err
}

// Drain lets nobody in any more, drains the doors, and ends. With ctx's error it ends at once.
func (g *Gate) Drain(ctx context.Context) error {
	g.mu.Lock()
	again := g.leaving
	g.leaving = true
	users := make([]*user, 0, len(g.users))
	for _, u := range g.users {
		users = append(users, u)
	}
	g.mu.Unlock()
	if again {
		select {
		case <-g.over:
			return nil
		case <-ctx.Done():
			return fmt.Errorf("nats: drain: %w", ctx.Err())
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(g.context, cancel)()
	results := make(chan error, len(users))
	for _, u := range users {
		go func() { results <- u.drain(ctx) }()
	}
	var errs []error
	for range users {
		errs = append(errs, <-results)
	}
	g.cut()
	<-g.swept
	g.running.Wait()
	g.cfg.Ends.Close()
	g.mu.Lock()
	clients := g.clients
	g.clients = nil
	g.mu.Unlock()
	for _, c := range clients {
		c.session.Close()
	}
	close(g.over)
	return errors.Join(errs...)
}
