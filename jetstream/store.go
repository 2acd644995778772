package jetstream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/jetstream/commit"
	"github.com/sluice-mq/sluice/jetstream/embed"
)

// Config says where the store is and what it promises.
type Config struct {
	// Dir is the node's data directory, the same as the server's.
	Dir    string
	Server *embed.Server
	// Node is the name of the node that the directory belongs to.
	Node string
	// Shards is the number of journals of a new store; an existing one keeps its own. 0 is DefaultShards.
	Shards int
	// Sync: records are on disk before they complete. Without it they are with the operating system.
	Sync bool
	// ServerSyncs says that the server syncs every record by itself before it answers.
	ServerSyncs bool
	// Cluster is nil on a single node.
	Cluster *Cluster
	// Reserve is the free space in bytes below which sends are refused; 0 chooses by the size of the file system.
	Reserve int64
	Logger  *slog.Logger
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// Failed is told once when the store can promise nothing any more. It must not block; may be nil.
	Failed func(error)
	// Waiting is told what Open waits for, in words, each time that this is something else; nil tells nobody.
	Waiting func(what string)
}

// Cluster says how a store is spread over nodes.
type Cluster struct {
	// Nodes is the number of nodes in the cluster, and Replicas on how many of them each record is.
	Nodes, Replicas int
}

// DefaultShards is the number of journals of a new store.
const DefaultShards = 4

// MaxShards bounds it: a shard costs files, memory and a share of every group commit.
const MaxShards = 64

// MaxRecord is the largest record in bytes: beyond 32 MiB the server takes its own record for damage.
const MaxRecord = 31 << 20

var errClosed = gateway.Errorf(gateway.Unavailable, "the store is closed")

// DamageError says that the store lacks something that it had promised to keep.
// The node must not serve: a queue that looks empty would be a lie.
type DamageError struct {
	Stream string
	What   string
}

func (e *DamageError) Error() string {
	return fmt.Sprintf("the store is damaged: %s: %s. No queue is served. Restore the data directory from a backup or another node", e.Stream, e.What)
}

// Store implements gateway.Store. One process has one.
type Store struct {
	cfg       Config
	publish   *nats.Conn
	reader    reader
	readConns []*nats.Conn
	loads     *loads
	committer *commit.Committer
	shards    int
	journals  []*journal // of a single node
	links     *links     // of a node in a cluster
	tenancies []*tenancy // the same
	caughtUp  atomic.Bool
	halt      halt
	halted    atomic.Pointer[string]
	space     space
	marks     marks
	registry  *registry
	logs      *logs
	sick      atomic.Bool // a stream of a single node has stopped for good, and the storage is to be started again

	leaving  context.CancelFunc // ends all tenures
	failOnce sync.Once
	broken   atomic.Pointer[error]

	stop       context.CancelFunc
	background sync.WaitGroup
}

// Open opens the store, making it if the directory has none. It fails with a
// DamageError when something that was promised is not there.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	s := &Store{cfg: cfg}
	if err := s.open(ctx); err != nil {
		return nil, errors.Join(err, s.Close(ctx))
	}
	return s, nil
}

func (s *Store) open(ctx context.Context) error {
	manifest, err := readManifest(s.cfg.Dir)
	if err != nil {
		return err
	}
	if err := s.connect(); err != nil {
		return err
	}
	if err := s.space.open(s.cfg.Dir, s.cfg.Reserve); err != nil {
		return err
	}
	if err := s.startCommitter(); err != nil {
		return err
	}
	if err := s.marks.open(s.cfg.Dir, manifest != nil); err != nil {
		return err
	}
	if s.cfg.Cluster != nil {
		manifest, err = s.clusterStreams(ctx, manifest)
	} else {
		manifest, err = s.streams(ctx, manifest)
	}
	if err != nil {
		return err
	}
	s.shards = manifest.Shards
	if err := s.marks.sized(manifest.Shards); err != nil {
		return err
	}
	if err := s.openRegistry(ctx, manifest); err != nil {
		return err
	}
	if err := s.openLogs(); err != nil {
		return err
	}
	if s.cfg.Cluster != nil {
		if err := s.join(); err != nil {
			return err
		}
	}
	for i := range manifest.Shards {
		if s.cfg.Cluster != nil {
			break // those that this node owns are opened when it is known to
		}
		if err := s.openJournal(ctx, i); err != nil {
			return err
		}
	}
	if slices.ContainsFunc(s.journals, func(j *journal) bool { return s.marks.low(j.shard) > j.next }) {
		if err := s.marks.write(s.journals, s.cfg.durable()); err != nil { // before anything new is stored
			return err
		}
	}
	s.start()
	return nil
}

