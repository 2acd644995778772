// Package advising tells on the topics of advisories what happens on a node, in the order in which it happens. Nothing ever waits for an advisory: what happens is noted in a
// queue with bounds, and what finds no room there is counted and not told.
package advising

import (
	"context"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/advisory"
	"github.com/sluice-mq/sluice/gateway/policy"
)

const (
	advicesMost  = 8192
	advicesBytes = 16 << 20
	// advicesAtOnce is how many are told in one go: in a cluster the other nodes are asked once for all of them.
	advicesAtOnce = 256
)

// Audience is who listens to advisories, on this node and others.
type Audience interface {
	// Heard reports whether somebody listens to a topic, and Publish tells an advisory to all who do. Nobody waits for it.
	Heard(topic string) bool
	Publish(m *gateway.Message)
	// Elsewhere asks all linked nodes, and waits for what they say, or as long as they may take. Of an empty roll it asks nothing.
	Elsewhere(ctx context.Context, ask *Roll) Elsewhere
}

// Advisor tells on the topics of advisories what happens on this node. What nobody listens to costs a look at what is heeded.
type Advisor struct {
	audience Audience
	ids      string // what the ids of advisories begin with
	// Origin is this node, as advisories show it.
	Origin advisory.Broker
	// heeded are the kinds that somebody listens to, on this or a linked node.
	heeded  atomic.Uint32
	advices chan Advice
	bytes   atomic.Int64 // of messages in them
	number  atomic.Uint64
	// told are advisories that somebody listens to, lost what found no room.
	told, lost atomic.Uint64

	// Who listens to each kind. Guarded by the lock of those who call Listen.
	listeners [advisory.NoConsumer + 1]int

	mu sync.Mutex
	// consumers counts this node's subscriptions by their destination, patterns those that are for patterns.
	consumers, patterns map[gateway.Destination]int
	// untold destinations are, or are not, there any more, and that is not told yet.
	untold map[gateway.Destination]int
}

// Advice is something to be told.
type Advice struct {
	// Topic of the advisory; Make makes it if somebody listens there, with how many consumers there are of the destination Of.
	Topic string
	Make  func(consumers int) *gateway.Message
	Of    gateway.Destination
	// Counts: about a consumer, of as many on this node. News: a topic of that name is there, or gone; it is told once in the cluster.
	Counts, News bool
	Consumers    int
	Size         int
	// Over runs when it is told, or will not be.
	Over func()
	// Instead, if not nil, is all that is done.
	Instead func()
}

// New makes the advisor of a node. ids is what the ids of its messages begin with.
func New(to Audience, origin advisory.Broker, ids string) *Advisor {
	return &Advisor{
		audience: to, Origin: origin, ids: ids, advices: make(chan Advice, advicesMost), untold: make(map[gateway.Destination]int),
		consumers: make(map[gateway.Destination]int), patterns: make(map[gateway.Destination]int),
	}
}

// Heeds reports whether somebody listens to one of the kinds. It costs one atomic load.
func (a *Advisor) Heeds(kinds ...advisory.Kind) bool {
	set := a.heeded.Load()
	return set != 0 && advisory.Set(set).Has(kinds...)
}

