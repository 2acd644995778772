package core

import (
	"context"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/advisory"
	"github.com/sluice-mq/sluice/gateway/policy"
)

// Nothing ever waits for an advisory: what happens is noted in a queue with bounds, and what finds no room there is counted and not told.
const (
	advicesMost  = 8192
	advicesBytes = 16 << 20
	// advicesAtOnce is how many are told in one go: in a cluster the other nodes are asked once for all of them.
	advicesAtOnce = 256
)

// advisor tells on the topics of advisories what happens on this node. What nobody listens to costs a look at what is heeded.
type advisor struct {
	broker *Broker
	origin advisory.Broker
	// heeded are the kinds that somebody listens to, on this or a linked node.
	heeded  atomic.Uint32
	advices chan advice
	bytes   atomic.Int64 // of messages in them
	number  atomic.Uint64
	// told are advisories that somebody listens to, lost what found no room.
	told, lost atomic.Uint64

	// Guarded by the hub's lock: who listens to each kind.
	listeners [advisory.NoConsumer + 1]int

	mu sync.Mutex
	// consumers counts this node's subscriptions by their destination, patterns those that are for patterns.
	consumers, patterns map[gateway.Destination]int
	// untold destinations are, or are not, there any more, and that is not told yet.
	untold map[gateway.Destination]int
}

// advice is something to be told.
type advice struct {
	// topic of the advisory; make makes it if somebody listens there, with how many consumers there are of the destination of.
	topic string
	make  func(consumers int) *gateway.Message
	of    gateway.Destination
	// counts: about a consumer, of as many on this node. news: a topic of that name is there, or gone; it is told once in the cluster.
	counts, news bool
	consumers    int
	size         int
	// over runs when it is told, or will not be.
	over func()
	// instead, if not nil, is all that is done.
	instead func()
}

func (a *advisor) init(b *Broker) {
	a.broker, a.origin = b, advisory.Broker{ID: b.ids[:len(b.ids)-1], Name: b.cfg.Node}
	a.advices = make(chan advice, advicesMost)
	a.consumers, a.patterns = make(map[gateway.Destination]int), make(map[gateway.Destination]int)
	a.untold = make(map[gateway.Destination]int)
}

// heeds reports whether somebody listens to one of the kinds. It costs one atomic load.
func (a *advisor) heeds(kinds ...advisory.Kind) bool {
	set := a.heeded.Load()
	return set != 0 && advisory.Set(set).Has(kinds...)
}

// listen counts those whose topic, or pattern of some, reaches advisories. The hub's lock is held.
func (a *advisor) listen(topic string, n int) {
	set := advisory.Kinds(topic)
	if set == 0 {
		return
	}
	var heeded advisory.Set
	for k := range a.listeners {
		if set.Has(advisory.Kind(k)) {
			a.listeners[k] += n
		}
		if a.listeners[k] > 0 {
			heeded |= 1 << k
		}
	}
	a.heeded.Store(uint32(heeded))
}

// tell notes what is to be told. It never blocks, and may be called with any lock held.
func (a *advisor) tell(x advice) {
	if a.bytes.Add(int64(x.size)) <= advicesBytes {
		select {
		case a.advices <- x:
			return
		default:
		}
	}
	a.lost.Add(1)
	a.end(x)
}

// end is when something is told, or will not be.
func (a *advisor) end(x advice) {
	a.bytes.Add(-int64(x.size))
	if x.over != nil {
		x.over()
	}
}

// run tells what happens, in order, until ctx ends.
func (a *advisor) run(ctx context.Context) {
	var batch []advice
	for {
		select {
		case <-ctx.Done():
			return
		case x := <-a.advices:
			batch = append(batch[:0], x)
		}
		for len(batch) < advicesAtOnce && len(a.advices) > 0 {
			batch = append(batch, <-a.advices)
		}
		a.tellAll(ctx, batch)
		clear(batch)
	}
}

// tellAll tells what somebody listens to.
func (a *advisor) tellAll(ctx context.Context, batch []advice) {
	var ask roll
	wanted := make([]bool, len(batch))
	for i := range batch {
		x := &batch[i]
		if wanted[i] = x.instead == nil && a.heard(x.topic); !wanted[i] {
			continue
		}
		if x.counts {
			ask.add(&ask.Consumers, x.of)
		}
		if x.news {
			ask.add(&ask.Topics, x.of)
		}
	}
	there := a.elsewhere(ctx, &ask)
	for i := range batch {
		switch x := &batch[i]; {
		case x.instead != nil:
			x.instead()
		case !wanted[i] || x.news && there.known[x.of]:
		default:
			if m := x.make(x.consumers + there.consumers[x.of]); m != nil {
				a.publish(m)
			}
		}
		a.end(batch[i])
	}
}

