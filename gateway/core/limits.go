package core

import (
	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/policy"
)

// way says how a message comes to a queue with limits. It is the Tag of a FrameSend.
type way uint64

const (
	// asked: a client sends it there.
	asked way = iota
	// own: a client sends it there that consumes from the same queue. It would wait for itself if too much of it waited.
	own
	// fedIn: a topic feeds the queue, and its sender need not know of it. fedOwn: the sender consumes from it.
	fedIn
	fedOwn
	// free of limits: it was let in before, or has to go somewhere.
	free
)

const (
	// ownMost is how many messages of senders who consume from it wait before a queue: far less than a door lets a client be ahead of
	// its answers, so that its acknowledgements are read.
	ownMost = 256
	// tellFullEach is how often, in milliseconds, it is written down that a queue is full.
	tellFullEach = 60_000
)

// consignment is a message, or without one the question for room, before a queue with limits.
type consignment struct {
	m        *gateway.Message
	place    string
	way      way
	messages int
	bytes    int64
	c        gateway.Completion
	token    uint64
}

// depth is what is on its way into a queue with limits, and what waits before it.
type depth struct {
	// coming was let in and is not there yet.
	coming, comingBytes int64
	// blocked waits for room, in order; ownBlocked of it is of senders who consume from the queue.
	blocked    []consignment
	ownBlocked int
	// admitting: somebody lets in what is blocked. All that comes stays behind it.
	admitting bool
	toldFull  int64
}

// limits are those of a queue, nil if it has none.
func (q *queue) limits() *policy.Limits {
	if l := &q.policy.Limits; l.Messages > 0 || l.Bytes > 0 {
		return l
	}
	return nil
}

// fits reports whether there is room for so much more.
func (q *queue) fits(x *consignment) bool {
	l := q.limits()
	if l == nil {
		return true
	}
	n, size := q.Depth()
	return (l.Messages <= 0 || n+int(q.coming)+x.messages <= l.Messages) && (l.Bytes <= 0 || size+q.comingBytes+x.bytes <= l.Bytes)
}

// never reports whether there is no room even in the empty queue.
func (q *queue) never(x *consignment) bool {
	l := q.limits()
	return l != nil && (l.Messages > 0 && x.messages > l.Messages || l.Bytes > 0 && x.bytes > l.Bytes)
}

// ruling is what becomes of a consignment.
type ruling uint8

const (
	lets ruling = iota
	refuses
	blocks
)

func (q *queue) judge(x *consignment) ruling {
	l := q.limits()
	line := len(q.blocked) > 0 || q.admitting
	switch {
	case x.way == free || l != nil && l.WhenFull == policy.DropOldest && !line:
		return lets
	case q.never(x):
		return refuses
	case !line && q.fits(x):
		return lets
	case l != nil && l.WhenFull == policy.Refuse:
		return refuses
	case x.way == fedOwn: // who empties the queue must not stop
		return lets
	case x.way == own && q.ownBlocked >= ownMost:
		return refuses
	}
	return blocks
}

// admit looks whether a queue's limits let a consignment in. If so it counts as being there from now on, until it came. If not its completion
// comes by itself: with an error, or when there was room and it is stored.
func (s *shard) admit(x consignment) bool {
	s.mu.Lock()
	q := s.queue(x.place)
	v := q.judge(&x)
	var err error
	switch v {
	case lets:
		q.come(&x, 1)
	case refuses:
		err = s.full(q, &x)
	case blocks:
		s.block(q, x)
	}
	s.mu.Unlock()
	if v == refuses {
		if x.way == fedIn || x.way == fedOwn {
			err = nil // the topic's other subscribers have it
		}
		complete(x.c, x.token, err)
	}
	return v == lets
}

// come counts what is on its way into the queue.
func (q *queue) come(x *consignment, n int64) {
	if x.m != nil {
		q.coming += n
		q.comingBytes += n * x.bytes
	}
}

// came tells that a message which admit let in is in its queue, or will not be. The lock is held.
func (q *queue) came(m *gateway.Message) {
	q.coming--
	q.comingBytes -= int64(m.Size())
}

// full is the refusal of what a queue has no room for. The lock is held.
func (s *shard) full(q *queue, x *consignment) error {
	s.broker.counts.limited.Add(uint64(x.messages))
	s.tellFull(q, "refused")
	l := q.limits()
	n, size := q.Depth()
	name := nameOfPlace(q.name)
	if l.Messages > 0 && n+int(q.coming)+x.messages > l.Messages {
		return gateway.Errorf(gateway.Limit, "%s is full: it holds %d messages, the limit is %d", name, n, l.Messages)
	}
	if l.Bytes > 0 && size+q.comingBytes+x.bytes > l.Bytes {
		return gateway.Errorf(gateway.Limit, "%s is full: it holds %d bytes, and with this there would be more than the limit, %d", name, size, l.Bytes)
	}
	return gateway.Errorf(gateway.Limit, "%s is full, and too many messages of senders who consume from it wait for room", name)
}

