package push

import (
	"context"
	"crypto/tls"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/sluice-mq/sluice/protocols/pubsub/lead"
	"github.com/sluice-mq/sluice/protocols/pubsub/resource"
)

// Pusher pushes what this node leads. All methods may be called concurrently; Run is called once.
type Pusher struct {
	cfg    Config
	client atomic.Pointer[http.Client]
	memory *semaphore.Weighted
	crew   lead.Crew[resource.PushedSubscription, job, *worker]

	mu    sync.Mutex
	gates map[string]*gate // by the endpoint's host

	pushes, failures, messages atomic.Uint64
}

// New makes a pusher, which does nothing until Run.
func New(cfg Config) (*Pusher, error) {
	cfg, err := cfg.complete()
	if err != nil {
		return nil, err
	}
	p := &Pusher{cfg: cfg, memory: semaphore.NewWeighted(cfg.Memory), gates: make(map[string]*gate)}
	p.crew.Node, p.crew.Nodes, p.crew.Grace, p.crew.Look = cfg.Node, cfg.Nodes, cfg.Grace, cfg.Directory.Pushed
	p.crew.Job = func(s resource.PushedSubscription) (id string, what job) { return s.ID, job{s.Of.ID, s.Push} }
	p.crew.New = func(s resource.PushedSubscription) *worker { return newWorker(p, s) }
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
	err := p.crew.Run(ctx)
	p.client.Load().CloseIdleConnections()
	return err
}

// job is what a worker does. One that is to do something else is another worker.
type job struct {
	log  string // of the subscription's topic
	push resource.Push
}

// enter returns the gate of a host, until it is left.
func (p *Pusher) enter(host string) (g *gate, leave func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if g = p.gates[host]; g == nil {
		g = &gate{slots: make(chan struct{}, p.cfg.PerEndpoint)}
		p.gates[host] = g
	}
	g.users++
	return g, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if g.users--; g.users == 0 {
			delete(p.gates, host)
		}
	}
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
	return Stats{Leads: len(p.crew.Workers()), Pushes: p.pushes.Load(), Failures: p.failures.Load(), Messages: p.messages.Load()}
}
