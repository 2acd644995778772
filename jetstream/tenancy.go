package jetstream

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/sluice-mq/sluice/gateway"
)

const (
	// leadEvery is how often a node looks whether it leads a stream.
	leadEvery = 50 * time.Millisecond
	// beginWithin bounds the first record of a tenure.
	beginWithin = 2 * time.Second
)

// tenancy is a node's part in one journal of a cluster. Whenever the node leads the journal's
// stream, it begins a tenure with a record that is stored only if it saw all before it; the tenure
// ends when the lead is gone or something of it was refused.
type tenancy struct {
	store  *Store
	shard  int
	stream string
	tenant gateway.Tenant

	mu      sync.Mutex
	journal *journal // nil while another node, or nobody, owns it
	// yielding: the lead goes to another node, and no tenure begins meanwhile.
	yielding atomic.Bool
	// damage of this node's copy, found when it read it: the others have what it has not, and it leaves the journal to them.
	damage atomic.Pointer[DamageError]

	done     chan struct{}
	outcomes sync.WaitGroup
}

// Serve implements gateway.Cluster in a cluster.
func (s *Store) Serve(t gateway.Member) {
	s.links.serve(t)
	ctx, stop := context.WithCancel(context.Background())
	s.leaving = stop
	for _, n := range s.tenancies {
		n.tenant = t
		go n.run(ctx) // waited for by leaveAll
	}
}

// Send implements gateway.Peers in a cluster.
func (s *Store) Send(node string, f *gateway.Frame) { s.links.Send(node, f) }

// Current implements gateway.Peers in a cluster.
func (s *Store) Current() bool { return s.links.Current() }

// leaveAll ends all tenures.
func (s *Store) leaveAll() {
	if s.leaving != nil {
		s.leaving()
		for _, n := range s.tenancies {
			<-n.done
			n.outcomes.Wait()
		}
	}
	if s.links != nil {
		s.links.close()
	}
}

// owned are the journals that this node writes.
func (s *Store) owned() []*journal {
	all := s.journals
	for _, n := range s.tenancies {
		n.mu.Lock()
		if n.journal != nil {
			all = append(all, n.journal)
		}
		n.mu.Unlock()
	}
	return all
}

// run has the node's tenures, one after another.
func (n *tenancy) run(ctx context.Context) {
	defer close(n.done)
	tick := time.NewTicker(leadEvery)
	defer tick.Stop()
	complained := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if !n.leads() || n.store.Err() != nil {
			continue
		}
		j, err := n.begin(ctx)
		if err != nil {
			if damage := (*DamageError)(nil); errors.As(err, &damage) {
				n.store.failed(err)
			} else if !complained && ctx.Err() == nil {
				n.store.cfg.Logger.Info("taking over a shard failed, it is tried again", "shard", n.shard, "error", err)
			}
			complained = true
			continue
		}
		complained = false
		n.own(j)
		n.outcomes.Go(func() { n.compare(ctx, j) })
		n.tenant.Begin(n.shard, j.epoch, j, func(sole func()) { n.announce(j, sole) })
		n.last(ctx, tick, j)
		n.own(nil)
		n.store.links.disown(n.shard)
		n.tenant.End(n.shard)
		n.outcomes.Go(func() { n.finish(ctx, j) })
	}
}

func (n *tenancy) leads() bool {
	return n.damage.Load() == nil && !n.yielding.Load() && n.store.cfg.Server.Leads(n.stream) && n.store.links.Current()
}

func (n *tenancy) own(j *journal) {
	n.mu.Lock()
	n.journal = j
	n.mu.Unlock()
}

// announce lets the other nodes know of a tenure, unless it is over.
func (n *tenancy) announce(j *journal, sole func()) {
	n.mu.Lock()
	if n.journal == j {
		n.store.links.own(tenure{n.shard, j.epoch}, sole)
	}
	n.mu.Unlock()
	n.store.links.tellSole() // it may be so already
}

// last returns when a tenure is over.
func (n *tenancy) last(ctx context.Context, tick *time.Ticker, j *journal) {
	defer j.leave()
	for {
		select {
		case <-ctx.Done():
			return
		case <-j.lost:
			return
		case <-tick.C:
			if !n.store.cfg.Server.Leads(n.stream) || n.store.links.replaced(tenure{n.shard, j.epoch}) {
				return
			}
		}
	}
}

// begin stores the first record of a tenure, behind everything that the owners before it have stored, and opens the journal.
func (n *tenancy) begin(ctx context.Context) (*journal, error) {
	j := newJournal(n.store, n.shard)
	info, err := j.info(ctx)
	if err != nil {
		return nil, fmt.Errorf("looking at %s: %w", j.stream, err)
	}
	state := info.State
	ctx, cancel := context.WithTimeout(ctx, beginWithin)
	defer cancel()
	if j.epoch, err = n.first(ctx, j, state.LastSeq); err != nil {
		return nil, fmt.Errorf("beginning to write %s: %w", j.stream, err)
	}
	j.first, j.next, j.sent, j.stored = max(state.FirstSeq, 1), j.epoch+1, j.epoch, state.Bytes
	j.trimTo, j.committed = j.first, j.epoch
	if err := n.store.marks.reached(j); err != nil {
		return nil, err
	}
	dir := n.store.dirOf(j.stream)
	if j.log, err = n.store.committer.Add(dir, j); err != nil {
		return nil, fmt.Errorf("watching %s: %w", dir, err)
	}
	if err := j.listen(); err != nil {
		return nil, errors.Join(err, j.log.Close())
	}
	n.store.cfg.Logger.Info("this node owns a shard", "shard", n.shard, "epoch", j.epoch)
	go j.run() // waited for by finish
	return j, nil
}

// first stores the record that a tenure begins with and returns its sequence. So many others go before it that no
// record which an owner before this one has published can be due behind it: that owner may have had fencedWindow of them under way,
// each waiting for the sequence that it must follow, whoever's record takes it.
func (n *tenancy) first(ctx context.Context, j *journal, last uint64) (uint64, error) {
	if last > 0 {
		for range fencedWindow {
			if err := n.store.publish.PublishMsg(epochRecord(j, "", last)); err != nil {
				return 0, err
			}
			last++
		}
	}
	answer, err := n.store.publish.RequestMsgWithContext(ctx, epochRecord(j, n.store.cfg.Node, last))
	if err != nil {
		return 0, err
	}
	return parseAck(answer.Data)
}

// epochRecord says that a node owns the journal; without a node it only takes a place.
func epochRecord(j *journal, node string, last uint64) *nats.Msg {
	r := &gateway.Record{Type: gateway.RecordEpoch, Node: node}
	m := nats.NewMsg(j.subject(r))
	m.Header.Set(expectLast, strconv.FormatUint(last, 10))
	m.Data = appendRecord(nil, r)
	return m
}

// finish answers what a tenure left unanswered and closes its journal.
func (n *tenancy) finish(ctx context.Context, j *journal) {
	<-j.done
	j.mu.Lock()
	listening, deaf := j.listening, j.deaf
	j.mu.Unlock()
	_ = listening.Unsubscribe() // fails if the connection is gone, and then it is deaf as well
	<-deaf                      // an answer may be under way
	n.store.cfg.Logger.Info("this node does not own a shard any more", "shard", n.shard, "epoch", j.epoch)
	j.outcome(ctx)
	for j.busy() {
		time.Sleep(time.Millisecond)
	}
	if err := j.log.Close(); err != nil {
		n.store.cfg.Logger.Warn("closing a journal failed", "stream", j.stream, "error", err)
	}
}
