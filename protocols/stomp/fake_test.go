package stomp

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/sluice-mq/sluice/gateway"
)

// fakeBroker keeps everything in memory and does at once what the port promises.
// With hold set, outcomes wait until release, and with behind as well somebody who hears them is behind.
type fakeBroker struct {
	mu     sync.Mutex
	users  map[string]string // nil: everybody
	denied map[string]bool   // destinations
	queues map[gateway.Destination]*fakeQueue
	subs   []*fakeSub
	open   int
	seq    int
	hold   bool
	behind bool
	held   []func(error)
	fail   error // outcome of every Send and Commit
	dead   []*gateway.Message
	logins []gateway.Login
	names  int // of sessions
	// durable are the durable subscriptions, with the one that holds it; forgotten are those that were ended for good.
	durable   map[string]*fakeSub
	forgotten []string
	returns   []gateway.Return
}

type fakeQueue struct{ waiting []gateway.Delivery }

func newFakeBroker() *fakeBroker {
	return &fakeBroker{denied: map[string]bool{}, queues: map[gateway.Destination]*fakeQueue{}, durable: map[string]*fakeSub{}}
}

func (b *fakeBroker) Open(_ context.Context, login gateway.Login) (gateway.Session, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.logins = append(b.logins, login)
	if c := login.Credentials; b.users != nil && (c.Login == "" || b.users[c.Login] != c.Passcode) {
		return nil, gateway.Errorf(gateway.Unauthenticated, "User name [%s] or password is invalid.", c.Login)
	}
	if login.ClientID == "taken" {
		return nil, gateway.Errorf(gateway.Conflict, "Broker: b - Client: taken already connected from tcp://127.0.0.1:1")
	}
	b.open++
	b.names++
	return &fakeSession{b: b, id: "ID:fake:" + strconv.Itoa(b.names), login: login}, nil
}

// release completes what is held, in the order that pick gives (nil: as they came).
func (b *fakeBroker) release(err error, backwards bool) {
	b.mu.Lock()
	held := b.held
	b.held = nil
	b.mu.Unlock()
	if backwards {
		slices.Reverse(held)
	}
	for _, f := range held {
		f(err)
	}
}

func (b *fakeBroker) holding() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.held)
}

func (b *fakeBroker) sessions() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.open
}

// complete tells an outcome, now or later. b.mu is held.
func (b *fakeBroker) complete(c gateway.Completion, token uint64, err error) func() {
	if c == nil {
		return func() {}
	}
	if b.hold {
		b.held = append(b.held, func(e error) {
			if err != nil {
				e = err
			}
			c.Complete(token, e)
		})
		return func() {}
	}
	return func() { c.Complete(token, err) }
}

type fakeSession struct {
	b      *fakeBroker
	id     string
	login  gateway.Login
	closed bool
}

func (s *fakeSession) ID() string { return s.id }

func (s *fakeSession) Forget(name string, c gateway.Completion, token uint64) {
	b := s.b
	b.mu.Lock()
	key := s.login.ClientID + ":" + name
	holder, there := b.durable[key]
	var err error
	switch {
	case !there:
		err = gateway.Errorf(gateway.NotFound, "No durable subscription exists for clientID: %s and subscriptionName: %s", s.login.ClientID, name)
	case holder != nil:
		err = gateway.Errorf(gateway.Conflict, "Durable consumer is in use")
	default:
		delete(b.durable, key)
		b.forgotten = append(b.forgotten, key)
	}
	done := b.complete(c, token, err)
	b.mu.Unlock()
	done()
}

func (s *fakeSession) Principal() gateway.Principal {
	return gateway.Principal{Name: s.login.Credentials.Login}
}

func (s *fakeSession) Send(m *gateway.Message, c gateway.Completion, token uint64) {
	b := s.b
	b.mu.Lock()
	err := b.store(m, s)
	done := b.complete(c, token, err)
	wakes := b.wakes()
	behind := b.hold && b.behind
	b.mu.Unlock()
	if h, ok := c.(gateway.Holder); ok && behind {
		h.Hold(token)
	}
	done()
	wakes()
}

// store puts a message where it belongs. b.mu is held.
func (b *fakeBroker) store(m *gateway.Message, from *fakeSession) error {
	switch {
	case from.closed:
		return gateway.Errorf(gateway.Unavailable, "session is closed")
	case b.denied[m.Destination.String()]:
		return gateway.Errorf(gateway.Denied, "User is not authorized to write to: %s", m.Destination)
	case b.fail != nil:
		return b.fail
	}
	for _, d := range m.Also {
		copied := m.Copy()
		copied.Destination, copied.Also = d, nil
		if err := b.store(copied, from); err != nil {
			return err
		}
	}
	b.seq++
	m.ID = "ID:node-1-2-0:1:-1:1:" + strconv.Itoa(b.seq)
	if m.Timestamp == 0 {
		m.Timestamp = 1700000000000
	}
	d := gateway.Delivery{Message: m, Tag: uint64(b.seq)}
	if m.Destination.Kind.IsQueue() {
		q := b.queue(m.Destination)
		q.waiting = append(q.waiting, d)
		return nil
	}
	for _, sub := range b.subs {
		if sub.matches(m.Destination) && !(sub.o.NoLocal && sub.s == from) {
			sub.own.waiting = append(sub.own.waiting, d)
		}
	}
	return nil
}

