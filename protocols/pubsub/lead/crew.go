package lead

import (
	"context"
	"slices"
	"sync"
	"time"
)

const (
	// lookEvery is how often a node looks what it leads.
	lookEvery = 250 * time.Millisecond
	// restEvery is how far apart two looks are at least, however often there is something else to do.
	restEvery = 50 * time.Millisecond
)

// Worker does one thing. It has a Task inside, and heeds it.
type Worker interface {
	// Run returns when nothing more is to be begun and nothing is under way.
	Run()
	task() *Task
}

// Crew is the workers of what a node leads. T is something to do, J what of it makes a worker another one when it changes, W a worker. The fields are set before Run;
// all methods may be called concurrently, Run is called once.
type Crew[T any, J comparable, W Worker] struct {
	// Node is this one's name. Nodes returns the names of those that are alive and do such things, as far as this one knows, itself among them; none: this one knows
	// nothing now, and does nothing.
	Node  string
	Nodes func() []string
	// Look returns what there is to do, on whichever node, and what is closed when that is something else.
	Look func() (all []T, changed <-chan struct{})
	// Job is the ID by which the leader is found, and what is to be done. There are no two workers of an ID on a node.
	Job func(T) (id string, job J)
	// New makes a worker, which does nothing until its Run.
	New func(T) W
	// Grace is what workers have to end when Run's context has.
	Grace time.Duration

	mu      sync.Mutex
	workers map[string]hired[J, W]
}

type hired[J comparable, W Worker] struct {
	job    J
	worker W
}

// Run has everything done that this node leads, until ctx ends. What is under way then has the Grace to end; after it nothing is.
func (c *Crew[T, J, W]) Run(ctx context.Context) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		all, changed := c.Look()
		c.assign(all, c.Nodes())
		select {
		case <-ctx.Done():
			c.finish()
			return ctx.Err()
		case <-tick.C:
		case <-changed:
			select { // more is changing, perhaps
			case <-time.After(restEvery):
			case <-ctx.Done():
			}
		}
	}
}

// assign begins what this node leads, and ends the rest: at once what is not to be done any more, and when it pleases what falls to another node now.
func (c *Crew[T, J, W]) assign(all []T, nodes []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.workers == nil {
		c.workers = make(map[string]hired[J, W])
	}
	leads := slices.Contains(nodes, c.Node)
	wanted, mine := make(map[string]J, len(all)), make(map[string]bool, len(c.workers))
	for _, t := range all {
		id, job := c.Job(t)
		wanted[id] = job
		if !leads || Leader(id, nodes) != c.Node {
			continue
		}
		mine[id] = true
		if h, ok := c.workers[id]; !ok || h.worker.task().over() {
			w := c.New(t)
			c.workers[id] = hired[J, W]{job, w}
			w.task().begin(w.Run)
		}
	}
	for id, h := range c.workers {
		t := h.worker.task()
		job, ok := wanted[id]
		switch {
		case !ok || job != h.job:
			t.Abandon()
		case !mine[id]:
			t.Leave()
		}
		if t.over() && !mine[id] {
			delete(c.workers, id)
		}
	}
}

// finish ends all workers.
func (c *Crew[T, J, W]) finish() {
	all := c.Workers()
	for _, w := range all {
		w.task().Leave()
	}
	late := time.AfterFunc(c.Grace, func() {
		for _, w := range all {
			w.task().Abandon()
		}
	})
	defer late.Stop()
	for _, w := range all {
		<-w.task().ended
	}
}

// Workers are those that there are now, in no order.
func (c *Crew[T, J, W]) Workers() []W {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := make([]W, 0, len(c.workers))
	for _, h := range c.workers {
		all = append(all, h.worker)
	}
	return all
}
