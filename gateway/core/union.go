package core

import (
	"sync"

	"github.com/sluice-mq/sluice/gateway"
)

// unionMost is how many queues and topics one subscription may join.
const unionMost = 16384

// unionChunk is how many deliveries one of them gives before the next one has its turn.
const unionChunk = 64

// union implements gateway.Subscription on several destinations: a composite one, or a pattern of queues. Each queue and each topic has a child,
// which keeps its order; the prefetch is for all together. What the client has is known by tags of its own.
type union struct {
	session *session
	options gateway.SubscribeOptions
	number  uint64 // in its session

	mu       sync.Mutex
	closed   bool
	rights   gateway.Rights
	children map[gateway.Destination]*child
	queues   int // children that take credit
	ready    []*child
	hungry   bool
	last     uint64 // tag
	held     map[uint64]unionHeld
	out      int // deliveries that the client has and that take credit
	total    int // prefetch and extension
	starved  []*child
	// far are the children of which other nodes must hear, before it is open.
	far []gateway.Announced

	// taken are the tags that Next returned and Written was not told of, in order; only with AutoAck. The door's writer's own.
	taken []uint64
}

// child is a union's part on one queue or topic.
type child struct {
	union  *union
	source source
	to     gateway.Destination
	// credits: what it hands out takes the union's credit. All but those do that are on topics whose client acknowledges nothing.
	credits bool

	// Guarded by the union's lock. out is what the client has of it, lent what it may have outstanding.
	listed, left, starved bool
	out, lent             int
}

// unionHeld is a delivery that the client has.
type unionHeld struct {
	child *child
	tag   uint64
}

func newUnion(s *session, st *standing, o gateway.SubscribeOptions, number uint64) *union {
	return &union{
		session: s, options: o, number: number, rights: st.rights, hungry: true, total: o.Prefetch,
		children: make(map[gateway.Destination]*child), held: make(map[uint64]unionHeld),
	}
}

// joins reports whether a subscription needs a union.
func joins(o *gateway.SubscribeOptions) bool {
	return len(o.Also) > 0 || o.Destination.Kind == gateway.KindQueue && o.Destination.IsPattern()
}

// destinations are all that a subscription is for.
func destinations(o *gateway.SubscribeOptions) []gateway.Destination {
	return append([]gateway.Destination{o.Destination}, o.Also...)
}

func (u *union) open() {
	for _, d := range destinations(&u.options) {
		if d.Kind == gateway.KindQueue && d.IsPattern() {
			u.session.broker.seekers.add(u, d.Name)
			continue
		}
		u.join(d, false)
	}
}

// join adds a child. wild: it is one of a pattern, and keeps no queue alive.
func (u *union) join(d gateway.Destination, wild bool) {
	u.mu.Lock()
	if u.closed || u.children[d] != nil || wild && u.rights.May(gateway.Read, d) != nil {
		u.mu.Unlock()
		return
	}
	if len(u.children) >= unionMost {
		u.mu.Unlock()
		u.session.broker.spawn(func() {
			u.end(gateway.Errorf(gateway.Limit, "the subscription to %s joins more than %d destinations", u.options.Destination, unionMost))
		})
		return
	}
	c := &child{union: u, to: d, credits: d.Kind.IsQueue() || !u.options.AutoAck}
	if c.credits {
		u.queues++
		if c.lent = u.share(); c.lent == 0 {
			c.starved = true
			u.starved = append(u.starved, c)
		}
	}
	c.source = u.make(c, wild)
	u.children[d] = c
	if far, ok := c.source.(gateway.Announced); ok {
		u.far = append(u.far, far)
	}
	u.mu.Unlock()
	c.source.open()
}

// make makes the child's subscription. The lock is held.
func (u *union) make(c *child, wild bool) source {
	o := u.options
	o.Destination, o.Also = c.to, nil
	o.AutoAck = !c.credits
	o.Wake, o.Ended = c.wake, u.end
	if c.credits {
		o.Prefetch = c.lent
	}
	s := u.session
	if c.to.Kind.IsTopic() {
		return newTopicSubscription(s, newGuard(u.rights, c.to), o, u.number)
	}
	return s.newQueueSource(o, wild)
}

// newQueueSource makes a subscription to a queue.
func (s *session) newQueueSource(o gateway.SubscribeOptions, wild bool) source {
	seat := s.broker.seatOf(o.Destination.Place())
	if s.broker.cfg.Cluster != nil {
		sub := newClusterSubscription(s, seat, o)
		sub.wild = wild
		return sub
	}
	sub := newQueueSubscription(s, seat.here.Load(), o)
	sub.wild = wild
	return sub
}

