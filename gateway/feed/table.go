package feed

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/advisory"
	"github.com/sluice-mq/sluice/gateway/selector"
)

// Feed is a binding at work. It is never changed.
type Feed struct {
	Binding
	// Key is the registry's, and Revision the one since which it is so.
	Key      string
	Revision uint64
	at       string // the place of a durable subscription
	selector *selector.Selector
}

// New is a feed that no table knows. If its selector is not understood it keeps all: what it would have kept is among that.
func New(b Binding) *Feed {
	f, _ := compile(b)
	return f
}

func compile(b Binding) (f *Feed, err error) {
	f = &Feed{Binding: b}
	if b.Selector != "" {
		if f.selector, err = selector.Parse(b.Selector); err != nil {
			f.selector = nil
		}
	}
	return f, err
}

// At is the place of a durable subscription; empty for the queue of a virtual topic.
func (f *Feed) At() string { return f.at }

// Selects reports whether a message is kept that a client sent, by its client-id; empty: it has none, or nobody did.
func (f *Feed) Selects(m *gateway.Message, client string) bool {
	if f.NoLocal && f.Client != "" && client == f.Client {
		return false
	}
	return f.selector == nil || f.selector.MatchMessage(m, 0)
}

// Table is all feeds of a node. It is guarded by the lock of who has it; the zero value is ready to use.
type Table struct {
	// by key; durable subscriptions by place; and by topic and pattern.
	all      map[string]*Feed
	bound    map[string]*Feed
	exact    map[string][]*Feed
	patterns []*Feed
}

// read makes a feed of what the registry says, nil if that is none.
func read(key string, value []byte, revision uint64) (*Feed, error) {
	var b Binding
	err := json.Unmarshal(value, &b)
	f, notSelector := compile(b)
	if err == nil {
		err = notSelector
	}
	if err != nil {
		err = fmt.Errorf("reading a binding: %w", err)
	}
	if b.Topic == "" || b.Queue == "" && b.Name == "" {
		return nil, err
	}
	f.Key, f.Revision = key, revision
	if f.Queue == "" {
		f.at = f.Place()
	}
	return f, err
}

// Learn takes in a binding, or its end if there is no value: now is in the place of old, either of which may be nil. With an error something of it was not understood.
func (t *Table) Learn(key string, value []byte, revision uint64) (old, now *Feed, err error) {
	if value != nil {
		now, err = read(key, value, revision)
	}
	if old = t.all[key]; old != nil {
		t.remove(old)
	}
	if now != nil {
		t.add(now)
	}
	return old, now, err
}

func (t *Table) add(f *Feed) {
	if t.all == nil {
		t.all, t.bound, t.exact = make(map[string]*Feed), make(map[string]*Feed), make(map[string][]*Feed)
	}
	t.all[f.Key] = f
	if f.at != "" {
		t.bound[f.at] = f
	}
	if isPattern(f.Topic) {
		t.patterns = append(t.patterns, f)
	} else {
		t.exact[f.Topic] = append(t.exact[f.Topic], f)
	}
}

func (t *Table) remove(f *Feed) {
	delete(t.all, f.Key)
	if f.at != "" {
		delete(t.bound, f.at)
	}
	other := func(o *Feed) bool { return o == f }
	if isPattern(f.Topic) {
		t.patterns = slices.DeleteFunc(t.patterns, other)
	} else if rest := slices.DeleteFunc(t.exact[f.Topic], other); len(rest) > 0 {
		t.exact[f.Topic] = rest
	} else {
		delete(t.exact, f.Topic)
	}
}

// Of returns the feed with a key, and Bound that of a durable subscription's place; nil if there is none.
func (t *Table) Of(key string) *Feed { return t.all[key] }

// Bound is described at Of.
func (t *Table) Bound(place string) *Feed { return t.bound[place] }

// Bindings lists what topics feed, in order.
func (t *Table) Bindings() []Binding {
	all := make([]Binding, 0, len(t.all))
	for _, f := range t.all {
		all = append(all, f.Binding)
	}
	slices.SortFunc(all, func(x, y Binding) int { return x.Compare(&y) })
	return all
}

// Fed is a queue that a topic feeds.
type Fed struct {
	*Feed
	queue string // of a virtual topic; empty: a durable subscription's
}

// Copy is what the queue gets of a message.
func (f *Fed) Copy(m *gateway.Message) *gateway.Message {
	c := m.Copy()
	c.Also = nil
	if f.queue == "" {
		c.Queue = f.at
		return c
	}
	c.Header = WithOrigin(c.Header, OriginOf(m.Destination))
	c.Destination = gateway.Destination{Kind: gateway.KindQueue, Name: f.queue}
	return c
}

// For are the queues that a topic feeds, each once. What rules do not collect any more is not among them.
func (t *Table) For(topic string, rules []VirtualTopic) (all []Fed) {
	if len(t.all) == 0 {
		return nil
	}
	var seen map[string]struct{}
	add := func(f *Feed) {
		if f.at != "" {
			all = append(all, Fed{f, ""})
			return
		}
		queue := f.Queue
		if isPattern(f.Topic) {
			queue = strings.TrimSuffix(queue, topicMark) + topic
		}
		if prefix, collected, ok := Collects(rules, queue); !ok || collected != topic || prefix+topic != queue {
			return // the rules have changed since
		}
		if _, twice := seen[queue]; twice {
			return
		}
		if seen == nil {
			seen = make(map[string]struct{})
		}
		seen[queue] = struct{}{}
		all = append(all, Fed{f, queue})
	}
	for _, f := range t.exact[topic] {
		add(f)
	}
	for _, f := range t.patterns {
		if advisory.Matches(f.Topic, topic) {
			add(f)
		}
	}
	return all
}
