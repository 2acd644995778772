package core

import (
	"sync/atomic"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/ring"
	"github.com/sluice-mq/sluice/gateway/selector"
)

// topicSubscription implements gateway.Subscription on topics. What waits for its
// door is bounded; beyond it the policy for slow consumers decides.
type topicSubscription struct {
	session *session
	options gateway.SubscribeOptions
	number  uint64 // in its session
	ring    ring.Ring
	closed  atomic.Bool
	// far: it hears what was sent on other nodes, which interest made them send. Set when it is opened.
	far      bool
	interest *interest
	// selector is nil for whoever gets everything; equal ones are the same.
	selector *selector.Selector
	// guard is nil for whoever may read all it can get.
	guard atomic.Pointer[guard]

	// heeds: it counts among those who listen to advisories. Guarded by the hub's lock.
	heeds bool
	// recital tells it what there is on other nodes, nil if it does not want to know. Guarded by the hub's lock.
	recital *recital

	// Guarded by the ring's lock.
	recall    *recall             // what is kept comes first; nil: it has
	seen      map[string]struct{} // ids of what came so, for a while
	judgement uint64              // messages on routes of an earlier one have to be looked at
	tag       uint64
	credit    int           // deliveries that Next may still return; without AutoAck
	allowance int           // prefetch and extension
	left      chan struct{} // of recall, closed when the subscription is
	unacked   map[uint64]struct{}
	slow      bool // its grace is used up, until it catches up
	dropped   uint64
	discarded uint64 // dropped, since it is there
	toldSlow  bool   // so was said in an advisory, until it catches up
	overheard *overheard
	// held are the senders that wait for it, since heldSince (Unix milliseconds).
	held      []waiter
	heldSince int64
}

const (
	// graceMillis is how long a subscription that is behind may slow its senders
	// down before it counts as slow.
	graceMillis = 1000
	// softShare of what may wait is where senders begin to be slowed down.
	softShare = 4
)

func newTopicSubscription(s *session, g *guard, o gateway.SubscribeOptions, number uint64) *topicSubscription {
	sub := &topicSubscription{session: s, options: o, number: number, credit: o.Prefetch, allowance: o.Prefetch, far: s.isFar(&o)}
	if !o.AutoAck {
		sub.unacked = make(map[uint64]struct{})
	}
	sub.selector, _ = s.broker.topics.selectors.Take(o.Selector) // it was read before
	sub.guard.Store(g)
	sub.ring.Init(o.Wake)
	return sub
}

// Open implements union.Source.
func (sub *topicSubscription) Open() {
	b := sub.session.broker
	var r *recall
	if sub.recalls() {
		r = &recall{room: make(chan struct{}, 1), gone: make(chan struct{}), elsewhere: b.topics.elsewhere(sub)}
		sub.ring.Lock()
		sub.recall, sub.left = r, r.gone
		sub.ring.Unlock()
	}
	if sub.recites() {
		sub.overhear()
	}
	b.topics.add(sub)
	b.counts.subscriptions.Add(1)
	sub.adviseKnown()
	if r != nil {
		b.spawn(func() { sub.remember(r) })
	}
}

// offer adds a message that came on a route of that judgement, or lets the policy for slow consumers decide. If the
// subscription is behind, it keeps the sender's completion until it has caught
// up or its grace is over, and reports true: so a flood runs at the pace of a
// subscriber that works, and a stuck one hinders nobody for long.
func (sub *topicSubscription) offer(m *gateway.Message, w waiter, judgement uint64) (held bool) {
	b := sub.session.broker
	sub.ring.Lock()
	if sub.closed.Load() || sub.options.Prefetch <= 0 || sub.judgement > judgement && !sub.mayHear(m.Destination.Name) {
		sub.ring.Unlock()
		return false
	}
	if sub.recall != nil || sub.seen != nil {
		if sub.isEarly(m) {
			sub.ring.Unlock()
			return false
		}
	}
	if sub.overheard != nil {
		sub.overheard.isNew(m)
	}
	if sub.ring.Len() > 0 && (sub.ring.Len() >= sub.most() || sub.ring.Bytes()+m.Size() > b.cfg.TopicBytes) {
		if sub.overflow(m) {
			sub.ring.Unlock()
			sub.end()
			return false
		}
	}
	sub.tag++
	wake := sub.ring.Push(gateway.Delivery{Message: m, Tag: sub.tag})
	if sub.ring.Len() > sub.options.Prefetch && sub.options.Prefetch > 1 && !sub.options.AutoAck {
		sub.adviseSlow(m)
	}
	first := false
	if !sub.slow && w.c != nil && sub.behind(1) {
		first, held = len(sub.held) == 0, true
		if first {
			sub.heldSince = b.nowMillis()
		}
		sub.held = append(sub.held, w)
	}
	sub.ring.Unlock()
	if first {
		b.topics.watch(sub)
	}
	if wake {
		sub.ring.Wake()
	}
	return held
}

