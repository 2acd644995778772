package courier

import (
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-mq/sluice/protocols/pubsub/lead"
	"github.com/sluice-mq/sluice/protocols/pubsub/resource"
)

const (
	// leadEvery is how often a node looks which routes it leads.
	leadEvery = 250 * time.Millisecond
	// restEvery is how far apart two looks are at least, however often routes change.
	restEvery = 50 * time.Millisecond
)

// Courier runs the routes that this node leads. All methods may be called concurrently; Run is called once.
type Courier struct {
	cfg Config

	mu      sync.Mutex
	workers map[job]*worker

	copies, refused atomic.Uint64
}

// New makes a courier, which does nothing until Run.
func New(cfg Config) (*Courier, error) {
	cfg, err := cfg.complete()
	if err != nil {
		return nil, err
	}
	return &Courier{cfg: cfg, workers: make(map[job]*worker)}, nil
}

// Run runs routes until ctx ends. Copies under way then have the Grace to end; after it none is.
func (c *Courier) Run(ctx context.Context) error {
	tick := time.NewTicker(leadEvery)
	defer tick.Stop()
	for {
		all, changed := c.cfg.Directory.Routed()
		c.assign(all, c.cfg.Nodes())
		select {
		case <-ctx.Done():
			c.finish()
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

// job is what a worker does: a route, and the log that it copies from.
type job struct{ route, log string }

func jobOf(r resource.RoutedTopic) job { return job{r.ID, r.Of.ID} }

// assign begins to run the routes that this node leads, and ends the rest.
func (c *Courier) assign(all []resource.RoutedTopic, nodes []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	known, mine := make(map[job]struct{}), make(map[job]struct{})
	leads := slices.Contains(nodes, c.cfg.Node)
	for _, r := range all {
		j := jobOf(r)
		known[j] = struct{}{}
		if !leads || lead.Leader(r.ID, nodes) != c.cfg.Node {
			continue
		}
		mine[j] = struct{}{}
		if w := c.workers[j]; w == nil || w.over() {
			c.workers[j] = c.begin(r)
		}
	}
	for j, w := range c.workers {
		if _, ok := known[j]; !ok {
			w.abandon() // nobody wants what is under way
		}
		if _, ok := mine[j]; !ok {
			if w.leave(); w.over() {
				delete(c.workers, j)
			}
		}
	}
}

// begin starts a worker. The lock is held.
func (c *Courier) begin(r resource.RoutedTopic) *worker {
	w := newWorker(c, r)
	go func() { // waited for by finish, and by whoever takes the worker out
		defer close(w.ended)
		w.run()
	}()
	return w
}

// finish ends all workers.
func (c *Courier) finish() {
	c.mu.Lock()
	all := make([]*worker, 0, len(c.workers))
	for _, w := range c.workers {
		w.leave()
		all = append(all, w)
	}
	c.mu.Unlock()
	late := time.AfterFunc(c.cfg.Grace, func() {
		for _, w := range all {
			w.abandon()
		}
	})
	defer late.Stop()
	for _, w := range all {
		<-w.ended
	}
}

// Stats is a cheap snapshot.
type Stats struct {
	// Copies were made since the start, and of Refused messages some could not be.
	Copies, Refused uint64
	// Lags are those of the routes that this node leads, in the order of their names.
	Lags []Lag
}

// Lag is how many messages a route has not copied yet, as it knows.
type Lag struct {
	Route    string
	Messages uint64
}

// Stats returns what was done.
func (c *Courier) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := Stats{Copies: c.copies.Load(), Refused: c.refused.Load()}
	for _, w := range c.workers {
		at := w.copier.State()
		s.Lags = append(s.Lags, Lag{w.route.Name.String(), max(at.End, at.Next) - at.Next})
	}
	slices.SortFunc(s.Lags, func(a, b Lag) int { return strings.Compare(a.Route, b.Route) })
	return s
}