// heard reports whether somebody listens to a topic.
func (a *advisor) heard(topic string) bool {
	r := a.broker.topics.route(topic)
	return len(r.here)+len(r.away)+len(r.feeds) > 0
}

// publish tells an advisory to all who listen. Nobody waits for it.
func (a *advisor) publish(m *gateway.Message) {
	h := &a.broker.topics
	a.stamp(m)
	a.told.Add(1)
	r := h.route(m.Destination.Name)
	if len(r.feeds) > 0 {
		if _, ok := h.keep(r, m, nil, waiter{}); !ok {
			return
		}
	}
	h.show(r, m, nil, waiter{})
}

// stamp gives an advisory its id.
func (a *advisor) stamp(m *gateway.Message) {
	if m.ID == "" {
		m.ID = a.broker.ids + "0:-1:1:" + strconv.FormatUint(a.number.Add(1), 10)
	}
}

// subject is what an advisory about a message is made of: the message without its body, which none shows.
func subject(m *gateway.Message) *gateway.Message {
	c := m.Copy()
	c.Body = nil
	return c
}

// of tells what became of a message to d, or to the destination that it names if d is none.
func (a *advisor) of(k advisory.Kind, d gateway.Destination, m *gateway.Message) {
	if d.Kind == 0 || d.Kind == gateway.KindSubscription {
		d = m.Destination
	}
	if d.Kind == gateway.KindTopic && advisory.Is(d.Name) {
		return
	}
	c, size := subject(m), m.Size()
	a.tell(advice{topic: advisory.Topic(k, d), size: size - len(m.Body), make: func(int) *gateway.Message { return a.origin.About(k, d, c, size) }})
}

// arrived tells of a message that has come to a destination, as its policy says. unheard: it has no consumers.
func (a *advisor) arrived(p *policy.Advisories, d gateway.Destination, m *gateway.Message, unheard bool) {
	if d.Kind == gateway.KindTopic && advisory.Is(d.Name) {
		return
	}
	if p.Delivered && a.heeds(advisory.Delivered) {
		a.of(advisory.Delivered, d, m)
	}
	if p.NoConsumers && unheard && !m.Persistent && a.heeds(advisory.NoConsumer) {
		a.tell(advice{topic: advisory.Topic(advisory.NoConsumer, d), size: m.Size(), make: func(int) *gateway.Message { return advisory.Unheard(d, m) }})
	}
}

// destination tells that a destination is there, or gone. It is marked until then, so that nobody hears of it twice who is told what there is.
func (a *advisor) destination(d gateway.Destination, connection string, gone bool) {
	if !a.heeds(advisory.Destination) || d.Kind == gateway.KindTopic && advisory.Is(d.Name) {
		return
	}
	a.mu.Lock()
	a.untold[d]++
	a.mu.Unlock()
	a.tell(advice{
		topic: advisory.Topic(advisory.Destination, d), of: d, news: d.Kind == gateway.KindTopic,
		make: func(int) *gateway.Message {
			if gone {
				return a.origin.Removed(d, connection)
			}
			return a.origin.Made(d, connection)
		},
		over: func() {
			a.mu.Lock()
			if a.untold[d]--; a.untold[d] == 0 {
				delete(a.untold, d)
			}
			a.mu.Unlock()
		},
	})
}

// isUntold reports whether it is still to be told that a destination is there, or gone.
func (a *advisor) isUntold(d gateway.Destination) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.untold[d] > 0
}

// count is how many subscriptions of this node are for a destination, by its name or by a pattern.
func (a *advisor) count(d gateway.Destination) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := a.consumers[d]
	for p, consumers := range a.patterns {
		if p.Kind == d.Kind && p != d && gateway.Matches(p.Name, d.Name) {
			n += consumers
		}
	}
	return n
}

// join counts a subscription to some destinations, or its end.
func (a *advisor) join(all []gateway.Destination, n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, d := range all {
		if a.consumers[d] += n; a.consumers[d] <= 0 {
			delete(a.consumers, d)
		}
		if !d.IsPattern() {
			continue
		}
		if a.patterns[d] += n; a.patterns[d] <= 0 {
			delete(a.patterns, d)
		}
	}
}
