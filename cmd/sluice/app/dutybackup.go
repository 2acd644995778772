package app

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/past"
	"github.com/sluice-mq/sluice/jetstream"
	"github.com/sluice-mq/sluice/protocols/pubsub/resource"
)

// Backup writes a backup of all queues and topics' logs to w, and nothing else.
func (d *duty) Backup(ctx context.Context, w io.Writer) error {
	b := jetstream.NewBackupWriter(w)
	logs := newLogExport(d.life.node.store.Logs())
	err := eachFact(ctx, d.life.node.store.Registry(), func(key string, value []byte) error {
		if strings.HasPrefix(key, gateway.LogKeys+unfinished) {
			return nil
		}
		logs.note(key, value)
		return b.AddFact(key, value)
	})
	if err == nil {
		err = logs.run(ctx, b)
	}
	if err != nil {
		return err
	}
	if err := d.export(ctx, func(e past.Exported) error { return b.Add(e.Message, e.Redeliveries) }); err != nil {
		return err
	}
	n, err := b.Close()
	if err != nil {
		return err
	}
	d.life.log.Info("a backup was made", "messages", n, "topics", len(logs.topics), "topics_messages", logs.messages)
	return nil
}

// shardPatience is for how long a shard may not be readable, as while it gets another owner.
const shardPatience = time.Minute

// export calls fn with all messages that wait in queues, and goes on with the next owner of a shard whose owner goes meanwhile.
func (d *duty) export(ctx context.Context, fn func(past.Exported) error) error {
	return past.Export(ctx, d.life.node.store, patience(d.life.cfg.Node, shardPatience), fn)
}

// patience has a node try for as long as that.
func patience(node string, within time.Duration) past.Patience {
	var began time.Time
	return func(ctx context.Context, failures int, err error) error {
		if failures == 1 {
			began = time.Now()
		}
		if damage := (*jetstream.DamageError)(nil); errors.As(err, &damage) {
			return err
		}
		if time.Since(began) >= within {
			return fmt.Errorf("node %s could not read it for %v: %w", node, within, err)
		}
		return pause(ctx, lookEvery)
	}
}

// eachFact calls fn with every fact of a registry.
func eachFact(ctx context.Context, r gateway.Registry, fn func(key string, value []byte) error) error {
	ctx, end := context.WithCancel(ctx)
	defer end()
	facts := make(map[string][]byte)
	var order []string
	done := false
	var mu sync.Mutex
	err := r.Watch(ctx, func(key string, value []byte, _ uint64) {
		mu.Lock()
		defer mu.Unlock()
		if !done && value != nil {
			facts[key], order = value, append(order, key)
		}
	})
	mu.Lock()
	done = true
	mu.Unlock()
	if err != nil {
		return err
	}
	for _, key := range order {
		if err := fn(key, facts[key]); err != nil {
			return err
		}
	}
	return nil
}

// errSome ends an export at the first message.
var errSome = errors.New("there is a message")

// Restore takes the messages of a backup into the queues and topics' logs. Unless merge is set it wants the queues to be empty; a topic that is there stays as it is. It writes nothing before it has
// read all of r. Whether somebody has had the messages since the backup nobody knows: they are
// marked as redelivered.
func (d *duty) Restore(ctx context.Context, r io.Reader, merge bool, w io.Writer) error {
	ctx, end, err := d.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	if !merge {
		var some gateway.Destination
		err := d.export(ctx, func(e past.Exported) error { some = e.Message.Destination; return errSome })
		if errors.Is(err, errSome) {
			return fmt.Errorf("the queues are not empty: there are messages that were sent to %s; with --merge the backup's messages are added to what is there", some)
		}
		if err != nil {
			return err
		}
	}
	registry := d.life.node.store.Registry()
	logs := newLogIntake(ctx, d.life.cfg.Node, registry, d.life.node.store.Logs())
	facts, err := newFactIntake(ctx, registry, logs)
	if err != nil {
		return err
	}
	in := newIntake(d.life.node.broker, "restore "+rand.Text())
	_, err = jetstream.ReadBackup(r, jetstream.Backup{
		Fact: facts.take, Log: logs.AddLog, Logged: logs.AddLogged,
		Message: func(m *gateway.Message, redeliveries uint32) error { return in.take(ctx, m, max(redeliveries, 1)) },
	})
	if err == nil {
		err = logs.rest()
	}
	if err := errors.Join(err, in.wait(ctx)); err != nil {
		return fmt.Errorf("after %d messages of queues and %d of %d topics: %w", in.taken, logs.messages, logs.topics, err)
	}
	t := teller{w, d.life.log}
	t.tell(fmt.Sprintf("%d messages restored", in.taken))
	if logs.topics > 0 {
		t.tell(fmt.Sprintf("%d messages of %d topics restored", logs.messages, logs.topics))
	}
	if len(facts.left) > 0 {
		t.tell("subscriptions were left out, because the logs of their topics that are there end before the places where they would go on", "facts", strings.Join(facts.left, ", "))
	}
	return nil
}

// factIntake brings the facts of a backup into a registry. What is there of topics and subscriptions stays as it is.
type factIntake struct {
	ctx      context.Context
	registry gateway.Registry
	logs     *logIntake
	there    map[string]bool
	ends     map[string]uint64 // of the logs that are there, by their IDs
	left     []string          // keys of facts that were left out
}

func newFactIntake(ctx context.Context, r gateway.Registry, logs *logIntake) (*factIntake, error) {
	f := &factIntake{ctx: ctx, registry: r, logs: logs, there: make(map[string]bool), ends: make(map[string]uint64)}
	if err := logs.clear(); err != nil {
		return nil, err
	}
	return f, eachFact(ctx, r, func(key string, _ []byte) error {
		f.there[key] = true
		if topic, ok := strings.CutPrefix(key, gateway.LogKeys); ok {
			page, err := logs.logs.Read(ctx, topic, gateway.LogQuery{})
			if err == nil {
				f.ends[page.Log] = page.Next
			} else if gateway.KindOf(err) != gateway.NotFound {
				return fmt.Errorf("the log of topic %s: %w", topic, err)
			}
		}
		return nil
	})
}

// take takes a fact. Those of topics wait until their logs are there.
func (f *factIntake) take(key string, value []byte) error {
	topic, isTopic := strings.CutPrefix(key, gateway.LogKeys)
	log, offset, hasPlace := resource.Place(key, value)
	switch end, known := f.ends[log]; {
	case (isTopic || hasPlace) && f.there[key], isUnfinished(topic):
		return nil
	case isTopic:
		f.logs.facts[topic] = value
		return nil
	case hasPlace && known && offset > end:
		f.left = append(f.left, key)
		return nil
	}
	_, err := f.registry.Put(f.ctx, key, value)
	return err
}
