package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/sluice-mq/sluice/protocols/stomp/bench"
)

// entry is a scenario of the report. Messages are at least so many, fewer than the scenario's own
// where a broker would take minutes; a broker that is quicker gets more, so that a run takes a while.
type entry struct {
	name, words string
	messages    int
}

var plan = []entry{
	{"persistent", "queue, 1 producer, 1 consumer, one receipt at the end", 100_000},
	{"persistent-window-256", "the same, up to 256 receipts outstanding", 50_000},
	{"persistent-10-producers-window-1", "10 producers, one receipt outstanding each", 50_000},
	{"persistent-window-1", "1 producer, one receipt outstanding", 10_000},
	{"persistent-window-1-auto", "the same, the consumer's acknowledgement automatic", 10_000},
	{"persistent-10-to-10", "10 producers, 10 consumers, one queue", 100_000},
	{"persistent-100-queues", "100 queues, each 1 producer and 1 consumer", 200_000},
	{"persistent-1000-queues", "1,000 queues over 10 + 10 connections, acknowledgement automatic", 100_000},
	{"non-persistent", "queue, 1 producer, 1 consumer, non-persistent", 300_000},
	{"topic", "topic, 1 publisher, 1 subscriber", 300_000},
	{"selector", "queue, 1 producer, 1 consumer with a selector, non-persistent", 300_000},
	{"topic-selector-1-in-10", "topic, 1 publisher, 1 subscriber whose selector matches 1 in 10", 300_000},
	{"durable", "topic, 1 publisher, 1 durable subscriber that is there, persistent", 50_000},
	{"topic-1-to-100", "topic, 1 publisher, 100 subscribers", 10_000},
	{"topic-wildcard-1000", "1,000 publishers to 1,000 topics, 1 wildcard subscriber", 200_000},
	{"latency", "queue, persistent, 1,000 messages/s", 5_000},
	{"backlog", "1 M x 256 B persistent: published, then drained with acknowledgements", 1_000_000},
}

// measurement is everything that was measured.
type measurement struct {
	settings
	brokers     []*broker
	ceiling     *broker
	results     map[string]map[string][]bench.Result // by scenario and broker
	connections map[string][]bench.Connections
	many        *manyQueues
	started     time.Time
}

// atLeast is how long a run takes, by the rate of the one before it.
const atLeast = 4 * time.Second

// idleConnections is how many connections are opened to measure one.
const idleConnections = 2000

func (m *measurement) wants(name string) bool {
	return len(m.only) == 0 || slices.Contains(m.only, name)
}

func (m *measurement) measure(ctx context.Context) error {
	m.started = time.Now().UTC()
	m.results, m.connections = map[string]map[string][]bench.Result{}, map[string][]bench.Connections{}
	m.ceiling = newRelay(m.settings)
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err == nil {
		limit.Cur = limit.Max
		_ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit) // so that the brokers have it, too
	}
	for _, e := range plan {
		if !m.wants(e.name) {
			continue
		}
		s := scenario(e)
		m.results[e.name] = map[string][]bench.Result{}
		var err error
		if s.Backlog {
			err = m.fresh(ctx, s)
		} else {
			err = m.warm(ctx, s)
		}
		if err != nil {
			return err
		}
	}
	if m.wants("connections") {
		if err := m.connect(ctx); err != nil {
			return err
		}
	}
	if ours := m.ours(); ours != nil && m.wants("queues") {
		var err error
		m.many, err = measureQueues(ctx, ours)
		return err
	}
	return nil
}

func scenario(e entry) bench.Scenario {
	all := bench.Scenarios()
	s := all[slices.IndexFunc(all, func(s bench.Scenario) bool { return s.Name == e.name })]
	s.Messages = e.messages
	return s
}

// warm runs a scenario against brokers that have had a quarter of it before.
func (m *measurement) warm(ctx context.Context, s bench.Scenario) error {
	all := slices.DeleteFunc(append(slices.Clone(m.brokers), m.ceiling), func(b *broker) bool { return !b.dialect.Can(s) })
	if err := startAll(ctx, all); err != nil {
		return err
	}
	defer m.stopAll()
	before := s
	before.Messages = max(s.Messages/4, s.Producers, s.Destinations)
	sized := make([]bench.Scenario, len(all))
	for i, b := range all {
		r, err := m.once(ctx, b, before)
		if err != nil {
			return err
		}
		sized[i] = s
		if s.Rate == 0 {
			sized[i].Messages = max(s.Messages, int(r.Publish*atLeast.Seconds()))
		}
	}
	for run := range m.runs {
		for i := range all {
			i = (i + run) % len(all) // each follows each, because what one leaves behind may cost the next
			if err := m.keep(ctx, all[i], sized[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

// fresh starts a broker for each run, so that its memory is that of the run.
func (m *measurement) fresh(ctx context.Context, s bench.Scenario) error {
	defer m.stopAll()
	for run := range m.runs {
		for i := range m.brokers {
			b := m.brokers[(i+run)%len(m.brokers)]
			if err := b.start(ctx); err != nil {
				return err
			}
			if err := m.keep(ctx, b, s); err != nil {
				return err
			}
			b.stop()
		}
	}
	return nil
}

func (m *measurement) keep(ctx context.Context, b *broker, s bench.Scenario) error {
	r, err := m.once(ctx, b, s)
	m.results[s.Name][b.name] = append(m.results[s.Name][b.name], r)
	return err
}

// once runs a scenario. A run with a fault counts: the report shows it.
func (m *measurement) once(ctx context.Context, b *broker, s bench.Scenario) (bench.Result, error) {
	r, err := bench.Run(ctx, b.target(), s, bench.Options{Patience: time.Minute, Settle: 100 * time.Millisecond})
	if err != nil {
		return r, fmt.Errorf("%s against %s: %w", s.Name, b.name, err)
	}
	fmt.Fprintf(os.Stderr, "%-34s %-9s publish %8.0f/s deliver %8.0f/s p50 %v %s\n", s.Name, b.name, r.Publish, r.Deliver, r.Latency.P50, r.Verdict)
	return r, nil
}

func (m *measurement) connect(ctx context.Context) error {
	defer m.stopAll()
	for range m.runs {
		for _, b := range m.brokers {
			if err := b.start(ctx); err != nil {
				return err
			}
			c, err := bench.Connect(ctx, b.target(), idleConnections, 16, 0)
			if err != nil {
				return fmt.Errorf("connecting to %s: %w", b.name, err)
			}
			fmt.Fprintf(os.Stderr, "connections %-9s %.0f/s %d bytes each\n", b.name, c.PerSecond, c.Memory)
			m.connections[b.name] = append(m.connections[b.name], c)
			b.stop()
		}
	}
	return nil
}

func (m *measurement) ours() *broker {
	if i := slices.IndexFunc(m.brokers, func(b *broker) bool { return b.name == "Sluice" }); i >= 0 {
		return m.brokers[i]
	}
	return nil
}

func startAll(ctx context.Context, all []*broker) error {
	errs := make([]error, len(all))
	var wg sync.WaitGroup
	for i, b := range all {
		wg.Go(func() { errs[i] = b.start(ctx) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (m *measurement) stopAll() {
	var wg sync.WaitGroup
	for _, b := range append(slices.Clone(m.brokers), m.ceiling) {
		if b != nil {
			wg.Go(b.stop)
		}
	}
	wg.Wait()
}
