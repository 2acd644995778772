package courier

import (
	"context"
	"time"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/route"
	"github.com/sluice-mq/sluice/protocols/pubsub/lead"
	"github.com/sluice-mq/sluice/protocols/pubsub/resource"
	"github.com/sluice-mq/sluice/protocols/pubsub/wire"
)

// worker runs one route. It is what its Copier needs of the world.
type worker struct {
	*lead.Task
	c       *Courier
	route   *resource.Route
	of      *resource.Topic
	copier  *route.Copier
	session gateway.Session // nil while there is none
	counted route.State
}

func newWorker(c *Courier, r resource.RoutedTopic) *worker {
	w := &worker{Task: lead.NewTask(), c: c, route: r.Route, of: r.Of}
	cfg := route.Config{
		ID: r.ID, Name: r.Route.Name.String(), From: r.Of.Name.String(), Log: r.Of.ID, Rule: r.Rule(), Kept: c.cfg.Kept,
		Logs: c.cfg.Logs, Session: w, Topics: w, Place: w, Now: c.cfg.Now,
	}
	if r.DeadLetters != "" {
		cfg.DeadLetters = resource.Name{Project: r.Route.Project, Name: r.DeadLetters}.String()
	}
	w.copier = route.New(cfg, c.cfg.Directory.ProgressOf(r.Route, r.Of).Next)
	return w
}

// Run implements lead.Worker: it copies. After something went wrong it begins with another session, a little later.
func (w *worker) Run() {
	if w.c.cfg.Arrivals != nil {
		stop := w.c.cfg.Arrivals(w.of.Name.String(), w.Wake)
		defer stop()
	}
	defer w.part()
	for pause, rest := leastPause, time.Duration(0); w.Await(rest); {
		idle, err := w.step()
		switch {
		case w.Context().Err() != nil:
			return
		case err != nil:
			w.c.cfg.Logger.Debug("a route could not copy, it tries again", "route", w.route.Name.String(), "error", err)
			w.close()
			if !w.Sleep(pause) {
				return
			}
			pause, rest = min(2*pause, mostPause), 0
		case idle:
			pause, rest = leastPause, w.c.cfg.Look
		default:
			pause, rest = leastPause, 0
		}
	}
}

// step copies a page, and opens the session for it. A route that was taken away copies nothing that comes later.
func (w *worker) step() (idle bool, err error) {
	if !w.c.cfg.Directory.Stands(w.route) {
		w.Abandon()
		return false, w.Context().Err()
	}
	if w.session == nil {
		if w.session, err = w.c.cfg.Open(w.Context()); err != nil {
			w.session = nil
			return false, err
		}
	}
	idle, err = w.copier.Step(w.Context())
	now := w.copier.State()
	w.c.copies.Add(now.Copies - w.counted.Copies)
	w.c.refused.Add(now.Refused - w.counted.Refused)
	w.counted = now
	return idle, err
}

// close closes the session.
func (w *worker) close() {
	if w.session != nil {
		w.session.Close()
		w.session = nil
	}
}

// part writes down how far the route is, so that whoever goes on repeats nothing.
func (w *worker) part() {
	w.close()
	ctx, cancel := context.WithTimeout(w.Context(), farewell)
	defer cancel()
	if err := w.copier.Keep(ctx); err != nil && gateway.KindOf(err) != gateway.NotFound && w.Context().Err() == nil {
		w.c.cfg.Logger.Warn("how far a route is could not be kept", "route", w.route.Name.String(), "error", err)
	}
}

// Commit implements route.Committer.
func (w *worker) Commit(tx *gateway.Transaction, c gateway.Completion, token uint64) {
	w.session.Commit(tx, c, token)
}

// Named implements route.Topics: targets are topics of the route's project.
func (w *worker) Named(name string) (topic string, ok bool) {
	return resource.Name{Project: w.route.Project, Name: name}.String(), wire.ValidName(name)
}

// Missing implements route.Topics.
func (w *worker) Missing(ctx context.Context, topics []string) (map[string]struct{}, error) {
	return w.c.cfg.Directory.MissingTopics(ctx, topics)
}

// Move implements route.Place.
func (w *worker) Move(ctx context.Context, change func(p *route.Progress) bool) error {
	return w.c.cfg.Directory.MoveRoute(ctx, w.route, w.of, change)
}
