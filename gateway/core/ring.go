package core

import (
	"sync"

	"github.com/sluice-mq/sluice/gateway"
)

// ring holds the deliveries of one subscription that its door has not taken yet.
type ring struct {
	mu    sync.Mutex
	items []gateway.Delivery // a ring of a power of two
	head  int
	n     int
	bytes int
	// hungry: the door found it empty, so it must be woken.
	hungry bool
	wake   func()
}

func (r *ring) init(wake func()) { r.wake, r.hungry = wake, true }

// push adds a delivery and reports whether the door must be woken. The lock is held.
func (r *ring) push(d gateway.Delivery) (wake bool) {
	if r.n == len(r.items) {
		r.grow()
	}
	r.items[(r.head+r.n)&(len(r.items)-1)] = d
	r.n++
	r.bytes += d.Message.Size()
	wake, r.hungry = r.hungry, false
	return wake
}

// pending is how much is in it.
func (r *ring) pending() (n, bytes int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.n, r.bytes
}

// hand adds a delivery, gives the lock back and wakes the door if need be. The lock is held.
func (r *ring) hand(d gateway.Delivery) {
	wake := r.push(d)
	r.mu.Unlock()
	if wake {
		r.wake()
	}
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

func (r *ring) grow() {
	items := make([]gateway.Delivery, max(8, 2*len(r.items)))
	for i := range r.n {
		items[i] = r.items[(r.head+i)&(len(r.items)-1)]
	}
	r.items, r.head = items, 0
}

// pop takes the oldest delivery. The lock is held and there is one.
func (r *ring) pop() gateway.Delivery {
	d := r.items[r.head]
	r.items[r.head] = gateway.Delivery{}
	r.head = (r.head + 1) & (len(r.items) - 1)
	r.n--
	r.bytes -= d.Message.Size()
	if r.n == 0 && len(r.items) > 256 {
		r.items, r.head = nil, 0 // a burst has passed
	}
	return d
}

// take moves deliveries to dst within the bounds and returns how many and how
// big. The lock is held.
func (r *ring) take(dst []gateway.Delivery, maxBytes int) (n, bytes int) {
	for n < len(dst) && r.n > 0 && (n == 0 || bytes < maxBytes) {
		before := r.bytes
		dst[n] = r.pop()
		bytes += before - r.bytes
		n++
	}
	r.hungry = r.n == 0
	return n, bytes
}

// tags are those of its deliveries. The lock is held.
func (r *ring) tags() []uint64 {
	tags := make([]uint64, r.n)
	for i := range r.n {
		tags[i] = r.items[(r.head+i)&(len(r.items)-1)].Tag
	}
	return tags
}

// empty drops all deliveries and returns their tags, and how big they were. The lock is held.
func (r *ring) empty() (tags []uint64, bytes int) {
	tags, bytes = r.tags(), r.bytes
	for r.n > 0 {
		r.pop()
	}
	return tags, bytes
}