// leave ends a child: what its client has of it comes back.
func (u *union) leave(d gateway.Destination) {
	u.mu.Lock()
	c := u.children[d]
	if c == nil {
		u.mu.Unlock()
		return
	}
	delete(u.children, d)
	c.left = true
	if c.credits {
		u.queues--
		u.out -= c.out
		c.out = 0
	}
	for tag, h := range u.held {
		if h.child == c {
			delete(u.held, tag)
		}
	}
	more := u.feed(nil)
	u.mu.Unlock()
	c.source.Close()
	lend(more)
	u.options.Wake()
}

// wake is told by a child that it may have deliveries.
func (c *child) wake() {
	u := c.union
	u.mu.Lock()
	u.list(c)
	wake := u.hungry
	u.hungry = false
	u.mu.Unlock()
	if wake {
		u.options.Wake()
	}
}

// list has Next look at a child. The lock is held.
func (u *union) list(c *child) {
	if !c.listed && !c.left {
		c.listed = true
		u.ready = append(u.ready, c)
	}
}

// Next implements gateway.Subscription.
func (u *union) Next(dst []gateway.Delivery, maxBytes int) (n int) {
	for n < len(dst) && (n == 0 || maxBytes > 0) {
		c, room := u.turn(len(dst) - n)
		if c == nil {
			break
		}
		k := c.source.Next(dst[n:n+room], maxBytes)
		for _, d := range dst[n : n+k] {
			maxBytes -= d.Message.Size()
		}
		n += u.hand(c, dst[n:n+k])
	}
	return n
}

// turn takes the next child that may have deliveries and has credit, and for how many.
func (u *union) turn(room int) (*child, int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	free := u.total - u.out
	for i, c := range u.ready {
		if free <= 0 && !u.options.AutoAck {
			break
		}
		if c.credits && free <= 0 {
			continue
		}
		if i == 0 {
			u.ready = u.ready[1:]
		} else {
			u.ready = append(u.ready[:i], u.ready[i+1:]...)
		}
		c.listed = false
		if room = min(room, unionChunk); c.credits {
			room = min(room, free)
		}
		return c, room
	}
	u.hungry = true
	return nil, 0
}

// hand gives a child's deliveries tags of the union, and returns how many the client gets.
func (u *union) hand(c *child, ds []gateway.Delivery) int {
	u.mu.Lock()
	if len(ds) == 0 || c.left { // what it had comes back with its end
		clear(ds)
		u.mu.Unlock()
		return 0
	}
	for i := range ds {
		u.last++
		u.held[u.last] = unionHeld{c, ds[i].Tag}
		ds[i].Tag = u.last
		if u.options.AutoAck {
			u.taken = append(u.taken, u.last)
		}
	}
	if c.credits {
		u.out += len(ds)
		c.out += len(ds)
	}
	u.list(c)
	more := u.feed(c)
	u.mu.Unlock()
	lend(more)
	return len(ds)
}

// Announced implements gateway.Announced.
func (u *union) Announced(c gateway.Completion, token uint64) {
	u.mu.Lock()
	far := u.far
	u.mu.Unlock()
	all := &parts{left: 1 + len(far), c: c, token: token}
	for _, f := range far {
		f.Announced(all, 0)
	}
	all.done(nil)
}

// bothKnown is announced when both are.
type bothKnown struct{ a, b gateway.Announced }

// Announced implements gateway.Announced.
func (x bothKnown) Announced(c gateway.Completion, token uint64) {
	all := &parts{left: 2, c: c, token: token}
	x.a.Announced(all, 0)
	x.b.Announced(all, 0)
}

// end is the broker's own end of the subscription.
func (u *union) end(err *gateway.Error) {
	if u.options.Ended != nil {
		u.options.Ended(err)
	}
	u.Close()
}

// Close implements gateway.Subscription.
func (u *union) Close() {
	u.mu.Lock()
	if u.closed {
		u.mu.Unlock()
		return
	}
	u.closed = true
	children := u.children
	u.children, u.ready, u.starved = nil, nil, nil
	for _, c := range children {
		c.left = true
	}
	u.mu.Unlock()
	u.session.broker.seekers.remove(u)
	for _, c := range children {
		c.source.Close()
	}
	u.session.ended(u)
}

// judge has the union go on with other rights: what may not be read any more is left, and what may be now is sought. It returns the children on patterns
// of topics, which need other guards.
func (u *union) judge(st *standing) (all []judged) {
	var over []gateway.Destination
	u.mu.Lock()
	u.rights = st.rights
	for d, c := range u.children {
		sub, ok := c.source.(*topicSubscription)
		switch {
		case ok:
			if g := newGuard(st.rights, d); g != nil || sub.guard.Load() != nil {
				all = append(all, judged{sub, g})
			}
		case !d.Kind.IsTemp() && st.rights.May(gateway.Read, d) != nil:
			over = append(over, d)
		}
	}
	u.mu.Unlock()
	for _, d := range over {
		u.leave(d)
	}
	u.session.broker.seekers.again(u)
	return all
}
