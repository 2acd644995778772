package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sluice-mq/sluice/jetstream/embed"
	"github.com/sluice-mq/sluice/protocols/nats"
)

// consumersFile, in the data directory, is where native clients' consumers are kept.
const consumersFile = "consumers.json"

// openNats puts what answers native clients behind the embedded server, which then opens their listeners: one door for all of them, or, where
// they log in, a gate with a door for each user.
func (n *node) openNats(cfg Config, log *slog.Logger) error {
	if n.server.Streams() {
		n.admit(log)
	}
	if cfg.Auth != nil {
		return n.openGate(cfg, log)
	}
	settings, err := n.nativeDoor(embed.Users, log)
	if err != nil {
		return err
	}
	settings.Node, settings.Prefix, settings.Own, settings.Listen = n.server.Node(), n.server.Prefix(), n.server.Own(), n.server.Listen
	settings.Book = filepath.Join(cfg.DataDir, consumersFile)
	settings.Leaf.Addr, settings.Leaf.User, settings.Leaf.Password, err = n.server.Leaf()
	if n.server.Streams() {
		settings.Account = string(embed.Users)
	}
	if err != nil {
		closeAll(settings)
		return err
	}
	d, err := nats.New(settings)
	if err != nil {
		return err
	}
	n.add(listener{protocol: Nats, door: d})
	n.figures.nats.Store(&nativeFigures{d.Stats})
	return nil
}

// nativeDoor is what every door for native clients of an account needs: connections, and what it asks of the server and the broker.
func (n *node) nativeDoor(account embed.Account, log *slog.Logger) (nats.Config, error) {
	cfg := nats.Config{
		Broker: n.broker, Logger: log,
		Interest:  func(subject string) bool { return n.server.Interest(embed.Outbound, subject) },
		Listening: func(subject string) bool { return n.server.Interest(account, subject) },
		Connected: n.server.Connected, Pending: n.server.Pending,
		Queue: func(name string) (int, bool) {
			state, known := n.broker.Queue(name)
			return state.Waiting, known
		},
	}
	var errs [5]error
	cfg.Inbound, errs[0] = n.server.Connect(embed.Inbound, "native publishes")
	cfg.Outbound, errs[1] = n.server.Connect(embed.Outbound, "topics for native clients")
	cfg.Answers, errs[2] = n.server.Connect(account, "answers to native clients")
	cfg.Workers, errs[3] = n.server.Connect(account, "queues for native clients")
	cfg.System, errs[4] = n.server.Connect(embed.System, "requests of native clients")
	if err := errors.Join(errs[:]...); err != nil {
		closeAll(cfg)
		return nats.Config{}, err
	}
	return cfg, nil
}

// closeAll closes the connections of a door that does not come to be.
func closeAll(cfg nats.Config) {
	for _, nc := range []interface{ Close() }{cfg.Inbound, cfg.Outbound, cfg.Answers, cfg.Workers, cfg.System} {
		nc.Close() // which a nil one allows
	}
}

// bounds are the limits as the embedded server takes them.
func (s Streams) bounds() embed.Streams {
	return embed.Streams{Storage: int64(s.Storage), Memory: int64(s.Memory), Streams: s.Streams, Consumers: s.Consumers}
}

// keptStreams, in the data directory, is where native clients' own streams from before the node was in a cluster are kept. A single
// node can be started with it.
const keptStreams = "native-streams"

// keepStreams saves native clients' own streams from a store that is about to be removed.
func keepStreams(dataDir, aside string, log *slog.Logger) error {
	const folder = "jetstream"
	found, err := filepath.Glob(filepath.Join(aside, folder, "U*", "streams", "*", "meta.inf")) // of embed.Users, and of single users
	if err != nil || len(found) == 0 {
		return err
	}
	to := filepath.Join(dataDir, keptStreams, folder)
	if err := os.MkdirAll(to, 0o700); err != nil {
		return fmt.Errorf("keeping the streams of native clients: %w", err)
	}
	accounts := map[string]bool{}
	for _, stream := range found {
		accounts[filepath.Dir(filepath.Dir(filepath.Dir(stream)))] = true
	}
	for from := range accounts {
		if err := os.Rename(from, filepath.Join(to, filepath.Base(from))); err != nil {
			return fmt.Errorf("keeping the streams of native clients: %w", err)
		}
	}
	log.Warn("the streams that native clients had on the node alone do not come into the cluster; a single node can be started with this folder", "data_dir", filepath.Dir(to))
	return nil
}

