package core

import (
	"math"
	"slices"
	"sync/atomic"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/completion"
	"github.com/sluice-mq/sluice/gateway/dispatch"
	"github.com/sluice-mq/sluice/gateway/policy"
	"github.com/sluice-mq/sluice/gateway/ring"
	"github.com/sluice-mq/sluice/gateway/selector"
)

// queueSubscription implements gateway.Subscription on a queue.
type queueSubscription struct {
	session *session
	shard   *shard
	queue   string
	id      dispatch.SubID
	options gateway.SubscribeOptions
	// selector of what it takes; mute: nothing.
	selector *selector.Selector
	mute     bool
	// apart: it has not joined its queue yet, and comes with so much more credit than its prefetch. Guarded by the shard's lock.
	apart  bool
	credit int
	ring   ring.Ring
	wild   bool // it does not keep its queue alive

	// taken are the tags that Next returned and Written was not told of, in order;
	// only with AutoAck. Used by the door's writer alone, as is unreported.
	taken []uint64
	// unreported bytes were taken and the queue does not know it yet.
	unreported int
	closed     atomic.Bool
}

// reportBytes is how much is taken before the queue is told that there is room.
const reportBytes = ring.MostBytes / 4

func newQueueSubscription(s *session, shard *shard, o gateway.SubscribeOptions) *queueSubscription {
	sub := &queueSubscription{session: s, shard: shard, queue: o.Destination.Place(), options: o}
	sub.ring.Init(o.Wake)
	sub.choose()
	return sub
}

// Open implements union.Source.
func (sub *queueSubscription) Open() { sub.Resume(0, nil) }

// Resume implements attach.Local: it opens it with so much more credit than its prefetch, and with what its client has from owners before this one. It returns
// those of them that are its own from here on, and their tags: each adds one to the credit, which was lent without it.
func (sub *queueSubscription) Resume(credit int, had []dispatch.Had) (seqs, tags []uint64) {
	sub.shard.on(sub.queue, func(q *queue, fx *dispatch.Effects) {
		if sub.closed.Load() { // with its session, before it was open
			return
		}
		sub.id = dispatch.SubID(sub.shard.nextTag())
		if q.subscriptions == nil {
			q.subscriptions = make(map[dispatch.SubID]*queueSubscription)
		}
		q.subscriptions[sub.id] = sub
		if sub.waitsToJoin(q, had) {
			sub.apart, sub.credit = true, credit
			sub.shard.late = append(sub.shard.late, sub)
			return
		}
		prefetch := sub.options.Prefetch
		if credit != 0 || len(had) > 0 { // nothing may be handed out before all of it is said
			q.Subscribe(sub.id, sub.consumer(0), sub.session.broker.nowMillis(), fx)
			seqs, tags = sub.shard.adopt(q, sub.id, had, fx)
			q.Extend(sub.id, credit+len(tags), sub.session.broker.nowMillis(), fx)
		}
		if !sub.shard.begun() {
			sub.shard.late = append(sub.shard.late, sub)
			prefetch = 0
		}
		q.Subscribe(sub.id, sub.consumer(prefetch), sub.session.broker.nowMillis(), fx)
	})
	sub.session.broker.counts.subscriptions.Add(1)
	return seqs, tags
}

// push adds a delivery and reports whether the door must be woken.
func (sub *queueSubscription) push(e *dispatch.Entry) bool {
	sub.ring.Lock()
	defer sub.ring.Unlock()
	return sub.ring.Push(gateway.Delivery{Message: e.Message, Tag: e.Tag, Redeliveries: e.Redeliveries, Seq: e.Seq})
}

// Next implements gateway.Subscription.
func (sub *queueSubscription) Next(dst []gateway.Delivery, maxBytes int) int {
	sub.ring.Lock()
	n, bytes := sub.ring.Take(dst, maxBytes)
	sub.ring.Unlock()
	if n == 0 {
		return 0
	}
	sub.session.broker.counts.queueOut.Add(uint64(n))
	if sub.options.AutoAck {
		for i := range n {
			sub.taken = append(sub.taken, dst[i].Tag)
		}
	}
	if sub.unreported += bytes; sub.unreported >= reportBytes {
		bytes, sub.unreported = sub.unreported, 0
		sub.shard.on(sub.queue, func(q *queue, fx *dispatch.Effects) {
			q.Taken(sub.id, int64(bytes), sub.session.broker.nowMillis(), fx)
		})
	}
	return n
}

// Pending is what waits for its door.
func (sub *queueSubscription) Pending() (n, bytes int) { return sub.ring.Pending() }

// Written implements gateway.Subscription.
func (sub *queueSubscription) Written(n int) {
	if !sub.options.AutoAck {
		return
	}
	n = min(n, len(sub.taken))
	sub.Ack(sub.taken[:n], nil, 0)
	sub.taken = sub.taken[:copy(sub.taken, sub.taken[n:])]
}

// Ack implements gateway.Subscription. Without tags it settles nothing, and completes
// when all that was settled before is durable.
func (sub *queueSubscription) Ack(tags []uint64, c gateway.Completion, token uint64) {
	var err error
	sub.shard.on(sub.queue, func(q *queue, fx *dispatch.Effects) {
		if len(tags) > 0 {
			err = q.Ack(sub.id, tags, sub.session.broker.nowMillis(), fx)
		}
		if err == nil && c != nil {
			sub.shard.waiters = append(sub.shard.waiters, waiter{c, token})
			sub.shard.flush = sub.shard.flush || len(tags) == 0
		}
	})
	if err != nil {
		complete(c, token, err)
	}
}

