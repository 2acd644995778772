// Package union joins subscriptions to several queues and topics into one, as its client sees it: a composite one, or one to a pattern of queues. It shares the prefetch
// out to them and gives what they deliver tags of its own; how they deliver is theirs.
package union

import (
	"sync"
	"sync/atomic"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/completion"
)

const (
	// most is how many queues and topics one subscription may join.
	most = 16384
	// mostTogether is how many those of one Company may: each has a subscription of its own in its queue, and a client may ask for the same pattern often.
	mostTogether = 4 * most
)

// Company are subscriptions that are bounded together, those of one client. The zero value is ready to use.
type Company struct{ joined atomic.Int64 }

// Joined is how many queues and topics they have joined.
func (c *Company) Joined() int { return int(c.joined.Load()) }

// chunk is how many deliveries one of them gives before the next one has its turn.
const chunk = 64

// Source is a subscription on a queue or a topic.
type Source interface {
	gateway.Subscription
	// SettleNow carries out a committed transaction's acknowledgements, or refusals: what is not there is settled.
	SettleNow(tags []uint64, nack bool, c gateway.Completion, token uint64)
	// Open lets deliveries come. It is called once.
	Open()
}

// Maker makes the subscriptions that are joined, and finds the queues of patterns.
type Maker interface {
	// Make makes a subscription to one destination for somebody with these rights. wild: it keeps no queue alive. The union's lock is held.
	Make(o gateway.SubscribeOptions, rights gateway.Rights, wild bool) Source
	// Seek has a union join the queues of a pattern, now and later, and leave those that nobody else uses.
	Seek(u *Union, pattern string)
	// SeekAgain has it find the queues that it left, or may join now.
	SeekAgain(u *Union)
	// Unseek ends all that.
	Unseek(u *Union)
	// Spawn runs something that the broker waits for, unless that closes.
	Spawn(f func()) bool
	// Ended is told of the union's end.
	Ended(u *Union)
}

// Union implements gateway.Subscription on several destinations: a composite one, or a pattern of queues. Each queue and each topic has a child,
// which keeps its order; the prefetch is for all together. What the client has is known by tags of its own.
type Union struct {
	maker   Maker
	company *Company
	options gateway.SubscribeOptions

	mu       sync.Mutex
	closed   bool
	full     bool // it ends, because it joins too much
	rights   gateway.Rights
	children map[gateway.Destination]*child
	queues   int // children that take credit
	ready    []*child
	hungry   bool
	last     uint64 // tag
	held     map[uint64]held
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
	union  *Union
	source Source
	to     gateway.Destination
	// credits: what it hands out takes the union's credit. All but those do that are on topics whose client acknowledges nothing.
	credits bool

	// Guarded by the union's lock. out is what the client has of it, lent what it may have outstanding.
	listed, left, starved bool
	out, lent             int
}

// held is a delivery that the client has.
type held struct {
	child *child
	tag   uint64
}

// New makes a subscription, one of a company, for somebody with these rights. It joins its destinations when it is opened.
func New(m Maker, company *Company, rights gateway.Rights, o gateway.SubscribeOptions) *Union {
	return &Union{
		maker: m, company: company, options: o, rights: rights, hungry: true, total: o.Prefetch,
		children: make(map[gateway.Destination]*child), held: make(map[uint64]held),
	}
}

// Joins reports whether a subscription needs a union.
func Joins(o *gateway.SubscribeOptions) bool {
	return len(o.Also) > 0 || o.Destination.Kind == gateway.KindQueue && o.Destination.IsPattern()
}

// Open implements Source.
func (u *Union) Open() {
	for _, d := range u.options.Destinations() {
		if d.Kind == gateway.KindQueue && d.IsPattern() {
			u.maker.Seek(u, d.Name)
			continue
		}
		u.Join(d, false)
	}
}

