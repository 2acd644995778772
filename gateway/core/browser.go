package core

import (
	"sync"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/manage"
	"github.com/sluice-mq/sluice/gateway/ring"
)

// browserAhead is how many messages a browser may have that its door has not taken.
const browserAhead = 2 * manage.PerusalPage

// browser implements gateway.Subscription for those who only look: nothing is settled, nothing moves.
type browser struct {
	session *session
	options gateway.SubscribeOptions
	ring    ring.Ring
	room    chan struct{} // there may be room in the ring
	gone    chan struct{}
	once    sync.Once

	// Guarded by the ring's lock: all is read; with seen the door took the last of it and was told. tag is the last delivery's.
	read bool
	err  *gateway.Error
	seen bool
	tag  uint64

	// wild: what is read now are queues of a pattern, of which perhaps not all may be seen. It is the reader's own.
	wild bool
}

func newBrowser(s *session, o gateway.SubscribeOptions) *browser {
	sub := &browser{session: s, options: o, room: make(chan struct{}, 1), gone: make(chan struct{})}
	sub.ring.Init(o.Wake)
	return sub
}

// validBrowser returns why something cannot be browsed.
func validBrowser(o *gateway.SubscribeOptions) error {
	for _, d := range o.Destinations() {
		if !d.Kind.IsQueue() {
			return gateway.Errorf(gateway.Invalid, "only queues can be browsed: %s", d)
		}
	}
	return nil
}

// Open implements union.Source.
func (sub *browser) Open() {
	sub.session.broker.counts.subscriptions.Add(1)
	if !sub.session.broker.spawn(sub.readAll) {
		sub.finish(errStopping)
	}
}

// readAll reads what is there now, one queue after another.
func (sub *browser) readAll() {
	p := manage.Perusal{Owners: owners{sub.session.broker}, Selector: sub.options.Selector, Gone: sub.gone, Show: sub.add}
	for _, d := range sub.options.Destinations() {
		sub.wild = d.IsPattern()
		if err := p.Read(d.Place()); err != nil {
			sub.finish(publicError(err))
			return
		}
	}
	sub.finish(nil)
}

// add delivers a message when there is room. It reports false if nobody looks any more.
func (sub *browser) add(m *gateway.Message, redeliveries uint32) bool {
	if sub.wild && sub.session.standing.Load().rights.May(gateway.Read, gateway.Destination{Kind: gateway.KindQueue, Name: m.Place()}) != nil {
		return true
	}
	if m.Expires != 0 && m.Expires <= sub.session.broker.nowMillis() {
		return true
	}
	for {
		sub.ring.Lock()
		if sub.ring.Len() < browserAhead && (sub.ring.Len() == 0 || sub.ring.Bytes() < ring.MostBytes) {
			sub.tag++
			sub.ring.Hand(gateway.Delivery{Message: m, Tag: sub.tag, Redeliveries: redeliveries})
			return true
		}
		sub.ring.Unlock()
		if !sub.session.broker.awaitRoom(sub.room, sub.gone) {
			return false
		}
	}
}

// finish notes that nothing more comes.
func (sub *browser) finish(err *gateway.Error) {
	sub.ring.Lock()
	sub.read, sub.err = true, err
	sub.ring.Unlock()
	sub.tellEnd()
}

// tellEnd tells the door when it has taken everything.
func (sub *browser) tellEnd() {
	sub.ring.Lock()
	tell := sub.read && !sub.seen && sub.ring.Len() == 0
	sub.seen = sub.seen || tell
	err := sub.err
	sub.ring.Unlock()
	select {
	case <-sub.gone:
		return
	default:
	}
	if tell && sub.options.Ended != nil {
		sub.options.Ended(err)
	}
}

// Next implements gateway.Subscription.
func (sub *browser) Next(dst []gateway.Delivery, maxBytes int) int {
	sub.ring.Lock()
	n, _ := sub.ring.Take(dst, maxBytes)
	sub.ring.Unlock()
	select {
	case sub.room <- struct{}{}:
	default:
	}
	if n == 0 {
		sub.tellEnd()
	}
	return n
}

// Written implements gateway.Subscription.
func (sub *browser) Written(int) {}

// Ack implements gateway.Subscription: there is nothing to acknowledge.
func (sub *browser) Ack(_ []uint64, c gateway.Completion, token uint64) { complete(c, token, nil) }

// Nack implements gateway.Subscription.
func (sub *browser) Nack(_ []uint64, c gateway.Completion, token uint64) {
	complete(c, token, errOnlyLooks)
}

var errOnlyLooks = gateway.Errorf(gateway.Invalid, "a browser has nothing to refuse")

// Release implements gateway.Subscription.
func (sub *browser) Release([]uint64, gateway.Return) error { return nil }

// Extend implements gateway.Subscription.
func (sub *browser) Extend(int) {}

// SettleNow implements union.Source.
func (sub *browser) SettleNow(_ []uint64, _ bool, c gateway.Completion, token uint64) {
	complete(c, token, nil)
}

// Close implements gateway.Subscription.
func (sub *browser) Close() {
	sub.once.Do(func() {
		close(sub.gone)
		sub.session.ended(sub)
		sub.session.broker.counts.subscriptions.Add(-1)
	})
}

// awaitRoom waits until a subscription that is read for has room. It returns false if it has gone, or the broker stops.
func (b *Broker) awaitRoom(room, gone <-chan struct{}) bool {
	select {
	case <-room:
		return true
	case <-gone:
	case <-b.watching.Done():
	}
	return false
}