func (b *fakeBroker) queue(d gateway.Destination) *fakeQueue {
	q := b.queues[d]
	if q == nil {
		q = &fakeQueue{}
		b.queues[d] = q
	}
	return q
}

// wakes returns a call that wakes all subscriptions. b.mu is held.
func (b *fakeBroker) wakes() func() {
	subs := slices.Clone(b.subs)
	return func() {
		for _, s := range subs {
			s.o.Wake()
		}
	}
}

func (s *fakeSession) Commit(tx *gateway.Transaction, c gateway.Completion, token uint64) {
	b := s.b
	b.mu.Lock()
	err := b.fail
	for _, m := range tx.Sends {
		if b.denied[m.Destination.String()] {
			err = gateway.Errorf(gateway.Denied, "User is not authorized to write to: %s", m.Destination)
		}
	}
	if err == nil {
		for _, m := range tx.Sends {
			_ = b.store(m, s)
		}
		for _, a := range tx.Acks {
			_ = a.Subscription.(*fakeSub).settle(a.Tags, a.Nack, true)
		}
	}
	done := b.complete(c, token, err)
	wakes := b.wakes()
	b.mu.Unlock()
	done()
	wakes()
}

func (s *fakeSession) Subscribe(o gateway.SubscribeOptions) (gateway.Subscription, error) {
	b := s.b
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.denied[o.Destination.String()] {
		return nil, gateway.Errorf(gateway.Denied, "User is not authorized to read from: %s", o.Destination)
	}
	sub := &fakeSub{s: s, o: o, own: &fakeQueue{}, until: uint64(b.seq)}
	if o.Durable != "" {
		if s.login.ClientID == "" && !o.Shared {
			return nil, gateway.Errorf(gateway.Invalid, "a durable subscription needs a client-id")
		}
		key := s.login.ClientID + ":" + o.Durable
		if holder := b.durable[key]; holder != nil && !o.Shared {
			return nil, gateway.Errorf(gateway.Conflict, "Durable consumer is in use for client: %s and subscriptionName: %s", s.login.ClientID, o.Durable)
		}
		b.durable[key] = sub
	}
	b.subs = append(b.subs, sub)
	return sub, nil
}

func (s *fakeSession) Close() {
	b := s.b
	b.mu.Lock()
	if s.closed {
		b.mu.Unlock()
		return
	}
	s.closed = true
	b.open--
	for _, sub := range slices.Clone(b.subs) {
		if sub.s == s {
			sub.end()
		}
	}
	wakes := b.wakes()
	b.mu.Unlock()
	wakes()
}

// fakeSub is a subscription; everything in it is under the broker's lock.
type fakeSub struct {
	s       *fakeSession
	o       gateway.SubscribeOptions
	own     *fakeQueue // a topic's waiting deliveries
	out     []gateway.Delivery
	from    []*fakeQueue // where out came from
	untold  int          // taken by Next, not told by Written
	extra   int
	extends int // calls of Extend
	closed  bool
	looked  uint64 // a browser's last one
	until   uint64 // what came later it does not see
	told    bool   // a browser has seen all
}

func (s *fakeSub) matches(d gateway.Destination) bool {
	return slices.ContainsFunc(append(slices.Clone(s.o.Also), s.o.Destination), func(o gateway.Destination) bool {
		prefix, pattern := strings.CutSuffix(o.Name, ">")
		return o.Kind == d.Kind && (o.Name == d.Name || pattern && strings.HasPrefix(d.Name, prefix))
	})
}

// browse returns what has not been seen yet. The broker's lock is held.
func (s *fakeSub) browse(dst []gateway.Delivery) (n int) {
	for d, q := range s.s.b.queues {
		for _, delivery := range q.waiting {
			if n < len(dst) && s.matches(d) && delivery.Tag > s.looked && delivery.Tag <= s.until {
				dst[n], s.looked = delivery, delivery.Tag
				n++
			}
		}
	}
	if n < len(dst) && !s.told {
		s.told = true
		s.o.Ended(nil)
	}
	return n
}

func (s *fakeSub) Next(dst []gateway.Delivery, maxBytes int) int {
	b := s.s.b
	b.mu.Lock()
	defer b.mu.Unlock()
	if s.o.Browse {
		return s.browse(dst)
	}
	n, size := 0, 0
	sources := []*fakeQueue{s.own}
	for d, q := range b.queues {
		if s.matches(d) {
			sources = append(sources, q)
		}
	}
	for _, q := range sources {
		for len(q.waiting) > 0 && n < len(dst) && size < maxBytes && !s.closed && len(s.out) < s.o.Prefetch+s.extra {
			dst[n] = q.waiting[0]
			size += dst[n].Message.Size()
			q.waiting = q.waiting[1:]
			s.out = append(s.out, dst[n])
			s.from = append(s.from, q)
			s.untold++
			n++
		}
	}
	return n
}

