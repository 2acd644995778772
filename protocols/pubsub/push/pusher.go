package push

import (
	"context"
	"crypto/tls"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/sluice-mq/sluice/protocols/pubsub/lead"
	"github.com/sluice-mq/sluice/protocols/pubsub/resource"
)

const (
	// leadEvery is how often a node looks which subscriptions it leads.
	leadEvery = 250 * time.Millisecond
	// restEvery is how far apart two looks are at least, however often subscriptions change.
	restEvery = 50 * time.Millisecond
)

// Pusher pushes what this node leads. All methods may be called concurrently; Run is called once.
type Pusher struct {
	cfg    Config
	client atomic.Pointer[http.Client]
	memory *semaphore.Weighted

	mu      sync.Mutex
	workers map[string]*worker // by the subscription's ID
	gates   map[string]*gate   // by the endpoint's host

	pushes, failures, messages atomic.Uint64
}

// New makes a pusher, which does nothing until Run.
func New(cfg Config) (*Pusher, error) {
	cfg, err := cfg.complete()
	if err != nil {
		return nil, err
	}
	p := &Pusher{
		cfg: cfg, memory: semaphore.NewWeighted(cfg.Memory),
		workers: make(map[string]*worker), gates: make(map[string]*gate),
	}
	p.Reach(cfg.PrivateAddresses, cfg.AllowedNetworks, cfg.TLS)
	return p, nil
}

// Reach says anew where pushes may go, and whose certificates are trusted there, as a Config does. It counts for pushes that begin later.
func (p *Pusher) Reach(private bool, allowed []netip.Prefix, trust *tls.Config) {
	if old := p.client.Swap(newClient(newGuard(private, allowed), trust)); old != nil {
		old.CloseIdleConnections()
	}
}

// Run pushes until ctx ends. Pushes under way then have the Grace to end; after it none is.
func (p *Pusher) Run(ctx context.Context) error {
	tick := time.NewTicker(leadEvery)
	defer tick.Stop()
	for {
		all, changed := p.cfg.Directory.Pushed()
		p.assign(all, p.cfg.Nodes())
		select {
		case <-ctx.Done():
			p.finish()
			return ctx.Err()
		case <-tick.C:
		case <-changed:
			select { // more are changing, perhaps
			case <-time.After(restEvery):
			case <-ctx.Done():
			}
		}
	}
}

// job is what a worker does. One that is to do something else is another worker.
type job struct {
	id, log string // of the subscription, and of its topic
	push    resource.Push
}

func jobOf(s resource.PushedSubscription) job { return job{s.ID, s.Of.ID, s.Push} }

// assign begins to push what this node leads, and ends the rest.
func (p *Pusher) assign(all []resource.PushedSubscription, nodes []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	mine := make(map[string]struct{}, len(p.workers))
	leads := slices.Contains(nodes, p.cfg.Node)
	for _, s := range all {
		w := p.workers[s.ID]
		if w != nil && w.job != jobOf(s) {
			w.abandon() // nobody wants what is under way
		}
		if !leads || lead.Leader(s.ID, nodes) != p.cfg.Node {
			continue
		}
		mine[s.ID] = struct{}{}
		if w == nil || w.over() {
			p.workers[s.ID] = p.begin(s)
		}
	}
	known := make(map[string]struct{}, len(all))
	for _, s := range all {
		known[s.ID] = struct{}{}
	}
	for id, w := range p.workers {
		if _, ok := mine[id]; ok {
			continue
		}
		if _, ok := known[id]; ok {
			w.leave()
		} else {
			w.abandon()
		}
		if w.over() {
			delete(p.workers, id)
		}
	}
}

// begin starts a worker. The lock is held.
func (p *Pusher) begin(s resource.PushedSubscription) *worker {
	w := newWorker(p, s)
	host := hostOf(&s.Push)
	g := p.gates[host]
	if g == nil {
		g = &gate{slots: make(chan struct{}, p.cfg.PerEndpoint)}
		p.gates[host] = g
	}
	g.users++
	w.gate = g
	go func() { // waited for by finish, and by whoever takes the worker out
		defer close(w.ended)
		w.run()
		p.mu.Lock()
		defer p.mu.Unlock()
		if g.users--; g.users == 0 {
			delete(p.gates, host)
		}
	}()
	return w
}

// finish ends all workers.
func (p *Pusher) finish() {
	p.mu.Lock()
	all := make([]*worker, 0, len(p.workers))
	for _, w := range p.workers {
		w.leave()
		all = append(all, w)
	}
	p.mu.Unlock()
	late := time.AfterFunc(p.cfg.Grace, func() {
		for _, w := range all {
			w.abandon()
		}
	})
	defer late.Stop()
	for _, w := range all {
		<-w.ended
	}
	p.client.Load().CloseIdleConnections()
}

// gate bounds the pushes to one host.
type gate struct {
	slots chan struct{}
	users int
}

// Verify asks an endpoint whether it wants what a subscription would push to it: whether it shows the hash. The error's text is for the client.
func (p *Pusher) Verify(ctx context.Context, endpoint, hash string) error {
	ctx, cancel := context.WithTimeout(ctx, p.cfg.Timeout)
	defer cancel()
	return verify(ctx, p.client.Load(), endpoint, hash)
}

// Status says how it goes with a subscription's pushes, on whichever node they are made.
func (p *Pusher) Status(s *resource.Subscription) string {
	if state := p.cfg.Directory.PushState(s); state != nil && state.Fault != "" {
		return time.UnixMicro(state.Since).UTC().Format("2006-01-02T15:04:05") + " - Could not send message, " + state.Fault
	}
	return "Subscription /projects/" + s.Project + "/subscriptions/" + s.Name.Name + " is currently active"
}

// Nodes are the nodes that push.
func (p *Pusher) Nodes() []string { return p.cfg.Nodes() }

// Stats is a cheap snapshot.
type Stats struct {
	// Leads is how many subscriptions this node pushes. Pushes went well, Failures did not, Messages were in the Pushes.
	Leads                      int
	Pushes, Failures, Messages uint64
}

// Stats returns what was done since the start.
func (p *Pusher) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return Stats{Leads: len(p.workers), Pushes: p.pushes.Load(), Failures: p.failures.Load(), Messages: p.messages.Load()}
}
