package core

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/advising"
	"github.com/sluice-mq/sluice/gateway/advisory"
	"github.com/sluice-mq/sluice/gateway/audit"
	"github.com/sluice-mq/sluice/gateway/facts"
	"github.com/sluice-mq/sluice/gateway/feed"
	"github.com/sluice-mq/sluice/gateway/manage"
	"github.com/sluice-mq/sluice/gateway/policy"
	"github.com/sluice-mq/sluice/gateway/quota"
	"github.com/sluice-mq/sluice/gateway/tap"
)

// SlowPolicy says what happens to a topic subscriber that does not keep up.
type SlowPolicy uint8

const (
	// DropOldest drops its oldest waiting messages.
	DropOldest SlowPolicy = iota
	// Disconnect ends its subscription; its door closes the connection with words.
	Disconnect
)

// Config says what a broker stands on and how much it allows. Zero limits mean the defaults.
type Config struct {
	// Node is the node's name: part of message ids and of some texts.
	Node  string
	Store gateway.Store
	// Cluster is nil on a single node.
	Cluster       gateway.Cluster
	Authenticator gateway.Authenticator
	Authorizer    gateway.Authorizer
	// Schemas knows what messages to topics have to be like; nil: they may be like anything.
	Schemas gateway.Schemas
	// Auditor writes down who did what; nil: nobody does.
	Auditor gateway.Auditor
	// Quotas bound what clients use. SetQuotas changes them.
	Quotas quota.Quotas
	// Kept are destinations, or patterns of them, that count as existing though nobody uses them: no right to create them is asked for.
	Kept   []gateway.Destination
	Logger *slog.Logger
	// Now is the clock; nil is time.Now.
	Now func() time.Time

	// MaxMessage bounds a message in bytes, header included.
	MaxMessage int
	// QueueMemory bounds, in bytes over all queues, the messages that are only in
	// memory; beyond it non-persistent messages go to the store, in order.
	QueueMemory int64
	// TopicMessages and TopicBytes bound what may wait for one topic subscription.
	TopicMessages, TopicBytes int
	SlowConsumer              SlowPolicy
	// TopicDelivery is what a cluster's topics are like. It should be the same on all nodes.
	TopicDelivery TopicDelivery
	// Registry keeps durable subscriptions and what virtual topics feed; nil: there are none.
	Registry gateway.Registry
	// Logs keeps what is sent to the topics of which the registry says that they have a log; nil: none has.
	Logs gateway.Logs
	// Policies say how destinations behave; nil: as ActiveMQ's. SetPolicies changes them.
	Policies *policy.Table
	// VirtualTopics are in order: the first that a queue belongs to counts. nil is feed.DefaultVirtualTopics.
	VirtualTopics []feed.VirtualTopic
	// DeadLetterQueue takes refused and expired persistent messages.
	DeadLetterQueue string
}

func (c *Config) defaults() {
	if c.Now == nil {
		c.Now = time.Now
	}
	for _, d := range []struct {
		value    *int
		fallback int
	}{{&c.MaxMessage, 16<<20 + 64<<10}, {&c.TopicMessages, 100_000}, {&c.TopicBytes, 32 << 20}} {
		if *d.value == 0 {
			*d.value = d.fallback
		}
	}
	if c.QueueMemory == 0 {
		c.QueueMemory = 64 << 20
	}
	if c.VirtualTopics == nil {
		c.VirtualTopics = feed.DefaultVirtualTopics()
	}
	if c.DeadLetterQueue == "" {
		c.DeadLetterQueue = "ActiveMQ.DLQ"
	}
}

// Broker implements gateway.Broker.
type Broker struct {
	// Queues are those of all nodes, for who manages them.
	*manage.Queues
	cfg    Config
	ids    string // what the ids of this process begin with
	seats  []*seat
	topics hub
	// facts are what the registry says, and durables what this node's sessions hold of it.
	facts     *facts.Facts
	durables  feed.Holders
	policies  atomic.Pointer[policies]
	browsings browsings
	seekers   seekers
	// inspections are what other nodes were asked.
	inspections inspections
	memory      atomic.Int64 // bytes of messages that are only in memory
	loaded      atomic.Int64 // bytes of waiting messages that are in memory too
	// arriving counts messages on their way through the journals.
	arriving atomic.Int64
	// judging: owners are being asked what waits for consumers that may be slow.
	judging atomic.Bool
	counts  counters
	ledger  *quota.Ledger
	advisor *advising.Advisor
	taps    tap.Set
	audit   *audit.Book
	// inquiries about queues that have no answer yet.
	inquiries atomic.Int64

	reauthorizing sync.Mutex

	mu       sync.Mutex
	draining bool
	nextID   uint64 // of sessions
	sessions map[*session]struct{}
	clients  map[string]*session // by client-id
	ready    atomic.Bool         // all that this node owns was read
	named    map[string]*session // by the names of sessions
	expiring map[*session]time.Time
	// judgement counts the changes of rules, for those who are on the way in.
	judgement uint64

	resting    chan struct{}   // a shard's settlements collect
	wire       atomic.Uint64   // the last name of a subscription on a link
	guests     *guests         // of a node in a cluster
	current    bool            // of the same: it was in touch with a majority at the last sweep
	heldUp     atomic.Bool     // something was not handed out because this node was out of touch
	life       context.Context // of the same: ends with the broker
	watching   context.Context // ends with the broker
	stop       context.CancelFunc
	background sync.WaitGroup
	spawning   sync.Mutex
	over       bool // nothing is added to background any more
}

