// Package facts follows the registry: what all nodes must know, how far each linked node does, and who waits for that.
package facts

import (
	"context"
	"sync"
	"time"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/completion"
)

const (
	// writeWithin is how long somebody waits for the registry.
	writeWithin = 5 * time.Second
	// knownMillis is for how long somebody waits until all nodes know of something.
	knownMillis = 1000
)

var errNoRegistry = gateway.Errorf(gateway.Unavailable, "this node keeps no subscriptions")

// Broker is who wants to know, and who speaks with the other nodes. Safe for concurrent use; it is not called with a lock held.
type Broker interface {
	// Learn takes in a fact, or its end if there is no value.
	Learn(key string, value []byte, revision uint64)
	// TellApplied tells a node up to which revision this one knows all.
	TellApplied(node string, revision uint64)
	// Now is the clock, in Unix milliseconds.
	Now() int64
}

// Facts are those of a registry, as this node knows them.
type Facts struct {
	broker   Broker
	registry gateway.Registry // nil if there is none

	mu      sync.Mutex
	applied uint64            // the last revision that this node knows
	nodes   map[string]uint64 // the same of those to which there are links
	waiting completion.Line   // until all linked nodes know of a revision
}

// New are the facts of a registry; nil has none, and takes none.
func New(b Broker, r gateway.Registry) *Facts {
	return &Facts{broker: b, registry: r, nodes: make(map[string]uint64)}
}

// Kept reports whether there is a registry.
func (k *Facts) Kept() bool { return k.registry != nil }

// Follow reads the registry as a whole, and has it tell what changes until life ends.
func (k *Facts) Follow(life context.Context) error {
	if k.registry == nil {
		return nil
	}
	return k.registry.Watch(life, k.learn)
}

// learn takes in a fact.
func (k *Facts) learn(key string, value []byte, revision uint64) {
	k.broker.Learn(key, value, revision)
	k.mu.Lock()
	k.applied = max(k.applied, revision)
	known := k.learned(k.broker.Now())
	applied := k.applied
	nodes := make([]string, 0, len(k.nodes))
	for n := range k.nodes {
		nodes = append(nodes, n)
	}
	k.mu.Unlock()
	for _, n := range nodes {
		k.broker.TellApplied(n, applied)
	}
	known.Tell()
}

// Up begins to wait for a node as well.
func (k *Facts) Up(node string) {
	if k.registry == nil {
		return
	}
	k.mu.Lock()
	k.nodes[node] = 0
	applied := k.applied
	k.mu.Unlock()
	k.broker.TellApplied(node, applied)
}

// Down waits for it no more.
func (k *Facts) Down(node string) {
	k.mu.Lock()
	delete(k.nodes, node)
	known := k.learned(k.broker.Now())
	k.mu.Unlock()
	known.Tell()
}

// Hear takes in what a node says that it knows.
func (k *Facts) Hear(node string, revision uint64) {
	k.mu.Lock()
	if before, linked := k.nodes[node]; linked {
		k.nodes[node] = max(before, revision)
	}
	known := k.learned(k.broker.Now())
	k.mu.Unlock()
	known.Tell()
}

// Await completes when this and all linked nodes know of a revision, at the latest after a second.
func (k *Facts) Await(revision uint64, c gateway.Completion, token uint64) {
	k.mu.Lock()
	now := k.broker.Now()
	k.waiting.Join(revision, now, c, token)
	known := k.learned(now)
	k.mu.Unlock()
	known.Tell()
}

// Awaited is Await for those who have a goroutine to wait with.
func (k *Facts) Awaited(ctx context.Context, revision uint64) {
	done := make(chan struct{})
	k.Await(revision, completion.Func(func(error) { close(done) }), 0)
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// Sweep lets those go on who have waited long enough.
func (k *Facts) Sweep(now int64) {
	k.mu.Lock()
	known := k.learned(now)
	k.mu.Unlock()
	known.Tell()
}

// learned takes those off the list whose fact is known everywhere, or who have waited long enough. The lock is held.
func (k *Facts) learned(now int64) completion.Served {
	if k.waiting.Empty() {
		return nil
	}
	everywhere := k.applied
	for _, r := range k.nodes {
		everywhere = min(everywhere, r)
	}
	return k.waiting.Leave(everywhere, now, knownMillis)
}

// Put writes a fact, and Delete takes one away; both return its revision. Errors: Unavailable, and those that the registry gives clients.
func (k *Facts) Put(ctx context.Context, key string, value []byte) (uint64, error) {
	if k.registry == nil {
		return 0, errNoRegistry
	}
	ctx, cancel := context.WithTimeout(ctx, writeWithin)
	defer cancel()
	return k.written(k.registry.Put(ctx, key, value))
}

// Delete is described at Put.
func (k *Facts) Delete(ctx context.Context, key string) (uint64, error) {
	if k.registry == nil {
		return 0, errNoRegistry
	}
	ctx, cancel := context.WithTimeout(ctx, writeWithin)
	defer cancel()
	return k.written(k.registry.Put(ctx, key, nil))
}

// written logs what could not be written, and tells the client what it may know of it.
func (k *Facts) written(revision uint64, err error) (uint64, error) {
	if err == nil || gateway.KindOf(err) != gateway.Internal {
		return revision, err
	}
	return 0, gateway.WrapError(gateway.Unavailable, err, "the subscription cannot be written down now")
}

// Known is announced when all nodes know of a revision.
type Known struct {
	Facts    *Facts
	Revision uint64
}

// Announced implements gateway.Announced.
func (f Known) Announced(c gateway.Completion, token uint64) { f.Facts.Await(f.Revision, c, token) }