func (s *fakeSub) Written(n int) {
	b := s.s.b
	b.mu.Lock()
	if s.o.AutoAck && !s.closed && !s.o.Browse {
		s.out, s.from = s.out[n:], s.from[n:]
	}
	s.untold -= n
	b.mu.Unlock()
	s.o.Wake()
}

// settle removes deliveries. The broker's lock is held.
func (s *fakeSub) settle(tags []uint64, nack, evenClosed bool) error {
	for _, tag := range tags {
		if s.closed && evenClosed { // it may be back in its queue
			for _, q := range s.s.b.queues {
				q.waiting = slices.DeleteFunc(q.waiting, func(d gateway.Delivery) bool { return d.Tag == tag })
			}
			continue
		}
		i := slices.IndexFunc(s.out, func(d gateway.Delivery) bool { return d.Tag == tag })
		if i < 0 {
			return gateway.Errorf(gateway.NotFound, "delivery %d is not outstanding", tag)
		}
		if nack {
			s.s.b.dead = append(s.s.b.dead, s.out[i].Message)
		}
		s.out, s.from = slices.Delete(s.out, i, i+1), slices.Delete(s.from, i, i+1)
	}
	return nil
}

func (s *fakeSub) finish(tags []uint64, nack bool, c gateway.Completion, token uint64) {
	b := s.s.b
	b.mu.Lock()
	done := b.complete(c, token, s.settle(tags, nack, false))
	b.mu.Unlock()
	done()
	s.o.Wake()
}

func (s *fakeSub) Ack(tags []uint64, c gateway.Completion, token uint64) {
	s.finish(tags, false, c, token)
}

func (s *fakeSub) Nack(tags []uint64, c gateway.Completion, token uint64) {
	s.finish(tags, true, c, token)
}

func (s *fakeSub) Release(tags []uint64, r gateway.Return) error {
	defer s.o.Wake()
	b := s.s.b
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, tag := range tags {
		i := slices.IndexFunc(s.out, func(d gateway.Delivery) bool { return d.Tag == tag })
		if i < 0 {
			return gateway.Errorf(gateway.NotFound, "delivery %d is not outstanding", tag)
		}
		d, q := s.out[i], s.from[i]
		d.Redeliveries++
		s.out, s.from = slices.Delete(s.out, i, i+1), slices.Delete(s.from, i, i+1)
		q.waiting = append([]gateway.Delivery{d}, q.waiting...)
	}
	b.returns = append(b.returns, r)
	return nil
}

// Retire implements gateway.Retirable.
func (s *fakeSub) Retire(tags []uint64) {
	b := s.s.b
	b.mu.Lock()
	s.extra = -1 << 30
	for _, tag := range slices.Backward(tags) {
		i := slices.IndexFunc(s.out, func(d gateway.Delivery) bool { return d.Tag == tag })
		s.from[i].waiting = append([]gateway.Delivery{s.out[i]}, s.from[i].waiting...)
		s.out, s.from = slices.Delete(s.out, i, i+1), slices.Delete(s.from, i, i+1)
	}
	wakes := b.wakes()
	b.mu.Unlock()
	wakes()
}

func (s *fakeSub) Extend(n int) {
	s.s.b.mu.Lock()
	s.extra += n
	s.extends++
	s.s.b.mu.Unlock()
	s.o.Wake()
}

func (s *fakeSub) Close() {
	b := s.s.b
	b.mu.Lock()
	s.end()
	wakes := b.wakes()
	b.mu.Unlock()
	wakes()
}

// end hands everything back. The broker's lock is held.
func (s *fakeSub) end() {
	if s.closed {
		return
	}
	s.closed = true
	b := s.s.b
	for key, holder := range b.durable {
		if holder == s {
			b.durable[key] = nil
		}
	}
	b.subs = slices.DeleteFunc(b.subs, func(o *fakeSub) bool { return o == s })
	for i := len(s.out) - 1; i >= 0; i-- {
		s.out[i].Redeliveries++
		if q := s.from[i]; q != s.own {
			q.waiting = append([]gateway.Delivery{s.out[i]}, q.waiting...)
		}
	}
}

// unsettled counts the deliveries of the first subscription that nobody settled.
func (b *fakeBroker) unsettled() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.subs[0].out)
}

// extension is by how much the first subscription's window is extended.
func (b *fakeBroker) extension() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.subs[0].extra
}

// stored counts the messages that were accepted.
func (b *fakeBroker) stored() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.seq
}

func (b *fakeBroker) deadLetters() []*gateway.Message {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.dead)
}

func (b *fakeBroker) options() gateway.SubscribeOptions {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.subs[0].o
}