// Nack implements gateway.Subscription.
func (sub *queueSubscription) Nack(tags []uint64, c gateway.Completion, token uint64) {
	var err error
	sub.shard.on(sub.queue, func(q *queue, fx *dispatch.Effects) {
		if err = sub.refuse(q, tags, sub.session.broker.nowMillis(), fx); err == nil && c != nil {
			sub.shard.refuse(refusedIn(fx), waiter{c, token})
		}
	})
	if err != nil {
		complete(c, token, err)
	}
}

// Extend implements gateway.Subscription.
func (sub *queueSubscription) Extend(n int) {
	sub.shard.on(sub.queue, func(q *queue, fx *dispatch.Effects) {
		switch {
		case sub.mute:
			return
		case sub.apart:
			sub.credit += n
			return
		}
		q.Extend(sub.id, n, sub.session.broker.nowMillis(), fx)
	})
}

// Close implements gateway.Subscription.
func (sub *queueSubscription) Close() { sub.closeWith(nil) }

// closeWith closes it; beyond what waits in its ring, these never reached a client.
func (sub *queueSubscription) closeWith(untaken []uint64) {
	if sub.closed.Swap(true) {
		return
	}
	sub.session.ended(sub)
	sub.session.broker.counts.subscriptions.Add(-1)
	sub.shard.on(sub.queue, func(q *queue, fx *dispatch.Effects) {
		delete(q.subscriptions, sub.id)
		sub.ring.Lock()
		waiting, _ := sub.ring.Empty()
		sub.ring.Unlock()
		untaken = append(untaken, waiting...)
		q.Unsubscribe(sub.id, untaken, sub.session.broker.nowMillis(), fx)
	})
	sub.unchoose()
}

// SettleNow implements union.Source: it carries out a committed transaction's acknowledgements. The transaction has
// happened, so that nothing is an error any more: what is not here counts as settled or,
// if the subscription has ended, is acknowledged where it waits, and not refused.
func (sub *queueSubscription) SettleNow(tags []uint64, nack bool, c gateway.Completion, token uint64) {
	sub.shard.on(sub.queue, func(q *queue, fx *dispatch.Effects) {
		now := sub.session.broker.nowMillis()
		if nack {
			sub.refuseHere(q, tags, now, fx)
			sub.shard.refuse(refusedIn(fx), waiter{completion.Regardless{To: c}, token})
			return
		}
		if q.Ack(sub.id, tags, now, fx) != nil {
			for i := range tags {
				if one := tags[i : i+1]; q.Ack(sub.id, one, now, fx) != nil {
					q.AckClosed(one, now, fx)
				}
			}
		}
		sub.shard.waiters = append(sub.shard.waiters, waiter{c, token})
	})
}

// refuseHere refuses those of the deliveries that are in flight here.
func (sub *queueSubscription) refuseHere(q *queue, tags []uint64, now int64, fx *dispatch.Effects) {
	if sub.refuse(q, tags, now, fx) == nil {
		return
	}
	for i := range tags {
		_ = sub.refuse(q, tags[i:i+1], now, fx) // the others are not here
	}
}

// refuse does with refused deliveries what the queue's policy says. Errors as for dispatch.Queue.Nack.
func (sub *queueSubscription) refuse(q *queue, tags []uint64, now int64, fx *dispatch.Effects) error {
	switch q.policy.Nack {
	case policy.NackRequeue:
		return q.Release(sub.id, tags, gateway.Return{Redelivered: true}, now, fx)
	case policy.NackDrop:
		err := q.Ack(sub.id, tags, now, fx)
		if err == nil {
			sub.session.broker.counts.dropped.Add(uint64(len(tags)))
		}
		return err
	}
	return q.Nack(sub.id, tags, now, fx)
}

// refusedIn are the tags of what an event refused: what had been settled meanwhile is not among them.
func refusedIn(fx *dispatch.Effects) (tags []uint64) {
	for _, d := range fx.Dead {
		if d.Cause == dispatch.Refused || d.Cause == dispatch.Exhausted {
			tags = append(tags, d.Entry.Tag)
		}
	}
	return tags
}

// noCredit is more than any subscription has.
const noCredit = -math.MaxInt32

// Release implements gateway.Subscription.
func (sub *queueSubscription) Release(tags []uint64, r gateway.Return) (err error) {
	sub.shard.on(sub.queue, func(q *queue, fx *dispatch.Effects) {
		if r.Untouched() {
			err = sub.takeBack(q, tags, fx)
			return
		}
		err = q.Release(sub.id, tags, r, sub.session.broker.nowMillis(), fx)
	})
	return err
}

// takeBack puts what is given back untouched, and what waits in the ring, into their old places. The shard's lock is held.
func (sub *queueSubscription) takeBack(q *queue, tags []uint64, fx *dispatch.Effects) error {
	now := sub.session.broker.nowMillis()
	sub.ring.Lock()
	defer sub.ring.Unlock()
	if err := q.Release(sub.id, append(slices.Clone(tags), sub.ring.Tags()...), gateway.Return{}, now, fx); err != nil {
		return err
	}
	if _, bytes := sub.ring.Empty(); bytes > 0 {
		q.Taken(sub.id, int64(bytes), now, fx)
	}
	return nil
}

// Retire implements gateway.Retirable.
func (sub *queueSubscription) Retire(tags []uint64) {
	sub.shard.on(sub.queue, func(q *queue, fx *dispatch.Effects) {
		now := sub.session.broker.nowMillis()
		q.Extend(sub.id, noCredit, now, fx)
		_ = sub.takeBack(q, nil, fx) // what is in the ring is in flight here
		for i := range tags {
			_ = q.Release(sub.id, tags[i:i+1], gateway.Return{Redelivered: true}, now, fx) // but for those that are not here any more
		}
	})
}
