package resource

import (
	"context"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/route"
)

const (
	routeKeys  = "pubsub/route/"
	placeKeys  = "pubsub/copied/"
	mostRoutes = 200
)

// Route copies messages of a topic to others of its project. It never changes: one that is made again is another one.
type Route struct {
	Origin
	Name `json:"-"`
	route.Spec
	// Topic is the name of the one that it copies from; it may be gone.
	Topic string `json:"topic"`
	// DeadLetters is the name of the topic of messages that could not be copied; empty: they are passed over.
	DeadLetters string `json:"dead_letters,omitempty"`
	// Log is that of the topic when the route was made, and Start the first offset that it copies of it.
	Log   string `json:"log"`
	Start uint64 `json:"start"`
	Owner string `json:"project"`

	rule *route.Rule
}

// Rule is what it does with messages; nil if it cannot be read: another version of the software has made it.
func (r *Route) Rule() *route.Rule { return r.rule }

// RouteProgress is how far a route is.
type RouteProgress struct {
	// Route and Log are the IDs of those that it is of.
	Route string `json:"route"`
	Log   string `json:"log"`
	route.Progress

	revision uint64
}

// RoutedTopic is a route that has something to copy from.
type RoutedTopic struct {
	*Route
	Of *Topic
}

// takeRoute keeps what a fact says of a route.
func (d *Directory) takeRoute(n Name, value []byte, revision uint64) error {
	d.restate()
	return takeIn(d.routes, n, value, func(r *Route) {
		r.Name, r.revision = n, revision
		var err error
		if r.rule, err = route.Parse(r.Spec); err != nil {
			d.cfg.Logger.Error("a route cannot be read, and stands still", "route", n.String(), "error", err)
		}
	})
}

// Route finds a route; nil if there is none.
func (d *Directory) Route(ctx context.Context, n Name) *Route {
	return seek(ctx, d, func() *Route { return d.routes[n] })
}

// Stands reports whether a route is still there.
func (d *Directory) Stands(r *Route) bool {
	d.mu.RLock()
	defer d.mu.RUnlock()
	now := d.routes[r.Name]
	return now != nil && now.ID == r.ID
}

// RoutesOf are a project's routes, the newest first.
func (d *Directory) RoutesOf(project string) []*Route {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return ofProject(d.routes, project, func(r *Route) *Origin { return &r.Origin })
}

// Routed are the routes that have something to copy from, in no order, and what is closed when there may be others.
func (d *Directory) Routed() (all []RoutedTopic, changed <-chan struct{}) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	for _, r := range d.routes {
		if t := d.topics[Name{r.Project, r.Topic}]; t != nil && r.rule != nil {
			all = append(all, RoutedTopic{r, t})
		}
	}
	return all, d.restated
}

// CreateRoute makes a route. Errors are of kind NotFound if the topic is not the one whose log it has, Conflict if there is one of that name, Invalid if messages would go in a
// circle, Limit if the project has too many.
func (d *Directory) CreateRoute(ctx context.Context, r Route, by string) (*Route, error) {
	r.Origin = d.origin(by)
	var err error
	if r.rule, err = route.Parse(r.Spec); err != nil {
		return nil, err
	}
	return &r, d.change(ctx, func() (string, any, uint64, error) {
		p, t := d.projects[r.Project], d.topics[Name{r.Project, r.Topic}]
		switch {
		case d.routes[r.Name] != nil:
			return "", nil, 0, errThere
		case p == nil || t == nil || t.ID != r.Log:
			return "", nil, 0, errGone
		case d.leadsBack(&r):
			return "", nil, 0, gateway.Errorf(gateway.Invalid, "messages would come back to topic %s", r.Topic)
		case d.routesIn(r.Project) >= mostRoutes:
			return "", nil, 0, gateway.Errorf(gateway.Limit, "a project may have %d routes", mostRoutes)
		}
		r.Owner = p.ID
		return routeKeys + r.Name.String(), &r, 0, nil
	})
}

func (d *Directory) routesIn(project string) (n int) {
	for name := range d.routes {
		if name.Project == project {
			n++
		}
	}
	return n
}