// behind reports whether more than an nth of the soft bound waits. The lock is held.
func (sub *topicSubscription) behind(n int) bool {
	cfg := &sub.session.broker.cfg
	return sub.ring.Len()*n > cfg.TopicMessages/softShare || sub.ring.Bytes()*n > cfg.TopicBytes/softShare
}

// letGo completes the senders that waited, if the subscription has caught up or
// its grace is over, and reports whether nobody waits any more.
func (sub *topicSubscription) letGo(now int64) bool {
	sub.ring.Lock()
	over := max(now-sub.heldSince, sub.heldSince-now) > graceMillis // the clock may be set back
	if len(sub.held) > 0 && !over && !sub.closed.Load() && sub.behind(2) {
		sub.ring.Unlock()
		return false
	}
	held := sub.held
	sub.held = nil
	if len(held) > 0 && over && sub.behind(2) {
		sub.tellSlow()
	}
	sub.ring.Unlock()
	for _, w := range held {
		complete(w.c, w.token, nil)
	}
	return true
}

// tellSlow logs once per episode that the subscription does not keep up. The lock is held.
func (sub *topicSubscription) tellSlow() {
	if sub.slow {
		return
	}
	sub.slow = true
	b := sub.session.broker
	b.cfg.Logger.Warn("slow consumer", "destination", sub.options.Destination.String(), "remote", sub.session.login.From(),
		"user", sub.session.who().Name, "waiting", sub.ring.Len(), "bytes", sub.ring.Bytes(), "policy", b.cfg.SlowConsumer.String())
}

// overflow makes room for m, or reports that the subscription must end. The lock is held.
func (sub *topicSubscription) overflow(m *gateway.Message) (end bool) {
	b := sub.session.broker
	most := sub.most()
	if most == b.cfg.TopicMessages || sub.ring.Len() < most { // and not what its client wants
		sub.tellSlow()
		sub.adviseSlow(m)
		if b.cfg.SlowConsumer == Disconnect {
			return true
		}
	}
	for sub.ring.Len() > 0 && (sub.ring.Len() >= most || sub.ring.Bytes()+m.Size() > b.cfg.TopicBytes) {
		oldest := sub.ring.Pop().Message
		sub.dropped++
		sub.discarded++
		b.counts.slowDropped.Add(1)
		sub.adviseDropped(oldest)
	}
	return false
}

// most is how many messages may wait: what the client may still have, and what waits beyond that. The lock is held.
func (sub *topicSubscription) most() int {
	most := sub.session.broker.cfg.TopicMessages
	o := &sub.options
	switch {
	case o.Pending <= 0:
		return most
	case o.AutoAck:
		return min(most, o.Prefetch+o.Pending)
	}
	return min(most, max(sub.credit, 0)+o.Pending)
}

// String returns the policy's name in the configuration.
func (p SlowPolicy) String() string {
	if p == Disconnect {
		return "disconnect"
	}
	return "drop_oldest"
}

// end is the broker's own end of a subscription that is too slow.
func (sub *topicSubscription) end() {
	sub.session.broker.counts.slowEnded.Add(1)
	if sub.options.Ended != nil {
		sub.options.Ended(gateway.Errorf(gateway.Limit, "slow consumer: more than the allowed messages wait for the subscription to %s", sub.options.Destination))
	}
	sub.Close()
}

