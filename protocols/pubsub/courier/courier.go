package courier

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/sluice-mq/sluice/protocols/pubsub/lead"
	"github.com/sluice-mq/sluice/protocols/pubsub/resource"
)

// Courier runs the routes that this node leads. All methods may be called concurrently; Run is called once.
type Courier struct {
	cfg  Config
	crew lead.Crew[resource.RoutedTopic, string, *worker]

	copies, refused atomic.Uint64
}

// New makes a courier, which does nothing until Run.
func New(cfg Config) (*Courier, error) {
	cfg, err := cfg.complete()
	if err != nil {
		return nil, err
	}
	c := &Courier{cfg: cfg}
	c.crew.Node, c.crew.Nodes, c.crew.Grace, c.crew.Look = cfg.Node, cfg.Nodes, cfg.Grace, cfg.Directory.Routed
	c.crew.Job = func(r resource.RoutedTopic) (id, log string) { return r.ID, r.Of.ID }
	c.crew.New = func(r resource.RoutedTopic) *worker { return newWorker(c, r) }
	return c, nil
}

// Run runs routes until ctx ends. Copies under way then have the Grace to end; after it none is.
func (c *Courier) Run(ctx context.Context) error { return c.crew.Run(ctx) }

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
	s := Stats{Copies: c.copies.Load(), Refused: c.refused.Load()}
	for _, w := range c.crew.Workers() {
		at := w.copier.State()
		s.Lags = append(s.Lags, Lag{w.route.Name.String(), max(at.End, at.Next) - at.Next})
	}
	slices.SortFunc(s.Lags, func(a, b Lag) int { return strings.Compare(a.Route, b.Route) })
	return s
}
