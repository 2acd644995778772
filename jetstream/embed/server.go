package embed

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// Config says how the embedded server runs.
type Config struct {
	// Name of the node; unique in a cluster.
	Name string
	// Dir is where JetStream keeps its files.
	Dir string
	// Address of the listener for native clients, "host:port", that Listen opens; empty is none.
	Address string
	// MaxPayload bounds one message in bytes, headers included.
	MaxPayload int
	// SyncAlways makes the server sync every write by itself. Without it the
	// group committer does.
	SyncAlways bool
	// Secured is how the listener at Address encrypts.
	Secured
	// WebSocket and MQTT are further listeners; nil is none.
	WebSocket *WebSocket
	MQTT      *MQTT
	// Guarded: clients come in if the judge lets them, each into its user's space. Without it they are all in Users and nobody asks who
	// they are. All nodes of a cluster must be the same in this.
	Guarded bool
	// MaxConnections of native clients; 0 is no limit.
	MaxConnections int
	// Streams bound those of native clients.
	Streams Streams
	// Cluster is nil on a single node.
	Cluster *Cluster
	Logger  *slog.Logger
}

// maxControlLine lets subjects of the longest destination names through: 1,024
// bytes, each escaped to three.
const maxControlLine = 8192

// Server is a running nats-server. Its methods are safe for concurrent use.
type Server struct {
	cfg    Config
	ns     *server.Server
	secret string
	// greeting are connections within the process that the server has not taken up yet.
	greeting sync.WaitGroup

	entrance *entrance
	spaces   spaces
	// web and mqtt are where those listeners are; nil if they are not.
	web, mqtt net.Addr

	// syncer is nil where the server syncs, and where nobody has streams but us.
	syncer *syncer

	revive sync.Mutex
	fatal  atomic.Pointer[string] // see natsLogger
	broken broken
}

// Start runs a server and returns when it accepts connections of this process and JetStream
// has read its streams. Nobody else can connect before Listen. Errors name what could not be done.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	secret := make([]byte, 32)
	if _, err := rand.Read(secret); err != nil {
		return nil, fmt.Errorf("making the internal password: %w", err)
	}
	s := &Server{cfg: cfg, secret: hex.EncodeToString(secret)}
	s.entrance = newEntrance(s)
	if err := s.spaces.init(s.cfg); err != nil {
		return nil, err
	}
	s.makeRoom()
	opts, err := s.options()
	if err != nil {
		return nil, err
	}
	if s.ns, err = server.NewServer(opts); err != nil {
		return nil, fmt.Errorf("creating the embedded nats-server: %w", err)
	}
	s.ns.SetLoggerV2(natsLogger{cfg.Logger, &s.fatal, &faults{}, &faults{}, &s.broken}, false, false, false)
	s.ns.Start()
	if err := s.awaitReady(ctx); err != nil {
		s.Stop()
		return nil, err
	}
	if err := errors.Join(s.locate(), s.tellSpaces()); err != nil {
		s.Stop()
		return nil, err
	}
	if !cfg.SyncAlways && cfg.Cluster == nil && s.Streams() {
		s.syncer = newSyncer(s.syncedFolder(), (*os.File).Sync, cfg.Logger)
		s.syncer.skip = s.notSynced
		go s.syncer.run()
	}
	return s, nil
}

func (s *Server) options() (*server.Options, error) {
	opts := &server.Options{}
	accounts := s.accounts
	if s.cfg.Guarded {
		accounts = s.guardedAccounts
	}
	if err := opts.ProcessConfigString(accounts()); err != nil {
		return nil, fmt.Errorf("configuring the embedded nats-server: %w", err)
	}
	if s.cfg.Guarded || s.cfg.WebSocket != nil || s.cfg.MQTT != nil {
		// The server opens those listeners when it starts: the entrance keeps who comes too early waiting.
		opts.CustomClientAuthentication = s.entrance
		opts.Users, opts.NoAuthUser, opts.LeafNode.Users = nil, "", nil
	}
	if err := s.secure(opts); err != nil {
		return nil, err
	}
	opts.ServerName = s.cfg.Name
	opts.NoSigs, opts.DisableJetStreamBanner = true, true
	opts.JetStream, opts.StoreDir = true, s.cfg.Dir
	// The room on disk is watched by us, with a reserve; these limits only must not come first.
	opts.JetStreamMaxStore, opts.JetStreamMaxMemory = 1<<60, s.memory()
	opts.SyncAlways = s.cfg.SyncAlways
	// Without SyncAlways the group committer syncs our streams, and we those of native clients (syncer); the server's
	// own pass would add compactions to ours.
	opts.SyncInterval = 365 * 24 * time.Hour
	opts.MaxPayload = int32(s.cfg.MaxPayload)
	opts.MaxPending = 64 << 20
	opts.MaxControlLine = maxControlLine
	opts.NoFastProducerStall = true
	if s.cfg.Cluster != nil {
		elections()
		if err := s.cfg.Cluster.options(opts); err != nil {
			return nil, err
		}
		if s.cfg.Guarded {
			opts.Cluster.Permissions.Export.Deny = ownWays()
			opts.Cluster.PoolSize = routePool
		}
	}
	return opts, s.listening(opts)
}

