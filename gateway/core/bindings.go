package core

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/feed"
)

// learn takes in a binding, or its end.
func (h *hub) learn(key string, value []byte, revision uint64) {
	h.mu.Lock()
	old, now, err := h.feeds.Learn(key, value, revision)
	if old != nil {
		h.broker.advisor.Listen(old.Topic, -1)
		h.forget(old.Topic)
	}
	if now != nil {
		h.broker.advisor.Listen(now.Topic, 1)
		h.forget(now.Topic)
	}
	h.mu.Unlock()
	if err != nil {
		h.broker.cfg.Logger.Error("a binding of the registry is not understood", "key", key, "error", err)
	}
	if old != nil && now == nil && old.At() != "" {
		h.broker.orphan(old.At(), revision)
	}
}

// feedKeys begin the keys of bindings.
const feedKeys = "feed/"

// known is the broker as what it knows by the registry sees it.
type known struct{ broker *Broker }

// Learn implements facts.Broker.
func (k known) Learn(key string, value []byte, revision uint64) {
	switch {
	case strings.HasPrefix(key, feedKeys):
		k.broker.topics.learn(key, value, revision)
	case strings.HasPrefix(key, gateway.LogKeys):
		k.broker.topics.logbook.learn(key, value != nil)
	}
}

// TellApplied implements facts.Broker.
func (k known) TellApplied(node string, revision uint64) {
	k.broker.cfg.Cluster.Send(node, &gateway.Frame{Kind: gateway.FrameApplied, Seq: revision})
}

// Now implements facts.Broker.
func (k known) Now() int64 { return k.broker.nowMillis() }

// feedOf returns the feed with a binding's name, nil if there is none, and boundTo that of a durable subscription's place.
func (h *hub) feedOf(id string) *feed.Feed {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.feeds.Of(feedKeys + id)
}

func (h *hub) boundTo(place string) *feed.Feed {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.feeds.Bound(place)
}

// Bindings lists what topics feed, as far as this node knows: durable subscriptions by client and name, then queues by name.
func (b *Broker) Bindings() []feed.Binding {
	b.topics.mu.RLock()
	defer b.topics.mu.RUnlock()
	return b.topics.feeds.Bindings()
}

// Bind makes a binding, or makes it anew if there is another one for its queue, and returns when all linked nodes know of it, or a second later. What the
// queue of a durable subscription has kept by another binding is dropped. Errors: Invalid; Unavailable.
func (b *Broker) Bind(ctx context.Context, want feed.Binding) error {
	if err := want.Validate(); err != nil {
		return err
	}
	revision, _, err := b.bind(ctx, want)
	if err == nil {
		b.facts.Awaited(ctx, revision)
	}
	return err
}

// bind has a queue fed. It returns the revision since which it is. renewed: it was fed by another binding, and what it had kept by that is dropped.
func (b *Broker) bind(ctx context.Context, want feed.Binding) (revision uint64, renewed bool, err error) {
	f := b.topics.feedOf(want.ID())
	if f != nil && f.KeepsTheSame(&want) {
		return f.Revision, false, nil
	}
	if want.Queue == "" {
		var since uint64 // what was kept for one that is gone goes as well
		if f != nil {
			since = f.Revision
		}
		if err := b.drop(ctx, want.Place(), since, false); err != nil {
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
	revision, err = b.facts.Put(ctx, feedKeys+want.ID(), value)
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

func (b *Broker) unbind(ctx context.Context, f *feed.Feed) error {
	if f.At() != "" {
		if b.durables.Count(f.At()) > 0 {
			return errDurableInUse
		}
		if err := b.drop(ctx, f.At(), f.Revision, true); err != nil {
			return err
		}
	}
	revision, err := b.facts.Delete(ctx, f.Key)
	if err != nil {
		return err
	}
	b.facts.Awaited(ctx, revision)
	if f.At() == "" {
		return nil
	}
	return b.drop(ctx, f.At(), revision, false)
}

// bindVirtual has the topic feed a queue that somebody subscribes to, if it is one of a virtual topic. It returns the revision of the binding, 0 if
// there is none.
func (s *session) bindVirtual(o *gateway.SubscribeOptions) (revision uint64, err error) {
	b := s.broker
	if !b.facts.Kept() || o.Browse {
		return 0, nil
	}
	for _, d := range o.Destinations() {
		if d.Kind != gateway.KindQueue {
			continue
		}
		want, ok := feed.Collected(b.cfg.VirtualTopics, d.Name)
		if !ok {
			continue
		}
		want.User = s.who().Name
		since, _, err := b.bind(context.Background(), want)
		if err != nil {
			return 0, err
		}
		revision = max(revision, since)
	}
	return revision, nil
}
