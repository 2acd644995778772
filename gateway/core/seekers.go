package core

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/union"
)

// lostQueue is the Count of a FrameFound for a queue that nobody uses but subscriptions to patterns: they leave it, so that it can go.
const lostQueue = -1

// seekers are the subscriptions to patterns of queues, of this node and, as far as it owns queues, of others. The zero value is ready to use.
type seekers struct {
	// n is how many there are: without any a new queue costs nothing.
	n  atomic.Int64
	mu sync.Mutex
	// here are those of this node, by their names on links.
	here map[uint64]*seeker
	last uint64
	// there are those of other nodes.
	there map[seekKey]sought
}

// seeker is a pattern of a union.
type seeker struct {
	broker  *Broker
	union   *union.Union
	pattern string
	name    uint64
}

// seekKey names a pattern that a node wants to hear of from a shard, and sought is the pattern and the epoch in which it was said.
type seekKey struct {
	node  string
	name  uint64
	shard int
}

type sought struct {
	pattern string
	epoch   uint64
}

// sighting is a queue that is new, or lost.
type sighting struct {
	queue string
	lost  bool
}

// seekable reports whether patterns may match a queue.
func seekable(place string) bool {
	d, ok := gateway.Placed(place)
	return ok && d.Kind == gateway.KindQueue
}

// add has a union join the queues of a pattern, now and later.
func (k *seekers) add(b *Broker, u *union.Union, pattern string) {
	k.mu.Lock()
	if k.here == nil {
		k.here = make(map[uint64]*seeker)
	}
	k.last++
	s := &seeker{b, u, pattern, k.last}
	k.here[s.name] = s
	k.n.Add(1)
	k.mu.Unlock()
	if u.Closed() { // meanwhile
		k.remove(u)
		return
	}
	s.seek()
}

// of are a union's patterns.
func (k *seekers) of(u *union.Union) (all []*seeker) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, s := range k.here {
		if s.union == u {
			all = append(all, s)
		}
	}
	return all
}

// again has a union find queues that it left, or may join now.
func (k *seekers) again(u *union.Union) {
	for _, s := range k.of(u) {
		s.seek()
	}
}

// remove forgets a union.
func (k *seekers) remove(u *union.Union) {
	for _, s := range k.of(u) {
		k.mu.Lock()
		delete(k.here, s.name)
		k.n.Add(-1)
		k.mu.Unlock()
		for _, t := range s.broker.seats {
			t.seek(s, 0)
		}
	}
}

// seek asks all owners for the queues of a pattern.
func (s *seeker) seek() {
	for _, t := range s.broker.seats {
		t.seek(s, 1)
	}
}

// seek has the seat's owner tell of a pattern's queues, if count is 1, or not any more.
func (t *seat) seek(s *seeker, count int64) {
	if here := t.here.Load(); here != nil {
		if count > 0 {
			for _, name := range here.matching(s.pattern) {
				s.saw(sighting{queue: name})
			}
		}
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.linked && t.leaving == nil {
		t.broker.cfg.Cluster.Send(t.owner, &gateway.Frame{Kind: gateway.FrameSeek, Shard: t.index, Epoch: t.epoch, Subscription: s.name, Queue: s.pattern, Count: count})
	}
}

// seekAt asks a shard's new owner.
func (k *seekers) seekAt(t *seat) {
	if k.n.Load() == 0 {
		return
	}
	k.mu.Lock()
	all := slices.Collect(maps.Values(k.here))
	k.mu.Unlock()
	for _, s := range all {
		t.seek(s, 1)
	}
}

// saw has the union join a queue, or leave it.
func (s *seeker) saw(x sighting) {
	d := gateway.Destination{Kind: gateway.KindQueue, Name: x.queue}
	if x.lost {
		s.union.Leave(d)
	} else {
		s.union.Join(d, true)
	}
}

// found takes in what another node says.
func (k *seekers) found(f *gateway.Frame) {
	k.mu.Lock()
	s := k.here[f.Subscription]
	k.mu.Unlock()
	if s != nil && seekable(f.Queue) && gateway.Matches(s.pattern, f.Queue) {
		s.saw(sighting{f.Queue, f.Count == lostQueue})
	}
}

// matching lists the queues of a pattern.
func (s *shard) matching(pattern string) (names []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, q := range s.queues {
		if !q.lost && seekable(name) && gateway.Matches(pattern, name) {
			names = append(names, name)
		}
	}
	return names
}

// seek takes in another node's FrameSeek.
func (g *guest) seek(s *shard, f *gateway.Frame) {
	k := &g.broker.seekers
	key := seekKey{g.node, f.Subscription, s.index}
	k.mu.Lock()
	_, had := k.there[key]
	switch {
	case f.Count > 0:
		if k.there == nil {
			k.there = make(map[seekKey]sought)
		}
		k.there[key] = sought{f.Queue, s.epoch}
		if !had {
			k.n.Add(1)
		}
	case had:
		delete(k.there, key)
		k.n.Add(-1)
	}
	k.mu.Unlock()
	if f.Count > 0 {
		for _, name := range s.matching(f.Queue) {
			g.broker.tellFound(key, s.epoch, sighting{queue: name})
		}
	}
}

func (b *Broker) tellFound(key seekKey, epoch uint64, x sighting) {
	f := &gateway.Frame{Kind: gateway.FrameFound, Shard: key.shard, Epoch: epoch, Subscription: key.name, Queue: x.queue}
	if x.lost {
		f.Count = lostQueue
	}
	b.cfg.Cluster.Send(key.node, f)
}

// forget forgets a node to which there is no link any more, and what was said of shards that this node does not own any more.
func (k *seekers) forget(over func(seekKey, sought) bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for key, s := range k.there {
		if over(key, s) {
			delete(k.there, key)
			k.n.Add(-1)
		}
	}
}

// tell tells who looks for it of a queue.
func (k *seekers) tell(s *shard, x sighting) {
	var here []*seeker
	k.mu.Lock()
	for _, one := range k.here {
		if gateway.Matches(one.pattern, x.queue) {
			here = append(here, one)
		}
	}
	for key, one := range k.there {
		if key.shard == s.index && one.epoch == s.epoch && gateway.Matches(one.pattern, x.queue) {
			s.broker.tellFound(key, one.epoch, x)
		}
	}
	k.mu.Unlock()
	for _, one := range here {
		one.saw(x)
	}
}

// sight notes that a queue is new, or used again. The shard's lock is held.
func (s *shard) sight(q *queue) {
	if s.broker.seekers.n.Load() > 0 && seekable(q.name) {
		s.after.sighted = append(s.after.sighted, sighting{queue: q.name})
	}
}

// find has a queue found again that was lost, because somebody uses it. The lock is held.
func (s *shard) find(q *queue) {
	if q.lost && len(q.subscriptions) == 0 {
		q.lost = false
		s.sight(q)
	}
}

// lose lets subscriptions to patterns leave a queue that nobody else has used for a while, and has them come back when somebody does. The lock is held.
func (s *shard) lose(q *queue) {
	wild := q.Empty() && q.spilling == 0
	for _, sub := range q.subscriptions {
		if wild = wild && sub.wild; !wild {
			break
		}
	}
	switch {
	case q.lost && !wild:
		q.lost = false
		s.sight(q)
	case !q.lost && wild && q.idle > idleSweeps && len(q.subscriptions) > 0:
		q.lost = true
		s.after.sighted = append(s.after.sighted, sighting{q.name, true})
	}
}