// memory is what all streams may take, those of native clients within their own limit.
func (s *Server) memory() int64 {
	if s.cfg.Guarded {
		return 1 << 60 // the server adds up what each user may take
	}
	return 1<<30 + max(s.cfg.Streams.Memory, 0)
}

// listening says where native clients connect, and from when on. The server opens its routes only behind their
// listener, so that in a cluster it cannot wait for Listen.
func (s *Server) listening(opts *server.Options) error {
	opts.DontListen = s.cfg.Cluster == nil
	address := s.cfg.Address
	if address == "" {
		if s.cfg.WebSocket == nil && s.cfg.MQTT == nil {
			opts.LeafNode = server.LeafNodeOpts{}
			opts.NoAuthUser = "" // nobody can log in
		}
		address = "127.0.0.1:0"
	}
	addr, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		return fmt.Errorf("resolving the nats listener's address %q: %w", address, err)
	}
	opts.Host, opts.Port = "0.0.0.0", addr.Port
	if addr.IP != nil {
		opts.Host = addr.IP.String()
	}
	if addr.Port == 0 {
		opts.Port = server.RANDOM_PORT
	}
	return nil
}

// readyWithin bounds the start; a store of many gigabytes takes its time.
const readyWithin = 10 * time.Minute

func (s *Server) awaitReady(ctx context.Context) error {
	deadline := time.Now().Add(readyWithin)
	for !s.ns.ReadyForConnections(50 * time.Millisecond) {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("starting the embedded nats-server: %w", err)
		}
		if why := s.fatal.Load(); why != nil { // it would stand still for ever
			return fmt.Errorf("starting the embedded nats-server: %s", *why)
		}
		if !s.ns.Running() || time.Now().After(deadline) {
			return errors.New("the embedded nats-server did not start: see its log lines above")
		}
	}
	if !s.ns.JetStreamEnabled() {
		return errors.New("the embedded nats-server runs without its storage: see its log lines above")
	}
	return nil
}

// Listen lets native clients connect and returns where. Call it once, when those are there who
// answer them: until then nobody could, and clients would take that for an answer.
func (s *Server) Listen() (net.Addr, error) {
	if s.cfg.Cluster == nil && s.cfg.Address != "" {
		s.ns.AcceptLoop(make(chan struct{})) // which returns when the listener is open
	}
	for _, addr := range []net.Addr{s.ns.Addr(), s.web, s.mqtt} {
		if addr != nil {
			s.entrance.letIn()
			return addr, nil
		}
	}
	why := "the server is stopping"
	if text := s.fatal.Load(); text != nil {
		why = *text
	}
	return nil, fmt.Errorf("cannot listen on %s: %s", s.cfg.Address, why)
}

// Connect opens an in-process connection to an account. It does not reconnect:
// it lives as long as the server, however long the process stands still.
func (s *Server) Connect(account Account, name string, opts ...nats.Option) (*nats.Conn, error) {
	all := append([]nats.Option{
		nats.InProcessServer(inside{s.ns, &s.greeting}),
		nats.UserInfo(string(account), s.secret),
		nats.Name(name),
		nats.NoReconnect(),
		nats.Timeout(10 * time.Second),
		nats.FlusherTimeout(30 * time.Second),
	}, opts...)
	nc, err := nats.Connect("nats://in-process", all...)
	if err != nil {
		return nil, fmt.Errorf("connecting in process to account %s: %w", account, err)
	}
	return nc, nil
}

// Interest reports whether anybody would get what is published on a subject in an
// account. It takes well under a microsecond and never blocks.
func (s *Server) Interest(account Account, subject string) bool {
	a, err := s.ns.LookupAccount(string(account))
	return err == nil && a.SubscriptionInterest(subject)
}

// Connected reports whether a client's connection, by its number, is there. It is as
// quick as Interest.
func (s *Server) Connected(id uint64) bool { return s.ns.GetClient(id) != nil }

// Stop ends the server and waits until its files are closed.
func (s *Server) Stop() {
	s.spaces.gossip.close()
	s.ns.Shutdown()
	s.ns.WaitForShutdown()
	s.greeting.Wait()
	if s.syncer != nil {
		s.syncer.close()
	}
}
