package core

import (
	"sync/atomic"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/dispatch"
	"github.com/sluice-mq/sluice/gateway/statistics"
)

const (
	// sampleEvery is for how many messages that come to a queue there is one whose wait is measured. It is a power of two.
	sampleEvery = 16
	// talliesMost is of how many queues that were forgotten a shard keeps the counts. Of how many topics there are any says topicsRemembered.
	talliesMost = 1024
)

// tally is what a queue counts beside what its brain does. Guarded by the shard's lock.
type tally struct {
	statistics.Counts
	// watched is the tag of the message whose wait is measured, 0: none, and since when it waits.
	watched uint64
	since   int64
}

// count counts a message that comes to its queue, which has not been there before.
func (t *tally) count(q *dispatch.Queue, e *dispatch.Entry, now int64) {
	t.Enqueued++
	t.Bytes += uint64(e.Size)
	if t.Enqueued%sampleEvery != 1 {
		return
	}
	if t.watched != 0 {
		if _, waits := q.SeqOf(t.watched); waits {
			return
		}
	}
	t.watched, t.since = e.Tag, now
}

// handed measures how long the watched message has waited.
func (t *tally) handed(now int64) {
	t.watched = 0
	t.Waited(float64(max(now-t.since, 0)))
}

// counted are all counts of a queue. The shard's lock is held.
func (q *queue) counted() statistics.Counts {
	all, brain := q.tally.Counts, q.Counts()
	all.Dispatched += brain.Delivered
	all.Dequeued += brain.Gone
	all.Expired += brain.Expired
	return all
}

// forget forgets a queue, but not what it has counted, if there is room. The lock is held.
func (s *shard) forget(q *queue) {
	delete(s.queues, q.name)
	counts := q.counted()
	if isTempPlace(q.name) || q.retain != nil || counts == (statistics.Counts{}) {
		return
	}
	if s.tallies == nil {
		s.tallies = make(map[string]statistics.Counts)
	}
	for name := range s.tallies {
		if len(s.tallies) < talliesMost {
			break
		}
		delete(s.tallies, name) // any
	}
	s.tallies[q.name] = counts
}

// remember gives a queue what one of that name has counted before. The lock is held.
func (s *shard) remember(q *queue) {
	if counts, has := s.tallies[q.name]; has {
		q.tally.Counts = counts
		delete(s.tallies, q.name)
	}
}

// topicTally counts a topic's messages on this node: those that were sent here, and those that were put before somebody.
type topicTally struct{ in, out, bytes atomic.Uint64 }

// topicTallies are those of a node's topics, the newest of them. They are the hub's, under its lock.
type topicTallies struct {
	all   map[string]*topicTally
	names memory
}

// of returns a topic's, making it if need be; nil for a temporary one.
func (t *topicTallies) of(topic string) *topicTally {
	if isTempPlace(topic) {
		return nil
	}
	if x := t.all[topic]; x != nil {
		return x
	}
	if t.all == nil {
		t.all = make(map[string]*topicTally)
	}
	if gone := t.names.add(topic); gone != "" {
		delete(t.all, gone)
	}
	x := &topicTally{}
	t.all[topic] = x
	return x
}

// sent counts a message that was sent on this node.
func (r *route) sent(m *gateway.Message) {
	if r.tally != nil {
		r.tally.in.Add(1)
		r.tally.bytes.Add(uint64(len(m.Body)))
	}
}

// shown counts to how many it was given.
func (r *route) shown(n int) {
	if r.tally != nil && n > 0 {
		r.tally.out.Add(uint64(n))
	}
}

// topicsHere are the numbers of the topics that match a pattern, as far as this node has them: of those that subscribe here, and of the durable
// subscriptions that it keeps messages for.
func (b *Broker) topicsHere(pattern string) []statistics.OfDestination {
	h := &b.topics
	all := make(map[string]*statistics.OfDestination)
	of := func(topic string) *statistics.OfDestination {
		n := all[topic]
		if n == nil && len(all) < statisticsMost && gateway.Matches(pattern, topic) {
			n = &statistics.OfDestination{From: b.from(), Name: "topic://" + topic, MemoryLimit: int64(b.cfg.TopicBytes)}
			all[topic] = n
		}
		return n
	}
	var open []*topicSubscription
	h.mu.RLock()
	for topic, t := range h.tallies.all {
		if n := of(topic); n != nil {
			n.Enqueued, n.Bytes, n.Dispatched = t.in.Load(), t.bytes.Load(), t.out.Load()
		}
	}
	for name, subs := range h.exact {
		if !isTempPlace(name) && of(name) != nil {
			open = append(open, subs...)
		}
	}
	open = append(open, h.patterns...)
	h.mu.RUnlock()
	for _, sub := range open {
		sub.tellOf(all)
	}
	for _, n := range all {
		n.Dequeued = n.Dispatched - min(uint64(n.InFlight+n.Cached), n.Dispatched)
	}
	b.durablesHere(of)
	numbers := make([]statistics.OfDestination, 0, len(all))
	for _, n := range all {
		n.MemoryPercent = n.MemoryUsage * 100 / max(n.MemoryLimit, 1)
		numbers = append(numbers, *n)
	}
	return numbers
}

// tellOf adds what a subscription has of topics: what waits for its client, and what that one has not acknowledged, which is known of subscriptions to one topic.
func (sub *topicSubscription) tellOf(all map[string]*statistics.OfDestination) {
	name := sub.options.Destination.Name
	own := all[name]
	if own != nil {
		own.Consumers++
	} else {
		for topic, n := range all {
			if gateway.Matches(name, topic) && sub.mayHear(topic) {
				n.Consumers++
			}
		}
	}
	sub.ring.Lock()
	defer sub.ring.Unlock()
	if own != nil {
		own.InFlight += len(sub.unacked)
	}
	sub.ring.Each(func(d *gateway.Delivery) {
		if n := all[d.Message.Destination.Name]; n != nil {
			n.Cached++
			n.MemoryUsage += int64(d.Message.Size())
		}
	})
}

// durablesHere adds the consumers of durable subscriptions that this node has the messages of, and what they did with those.
func (b *Broker) durablesHere(of func(topic string) *statistics.OfDestination) {
	for _, s := range b.owned() {
		s.mu.Lock()
		for name, q := range s.queues {
			if d, _ := gateway.Placed(name); d.Kind != gateway.KindSubscription {
				continue
			}
			f := b.topics.boundTo(name)
			if f == nil || isPattern(f.Topic) {
				continue
			}
			if n := of(f.Topic); n != nil {
				n.Consumers += len(q.subscriptions)
				n.InFlight += q.Stats().InFlight
				counts := q.counted()
				n.Dispatched += counts.Dispatched
				n.Dequeued += counts.Dequeued
				n.Expired += counts.Expired
			}
		}
		s.mu.Unlock()
	}
}
