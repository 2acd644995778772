package courier

import (
	"context"
	"sync"
	"time"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/route"
	"github.com/sluice-mq/sluice/protocols/pubsub/resource"
	"github.com/sluice-mq/sluice/protocols/pubsub/wire"
)

// worker runs one route. It is what its Copier needs of the world.
type worker struct {
	c       *Courier
	route   *resource.Route
	of      *resource.Topic
	copier  *route.Copier
	session gateway.Session // nil while there is none
	counted route.State

	// ctx ends with what is under way; left is closed when nothing more is to be begun, ended when nothing is under way.
	ctx     context.Context
	abandon context.CancelFunc
	once    sync.Once
	left    chan struct{}
	ended   chan struct{}
	woken   chan struct{}
}

func newWorker(c *Courier, r resource.RoutedTopic) *worker {
	w := &worker{c: c, route: r.Route, of: r.Of, left: make(chan struct{}), ended: make(chan struct{}), woken: make(chan struct{}, 1)}
	w.ctx, w.abandon = context.WithCancel(context.Background())
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

// leave has the worker begin nothing more.
func (w *worker) leave() { w.once.Do(func() { close(w.left) }) }

// over reports whether the worker has ended.
func (w *worker) over() bool {
	select {
	case <-w.ended:
		return true
	default:
		return false
	}
}

// wake says that there may be something to copy.
func (w *worker) wake() {
	select {
	case w.woken <- struct{}{}:
	default:
	}
}

// run copies until it is told not to. After something went wrong it begins with another session, a little later.
func (w *worker) run() {
	defer w.abandon()
	if w.c.cfg.Arrivals != nil {
		stop := w.c.cfg.Arrivals(w.of.Name.String(), w.wake)
		defer stop()
	}
	defer w.part()
	for pause, rest := leastPause, time.Duration(0); w.sleep(rest, w.woken); {
		idle, err := w.step()
		switch {
		case w.ctx.Err() != nil:
			return
		case err != nil:
			w.c.cfg.Logger.Debug("a route could not copy, it tries again", "route", w.route.Name.String(), "error", err)
			w.close()
			if !w.sleep(pause, nil) {
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
		w.abandon()
		return false, w.ctx.Err()
	}
	if w.session == nil {
		if w.session, err = w.c.cfg.Open(w.ctx); err != nil {
			w.session = nil
			return false, err
		}
	}
	idle, err = w.copier.Step(w.ctx)
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
	ctx, cancel := context.WithTimeout(w.ctx, farewell)
	defer cancel()
	if err := w.copier.Keep(ctx); err != nil && gateway.KindOf(err) != gateway.NotFound && w.ctx.Err() == nil {
		w.c.cfg.Logger.Warn("how far a route is could not be kept", "route", w.route.Name.String(), "error", err)
	}
}

// sleep waits for so long, or until it is woken; it returns false if nothing more is to be begun.
func (w *worker) sleep(d time.Duration, woken <-chan struct{}) bool {
	select {
	case <-w.left:
		return false
	case <-w.ctx.Done():
		return false
	default:
	}
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-woken:
	case <-w.left:
		return false
	case <-w.ctx.Done():
		return false
	}
	return true
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