// Next implements gateway.Subscription.
func (sub *topicSubscription) Next(dst []gateway.Delivery, maxBytes int) int {
	sub.ring.Lock()
	if !sub.options.AutoAck {
		dst = dst[:min(len(dst), max(sub.credit, 0))]
	}
	n := sub.takeFresh(dst, maxBytes)
	if !sub.options.AutoAck {
		sub.credit -= n
		sub.ring.SetHungry(sub.ring.Len() == 0 || sub.credit <= 0)
		for _, d := range dst[:n] {
			sub.unacked[d.Tag] = struct{}{}
		}
	}
	caught := sub.slow && !sub.behind(2)
	sub.toldSlow = sub.toldSlow && sub.ring.Len() > 0
	release := len(sub.held) > 0 && !sub.behind(2)
	dropped, r := sub.dropped, sub.recall
	if caught {
		sub.slow, sub.dropped = false, 0
	}
	sub.ring.Unlock()
	if r != nil {
		r.more()
	}
	if caught {
		sub.session.broker.cfg.Logger.Info("slow consumer has caught up", "destination", sub.options.Destination.String(),
			"remote", sub.session.login.From(), "dropped", dropped)
	}
	if release {
		sub.letGo(sub.session.broker.nowMillis())
	}
	sub.session.broker.counts.topicOut.Add(uint64(n))
	return n
}

// takeFresh is the ring's take without what has expired while it waited. The lock is held.
func (sub *topicSubscription) takeFresh(dst []gateway.Delivery, maxBytes int) int {
	for {
		taken, _ := sub.ring.Take(dst, maxBytes)
		n := 0
		for i := range dst[:taken] {
			if sub.session.broker.expired(dst[i].Message) {
				sub.session.broker.adviseExpired(dst[i].Message)
				continue
			}
			if n != i {
				dst[n] = dst[i]
			}
			n++
		}
		clear(dst[n:taken])
		if n > 0 || taken == 0 {
			return n
		}
	}
}

// Written implements gateway.Subscription; a topic keeps nothing.
func (sub *topicSubscription) Written(int) {}

// settle forgets deliveries; not ok if one is unknown.
func (sub *topicSubscription) settle(tags []uint64) (ok bool) {
	sub.ring.Lock()
	defer sub.ring.Unlock()
	for _, tag := range tags {
		if _, ok := sub.unacked[tag]; !ok {
			return false
		}
	}
	for _, tag := range tags {
		delete(sub.unacked, tag)
	}
	sub.credit = sub.allowance - len(sub.unacked)
	return true
}

// Ack implements gateway.Subscription.
func (sub *topicSubscription) Ack(tags []uint64, c gateway.Completion, token uint64) {
	sub.answer(sub.settle(tags), c, token)
}

var errUnknownDelivery = gateway.Errorf(gateway.NotFound, "delivery is unknown or already acknowledged")

func (sub *topicSubscription) answer(ok bool, c gateway.Completion, token uint64) {
	if !ok {
		complete(c, token, errUnknownDelivery)
		return
	}
	sub.ring.Wake()
	complete(c, token, nil)
}

// Nack implements gateway.Subscription: no queue had it, and others have theirs. As in ActiveMQ it is no dead letter.
func (sub *topicSubscription) Nack(tags []uint64, c gateway.Completion, token uint64) {
	sub.answer(sub.settle(tags), c, token)
}

// Release implements gateway.Subscription: nobody else could get them.
func (sub *topicSubscription) Release(tags []uint64, _ gateway.Return) error {
	if !sub.settle(tags) {
		return errUnknownDelivery
	}
	sub.ring.Wake()
	return nil
}

// Extend implements gateway.Subscription.
func (sub *topicSubscription) Extend(n int) {
	sub.ring.Lock()
	sub.allowance += n
	sub.credit = sub.allowance - len(sub.unacked)
	sub.ring.Unlock()
	sub.ring.Wake()
}

// Close implements gateway.Subscription.
func (sub *topicSubscription) Close() {
	if sub.closed.Swap(true) {
		return
	}
	sub.session.broker.topics.remove(sub)
	sub.session.broker.topics.selectors.Leave(sub.selector)
	sub.session.ended(sub)
	sub.session.broker.counts.subscriptions.Add(-1)
	sub.ring.Lock()
	sub.ring.Clear()
	if sub.left != nil {
		close(sub.left)
	}
	sub.ring.Unlock()
	sub.letGo(sub.session.broker.nowMillis())
}

// SettleNow implements union.Source: it carries out a committed transaction's acknowledgements.
func (sub *topicSubscription) SettleNow(tags []uint64, nack bool, c gateway.Completion, token uint64) {
	if nack {
		sub.Nack(tags, nil, 0)
	} else {
		sub.Ack(tags, nil, 0)
	}
	complete(c, token, nil)
}
