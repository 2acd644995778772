package core

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sluice-mq/sluice/gateway"
)

const (
	// feedKeys begin the keys of bindings.
	feedKeys = "feed/"
	// writeWithin is how long somebody waits for the registry.
	writeWithin = 5 * time.Second
)

var errNoRegistry = gateway.Errorf(gateway.Unavailable, "this node keeps no subscriptions")

// facts follows the registry: what all nodes must know, and which of it they do.
type facts struct {
	broker   *Broker
	registry gateway.Registry // nil if there is none

	mu      sync.Mutex
	applied uint64            // the last revision that this node knows
	nodes   map[string]uint64 // the same of those to which there are links
	waiting []unlearned
}

// unlearned waits until all linked nodes know of a revision.
type unlearned struct {
	revision uint64
	since    int64
	w        waiter
}

// follow reads the registry as a whole, and has it tell what changes until the broker is closed. It gives up when ctx ends.
func (k *facts) follow(ctx context.Context, b *Broker) error {
	k.broker, k.registry, k.nodes = b, b.cfg.Registry, make(map[string]uint64)
	if k.registry == nil {
		return nil
	}
	defer context.AfterFunc(ctx, b.stop)()
	return k.registry.Watch(b.watching, k.learn)
}

// learn takes in a fact.
func (k *facts) learn(key string, value []byte, revision uint64) {
	if strings.HasPrefix(key, feedKeys) {
		k.broker.topics.learn(key, value, revision)
	}
	if strings.HasPrefix(key, gateway.LogKeys) {
		k.broker.topics.logbook.learn(key, value != nil)
	}
	k.mu.Lock()
	k.applied = max(k.applied, revision)
	known := k.learned(k.broker.nowMillis())
	applied := k.applied
	nodes := make([]string, 0, len(k.nodes))
	for n := range k.nodes {
		nodes = append(nodes, n)
	}
	k.mu.Unlock()
	for _, n := range nodes {
		k.tell(n, applied)
	}
	tell(known)
}

func (k *facts) tell(node string, applied uint64) {
	k.broker.cfg.Cluster.Send(node, &gateway.Frame{Kind: gateway.FrameApplied, Seq: applied})
}

// up begins to wait for a node as well.
func (k *facts) up(node string) {
	if k.registry == nil {
		return
	}
	k.mu.Lock()
	k.nodes[node] = 0
	applied := k.applied
	k.mu.Unlock()
	k.tell(node, applied)
}

func (k *facts) down(node string) {
	k.mu.Lock()
	delete(k.nodes, node)
	known := k.learned(k.broker.nowMillis())
	k.mu.Unlock()
	tell(known)
}

// hear takes in what a node says that it knows.
func (k *facts) hear(node string, revision uint64) {
	k.mu.Lock()
	if before, linked := k.nodes[node]; linked {
		k.nodes[node] = max(before, revision)
	}
	known := k.learned(k.broker.nowMillis())
	k.mu.Unlock()
	tell(known)
}

// await completes when this and all linked nodes know of a revision, at the latest after a second.
func (k *facts) await(revision uint64, c gateway.Completion, token uint64) {
	k.mu.Lock()
	now := k.broker.nowMillis()
	k.waiting = append(k.waiting, unlearned{revision, now, waiter{c, token}})
	known := k.learned(now)
	k.mu.Unlock()
	tell(known)
}

// awaited is await for those who have a goroutine to wait with.
func (k *facts) awaited(ctx context.Context, revision uint64) {
	done := make(chan struct{})
	k.await(revision, doneFunc(func(error) { close(done) }), 0)
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// sweep lets those go on who have waited long enough.
func (k *facts) sweep(now int64) {
	k.mu.Lock()
	known := k.learned(now)
	k.mu.Unlock()
	tell(known)
}

// learned takes those off the list whose fact is known everywhere, or who have waited long enough. The lock is held.
func (k *facts) learned(now int64) (known []waiter) {
	if len(k.waiting) == 0 {
		return nil
	}
	everywhere := k.applied
	for _, r := range k.nodes {
		everywhere = min(everywhere, r)
	}
	k.waiting = slices.DeleteFunc(k.waiting, func(u unlearned) bool {
		over := u.revision <= everywhere || max(now-u.since, u.since-now) > announceMillis // the clock may be set back
		if over {
			known = append(known, u.w)
		}
		return over
	})
	return known
}

// put writes a fact, and delete takes one away.
func (k *facts) put(ctx context.Context, key string, value []byte) (uint64, error) {
	if k.registry == nil {
		return 0, errNoRegistry
	}
	ctx, cancel := context.WithTimeout(ctx, writeWithin)
	defer cancel()
	return k.written(k.registry.Put(ctx, key, value))
}

func (k *facts) delete(ctx context.Context, key string) (uint64, error) {
	if k.registry == nil {
		return 0, errNoRegistry
	}
	ctx, cancel := context.WithTimeout(ctx, writeWithin)
	defer cancel()
	return k.written(k.registry.Delete(ctx, key))
}

// written logs what could not be written, and tells the client what it may know of it.
func (k *facts) written(revision uint64, err error) (uint64, error) {
	if err == nil || gateway.KindOf(err) != gateway.Internal {
		return revision, err
	}
	return 0, gateway.WrapError(gateway.Unavailable, err, "the subscription cannot be written down now")
}

// factKnown is a subscription whose binding other nodes must know.
type factKnown struct {
	facts    *facts
	revision uint64
}

// Announced implements gateway.Announced.
func (f factKnown) Announced(c gateway.Completion, token uint64) { f.facts.await(f.revision, c, token) }
