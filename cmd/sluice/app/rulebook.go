package app

import (
	"context"
	"fmt"
	"log/slog"
	"sync"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/policy"
)

// policyFact is the fact with the policies that were set while running, a list in YAML as under policies.
const policyFact = "policies"

// rulebook has the policies in force: those that were set while running, which all nodes know, before those of the configuration.
type rulebook struct {
	registry gateway.Registry
	log      *slog.Logger
	stop     context.CancelFunc
	stopped  sync.WaitGroup
	// news says that heard is newer than inForce.
	news chan struct{}

	// applying is held by who puts policies in force.
	applying sync.Mutex
	apply    func(*policy.Table)

	mu                  sync.Mutex
	running, configured []Policy
	heard, inForce      uint64        // revisions of the fact
	changed             chan struct{} // closed when inForce grows
}

// openRulebook reads what was set while running, and follows it. It gives up when ctx ends.
func openRulebook(ctx context.Context, registry gateway.Registry, configured []Policy, log *slog.Logger) (*rulebook, error) {
	b := &rulebook{registry: registry, configured: configured, log: log, news: make(chan struct{}, 1), changed: make(chan struct{})}
	watching, stop := context.WithCancel(context.Background())
	b.stop = stop
	defer context.AfterFunc(ctx, stop)()
	if err := registry.Watch(watching, b.hear); err != nil {
		stop()
		return nil, fmt.Errorf("the policies that were set while running: %w", err)
	}
	b.inForce = b.heard
	return b, nil
}

// hear takes in what the registry has. It does not wait for anybody: the registry is held up by it.
func (b *rulebook) hear(key string, value []byte, revision uint64) {
	if key != policyFact {
		return
	}
	running, err := readPolicies("policies", value)
	b.mu.Lock()
	if err == nil {
		b.running = running
	}
	b.heard = revision
	b.mu.Unlock()
	if err != nil {
		b.log.Error("the policies that were set while running are not understood by this node; those before stay in force", "error", err)
	}
	select {
	case b.news <- struct{}{}:
	default:
	}
}

// table is that of the policies in force.
func (b *rulebook) table() *policy.Table {
	all, _ := b.all()
	return table(all)
}

// all are the policies in force, in order; the first so many were set while running.
func (b *rulebook) all() (all []Policy, running int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append(append([]Policy(nil), b.running...), b.configured...), len(b.running)
}

// serve has apply put tables in force from now on, whenever they change.
func (b *rulebook) serve(apply func(*policy.Table)) {
	b.apply = apply
	watching, stop := context.WithCancel(context.Background())
	unwatch := b.stop
	b.stop = func() { unwatch(); stop() }
	b.stopped.Go(func() {
		for {
			select {
			case <-watching.Done():
				return
			case <-b.news:
			}
			b.mu.Lock()
			late := b.heard > b.inForce
			b.mu.Unlock()
			if late {
				b.renew()
			}
		}
	})
}

// close ends serve.
func (b *rulebook) close(context.Context) error {
	b.stop()
	b.stopped.Wait()
	return nil
}

// configure replaces the policies of the configuration.
func (b *rulebook) configure(policies []Policy) {
	b.mu.Lock()
	b.configured = policies
	b.mu.Unlock()
	b.renew()
}

// renew puts in force what there is.
func (b *rulebook) renew() {
	b.applying.Lock()
	defer b.applying.Unlock()
	b.mu.Lock()
	heard := b.heard
	b.mu.Unlock()
	b.apply(b.table())
	b.mu.Lock()
	b.inForce = max(b.inForce, heard)
	close(b.changed)
	b.changed = make(chan struct{})
	b.mu.Unlock()
}

// set has all nodes follow other policies, given as text that readPolicies reads, before those of their configurations; nil is none. It returns when they are in
// force on this node.
func (b *rulebook) set(ctx context.Context, text []byte) error {
	revision, err := b.registry.Put(ctx, policyFact, text)
	if err != nil {
		return err
	}
	for {
		b.mu.Lock()
		done, changed := b.inForce >= revision, b.changed
		b.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("it is written down and not yet in force here: %w", ctx.Err())
		}
	}
}
