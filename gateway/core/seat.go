package core

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/attach"
)

// seat is what sessions know of a shard. On a single node the shard is here, for ever. In a
// cluster it is here while this node owns it; else the seat passes what sessions want on to the owner, and keeps it
// until that has answered.
type seat struct {
	broker *Broker
	index  int
	here   atomic.Pointer[shard]

	mu     sync.Mutex
	owner  string // the node that owns it in epoch, as far as is known; this one's own name included
	epoch  uint64
	linked bool // there is a link to it
	// calls have no answer yet, in the order of their numbers; the first offered of them were
	// told to the owner. number is the last one's.
	calls   []*call
	offered int
	number  uint64
	told    uint64 // the epoch whose owner has heard of all calls that there were, and of what clients have
	// attaching counts the rounds in which all subscriptions are taken to where the owner is.
	attaching int
	// leaving is the shard whose tenure is over, while not all of it is answered. What it gives back
	// comes before the calls.
	leaving  *shard
	returned []*call
	opening  *shard    // takes the calls before it is here
	changed  sync.Cond // leaving or a tenure
	// reading ends the reading of a journal that this node began to own.
	reading context.CancelFunc
	wires   map[uint64]*attach.Subscription // by the names that their attachments have on links
	subs    map[*attach.Subscription]struct{}
}

// call is something that the owner has to do and to answer.
type call struct {
	number uint64
	frame  *gateway.Frame
	done   func(error)
	over   bool
}

// mostCalls is how many calls a seat keeps. What comes beyond them is refused.
const mostCalls = 1 << 16

func newSeat(b *Broker, i int) *seat {
	t := &seat{broker: b, index: i, subs: make(map[*attach.Subscription]struct{}), wires: make(map[uint64]*attach.Subscription)}
	t.changed.L = &t.mu
	return t
}

// hasMoved reports whether a journal answered that it is another node's.
func hasMoved(err error) bool {
	var e *gateway.Error
	return errors.As(err, &e) && e.Kind == gateway.Moved
}

// send takes a message to its queue, here or there.
func (t *seat) send(m *gateway.Message, w way, c gateway.Completion, token uint64) {
	if s := t.here.Load(); s != nil {
		s.send(m, w, c, token)
		return
	}
	t.call(&gateway.Frame{Kind: gateway.FrameSend, Message: m, Tag: uint64(w)}, func(err error) { complete(c, token, err) })
}

// call has the owner do something, as soon as there is one. done is told once what became of it.
func (t *seat) call(f *gateway.Frame, done func(error)) {
	t.mu.Lock()
	if s := t.here.Load(); s != nil {
		t.mu.Unlock()
		s.serve(f, done)
		return
	}
	if len(t.calls) >= mostCalls {
		t.mu.Unlock()
		done(gateway.Errorf(gateway.Unavailable, "no node of the cluster takes messages for this queue at present"))
		return
	}
	t.number++
	t.calls = append(t.calls, &call{number: t.number, frame: f, done: done})
	t.offer()
	t.mu.Unlock()
}

// offer tells the owner of the calls that it has not heard of. The lock is held.
func (t *seat) offer() {
	if !t.linked || t.leaving != nil {
		return
	}
	for ; t.offered < len(t.calls); t.offered++ {
		c := t.calls[t.offered]
		if c.over {
			continue
		}
		if c.frame == nil { // asked of an owner that is gone
			c.over = true
			go c.done(attach.ErrOwnerGone)
			continue
		}
		f := *c.frame // the link keeps it
		f.Shard, f.Epoch, f.Number = t.index, t.epoch, c.number
		t.broker.cfg.Cluster.Send(t.owner, &f)
	}
}

// depart lists the subscriptions for a round of attach, which must follow. The lock is held since before it changed where the owner is.
func (t *seat) depart() []*attach.Subscription {
	t.attaching++
	return t.following()
}

