package feed

import (
	"sync"

	"github.com/sluice-mq/sluice/gateway"
)

// Holders are the durable subscriptions that sessions of this node hold. On other nodes clients may hold the same: they compete.
type Holders struct {
	mu   sync.Mutex
	held map[string]*holding // by place
}

type holding struct {
	n      int
	shared bool
}

// Take holds a durable subscription, unless somebody does already who does not share it.
func (d *Holders) Take(client, name string, shared bool) (place string, err error) {
	place = Durable(client, name).Place()
	d.mu.Lock()
	defer d.mu.Unlock()
	h := d.held[place]
	if h != nil && !(h.shared && shared) {
		return "", gateway.Errorf(gateway.Conflict, "Durable consumer is in use for client: %s and subscriptionName: %s", client, name)
	}
	if h == nil {
		h = &holding{shared: shared}
		if d.held == nil {
			d.held = make(map[string]*holding)
		}
		d.held[place] = h
	}
	h.n++
	return place, nil
}

// Leave is the end of Take.
func (d *Holders) Leave(place string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if h := d.held[place]; h != nil {
		if h.n--; h.n == 0 {
			delete(d.held, place)
		}
	}
}

// Count is how many hold the one of a place.
func (d *Holders) Count(place string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	if h := d.held[place]; h != nil {
		return h.n
	}
	return 0
}
