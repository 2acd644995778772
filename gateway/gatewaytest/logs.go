package gatewaytest

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"sync"

	"github.com/sluice-mq/sluice/gateway"
)

// Logs is a gateway.Logs in memory. It follows the facts of a registry.
type Logs struct {
	now func() int64

	mu  sync.Mutex
	all map[string]*keptLog
	err error
}

type keptLog struct {
	gateway.LogFact
	first    uint64
	messages []*gateway.Message
	stored   []int64
}

// NewLogs returns the logs that a registry's facts speak of, until ctx ends. now is the clock, in Unix milliseconds.
func NewLogs(ctx context.Context, r gateway.Registry, now func() int64) (*Logs, error) {
	l := &Logs{now: now, all: make(map[string]*keptLog)}
	return l, r.Watch(ctx, l.learn)
}

func (l *Logs) learn(key string, value []byte, _ uint64) {
	topic, ok := strings.CutPrefix(key, gateway.LogKeys)
	if !ok {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	var f gateway.LogFact
	if value == nil || json.Unmarshal(value, &f) != nil {
		delete(l.all, topic)
		return
	}
	for _, k := range l.all {
		if stream(k.LogFact) == stream(f) {
			k.LogFact = f
			l.all[topic] = k
			return
		}
	}
	l.all[topic] = &keptLog{LogFact: f, first: f.First}
}

func stream(f gateway.LogFact) string { return cmp.Or(f.Stream, f.ID) }

// Break has everything fail from now on; nil mends it.
func (l *Logs) Break(err error) {
	l.mu.Lock()
	l.err = err
	l.mu.Unlock()
}

// Append implements gateway.Logs.
func (l *Logs) Append(topic string, batch []*gateway.Message, c gateway.Completion, token uint64) {
	err := l.append(topic, batch)
	if c != nil {
		c.Complete(token, err)
	}
}

func (l *Logs) append(topic string, batch []*gateway.Message) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	k, err := l.of(topic)
	if err != nil {
		return err
	}
	if len(batch) > gateway.MaxLogBatch {
		return gateway.Errorf(gateway.Limit, "at most %d messages may be appended at once", gateway.MaxLogBatch)
	}
	key, err := gateway.OnceOf(batch)
	if err != nil {
		return err
	}
	for _, m := range batch {
		if last := k.lastOf(key); last != nil && m.Source.Offset <= last.Source.Offset {
			m.Offset = last.Offset
			continue
		}
		m.Offset = k.next()
		kept := m
		if key != "" { // whoever reads it does not ask for that
			source := *m.Source
			source.Once = false
			kept = m.Copy()
			kept.Offset, kept.Source = m.Offset, &source
		}
		k.messages, k.stored = append(k.messages, kept), append(k.stored, l.now())
	}
	return nil
}

// lastOf is the last copy of those with a key, nil if there is none.
func (k *keptLog) lastOf(key string) *gateway.Message {
	for i := len(k.messages) - 1; key != "" && i >= 0; i-- {
		if s := k.messages[i].Source; s != nil && s.Key() == key {
			return k.messages[i]
		}
	}
	return nil
}

func (k *keptLog) next() uint64 { return k.first + uint64(len(k.messages)) }

// of finds a log, without what is too old. The lock is held.
func (l *Logs) of(topic string) (*keptLog, error) {
	k := l.all[topic]
	switch {
	case l.err != nil:
		return nil, l.err
	case k == nil:
		return nil, gateway.Errorf(gateway.NotFound, "topic %s has no log", topic)
	case k.Retention > 0:
		for len(k.messages) > 0 && k.stored[0]+k.Retention <= l.now() {
			k.first++
			k.messages, k.stored = k.messages[1:], k.stored[1:]
		}
	}
	return k, nil
}

// Read implements gateway.Logs.
func (l *Logs) Read(_ context.Context, topic string, q gateway.LogQuery) (gateway.LogPage, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	k, err := l.of(topic)
	if err != nil {
		return gateway.LogPage{}, err
	}
	p := gateway.LogPage{Log: k.ID, First: k.first, Next: k.next()}
	at := min(max(q.From, p.First), p.Next) - p.First
	if q.Since != 0 {
		at = uint64(len(k.messages))
		if i := slices.IndexFunc(k.stored, func(at int64) bool { return at >= q.Since }); i >= 0 {
			at = uint64(i)
		}
	}
	p.At = p.First + at
	for _, m := range k.messages {
		p.Bytes += uint64(m.Size())
	}
	bytes := 0
	for _, m := range k.messages[at:] {
		if len(p.Messages) >= q.Messages || len(p.Messages) > 0 && bytes+m.Size() > q.Bytes {
			break
		}
		bytes += m.Size()
		p.Messages = append(p.Messages, m)
	}
	return p, nil
}

var _ gateway.Logs = (*Logs)(nil)