// attach takes subscriptions to where the owner is. When no round is under way any more, the owner is told that it has
// heard of everything.
func (t *seat) attach(subs []*attach.Subscription) {
	t.broker.seekers.seekAt(t)
	for _, sub := range subs {
		sub.Attach()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.attaching--
	if t.attaching == 0 && t.linked && t.leaving == nil && t.told != t.epoch {
		t.told = t.epoch
		t.broker.cfg.Cluster.Send(t.owner, &gateway.Frame{Kind: gateway.FrameOffered, Shard: t.index, Epoch: t.epoch})
	}
}

// answered takes the owner's answer to a call.
func (t *seat) answered(number uint64, err *gateway.Error) {
	t.mu.Lock()
	var c *call
	if i := t.at(number); i >= 0 && !t.calls[i].over {
		c = t.calls[i]
		c.over = true
	}
	for len(t.calls) > 0 && t.calls[0].over {
		t.calls[0] = nil
		t.calls = t.calls[1:]
		t.offered = max(t.offered-1, 0)
	}
	t.mu.Unlock()
	if c == nil {
		return
	}
	if err != nil {
		c.done(err)
		return
	}
	c.done(nil)
}

// at finds a call by its number, -1 if there is none. The lock is held.
func (t *seat) at(number uint64) int {
	if len(t.calls) == 0 || number < t.calls[0].number || number-t.calls[0].number >= uint64(len(t.calls)) {
		return -1
	}
	return int(number - t.calls[0].number) // they are dense
}

// owned takes in which node owns the shard.
func (t *seat) owned(node string, epoch uint64, linked bool) {
	t.mu.Lock()
	if epoch < t.epoch || epoch == t.epoch && linked == t.linked {
		t.mu.Unlock()
		return
	}
	if s := t.here.Load(); s != nil && epoch > s.epoch { // the store has not noticed yet
		s.replaced.Store(true)
	}
	t.owner, t.epoch, t.linked, t.offered = node, epoch, linked && node != t.broker.cfg.Node, 0
	t.offer()
	subs := t.depart()
	t.mu.Unlock()
	t.attach(subs)
}

// following lists the subscriptions. The lock is held.
func (t *seat) following() []*attach.Subscription {
	return slices.Collect(maps.Keys(t.subs))
}

// linkTo notes that the link to a node came or went.
func (t *seat) linkTo(node string, up bool) {
	t.mu.Lock()
	if t.owner != node {
		t.mu.Unlock()
		return
	}
	t.linked, t.offered = up, 0
	t.offer()
	subs := t.depart()
	t.mu.Unlock()
	t.attach(subs)
}

// open gives the seat a shard whose journal was read, unless its tenure is over: it takes what waited for an owner. It
// reports whether the seat has it.
func (t *seat) open(s *shard, tenure context.Context) bool {
	stop := context.AfterFunc(tenure, func() {
		t.mu.Lock()
		t.changed.Broadcast()
		t.mu.Unlock()
	})
	defer stop()
	t.mu.Lock()
	for t.leaving != nil && tenure.Err() == nil {
		t.changed.Wait()
	}
	if tenure.Err() != nil {
		t.mu.Unlock()
		return false
	}
	t.opening = s
	for len(t.calls) > 0 && t.opening == s {
		calls := t.calls
		t.calls, t.offered = nil, 0
		t.mu.Unlock()
		for _, c := range calls { // what comes meanwhile is behind them
			switch {
			case c.over:
			case c.frame == nil:
				c.done(attach.ErrOwnerGone)
			default:
				s.serve(c.frame, c.done)
			}
		}
		t.mu.Lock()
	}
	if t.opening != s {
		t.mu.Unlock()
		return false
	}
	t.opening = nil
	s.replaced.Store(t.epoch > s.epoch)
	t.here.Store(s)
	subs := t.depart()
	t.mu.Unlock()
	t.attach(subs)
	s.offered(t.broker.cfg.Node)
	return true
}

// ask sends a call to a subscription's owner in a way of its own; should that not answer, again is what is
// offered to the next one, or, if it is nil, nothing: then done is told so.
func (t *seat) ask(f, again *gateway.Frame, done func(error)) {
	t.mu.Lock()
	if !t.isThere(f.Epoch) || t.offered != len(t.calls) {
		t.mu.Unlock()
		if again == nil {
			done(attach.ErrOwnerGone)
			return
		}
		t.call(again, done)
		return
	}
	t.number++
	t.calls = append(t.calls, &call{number: t.number, frame: again, done: done})
	t.offered++
	f.Shard, f.Number = t.index, t.number
	t.broker.cfg.Cluster.Send(t.owner, f)
	t.mu.Unlock()
}

// end takes the shard away. What it has not answered is told later, by the journal.
func (t *seat) end() {
	t.mu.Lock()
	s := t.here.Swap(nil)
	if s == nil {
		s, t.opening = t.opening, nil
	}
	if s == nil {
		t.mu.Unlock()
		return
	}
	if t.owner == t.broker.cfg.Node { // the next one may be known already
		t.owner, t.linked = "", false
	}
	t.leaving = s
	memory := s.leave()
	for _, f := range memory {
		t.returned = append(t.returned, &call{frame: f, done: func(error) {}}) // its sender has its answer
	}
	s.mu.Lock()
	blocked := s.takeBlocked()
	s.mu.Unlock()
	for _, x := range blocked {
		t.returned = append(t.returned, x.call())
	}
	subs := t.depart()
	t.mu.Unlock()
	t.attach(subs)
	t.broker.guests.abandon(s)
	if !t.broker.spawn(func() { t.left(s) }) {
		go t.left(s) // the broker closes, and waits for what comes of it
	}
}

// takeBack takes in what a shard could not do any more.
func (t *seat) takeBack(f *gateway.Frame, done func(error)) {
	t.mu.Lock()
	if t.leaving == nil {
		t.mu.Unlock()
		t.call(f, done)
		return
	}
	t.returned = append(t.returned, &call{frame: f, done: done})
	t.mu.Unlock()
}

// left waits until all that a shard had under way is answered, and puts what came back before the calls.
func (t *seat) left(s *shard) {
	s.mu.Lock()
	s.resting, s.rested = false, true // nobody ends its rest any more
	s.release()
	for s.arriving.Load() > 0 {
		if t.broker.life.Err() != nil {
			return // Close goes on with it
		}
		time.Sleep(time.Millisecond)
	}
	t.resume()
}

// resume puts what came back before the calls, as soon as all that the shard before had under way is answered.
func (t *seat) resume() {
	t.mu.Lock()
	if t.leaving == nil || t.leaving.arriving.Load() > 0 {
		t.mu.Unlock()
		return
	}
	t.leaving = nil
	calls := append(t.returned, t.calls...)
	t.returned, t.offered = nil, 0
	for _, c := range calls { // with new numbers, so that they are in order
		t.number++
		c.number = t.number
	}
	t.calls = calls
	t.changed.Broadcast()
	t.offer()
	subs := t.depart()
	t.mu.Unlock()
	t.attach(subs)
}

// letGo tells the owner that a part of a transaction need not be kept. If it does not hear of it, it keeps it a little longer.
func (t *seat) letGo(name string) {
	if s := t.here.Load(); s != nil {
		s.letGo(name)
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.linked {
		t.broker.cfg.Cluster.Send(t.owner, &gateway.Frame{Kind: gateway.FrameRelease, Shard: t.index, Epoch: t.epoch, Transaction: name})
	}
}

// reaches reports whether the owner is linked, or an owner here is not done yet.
func (t *seat) reaches() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.linked || t.leaving != nil
}

// busy reports whether the seat has calls without an answer.
func (t *seat) busy() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.calls)+len(t.returned) > 0
}
