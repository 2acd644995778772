package jetstream

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/jetstream/commit"
)

const (
	// factsStream holds the facts, each under factsPrefix and its key.
	factsStream = "FACTS"
	factsPrefix = "f."
	// goneFor is how long a cluster's stream remembers that a fact is gone.
	goneFor = "168h"
	// followEvery is how often a node of a cluster looks for facts that nobody told it of.
	followEvery = time.Second
)

// registry implements gateway.Registry on a stream of the store's account. On a single node that is a log: what is dead goes from its front, by whole
// blocks, once all that is alive was written again behind it, so that the group commit's promises hold. In a cluster the servers keep the last word on each key.
type registry struct {
	store *Store
	log   *commit.Log   // of a single node
	kick  chan struct{} // there may be something new

	// writing is held by who writes a fact, alone by who writes all of them again.
	writing sync.RWMutex

	written chan newFact  // by this node, to be taken in
	reading chan struct{} // full while somebody reads

	mu       sync.Mutex
	facts    map[string]fact
	next     uint64 // the first sequence that was not read
	first    uint64 // of the stream, of a single node
	watchers []*watcher

	commits sync.Mutex
	acked   []chan error
	sealed  []chan error
}

// fact is one that there is.
type fact struct {
	value    []byte
	revision uint64
}

type watcher struct {
	ctx context.Context
	fn  func(key string, value []byte, revision uint64)
}

// Registry is the store's. It may be used as long as that is open.
func (s *Store) Registry() gateway.Registry { return s.registry }

// openRegistry makes the stream of the facts, if it is not there, and reads it. In a cluster it waits for a majority. The manifest says
// from then on that it must be there.
func (s *Store) openRegistry(ctx context.Context, m *manifest) error {
	r := &registry{store: s, kick: make(chan struct{}, 1), written: make(chan newFact, writtenMost), reading: make(chan struct{}, 1), facts: make(map[string]fact), next: 1}
	if err := r.make(ctx, m.Registry); err != nil {
		return err
	}
	if s.cfg.Cluster == nil {
		dir := s.dirOf(factsStream)
		var err error
		if r.log, err = s.committer.Add(dir, r); err != nil {
			return fmt.Errorf("watching %s: %w", dir, err)
		}
	} else if _, err := s.publish.Subscribe(factsNews, func(*nats.Msg) { r.look() }); err != nil {
		return fmt.Errorf("listening to the other nodes: %w", err)
	}
	for {
		if why := s.cfg.Server.Broken(factsStream); why != "" {
			return &DamageError{Stream: factsStream, What: why}
		}
		err := r.catchUp(ctx)
		if err == nil {
			s.registry = r
			if m.Registry {
				return nil
			}
			m.Registry = true
			return m.write(s.cfg.Dir)
		}
		if damage := (*DamageError)(nil); errors.As(err, &damage) || s.cfg.Cluster == nil {
			return err
		}
		if pause(ctx, lookAgain) != nil {
			return fmt.Errorf("reading the registry: %w", err)
		}
	}
}

// make finds the stream or makes it. known: it must be there.
func (r *registry) make(ctx context.Context, known bool) error {
	js, err := jetstream.New(r.store.publish)
	if err != nil {
		return err
	}
	config := jetstream.StreamConfig{
		Name:        factsStream,
		Description: "registry; written by Sluice alone",
		Subjects:    []string{factsPrefix + ">"},
		Storage:     jetstream.FileStorage,
		Retention:   jetstream.LimitsPolicy,
		Discard:     jetstream.DiscardNew,
		Replicas:    1,
		AllowDirect: true,
		MaxMsgs:     -1, MaxBytes: -1, MaxMsgSize: -1, MaxMsgsPerSubject: -1, MaxConsumers: -1,
	}
	if c := r.store.cfg.Cluster; c != nil {
		config.Replicas, config.MaxMsgsPerSubject, config.AllowMsgTTL = c.Replicas, 1, true
	}
	for {
		within, cancel := context.WithTimeout(ctx, answerWithin)
		_, err := js.Stream(within, factsStream)
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			if known {
				cancel()
				return &DamageError{Stream: factsStream, What: "it is gone, or its metadata cannot be read"}
			}
			if _, err = js.CreateStream(within, config); err == nil && r.store.cfg.Cluster == nil {
				err = r.store.committer.SyncAll()
			}
		}
		cancel()
		if err == nil {
			return nil
		}
		if r.store.cfg.Cluster == nil {
			return fmt.Errorf("making stream %s: %w", factsStream, err)
		}
		if pause(ctx, lookAgain) != nil {
			return fmt.Errorf("making stream %s: %w", factsStream, err)
		}
	}
}

// run follows the stream until ctx ends.
func (r *registry) run(ctx context.Context) {
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.kick:
		case w := <-r.written:
			if r.follows(w) {
				continue
			}
		case <-tick.C:
			if r.store.cfg.Cluster == nil {
				continue // nobody else writes
			}
		}
		if err := r.catchUp(ctx); err != nil && ctx.Err() == nil {
			r.store.cfg.Logger.Debug("following the registry failed, it is tried again", "error", err)
		}
	}
}

// look has it look for something new.
func (r *registry) look() {
	select {
	case r.kick <- struct{}{}:
	default:
	}
}

// CatchUp implements gateway.Registry.
func (r *registry) CatchUp(ctx context.Context) error {
	for {
		err := r.catchUp(ctx)
		if err == nil {
			return nil
		}
		if pause(ctx, lookAgain) != nil {
			return fmt.Errorf("reading the registry: %w", err)
		}
	}
}

// Watch implements gateway.Registry.
func (r *registry) Watch(ctx context.Context, fn func(key string, value []byte, revision uint64)) error {
	if err := r.CatchUp(ctx); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, key := range r.inOrder() {
		fn(key, r.facts[key].value, r.facts[key].revision)
	}
	r.forgetWatchers()
	r.watchers = append(r.watchers, &watcher{ctx, fn})
	return nil
}

// forgetWatchers forgets those who have ended. The lock is held.
func (r *registry) forgetWatchers() {
	r.watchers = slices.DeleteFunc(r.watchers, func(w *watcher) bool { return w.ctx.Err() != nil })
}

// inOrder are the keys of all facts by their revisions. The lock is held.
func (r *registry) inOrder() []string {
	return slices.SortedFunc(maps.Keys(r.facts), func(a, b string) int { return cmp.Compare(r.facts[a].revision, r.facts[b].revision) })
}

// take takes in what the stream holds at a sequence, and tells the watchers. The lock is held.
func (r *registry) take(seq uint64, record []byte) error {
	if seq < r.next {
		return nil
	}
	f, err := decodeFact(record)
	if err != nil {
		return &DamageError{Stream: factsStream, What: fmt.Sprintf("record %d cannot be read", seq)}
	}
	r.next = seq + 1
	switch f.op {
	case factAll: // what was not written again is from before
		maps.DeleteFunc(r.facts, func(_ string, old fact) bool { return old.revision < f.since })
		return nil
	case factGone:
		delete(r.facts, f.key)
		f.value = nil
	default:
		r.facts[f.key] = fact{f.value, seq}
	}
	r.forgetWatchers()
	for _, w := range r.watchers {
		w.fn(f.key, f.value, seq)
	}
	return nil
}
