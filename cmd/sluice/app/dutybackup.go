package app

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/past"
	"github.com/sluice-mq/sluice/jetstream"
	"github.com/sluice-mq/sluice/protocols/pubsub/resource"
)

// Backup writes a backup of all queues to w, and nothing else.
func (d *duty) Backup(ctx context.Context, w io.Writer) error {
	b := jetstream.NewBackupWriter(w)
	err := eachFact(ctx, d.life.node.store.Registry(), b.AddFact)
	if err != nil {
		return err
	}
	if err := past.Export(ctx, d.life.node.store, func(e past.Exported) error { return b.Add(e.Message, e.Redeliveries) }); err != nil {
		return err
	}
	n, err := b.Close()
	if err != nil {
		return err
	}
	d.life.log.Info("a backup was made", "messages", n)
	return nil
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

// restored is what becomes of a backup's fact; nil: nothing. The messages of a topic's log are in no backup: the topic gets another log, which its subscriptions read from
// the front, unless it has one.
func restored(key string, value []byte, there bool) ([]byte, error) {
	if !strings.HasPrefix(key, gateway.LogKeys) {
		return value, nil
	}
	if there {
		return nil, nil
	}
	var fact map[string]json.RawMessage
	if err := json.Unmarshal(value, &fact); err != nil {
		return nil, fmt.Errorf("the fact %s: %w", key, err)
	}
	fact["id"], _ = json.Marshal(resource.NewID()) // which a text never fails to be
	return json.Marshal(fact)
}

// errSome ends an export at the first message.
var errSome = errors.New("there is a message")

// Restore takes the messages of a backup into the queues. Unless merge is set it wants them to be empty. It writes nothing before it has
// read all of r. Whether somebody has had the messages since the backup nobody knows: they are
// marked as redelivered.
func (d *duty) Restore(ctx context.Context, r io.Reader, merge bool, w io.Writer) error {
	ctx, end, err := d.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	if !merge {
		err := past.Export(ctx, d.life.node.store, func(past.Exported) error { return errSome })
		if errors.Is(err, errSome) {
			return errors.New("the queues are not empty; with --merge the backup's messages are added to what is there")
		}
		if err != nil {
			return err
		}
	}
	there := make(map[string]bool)
	if err := eachFact(ctx, d.life.node.store.Registry(), func(key string, _ []byte) error { there[key] = true; return nil }); err != nil {
		return err
	}
	in := newIntake(d.life.node.broker, "restore "+rand.Text())
	_, err = jetstream.ReadBackup(r, jetstream.Backup{
		Fact: func(key string, value []byte) error {
			value, err := restored(key, value, there[key])
			if err != nil || value == nil {
				return err
			}
			_, err = d.life.node.store.Registry().Put(ctx, key, value)
			return err
		},
		Message: func(m *gateway.Message, redeliveries uint32) error { return in.take(ctx, m, max(redeliveries, 1)) },
	})
	if err := errors.Join(err, in.wait(ctx)); err != nil {
		return fmt.Errorf("after %d messages: %w", in.taken, err)
	}
	teller{w, d.life.log}.tell(fmt.Sprintf("%d messages restored", in.taken))
	return nil
}
