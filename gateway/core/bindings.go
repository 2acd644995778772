package core

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/selector"
)

// Binding says that a queue keeps what is sent to a topic: that of a durable subscription, or one of a virtual topic.
type Binding struct {
	// Topic may be a pattern.
	Topic string `json:"topic"`
	// Queue of a virtual topic, empty for a durable subscription. If Topic is a pattern it ends with "{topic}", in whose place comes the name of the topic.
	Queue string `json:"queue,omitempty"`
	// Client and Name of a durable subscription.
	Client string `json:"client,omitempty"`
	Name   string `json:"name,omitempty"`
	// Selector of what is kept, and NoLocal: nothing that Client sent.
	Selector string `json:"selector,omitempty"`
	NoLocal  bool   `json:"no_local,omitempty"`
	// User who made it, and when.
	User string    `json:"user,omitempty"`
	Made time.Time `json:"made"`
}

// Destination is the queue that is fed, or the durable subscription. ok is false for a binding of many queues.
func (b *Binding) Destination() (d gateway.Destination, ok bool) {
	if b.Queue == "" {
		return durable(b.Client, b.Name), true
	}
	return gateway.Destination{Kind: gateway.KindQueue, Name: b.Queue}, !isPattern(b.Topic)
}

// topicMark is where the name of a topic stands in that of a queue.
const topicMark = "{topic}"

// ID names the binding. It is the same for the same queue.
func (b *Binding) ID() string {
	kind, name := "durable/", b.place()
	if b.Queue != "" {
		kind, name = "virtual/", b.Queue
	}
	sum := sha256.Sum256([]byte(name))
	return kind + base64.RawURLEncoding.EncodeToString(sum[:])
}

// place is the queue of a durable subscription.
func (b *Binding) place() string { return durablePlace(b.Client, b.Name) }

// durable is what a durable subscription is called. A colon in the client-id is written as %3A, so that no other client has the same.
func durable(client, name string) gateway.Destination {
	client = strings.NewReplacer("%", "%25", ":", "%3A").Replace(client)
	return gateway.Destination{Kind: gateway.KindSubscription, Name: client + ":" + name}
}

func durablePlace(client, name string) string { return durable(client, name).Place() }

// keepsTheSame reports whether two bindings of a queue keep the same messages.
func (b *Binding) keepsTheSame(o *Binding) bool {
	return b.Topic == o.Topic && b.Selector == o.Selector && b.NoLocal == o.NoLocal && b.Queue == o.Queue
}

// feed is a binding at work.
type feed struct {
	Binding
	key      string
	revision uint64
	at       string // the place of a durable subscription
	selector *selector.Selector
}

// selects reports whether a message is kept. from may be nil.
func (f *feed) selects(m *gateway.Message, from *session) bool {
	if f.NoLocal && from != nil && f.Client != "" && from.login.ClientID == f.Client {
		return false
	}
	return f.selector == nil || f.selector.MatchMessage(m, 0)
}

// read makes a feed of what the registry says.
func (h *hub) read(key string, value []byte, revision uint64) *feed {
	f := &feed{key: key, revision: revision}
	err := json.Unmarshal(value, &f.Binding)
	if err == nil && f.Selector != "" {
		if f.selector, err = selector.Parse(f.Selector); err != nil {
			f.selector = nil // what it would have kept is among all
		}
	}
	if err != nil {
		h.broker.cfg.Logger.Error("a binding of the registry is not understood", "key", key, "error", err)
	}
	if f.Topic == "" || f.Queue == "" && f.Name == "" {
		return nil
	}
	if f.Queue == "" {
		f.at = f.place()
	}
	return f
}

// learn takes in a binding, or its end.
func (h *hub) learn(key string, value []byte, revision uint64) {
	var f *feed
	if value != nil {
		f = h.read(key, value, revision)
	}
	h.mu.Lock()
	old := h.feeds[key]
	if old != nil {
		h.unfeed(old)
	}
	if f != nil {
		h.feeds[key] = f
		h.broker.advisor.listen(f.Topic, 1)
		if f.at != "" {
			h.bound[f.at] = f
		}
		if isPattern(f.Topic) {
			h.fedPatterns = append(h.fedPatterns, f)
		} else {
			h.fed[f.Topic] = append(h.fed[f.Topic], f)
		}
		h.forget(f.Topic)
	}
	h.mu.Unlock()
	if old != nil && f == nil && old.at != "" {
		h.broker.orphan(old.at, revision)
	}
}

