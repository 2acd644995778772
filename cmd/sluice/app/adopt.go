package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/sluice-mq/sluice/auth"
	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/core"
	"github.com/sluice-mq/sluice/gateway/past"
	"github.com/sluice-mq/sluice/jetstream"
	"github.com/sluice-mq/sluice/jetstream/embed"
)

// adopt brings what the node kept alone into its cluster. A crash in between lets the next start go on where it was; a
// few messages are offered twice then, and recognised by their ids.
func (n *node) adopt(ctx context.Context, cfg Config, log *slog.Logger) error {
	dir := jetstream.Aside(cfg.DataDir)
	log.Info("the messages that the node had alone go into the cluster", "data_dir", dir)
	server, err := embed.Start(ctx, embed.Config{Name: cfg.Node + "-alone", Dir: dir, MaxPayload: jetstream.MaxRecord, Logger: log.With("store", "alone")})
	if err != nil {
		return err
	}
	defer server.Stop()
	store, err := jetstream.Open(ctx, jetstream.Config{Dir: dir, Server: server, Node: cfg.Node, Sync: cfg.Durability == Disk, Logger: log.With("store", "alone")})
	if err != nil {
		return err
	}
	a := adoption{path: filepath.Join(dir, "adopted.json"), in: newIntake(n.broker, "")}
	err = a.read()
	if err == nil && !a.Settled {
		err = a.settle(ctx, cfg, store, log)
	}
	if err == nil { // what the cluster has already counts
		err = a.facts(ctx, newLogIntake(ctx, cfg.Node, n.store.Registry(), n.store.Logs()), store.Registry(), store.Logs())
	}
	if err == nil {
		err = past.Export(ctx, store, nil, func(e past.Exported) error { return a.next(ctx, e) })
	}
	err = errors.Join(err, a.in.wait(ctx), store.Close(ctx))
	if err == nil {
		server.Stop() // which has it closed
		err = keepStreams(cfg.DataDir, dir, log)
	}
	if err != nil {
		return err
	}
	log.Info("the messages that the node had alone are in the cluster", "messages", a.in.taken)
	return jetstream.Adopted(cfg.DataDir)
}

// facts has adoptFacts done, once: a log that goes to the end of another one would go there again.
func (a *adoption) facts(ctx context.Context, in *logIntake, alone gateway.Registry, logs gateway.Logs) error {
	if a.Facts {
		return nil
	}
	if err := adoptFacts(ctx, in, alone, logs); err != nil {
		return err
	}
	a.Facts = true
	return a.write()
}

// adoptFacts brings durable subscriptions and the like into the cluster, unless it has ones of the same name, and topics with their logs. What was sent to a topic of which the
// cluster has another one goes to the end of that one's log. A log that was never finished stays behind.
func adoptFacts(ctx context.Context, in *logIntake, alone gateway.Registry, logs gateway.Logs) error {
	if err := in.clear(); err != nil {
		return err
	}
	known := make(map[string][]byte)
	err := eachFact(ctx, in.registry, func(key string, value []byte) error {
		known[key] = value
		return nil
	})
	if err != nil {
		return err
	}
	out := newLogExport(logs)
	err = eachFact(ctx, alone, func(key string, value []byte) error {
		out.note(key, value)
		there, is := known[key]
		topic, isTopic := strings.CutPrefix(key, gateway.LogKeys)
		switch {
		case isUnfinished(topic):
		case isTopic && is:
			same, err := sameLog(value, there)
			in.onto[topic] = !same
			return err
		case isTopic:
			in.facts[topic] = value
		case !is:
			_, err := in.registry.Put(ctx, key, value)
			return err
		}
		return nil
	})
	if err == nil {
		err = out.run(ctx, in)
	}
	if err == nil {
		err = in.rest()
	}
	return err
}

// sameLog reports whether two topics have the same log: one of them came from the other.
func sameLog(a, b []byte) (bool, error) {
	var one, other gateway.LogFact
	err := errors.Join(json.Unmarshal(a, &one), json.Unmarshal(b, &other))
	return one.ID == other.ID, err
}

// adoption is how far it has come, as its file says.
type adoption struct {
	path string
	in   *intake
	// Settled: transactions that were interrupted have been carried out, and nothing changes in the store any more.
	Settled bool `json:"settled"`
	// Facts are in the cluster, and topics' logs.
	Facts bool `json:"facts,omitempty"`
	// Shard and Number are the place of the first message that may not be in the cluster yet.
	Shard  int `json:"shard"`
	Number int `json:"number"`
	since  int
}

// adoptedEvery is after how many messages the file is written.
const adoptedEvery = 10_000

func (a *adoption) read() error {
	b, err := os.ReadFile(a.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return json.Unmarshal(b, a)
}

func (a *adoption) write() error {
	b, err := json.Marshal(a)
	if err != nil {
		return err
	}
	return jetstream.ReplaceFile(a.path, b)
}

// settle opens a broker on the store, which carries out what a crash interrupted, and closes it again.
func (a *adoption) settle(ctx context.Context, cfg Config, store *jetstream.Store, log *slog.Logger) error {
	b, err := core.New(ctx, core.Config{
		Node: cfg.Node, Store: store, Authenticator: auth.Anonymous{}, Authorizer: auth.AllowAll{}, Logger: log.With("store", "alone"),
		MaxMessage: int(cfg.Limits.MaxMessageSize) + headerRoom,
	})
	if err != nil {
		return err
	}
	if err := b.Close(ctx); err != nil {
		return err
	}
	a.Settled = true
	return a.write()
}

// next takes the next message, unless it was taken before.
func (a *adoption) next(ctx context.Context, e past.Exported) error {
	if e.Shard < a.Shard || e.Shard == a.Shard && e.Number < a.Number {
		return nil
	}
	if a.since++; a.since > adoptedEvery {
		if err := a.in.wait(ctx); err != nil {
			return err
		}
		a.Shard, a.Number, a.since = e.Shard, e.Number, 0
		if err := a.write(); err != nil {
			return fmt.Errorf("noting how far it has come: %w", err)
		}
	}
	return a.in.take(ctx, e.Message, e.Redeliveries)
}
