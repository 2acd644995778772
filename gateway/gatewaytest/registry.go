package gatewaytest

import (
	"context"
	"maps"
	"slices"
	"sync"

	"github.com/sluice-mq/sluice/gateway"
)

// facts are what all registries of a disk share.
type facts struct {
	mu       sync.Mutex
	all      map[string]fact
	revision uint64
	watchers []*watcher
}

type fact struct {
	value    []byte
	revision uint64
}

// watcher hears of changes, one after another.
type watcher struct {
	registry *Registry
	ctx      context.Context
	fn       func(key string, value []byte, revision uint64)
	late     []func() // while it is held back
}

// Registry is a gateway.Registry in memory. Whoever changes a fact tells all watchers of all registries of the disk before it returns,
// unless theirs is held back.
type Registry struct {
	disk *Disk
	held bool // guarded by the facts' lock, as is what follows
	err  error
	// stalled: changes and watches take until their contexts end.
	stalled bool
}

// Registry opens the registry of a disk, for one broker.
func (d *Disk) Registry() *Registry { return &Registry{disk: d} }

// Hold keeps changes from the watchers of this registry until the returned function is called.
func (r *Registry) Hold() (goOn func()) {
	f := &r.disk.facts
	f.mu.Lock()
	defer f.mu.Unlock()
	r.held = true
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		r.held = false
		r.catchUp()
	}
}

// catchUp tells the watchers of this registry what was held back. The facts' lock is held.
func (r *Registry) catchUp() {
	for _, w := range r.disk.facts.watchers {
		if w.registry == r {
			for _, tell := range w.late {
				tell()
			}
			w.late = nil
		}
	}
}

// Break has changes fail from now on; nil mends it.
func (r *Registry) Break(err error) {
	r.disk.facts.mu.Lock()
	r.err = err
	r.disk.facts.mu.Unlock()
}

// Stall has changes, watches and whoever catches up take until their contexts end, as those of a node that has lost the others.
func (r *Registry) Stall(stalled bool) {
	r.disk.facts.mu.Lock()
	r.stalled = stalled
	r.disk.facts.mu.Unlock()
}

// await returns the error of who waited in vain.
func (r *Registry) await(ctx context.Context) error {
	r.disk.facts.mu.Lock()
	stalled := r.stalled
	r.disk.facts.mu.Unlock()
	if !stalled {
		return nil
	}
	<-ctx.Done()
	return ctx.Err()
}

// Put implements gateway.Registry.
func (r *Registry) Put(ctx context.Context, key string, value []byte) (uint64, error) {
	return r.change(ctx, key, slices.Clone(value), nil)
}

// Change implements gateway.Registry.
func (r *Registry) Change(ctx context.Context, key string, value []byte, since uint64) (uint64, error) {
	return r.change(ctx, key, slices.Clone(value), &since)
}

func (r *Registry) change(ctx context.Context, key string, value []byte, since *uint64) (uint64, error) {
	if err := gateway.ValidFact(key, value); err != nil {
		return 0, err
	}
	if err := r.await(ctx); err != nil {
		return 0, gateway.WrapError(gateway.Unavailable, err, "the registry cannot be written now")
	}
	f := &r.disk.facts
	f.mu.Lock()
	defer f.mu.Unlock()
	if r.err != nil {
		return 0, r.err
	}
	if since != nil && f.all[key].revision != *since {
		return 0, gateway.Errorf(gateway.Conflict, "the fact has changed")
	}
	f.revision++
	revision := f.revision
	if f.all == nil {
		f.all = make(map[string]fact)
	}
	if value == nil {
		delete(f.all, key)
	} else {
		f.all[key] = fact{value, revision}
	}
	f.watchers = slices.DeleteFunc(f.watchers, func(w *watcher) bool { return w.ctx.Err() != nil })
	for _, w := range f.watchers {
		tell := func() {
			if w.ctx.Err() == nil {
				w.fn(key, value, revision)
			}
		}
		if w.registry.held {
			w.late = append(w.late, tell)
		} else {
			tell()
		}
	}
	return revision, nil
}

// Watch implements gateway.Registry. What was held back is told first: nothing is missing when it returns.
func (r *Registry) Watch(ctx context.Context, fn func(key string, value []byte, revision uint64)) error {
	if err := r.await(ctx); err != nil {
		return err
	}
	f := &r.disk.facts
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	r.catchUp()
	for _, key := range slices.SortedFunc(maps.Keys(f.all), func(a, b string) int { return int(f.all[a].revision) - int(f.all[b].revision) }) {
		fn(key, f.all[key].value, f.all[key].revision)
	}
	f.watchers = append(f.watchers, &watcher{registry: r, ctx: ctx, fn: fn})
	return nil
}

// CatchUp implements gateway.Registry: what was held back is told.
func (r *Registry) CatchUp(ctx context.Context) error {
	if err := r.await(ctx); err != nil {
		return err
	}
	f := &r.disk.facts
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	r.catchUp()
	return nil
}

var _ gateway.Registry = (*Registry)(nil)