// Listen counts those whose topic, or pattern of some, reaches advisories. One call follows another.
func (a *Advisor) Listen(topic string, n int) {
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

// Tell notes what is to be told. It never blocks, and may be called with any lock held.
func (a *Advisor) Tell(x Advice) {
	if a.bytes.Add(int64(x.Size)) <= advicesBytes {
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
func (a *Advisor) end(x Advice) {
	a.bytes.Add(-int64(x.Size))
	if x.Over != nil {
		x.Over()
	}
}

// Run tells what happens, in order, until ctx ends.
func (a *Advisor) Run(ctx context.Context) {
	var batch []Advice
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
func (a *Advisor) tellAll(ctx context.Context, batch []Advice) {
	var ask Roll
	wanted := make([]bool, len(batch))
	for i := range batch {
		x := &batch[i]
		if wanted[i] = x.Instead == nil && a.audience.Heard(x.Topic); !wanted[i] {
			continue
		}
		if x.Counts {
			ask.Add(&ask.Consumers, x.Of)
		}
		if x.News {
			ask.Add(&ask.Topics, x.Of)
		}
	}
	there := a.audience.Elsewhere(ctx, &ask)
	for i := range batch {
		switch x := &batch[i]; {
		case x.Instead != nil:
			x.Instead()
		case !wanted[i] || x.News && there.Known[x.Of]:
		default:
			if m := x.Make(x.Consumers + there.Consumers[x.Of]); m != nil {
				a.Stamp(m)
				a.told.Add(1)
				a.audience.Publish(m)
			}
		}
		a.end(batch[i])
	}
}

// Stamp gives an advisory its id.
func (a *Advisor) Stamp(m *gateway.Message) {
	if m.ID == "" {
		m.ID = a.ids + "0:-1:1:" + strconv.FormatUint(a.number.Add(1), 10)
	}
}

// Subject is what an advisory about a message is made of: the message without its body, which none shows.
func Subject(m *gateway.Message) *gateway.Message {
	c := m.Copy()
	c.Body = nil
	return c
}

// About tells what became of a message to d, or to the destination that it names if d is none.
func (a *Advisor) About(k advisory.Kind, d gateway.Destination, m *gateway.Message) {
	if d.Kind == 0 || d.Kind == gateway.KindSubscription {
		d = m.Destination
	}
	if d.Kind == gateway.KindTopic && advisory.Is(d.Name) {
		return
	}
	c, size := Subject(m), m.Size()
	a.Tell(Advice{Topic: advisory.Topic(k, d), Size: size - len(m.Body), Make: func(int) *gateway.Message { return a.Origin.About(k, d, c, size) }})
}

// Arrived tells of a message that has come to a destination, as its policy says. unheard: it has no consumers.
func (a *Advisor) Arrived(p *policy.Advisories, d gateway.Destination, m *gateway.Message, unheard bool) {
	if d.Kind == gateway.KindTopic && advisory.Is(d.Name) {
		return
	}
	if p.Delivered && a.Heeds(advisory.Delivered) {
		a.About(advisory.Delivered, d, m)
	}
	if p.NoConsumers && unheard && !m.Persistent && a.Heeds(advisory.NoConsumer) {
		a.Tell(Advice{Topic: advisory.Topic(advisory.NoConsumer, d), Size: m.Size(), Make: func(int) *gateway.Message { return advisory.Unheard(d, m) }})
	}
}

// Destination tells that a destination is there, or gone. It is marked until then, so that nobody hears of it twice who is told what there is.
func (a *Advisor) Destination(d gateway.Destination, connection string, gone bool) {
	if !a.Heeds(advisory.Destination) || d.Kind == gateway.KindTopic && advisory.Is(d.Name) {
		return
	}
	a.mu.Lock()
	a.untold[d]++
	a.mu.Unlock()
	a.Tell(Advice{
		Topic: advisory.Topic(advisory.Destination, d), Of: d, News: d.Kind == gateway.KindTopic,
		Make: func(int) *gateway.Message {
			if gone {
				return a.Origin.Removed(d, connection)
			}
			return a.Origin.Made(d, connection)
		},
		Over: func() {
			a.mu.Lock()
			if a.untold[d]--; a.untold[d] == 0 {
				delete(a.untold, d)
			}
			a.mu.Unlock()
		},
	})
}

// IsUntold reports whether it is still to be told that a destination is there, or gone.
func (a *Advisor) IsUntold(d gateway.Destination) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.untold[d] > 0
}

// Count is how many subscriptions of this node are for a destination, by its name or by a pattern.
func (a *Advisor) Count(d gateway.Destination) int {
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

// Join counts a subscription to some destinations, or its end.
func (a *Advisor) Join(all []gateway.Destination, n int) {
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

// Counts are how many advisories were told because somebody listened, and how many found no room.
func (a *Advisor) Counts() (told, lost uint64) { return a.told.Load(), a.lost.Load() }