// leadsBack reports whether messages that a route copies would come back to where they come from, as far as the names of targets can be known. The lock is held.
func (d *Directory) leadsBack(r *Route) bool {
	next := make(map[string][]string) // by topic
	for n, other := range d.routes {
		if n.Project == r.Project && other.rule != nil {
			next[other.Topic] = append(next[other.Topic], other.leadsTo()...)
		}
	}
	seen := make(map[string]struct{})
	for queue := r.leadsTo(); len(queue) > 0; queue = queue[1:] {
		if queue[0] == r.Topic {
			return true
		}
		if _, twice := seen[queue[0]]; !twice {
			seen[queue[0]] = struct{}{}
			queue = append(queue, next[queue[0]]...)
		}
	}
	return false
}

// leadsTo are the topics of a route that are the same for all messages.
func (r *Route) leadsTo() []string {
	all := r.rule.Constants()
	if r.DeadLetters != "" {
		all = append(all, r.DeadLetters)
	}
	return all
}

// DeleteRoute ends a route. The Error is of kind NotFound if there is none.
func (d *Directory) DeleteRoute(ctx context.Context, n Name) error {
	err := d.change(ctx, func() (string, any, uint64, error) {
		r := d.routes[n]
		if r == nil {
			return "", nil, 0, errGone
		}
		return routeKeys + n.String(), nil, r.revision, nil
	})
	if err != nil {
		return err
	}
	err = d.change(ctx, func() (string, any, uint64, error) { // what stays behind is nobody's
		p := d.progress[n]
		if p == nil {
			return "", nil, 0, errGone
		}
		return placeKeys + n.String(), nil, p.revision, nil
	})
	if gateway.KindOf(err) == gateway.NotFound {
		return nil
	}
	return err
}

// ProgressOf is how far a route is in the log of its topic.
func (d *Directory) ProgressOf(r *Route, t *Topic) RouteProgress {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.progressOf(r, t)
}

// progressOf is ProgressOf with the lock held. In a log that the route does not know, it begins at the front.
func (d *Directory) progressOf(r *Route, t *Topic) RouteProgress {
	p := RouteProgress{Route: r.ID, Log: t.ID}
	stored := d.progress[r.Name]
	if stored != nil {
		p.revision = stored.revision
	}
	if stored == nil || stored.Route != r.ID {
		if r.Log == t.ID {
			p.Next = r.Start
		}
		return p
	}
	p.Progress = stored.Progress
	if stored.Log != t.ID {
		p.Next = 0
	}
	return p
}

// MoveRoute has the progress of a route changed, if change reports that there is something to write; it may be called more than once. The Error is of kind NotFound if the
// route is gone, or its topic has another log: one that was made again is another one.
func (d *Directory) MoveRoute(ctx context.Context, r *Route, t *Topic, change func(p *route.Progress) bool) error {
	err := d.change(ctx, func() (string, any, uint64, error) {
		now, of := d.routes[r.Name], d.topics[t.Name]
		if now == nil || now.ID != r.ID || of == nil || of.ID != t.ID {
			return "", nil, 0, errGone
		}
		p := d.progressOf(r, t)
		if !change(&p.Progress) {
			return "", nil, 0, errIdle
		}
		return placeKeys + r.Name.String(), &p, p.revision, nil
	})
	if err == errIdle {
		return nil
	}
	return err
}

// MissingTopics are those that are not there; it is looked once more if another node may have made them.
func (d *Directory) MissingTopics(ctx context.Context, names []string) (map[string]struct{}, error) {
	missing := d.missing(names)
	if len(missing) == 0 || !d.cfg.Shared {
		return missing, nil
	}
	if err := d.look(ctx, lookEvery); err != nil {
		return nil, gateway.WrapError(gateway.Unavailable, err, "it is not known which topics there are")
	}
	return d.missing(names), nil
}

func (d *Directory) missing(names []string) map[string]struct{} {
	d.mu.RLock()
	defer d.mu.RUnlock()
	missing := make(map[string]struct{})
	for _, n := range names {
		if d.topics[named(n)] == nil {
			missing[n] = struct{}{}
		}
	}
	return missing
}