// nameOfPlace is a place as clients and operators know it.
func nameOfPlace(place string) string {
	d, _ := gateway.Placed(place)
	return d.String()
}

// tellFull writes down that a queue is at its limit. The lock is held.
func (s *shard) tellFull(q *queue, becomes string) {
	now := s.broker.nowMillis()
	if q.toldFull != 0 && max(now-q.toldFull, q.toldFull-now) < tellFullEach {
		return
	}
	q.toldFull = now
	n, size := q.Depth()
	s.broker.cfg.Logger.Warn("a queue is full: messages are "+becomes, "queue", nameOfPlace(q.name), "messages", n, "bytes", size)
}

// block has a consignment wait for room. The lock is held.
func (s *shard) block(q *queue, x consignment) {
	s.tellFull(q, "kept waiting, with their senders")
	q.blocked = append(q.blocked, x)
	if x.way == own {
		q.ownBlocked++
	}
	s.broker.counts.blocked.Add(1)
	s.broker.counts.blockings.Add(1)
}

// unblock takes the first of those that wait away. The lock is held.
func (s *shard) unblock(q *queue) consignment {
	x := q.blocked[0]
	q.blocked[0] = consignment{}
	if q.blocked = q.blocked[1:]; len(q.blocked) == 0 {
		q.blocked = nil
	}
	if x.way == own {
		q.ownBlocked--
	}
	s.broker.counts.blocked.Add(-1)
	return x
}

// letIn lets in what waits before a queue, in order, as far as there is room.
func (s *shard) letIn(q *queue) {
	s.mu.Lock()
	if q.admitting {
		s.mu.Unlock()
		return
	}
	q.admitting = true
	for len(q.blocked) > 0 && !s.ended && (q.fits(&q.blocked[0]) || q.limits().WhenFull == policy.DropOldest) {
		x := s.unblock(q)
		q.come(&x, 1)
		s.mu.Unlock()
		if x.m == nil {
			complete(x.c, x.token, nil)
		} else {
			s.put(x.m, true, x.c, x.token)
		}
		s.mu.Lock()
	}
	q.admitting = false
	s.mu.Unlock()
}

// takeBlocked takes away all that waits for room, queue by queue: it is for the next owner, or for nobody. The lock is held.
func (s *shard) takeBlocked() (all []consignment) {
	for _, q := range s.queues {
		for len(q.blocked) > 0 {
			all = append(all, s.unblock(q))
		}
	}
	return all
}

// call is what the next owner is asked to do with it.
func (x *consignment) call() *call {
	c, token := x.c, x.token
	return &call{frame: x.frame(), done: func(err error) { complete(c, token, err) }}
}

// frame brings it to an owner.
func (x *consignment) frame() *gateway.Frame {
	if x.m == nil {
		return &gateway.Frame{Kind: gateway.FrameRoom, Queue: x.place, Count: int64(x.messages), Seq: uint64(x.bytes), Tag: uint64(x.way)}
	}
	return &gateway.Frame{Kind: gateway.FrameSend, Message: x.m, Tag: uint64(x.way)}
}

// refuseBlocked ends the waiting of all who wait for room.
func (s *shard) refuseBlocked(err error) {
	s.mu.Lock()
	all := s.takeBlocked()
	s.mu.Unlock()
	for _, x := range all {
		complete(x.c, x.token, err)
	}
}

// crowd makes room in a queue whose oldest messages go when it is full. The lock is held.
func (s *shard) crowd(q *queue) {
	l := q.limits()
	if l == nil || l.WhenFull != policy.DropOldest {
		return
	}
	if messages, bytes := q.Depth(); l.Messages > 0 && messages > l.Messages || l.Bytes > 0 && bytes > l.Bytes {
		q.CrowdOut(l.Messages, l.Bytes, s.broker.nowMillis(), &s.fx)
		s.effects(q)
	}
}

// wayOf is how a message of the session comes to a queue.
func (s *session) wayOf(place string, isFed bool) way { return s.broker.wayOf(s, place, isFed) }

// wayOf is how a message comes to a queue. There may be no session.
func (b *Broker) wayOf(s *session, place string, isFed bool) way {
	if !b.policies.Load().limits {
		return asked
	}
	consumes := false
	if s != nil && b.policyOf(place).Limits.WhenFull == policy.Block {
		s.mu.Lock()
		for _, e := range s.subscriptions {
			consumes = consumes || e.takesFrom(place)
		}
		s.mu.Unlock()
	}
	switch {
	case isFed && consumes:
		return fedOwn
	case isFed:
		return fedIn
	case consumes:
		return own
	}
	return asked
}

// takesFrom reports whether a subscription consumes from a place.
func (e *enrolled) takesFrom(place string) bool {
	return e.place == place || e.options.Durable == "" && e.options.Destination.Kind.IsQueue() && e.options.Destination.Place() == place
}

// rouse has somebody look whether what waits before a queue may come in. The lock is held.
func (s *shard) rouse(q *queue) {
	if len(q.blocked) > 0 && !q.admitting {
		s.after.letIn = append(s.after.letIn, q)
	}
}