// unfeed takes a feed out. The lock is held.
func (h *hub) unfeed(f *feed) {
	delete(h.feeds, f.key)
	h.broker.advisor.listen(f.Topic, -1)
	if f.at != "" {
		delete(h.bound, f.at)
	}
	if isPattern(f.Topic) {
		h.fedPatterns = without(h.fedPatterns, f)
	} else if rest := without(h.fed[f.Topic], f); len(rest) > 0 {
		h.fed[f.Topic] = rest
	} else {
		delete(h.fed, f.Topic)
	}
	h.forget(f.Topic)
}

// feedOf returns the feed with a binding's name, nil if there is none, and boundTo that of a durable subscription's place.
func (h *hub) feedOf(id string) *feed {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.feeds[feedKeys+id]
}

func (h *hub) boundTo(place string) *feed {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.bound[place]
}

// Bindings lists what topics feed, as far as this node knows: durable subscriptions by client and name, then queues by name.
func (b *Broker) Bindings() []Binding {
	b.topics.mu.RLock()
	all := make([]Binding, 0, len(b.topics.feeds))
	for f := range maps.Values(b.topics.feeds) {
		all = append(all, f.Binding)
	}
	b.topics.mu.RUnlock()
	slices.SortFunc(all, func(x, y Binding) int {
		return cmp.Or(strings.Compare(x.Queue, y.Queue), strings.Compare(x.Client, y.Client), strings.Compare(x.Name, y.Name))
	})
	return all
}

// Bind makes a binding, or makes it anew if there is another one for its queue, and returns when all linked nodes know of it, or a second later. What the
// queue of a durable subscription has kept by another binding is dropped. Errors: Invalid; Unavailable.
func (b *Broker) Bind(ctx context.Context, want Binding) error {
	switch {
	case want.Topic == "" || (want.Queue == "") == (want.Name == ""):
		return gateway.Errorf(gateway.Invalid, "a binding is of a topic, and of a queue or a subscription")
	case want.Queue != "" && isPattern(want.Topic) != strings.HasSuffix(want.Queue, topicMark):
		return gateway.Errorf(gateway.Invalid, "for a pattern of topics the name of the queue ends with %s", topicMark)
	}
	if want.Selector != "" {
		if _, err := selector.Parse(want.Selector); err != nil {
			return err
		}
	}
	revision, _, err := b.bind(ctx, want)
	if err == nil {
		b.facts.awaited(ctx, revision)
	}
	return err
}

// bind has a queue fed. It returns the revision since which it is. renewed: it was fed by another binding, and what it had kept by that is dropped.
func (b *Broker) bind(ctx context.Context, want Binding) (revision uint64, renewed bool, err error) {
	f := b.topics.feedOf(want.ID())
	if f != nil && f.keepsTheSame(&want) {
		return f.revision, false, nil
	}
	if want.Queue == "" {
		var since uint64 // what was kept for one that is gone goes as well
		if f != nil {
			since = f.revision
		}
		if err := b.drop(ctx, want.place(), since, false); err != nil {
			return 0, false, err
		}
	}
	if want.Made.IsZero() {
		want.Made = b.cfg.Now().UTC()
	}
	value, err := json.Marshal(&want)
	if err != nil {
		return 0, false, err
	}
	revision, err = b.facts.put(ctx, feedKeys+want.ID(), value)
	return revision, f != nil, err
}

// Unbind ends a binding by its ID, on all nodes; what a durable subscription has kept is dropped. Errors: NotFound; Conflict if the subscription is in use;
// Unavailable.
func (b *Broker) Unbind(ctx context.Context, id string) error {
	f := b.topics.feedOf(id)
	if f == nil {
		return gateway.Errorf(gateway.NotFound, "there is no such binding")
	}
	return b.unbind(ctx, f)
}

func (b *Broker) unbind(ctx context.Context, f *feed) error {
	if f.at != "" {
		if b.durables.isHeld(f.at) {
			return errDurableInUse
		}
		if err := b.drop(ctx, f.at, f.revision, true); err != nil {
			return err
		}
	}
	revision, err := b.facts.delete(ctx, f.key)
	if err != nil {
		return err
	}
	b.facts.awaited(ctx, revision)
	if f.at == "" {
		return nil
	}
	return b.drop(ctx, f.at, revision, false)
}