// spawn runs something that Close waits for, unless that waits already.
func (b *Broker) spawn(f func()) bool {
	b.spawning.Lock()
	defer b.spawning.Unlock()
	if b.over {
		return false
	}
	b.background.Go(f)
	return true
}

// New reads the store and opens the broker on it. It returns when every queue is known.
func New(ctx context.Context, cfg Config) (*Broker, error) {
	cfg.defaults()
	now := cfg.Now()
	b := &Broker{
		cfg:       cfg,
		ids:       fmt.Sprintf("ID:%s-%d-%d-0:", cfg.Node, 10000+rand.IntN(50000), now.UnixMilli()),
		sessions:  make(map[*session]struct{}),
		resting:   make(chan struct{}, 1),
		clients:   make(map[string]*session),
		named:     make(map[string]*session),
		expiring:  make(map[*session]time.Time),
		browsings: browsings{reading: make(chan struct{}, max(browsedAtOnce, runtime.GOMAXPROCS(0)))},
	}
	b.advisor = advising.New(audience{b}, advisory.Broker{ID: strings.TrimSuffix(b.ids, ":"), Name: cfg.Node}, b.ids)
	b.topics.init(b)
	b.facts = facts.New(known{b}, cfg.Registry)
	b.Queues = manage.NewQueues(owners{b})
	b.audit = audit.NewBook(cfg.Auditor, cfg.Now)
	b.ledger = quota.NewLedger(usage{b}, cfg.Quotas, cfg.Now)
	for i := range cfg.Store.Shards() {
		b.seats = append(b.seats, newSeat(b, i))
	}
	var background context.Context
	background, b.stop = context.WithCancel(context.Background())
	b.watching = background
	b.SetPolicies(cfg.Policies)
	giveUp := context.AfterFunc(ctx, b.stop)
	err := b.facts.Follow(background)
	giveUp()
	if err != nil {
		b.stop()
		return nil, fmt.Errorf("reading the registry: %w", err)
	}
	if cfg.Cluster != nil {
		b.guests = newGuests(b)
		b.life = background
		cfg.Cluster.Serve(b)
	} else if err := b.recover(ctx); err != nil {
		b.stop()
		return nil, err
	}
	b.ready.Store(true)
	for _, s := range b.owned() {
		s.schedule()
	}
	b.background.Go(func() { b.sweep(background) })
	b.background.Go(func() { b.settle(background) })
	b.background.Go(func() { b.advisor.Run(background) })
	return b, nil
}

// release gives a session's client id free.
func (b *Broker) release(s *session) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.named, s.id)
	if b.clients[s.login.ClientID] == s {
		delete(b.clients, s.login.ClientID)
	}
}

func (b *Broker) forget(s *session) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.sessions, s)
	delete(b.expiring, s)
}

// Drain refuses new sessions from now on. Open ones go on.
func (b *Broker) Drain() {
	b.mu.Lock()
	b.draining = true
	b.mu.Unlock()
}

// Close ends all sessions, hands unacknowledged messages back, writes down what
// is only in memory, and waits until all of it is stored or ctx ends. The store
// stays open; whoever closes it after this has everything on disk that was promised.
func (b *Broker) Close(ctx context.Context) error {
	b.Drain()
	for _, s := range b.openSessions() {
		s.mu.Lock()
		if s.why == nil && !s.closed {
			s.why = errStopping
		}
		s.mu.Unlock()
		s.Close()
	}
	b.topics.leave()
	b.stop()
	b.spawning.Lock()
	b.over = true
	b.spawning.Unlock()
	b.background.Wait()
	b.audit.Close()
	if b.guests != nil {
		b.guests.close()
	}
	for _, s := range b.owned() {
		s.leaveExpired()
		s.refuseBlocked(errStopping)
	}
	err := b.settled(ctx)
	if errors.Is(err, errNoMajority) || errors.Is(err, errNoOwner) {
		b.cfg.Logger.Warn("nobody is there to store what was under way without a receipt", "error", err)
		return nil
	}
	for _, s := range b.owned() {
		s.writeDown()
		b.arriving.Add(1)
		s.journal.Append(&gateway.Record{Type: gateway.RecordMark, Handed: []gateway.Handed{{}}, Relaxed: true}, farewell{b})
	}
	if last := b.settled(ctx); !errors.Is(last, errNoMajority) && !errors.Is(last, errNoOwner) { // the others may be stopping, too
		err = errors.Join(err, last)
	}
	return err
}

var (
	errNoMajority = errors.New("no majority of the cluster is there")
	errNoOwner    = errors.New("a shard has had no owner for too long")
)

// farewell is the record that an orderly stop ends with.
type farewell struct{ *Broker }

// Appended implements gateway.Appended.
func (f farewell) Appended(uint64, error) { f.arriving.Add(-1) }

// Settle waits until nothing is on its way to the journals, or ctx ends, or no majority of the cluster is there. What comes meanwhile
// counts as well, so it is for when nobody sends any more.
func (b *Broker) Settle(ctx context.Context) error { return b.settled(ctx) }

func (b *Broker) busy() bool {
	for _, s := range b.owned() {
		s.mu.Lock()
		busy := s.journal.State().Err == nil && (s.writing || s.saying || s.moving || s.dying > 0 || len(s.settling)+len(s.waiters)+len(s.marking) > 0)
		s.mu.Unlock()
		if busy {
			return true
		}
	}
	for _, t := range b.seats {
		if t.busy() {
			return true
		}
	}
	return b.arriving.Load() > 0
}

// nowMillis is the clock in the unit of messages.
func (b *Broker) nowMillis() int64 { return b.cfg.Now().UnixMilli() }
