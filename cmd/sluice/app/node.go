package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/core"
	"github.com/sluice-mq/sluice/jetstream"
	"github.com/sluice-mq/sluice/jetstream/commit"
	"github.com/sluice-mq/sluice/jetstream/embed"
	"github.com/sluice-mq/sluice/protocols/nats"
	"github.com/sluice-mq/sluice/protocols/pubsub"
	"github.com/sluice-mq/sluice/protocols/pubsub/courier"
	"github.com/sluice-mq/sluice/protocols/pubsub/lease"
	"github.com/sluice-mq/sluice/protocols/pubsub/push"
	"github.com/sluice-mq/sluice/protocols/pubsub/resource"
	"github.com/sluice-mq/sluice/protocols/stomp"
)

// node is what makes a node besides its admin door: the rooms, each made of the
// ones before it.
type node struct {
	// doors serve as soon as start has returned. The slice is replaced, never changed, once they do.
	doors   []listener
	doorsMu sync.Mutex
	// parts are closed in the reverse order of their start, after the doors.
	parts []part

	server *embed.Server
	store  *jetstream.Store
	broker *core.Broker
	rules  *rulebook

	directory *resource.Directory             // of HTTP Pub/Sub
	terms     atomic.Pointer[pubsub.Terms]    // of its doors; nil where nobody listens
	rejudged  chan struct{}                   // what somebody there may do has changed
	pusher    atomic.Pointer[push.Pusher]     // nil until it runs
	leases    atomic.Pointer[lease.Keeper]    // likewise
	courier   atomic.Pointer[courier.Courier] // likewise
	hush      []func()                        // have them begin nothing more, without waiting
	guard     *guard
	voucher   *nats.Voucher // of native clients that log in
	gate      *nats.Gate    // nil where they do not
	memory    *stomp.Memory // of all STOMP doors
	figures   brokerCollector
	// aside: there is a store that the node had before it was in a cluster.
	aside bool
}

// listening are the doors.
func (n *node) listening() []listener {
	n.doorsMu.Lock()
	defer n.doorsMu.Unlock()
	return n.doors
}

// add puts a door beside the others.
func (n *node) add(l listener) {
	n.doorsMu.Lock()
	n.doors = append(n.doors, l)
	n.doorsMu.Unlock()
}

// listen replaces the doors.
func (n *node) listen(doors []listener) {
	n.doorsMu.Lock()
	n.doors = doors
	n.doorsMu.Unlock()
}

// part is something that must be closed.
type part struct {
	name  string
	close func(context.Context) error
}

// start, after openDir, opens the store, recovers what is in it, and takes the addresses of the
// doors. It gives up when ctx is done. After an error, close closes what was opened.
func (n *node) start(ctx context.Context, cfg Config, log *slog.Logger, h *health) error {
	if err := n.openStore(ctx, cfg, log, h); err != nil {
		return err
	}
	if err := n.openBroker(ctx, cfg, log); err != nil {
		return err
	}
	if n.aside {
		if err := n.adopt(ctx, cfg, log); err != nil {
			return fmt.Errorf("bringing the messages that the node had alone into the cluster: %w", err)
		}
	}
	if err := n.openDirectory(ctx, cfg, log); err != nil {
		return err
	}
	if err := n.openPusher(cfg, log); err != nil {
		return err
	}
	if err := n.openLeases(cfg, log); err != nil {
		return err
	}
	if err := n.openCourier(cfg, log); err != nil {
		return err
	}
	n.memory = stomp.NewMemory(int64(cfg.Limits.ReceivingMemory), int64(cfg.Limits.TransactionMemory))
	for _, l := range cfg.Listeners {
		if err := n.openDoor(l, cfg, log); err != nil {
			return fmt.Errorf("%s listener %s: %w", l.Protocol, l.Address, err)
		}
	}
	n.rejudge()
	return ctx.Err()
}

// openDir makes the data directory ours alone.
func (n *node) openDir(dir string, clustered bool) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return errors.Join(fmt.Errorf("data directory %s is in use by another process", dir), lock.Close())
	}
	n.parts = append(n.parts, part{"data directory", func(context.Context) error { return lock.Close() }})
	n.aside, err = jetstream.Prepare(dir, clustered)
	return err
}

