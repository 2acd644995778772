// Package ring keeps the deliveries of a subscription that its door has not taken yet, in their order, and knows when the door must be woken.
package ring

import (
	"sync"

	"github.com/sluice-mq/sluice/gateway"
)

// MostBytes bounds what subscriptions to queues let wait in a ring: a large prefetch must not
// bring all of a queue's large messages into memory.
const MostBytes = 1 << 20

// Ring holds the deliveries of one subscription. Its lock guards it, and what its subscription wants to be guarded with it.
type Ring struct {
	sync.Mutex
	items []gateway.Delivery // a ring of a power of two
	head  int
	n     int
	bytes int
	// hungry: the door found it empty, so it must be woken.
	hungry bool
	wake   func()
}

// Init is called before anything else. wake wakes the door.
func (r *Ring) Init(wake func()) { r.wake, r.hungry = wake, true }

// Wake wakes the door.
func (r *Ring) Wake() { r.wake() }

// Len is how many deliveries there are, and Bytes how big they are. The lock is held.
func (r *Ring) Len() int { return r.n }

// Bytes is described at Len.
func (r *Ring) Bytes() int { return r.bytes }

// Hungry reports whether the door must be woken for the next delivery, and SetHungry says so. The lock is held.
func (r *Ring) Hungry() bool { return r.hungry }

// SetHungry is described at Hungry.
func (r *Ring) SetHungry(hungry bool) { r.hungry = hungry }

// Push adds a delivery and reports whether the door must be woken. The lock is held.
func (r *Ring) Push(d gateway.Delivery) (wake bool) {
	if r.n == len(r.items) {
		r.grow()
	}
	r.items[(r.head+r.n)&(len(r.items)-1)] = d
	r.n++
	r.bytes += d.Message.Size()
	wake, r.hungry = r.hungry, false
	return wake
}

// Pending is how much is in it.
func (r *Ring) Pending() (n, bytes int) {
	r.Lock()
	defer r.Unlock()
	return r.n, r.bytes
}

// Hand adds a delivery, gives the lock back and wakes the door if need be. The lock is held.
func (r *Ring) Hand(d gateway.Delivery) {
	wake := r.Push(d)
	r.Unlock()
	if wake {
		r.wake()
	}
}

func (r *Ring) grow() {
	items := make([]gateway.Delivery, max(8, 2*len(r.items)))
	for i := range r.n {
		items[i] = r.items[(r.head+i)&(len(r.items)-1)]
	}
	r.items, r.head = items, 0
}

// Pop takes the oldest delivery. The lock is held and there is one.
func (r *Ring) Pop() gateway.Delivery {
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

// Take moves deliveries to dst within the bounds and returns how many and how
// big. The lock is held.
func (r *Ring) Take(dst []gateway.Delivery, maxBytes int) (n, bytes int) {
	for n < len(dst) && r.n > 0 && (n == 0 || bytes < maxBytes) {
		before := r.bytes
		dst[n] = r.Pop()
		bytes += before - r.bytes
		n++
	}
	r.hungry = r.n == 0
	return n, bytes
}

// Tags are those of its deliveries. The lock is held.
func (r *Ring) Tags() []uint64 {
	tags := make([]uint64, r.n)
	for i := range r.n {
		tags[i] = r.items[(r.head+i)&(len(r.items)-1)].Tag
	}
	return tags
}

// Empty drops all deliveries and returns their tags, and how big they were. The lock is held.
func (r *Ring) Empty() (tags []uint64, bytes int) {
	tags, bytes = r.Tags(), r.bytes
	for r.n > 0 {
		r.Pop()
	}
	return tags, bytes
}

// Each shows all deliveries. The lock is held.
func (r *Ring) Each(fn func(*gateway.Delivery)) {
	for i := range r.n {
		fn(&r.items[(r.head+i)&(len(r.items)-1)])
	}
}

// Clear drops all deliveries and their places. The lock is held.
func (r *Ring) Clear() { r.items, r.head, r.n, r.bytes = nil, 0, 0, 0 }