func (s *Store) startCommitter() (err error) {
	mode := commit.None
	if s.cfg.Sync {
		mode = commit.Disk
	}
	s.committer, err = commit.Start(commit.Config{Root: s.cfg.Dir, Mode: mode, Logger: s.cfg.Logger, Failed: s.failed})
	if err != nil {
		return fmt.Errorf("starting the group commit: %w", err)
	}
	return nil
}

func (s *Store) connect() (err error) {
	if s.publish, err = s.cfg.Server.Connect(embed.Store, "journal"); err != nil {
		return err
	}
	var readers []reader
	for range loaders {
		r, err := s.newReader("reader")
		if err != nil {
			return err
		}
		readers = append(readers, r)
	}
	s.reader = readers[0]
	s.loads = newLoads(readers)
	return nil
}

// streams makes a new store's streams, or checks that an existing store has all of its own.
func (s *Store) streams(ctx context.Context, m *manifest) (*manifest, error) {
	js, err := jetstream.New(s.publish)
	if err != nil {
		return nil, err
	}
	if m != nil {
		for i := range m.Shards {
			if _, err := js.Stream(ctx, newJournal(s, i).stream); errors.Is(err, jetstream.ErrStreamNotFound) {
				return nil, &DamageError{Stream: newJournal(s, i).stream, What: "it is gone, or its metadata cannot be read"}
			} else if err != nil {
				return nil, fmt.Errorf("looking at the store: %w", err)
			}
		}
		if _, err := js.Stream(ctx, newJournal(s, m.Shards).stream); err == nil {
			return nil, &DamageError{Stream: manifestFile, What: fmt.Sprintf("it speaks of %d shards, but there are more", m.Shards)}
		}
		return m, nil
	}
	if err := s.unused(ctx, js); err != nil {
		return nil, err
	}
	m = &manifest{Format: 1, Node: s.cfg.Node, Shards: s.cfg.Shards, Created: s.cfg.Now().UTC()}
	if m.Shards == 0 {
		m.Shards = DefaultShards
	}
	if m.Shards < 1 || m.Shards > MaxShards {
		return nil, fmt.Errorf("a store has 1 to %d shards, not %d", MaxShards, m.Shards)
	}
	for i := range m.Shards {
		j := newJournal(s, i)
		if _, err := js.CreateStream(ctx, streamConfig(j)); err != nil {
			return nil, fmt.Errorf("making stream %s: %w", j.stream, err)
		}
	}
	if err := s.committer.SyncAll(); err != nil {
		return nil, fmt.Errorf("syncing the new store: %w", err)
	}
	if err := s.marks.create(m.Shards); err != nil {
		return nil, err
	}
	return m, m.write(s.cfg.Dir)
}

// unused checks that a directory without a manifest holds nothing of value. A first
// start that was cut short may have left empty streams.
func (s *Store) unused(ctx context.Context, js jetstream.JetStream) error {
	for i := range MaxShards {
		stream, err := js.Stream(ctx, newJournal(s, i).stream)
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			continue
		}
		if err != nil {
			return fmt.Errorf("looking for streams: %w", err)
		}
		if stream.CachedInfo().State.LastSeq > 0 {
			return &DamageError{Stream: manifestFile, What: "it is gone, but there are messages"}
		}
	}
	return nil
}