// Join adds a child. wild: it is one of a pattern, and keeps no queue alive.
func (u *Union) Join(d gateway.Destination, wild bool) {
	u.mu.Lock()
	if u.closed || u.full || u.children[d] != nil || wild && u.rights.May(gateway.Read, d) != nil {
		u.mu.Unlock()
		return
	}
	if err := u.enter(); err != nil {
		u.full = true
		u.mu.Unlock()
		u.maker.Spawn(func() { u.end(err) })
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
	c.source.Open()
}

// enter counts one more child, or returns why there cannot be one. The lock is held.
func (u *Union) enter() *gateway.Error {
	if len(u.children) >= most {
		return gateway.Errorf(gateway.Limit, "the subscription to %s joins more than %d destinations", u.options.Destination, most)
	}
	if u.company.joined.Add(1) > mostTogether {
		u.company.joined.Add(-1)
		return gateway.Errorf(gateway.Limit, "the subscriptions of the connection join more than %d destinations", mostTogether)
	}
	return nil
}

// make makes the child's subscription. The lock is held.
func (u *Union) make(c *child, wild bool) Source {
	o := u.options
	o.Destination, o.Also = c.to, nil
	o.AutoAck = !c.credits
	o.Wake, o.Ended = c.wake, u.end
	if c.credits {
		o.Prefetch = c.lent
	}
	return u.maker.Make(o, u.rights, wild)
}

// Leave ends a child: what its client has of it comes back.
func (u *Union) Leave(d gateway.Destination) {
	u.mu.Lock()
	c := u.children[d]
	if c == nil {
		u.mu.Unlock()
		return
	}
	delete(u.children, d)
	u.company.joined.Add(-1)
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
func (u *Union) list(c *child) {
	if !c.listed && !c.left {
		c.listed = true
		u.ready = append(u.ready, c)
	}
}

// Next implements gateway.Subscription.
func (u *Union) Next(dst []gateway.Delivery, maxBytes int) (n int) {
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
func (u *Union) turn(room int) (*child, int) {
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
		if room = min(room, chunk); c.credits {
			room = min(room, free)
		}
		return c, room
	}
	u.hungry = true
	return nil, 0
}

// hand gives a child's deliveries tags of the union, and returns how many the client gets.
func (u *Union) hand(c *child, ds []gateway.Delivery) int {
	u.mu.Lock()
	if len(ds) == 0 || c.left { // what it had comes back with its end
		clear(ds)
		u.mu.Unlock()
		return 0
	}
	for i := range ds {
		u.last++
		u.held[u.last] = held{c, ds[i].Tag}
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
func (u *Union) Announced(c gateway.Completion, token uint64) {
	u.mu.Lock()
	far := u.far
	u.mu.Unlock()
	all := completion.NewParts(1+len(far), c, token)
	for _, f := range far {
		f.Announced(all, 0)
	}
	all.Done(nil)
}

// Closed reports whether nobody has the subscription any more.
func (u *Union) Closed() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.closed
}

// end is the broker's own end of the subscription.
func (u *Union) end(err *gateway.Error) {
	if u.options.Ended != nil {
		u.options.Ended(err)
	}
	u.Close()
}

// Close implements gateway.Subscription.
func (u *Union) Close() {
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
	u.maker.Unseek(u)
	for _, c := range children {
		c.source.Close()
	}
	u.company.joined.Add(-int64(len(children)))
	u.maker.Ended(u)
}

// Judge has the union go on with other rights: what may not be read any more is left, and what may be now is sought. Of children for which guards is true their
// subscriptions keep out what may not be read, and the union leaves them.
func (u *Union) Judge(rights gateway.Rights, guards func(gateway.Destination, Source) bool) {
	var over []gateway.Destination
	u.mu.Lock()
	u.rights = rights
	for d, c := range u.children {
		if !guards(d, c.source) && !d.Kind.IsTemp() && rights.May(gateway.Read, d) != nil {
			over = append(over, d)
		}
	}
	u.mu.Unlock()
	for _, d := range over {
		u.Leave(d)
	}
	u.maker.SeekAgain(u)
}
