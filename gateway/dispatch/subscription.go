package dispatch

import (
	"slices"

	"github.com/sluice-mq/sluice/gateway"
)

// maxCredit bounds prefetch and extension, so that no sum of them overflows.
const maxCredit = 1 << 30

func clampCredit(n int) int { return min(max(n, -maxCredit), maxCredit) }

// subscription is what the queue knows of one subscription.
type subscription struct {
	id                  SubID
	prefetch, extension int
	inFlight            line
	// unsent bytes were delivered and not taken yet; at unsentMost, if that is not
	// 0, it gets no more.
	unsent, unsentMost int64
	// counted is its share of Queue.credit.
	counted int
	// next and prev link it into its ring of those with credit; nil outside of it.
	next, prev *subscription
	ring       *ring

	priority  int8
	exclusive bool
	// behind, of one without anything to get: something of that priority less 1 must be loaded first; 0: nothing.
	// blocked: but not by it.
	behind  uint8
	blocked bool
	// came orders subscriptions by their coming.
	came uint64
	// idle is the epoch in which there was nothing for it.
	idle       uint64
	filter     *filter
	redelivery *gateway.Redelivery
	// groups are how many are its own; own are their lanes with something in them.
	groups int
	own    *pool
}

// allowance is how many more deliveries it may get now.
func (s *subscription) allowance() int {
	if s.prefetch <= 0 || s.unsentMost > 0 && s.unsent >= s.unsentMost {
		return 0
	}
	return max(s.prefetch+s.extension-s.inFlight.n, 0)
}

// join makes a subscription of a consumer. It has no credit yet.
func (q *Queue) join(id SubID, c *Consumer) *subscription {
	q.comings++
	s := &subscription{
		id: id, inFlight: newLine(), unsentMost: q.cfg.SubscriptionBytes, came: q.comings,
		priority: c.Priority, exclusive: c.Exclusive, redelivery: c.Redelivery, filter: q.filter(c.Selector),
	}
	if s.filter == nil {
		q.plain++
	}
	if s.exclusive {
		q.exclusives++
	}
	q.subs[id] = s
	q.seat(s)
	q.elect()
	return s
}

// retire forgets a subscription; what it has in flight is the caller's to bring back, before its groups are let go.
func (q *Queue) retire(s *subscription) {
	s.prefetch = 0
	q.recredit(s)
	q.unseat(s)
	delete(q.subs, s.id)
	if s.exclusive {
		q.exclusives--
	}
	if s.filter == nil {
		q.plain--
	}
	q.unfilter(s.filter)
	q.elect()
}

// holder returns the subscription that has all of the tags in flight, else a
// NotFound error. Tags named twice are not found the second time.
func (q *Queue) holder(id SubID, tags []uint64) (*subscription, error) {
	s := q.subs[id]
	if s == nil {
		return nil, gateway.Errorf(gateway.NotFound, "subscription is not open")
	}
	ascending := true
	for i, tag := range tags {
		if _, _, ok := s.inFlight.find(tag); !ok {
			return nil, unknownDelivery()
		}
		ascending = ascending && (i == 0 || tags[i-1] < tag)
	}
	if !ascending {
		q.scratch = append(q.scratch[:0], tags...)
		slices.Sort(q.scratch)
		for i := 1; i < len(q.scratch); i++ {
			if q.scratch[i-1] == q.scratch[i] {
				return nil, unknownDelivery()
			}
		}
	}
	return s, nil
}

func unknownDelivery() error {
	return gateway.Errorf(gateway.NotFound, "delivery is unknown or already acknowledged")
}

// takeBack takes out an entry that holder found.
func (q *Queue) takeBack(s *subscription, tag uint64) Entry {
	i, pos, _ := s.inFlight.find(tag)
	q.inFlight--
	e := s.inFlight.removeAt(i, pos)
	if e.Lane.group() != 0 {
		q.letGo(&e)
	}
	return e
}