func streamConfig(j *journal) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:        j.stream,
		Description: "journal of queues; written by Sluice alone",
		Subjects:    []string{j.prefix + ">"},
		Storage:     jetstream.FileStorage,
		Retention:   jetstream.LimitsPolicy,
		Discard:     jetstream.DiscardNew,
		Replicas:    1,
		AllowDirect: true,
		MaxMsgs:     -1, MaxBytes: -1, MaxMsgSize: -1, MaxMsgsPerSubject: -1, MaxConsumers: -1,
	}
}

func (s *Store) openJournal(ctx context.Context, shard int) error {
	js, err := jetstream.New(s.publish)
	if err != nil {
		return err
	}
	j := newJournal(s, shard)
	stream, err := js.Stream(ctx, j.stream)
	if err != nil {
		return fmt.Errorf("opening %s: %w", j.stream, err)
	}
	state := stream.CachedInfo().State
	j.first, j.next, j.stored = max(state.FirstSeq, 1), state.LastSeq+1, state.Bytes
	// Without syncs a power cut may have taken back what was trimmed; what comes in its
	// place is needed.
	j.trimTo = min(max(j.first, s.marks.low(shard)), j.next)
	if err := s.marks.check(j, shard, s.cfg.durable()); err != nil {
		return err
	}
	// Not the last record: what lies between was not promised, so that the marks must
	// not speak of it before it was read without a gap.
	j.committed = s.marks.now[shard].Last
	dir := s.dirOf(j.stream)
	if j.log, err = s.committer.Add(dir, j); err != nil {
		return fmt.Errorf("watching %s: %w", dir, err)
	}
	if err := j.listen(); err != nil {
		return err
	}
	s.journals = append(s.journals, j)
	go j.run() // waited for by close
	return nil
}

// Shards implements gateway.Store.
func (s *Store) Shards() int { return s.shards }

// Journal implements gateway.Store.
func (s *Store) Journal(i int) gateway.Journal { return s.journals[i] }

// Bytes is what the journals that this node owns take on disk, roughly.
func (s *Store) Bytes() (n uint64) {
	for _, j := range s.owned() {
		n += j.State().Bytes
	}
	return n
}

// Space implements gateway.Store.
func (s *Store) Space() gateway.Space { return s.space.now() }

// Err returns why the store promises nothing any more, or nil.
func (s *Store) Err() error {
	if e := s.broken.Load(); e != nil {
		return *e
	}
	return nil
}

// failed ends all promises, once.
func (s *Store) failed(err error) {
	s.failOnce.Do(func() {
		s.broken.Store(&err)
		s.cfg.Logger.Error("the store has failed: nothing is taken any more, restart the node after mending the cause", "error", err)
		if s.cfg.Failed != nil {
			s.cfg.Failed(err)
		}
	})
}

// Close stores and commits everything appended so far, or as much as it can until
// ctx ends, and closes the store. The server keeps running.
func (s *Store) Close(ctx context.Context) error {
	drained := true
	if s.stop != nil {
		drained = s.drain(ctx)
		s.stop()
		s.background.Wait()
	}
	s.leaveAll()
	s.logs.close()
	if s.loads != nil {
		s.loads.close()
	}
	for _, j := range s.journals {
		j.close(drained)
	}
	var err error
	if s.committer != nil {
		err = s.committer.Close()
	}
	if s.stop != nil && err == nil && s.Err() == nil {
		err = s.marks.write(s.owned(), s.cfg.durable())
	}
	for _, nc := range append(s.readConns, s.publish) {
		if nc != nil {
			nc.Close()
		}
	}
	return err
}

// drain waits until no journal has anything under way, and reports whether that came before the end of ctx. Without a
// majority of the cluster it would be in vain.
func (s *Store) drain(ctx context.Context) bool {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for slices.ContainsFunc(s.owned(), (*journal).busy) {
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
			if s.links != nil && !s.links.Current() {
				return false
			}
		}
	}
	return true
}

// durable reports whether what has completed is on disk.
func (c *Config) durable() bool { return c.Sync || c.ServerSyncs }