// openStore starts the embedded server and the store on it, with the durability asked for.
func (n *node) openStore(ctx context.Context, cfg Config, log *slog.Logger, h *health) error {
	serverSyncs, weSync := false, cfg.Durability == Disk
	if cfg.Cluster != nil { // the servers agree in groups, and sync those
		serverSyncs, weSync = weSync, false
	}
	if weSync {
		name, proven, err := commit.Supported(cfg.DataDir)
		if err != nil {
			return err
		}
		if !proven {
			log.Warn("group commit is not proven on this file system: every record is synced by itself, which is slower", "file_system", name)
			serverSyncs, weSync = true, false
		}
	}
	together, shared, err := cluster(cfg.Cluster)
	if err != nil {
		return err
	}
	settings := embed.Config{
		Name: cfg.Node, Dir: cfg.DataDir, MaxPayload: jetstream.MaxRecord,
		SyncAlways: serverSyncs, MaxConnections: cfg.Limits.MaxConnections, Cluster: together, Logger: log, Streams: cfg.Nats.bounds(),
	}
	n.embedListeners(cfg, &settings)
	n.server, err = embed.Start(ctx, settings)
	if err != nil {
		return err
	}
	n.parts = append(n.parts, part{"embedded server", func(context.Context) error { n.server.Stop(); return nil }})
	var reserve int64
	if cfg.Store.Reserve.Fixed {
		reserve = int64(cfg.Store.Reserve.Size)
	}
	n.store, err = jetstream.Open(ctx, jetstream.Config{
		Dir: cfg.DataDir, Server: n.server, Node: cfg.Node, Shards: cfg.Store.Shards,
		Sync: weSync, ServerSyncs: serverSyncs, Reserve: reserve, Cluster: shared, Logger: log, Waiting: h.wait,
	})
	if err != nil {
		return err
	}
	n.parts = append(n.parts, part{"store", n.store.Close})
	n.probe(cfg, h)
	return nil
}

// probe has the node's health depend on the store.
func (n *node) probe(cfg Config, h *health) {
	h.watch("store", func() string {
		if err := n.store.Err(); err != nil {
			return "the store has failed: " + err.Error()
		}
		return ""
	})
	if cfg.Cluster != nil {
		h.watch("damage", func() string {
			if err := n.store.Damage(); err != nil {
				return "this node's copy is damaged, start it with an empty data directory: " + err.Error()
			}
			return ""
		})
		h.watch("storage", func() string {
			if why := n.store.Halted(); why != "" {
				return "the storage of this node has stopped, as it does when the disk is full; with room on the disk it goes on: " + why
			}
			return ""
		})
		h.watch("cluster", func() string {
			if !n.store.Current() {
				return "not in touch with a majority of the nodes"
			}
			return ""
		})
	}
	h.watch("copies", func() string {
		if !n.store.CaughtUp() {
			return "this node does not have everything yet that was stored while it was away"
		}
		return ""
	})
	h.watch("space", func() string {
		if s := n.store.Space(); !s.Sends {
			return fmt.Sprintf("only %d MiB are free: sends are refused", s.Free>>20)
		}
		return ""
	})
}

func (n *node) openBroker(ctx context.Context, cfg Config, log *slog.Logger) (err error) {
	slow := core.DropOldest
	if cfg.Topics.SlowConsumer == Disconnect {
		slow = core.Disconnect
	}
	delivery := map[TopicDelivery]core.TopicDelivery{OncePerClient: core.OncePerClient, ClusterWide: core.ClusterWide, LocalDelivery: core.Local}
	var others gateway.Cluster
	if cfg.Cluster != nil {
		others = n.store
	}
	var who gateway.Authenticator = &n.guard.identity
	var may gateway.Authorizer = &n.guard.identity
	if cfg.Auth != nil { // native clients log in
		n.voucher = nats.NewVoucher(who)
		who, may = n.voucher, nats.Answers{Authorizer: may}
	}
	if n.rules, err = openRulebook(ctx, n.store.Registry(), cfg.Policies, log); err != nil {
		return err
	}
	n.broker, err = core.New(ctx, core.Config{
		Node: cfg.Node, Store: n.store, Cluster: others, Registry: n.store.Registry(), Logs: n.store.Logs(), Schemas: schemas{&n.guard.callers}, Authenticator: who, Authorizer: may, Auditor: n.guard.auditor(), Quotas: quotas(cfg.Limits), Kept: unmade(cfg.Auth), Logger: log,
		MaxMessage:  int(cfg.Limits.MaxMessageSize) + headerRoom,
		QueueMemory: int64(cfg.Queues.Memory), TopicMessages: cfg.Topics.PendingMessages, TopicBytes: int(cfg.Topics.PendingBytes),
		SlowConsumer: slow, TopicDelivery: delivery[cfg.TopicDelivery], Policies: n.rules.table(), VirtualTopics: virtualTopics(cfg.VirtualTopics),
	})
	if err != nil {
		n.rules.stop()
		return err
	}
	n.rules.serve(n.broker.SetPolicies)
	n.parts = append(n.parts, part{"broker", n.broker.Close}, part{"policies", n.rules.close})
	n.figures.live.Store(&snapshots{cfg.Node, n.broker, n.store})
	return nil
}

// headerRoom is what the headers of a message may take beside its body.
const headerRoom = 512 << 10

// close closes the parts, the last one first, all of them also if one fails.
func (n *node) close(ctx context.Context) error {
	var all []error
	for i := len(n.parts) - 1; i >= 0; i-- {
		if err := n.parts[i].close(ctx); err != nil {
			all = append(all, fmt.Errorf("close the %s: %w", n.parts[i].name, err))
		}
	}
	return errors.Join(all...)
}

var _ gateway.Broker = (*core.Broker)(nil)