// admitEvery is how often it is looked whether there is space for native clients' own streams.
const admitEvery = 100 * time.Millisecond

// admit has native clients' own streams take messages as long as the queues do: while there is space.
func (n *node) admit(log *slog.Logger) {
	full := false
	look := func() {
		sends := n.store.Space().Sends
		if sends && !full {
			return
		}
		// While it is full this is said again and again: a server whose storage was started anew has forgotten it.
		if err := n.server.Admit(sends); err != nil {
			log.Debug("what native clients may store could not be changed, and is tried again", "error", err)
			sends = false
		}
		full = !sends
	}
	look() // before anybody can publish
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		ticker := time.NewTicker(admitEvery)
		defer ticker.Stop()
		for {
			select {
			case <-stop:
				return
			case <-ticker.C:
				look()
			}
		}
	}()
	n.parts = append(n.parts, part{"space of native clients", func(context.Context) error {
		close(stop)
		<-done
		return nil
	}})
}

// nativeFigures is where the figures of native clients come from: a door, or a gate.
type nativeFigures struct{ stats func() nats.Stats }

var (
	nativeIn          = prometheus.NewDesc("sluice_nats_received_total", "Messages that native clients published to queues and topics.", nil, nil)
	nativeRefused     = prometheus.NewDesc("sluice_nats_refused_total", "Native messages that the broker refused.", nil, nil)
	nativeUnanswered  = prometheus.NewDesc("sluice_nats_unanswered_total", "Native messages whose PubAck could not be sent.", nil, nil)
	nativeRepeated    = prometheus.NewDesc("sluice_nats_repeated_total", "Native messages that were known by their ids and not stored again.", nil, nil)
	nativeDropped     = prometheus.NewDesc("sluice_nats_dropped_total", "Native messages dropped because too many waited for the broker.", nil, nil)
	nativeHanded      = prometheus.NewDesc("sluice_nats_handed_total", "Messages of queues handed to native workers.", nil, nil)
	nativeRelayed     = prometheus.NewDesc("sluice_nats_relayed_total", "Topic messages handed to native clients.", nil, nil)
	nativeUnrelayed   = prometheus.NewDesc("sluice_nats_unrelayed_total", "Topic messages that could not be handed to native clients.", nil, nil)
	nativeInterrupted = prometheus.NewDesc("sluice_nats_interrupted_total", "Times that topic messages came faster than they could be handed to native clients.", nil, nil)
	nativeWorkers     = prometheus.NewDesc("sluice_nats_workers", "Native connections that consume queues, once for each consumer that they use.", nil, nil)
	nativeHeld        = prometheus.NewDesc("sluice_nats_held", "Messages that native workers have and have not settled.", nil, nil)
	nativeOutstanding = prometheus.NewDesc("sluice_nats_outstanding", "Native messages that are with the broker and not answered yet.", nil, nil)
)

// natsFigures lists what the door for native clients counts.
func natsFigures() []*prometheus.Desc {
	return []*prometheus.Desc{nativeIn, nativeRefused, nativeUnanswered, nativeRepeated, nativeDropped, nativeHanded, nativeRelayed, nativeUnrelayed, nativeInterrupted,
		nativeOutstanding, nativeWorkers, nativeHeld}
}

// collectNats shows the door's snapshot.
func collectNats(d *nativeFigures, ch chan<- prometheus.Metric) {
	s := d.stats()
	for _, c := range []struct {
		desc  *prometheus.Desc
		value uint64
	}{
		{nativeIn, s.Received}, {nativeRefused, s.Refused}, {nativeUnanswered, s.Unanswered}, {nativeRepeated, s.Repeated}, {nativeDropped, s.Dropped}, {nativeHanded, s.Handed},
		{nativeRelayed, s.Relayed}, {nativeUnrelayed, s.Unrelayed}, {nativeInterrupted, s.Interrupted},
	} {
		ch <- prometheus.MustNewConstMetric(c.desc, prometheus.CounterValue, float64(c.value))
	}
	for desc, value := range map[*prometheus.Desc]int{nativeOutstanding: s.Outstanding, nativeWorkers: s.Workers, nativeHeld: s.Held} {
		ch <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, float64(value))
	}
}
