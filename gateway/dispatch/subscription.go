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
	// next and prev link it into the ring of those with credit; nil outside of it.
	next, prev *subscription
}

// allowance is how many more deliveries it may get now.
func (s *subscription) allowance() int {
	if s.prefetch <= 0 || s.unsentMost > 0 && s.unsent >= s.unsentMost {
		return 0
	}
	return max(s.prefetch+s.extension-s.inFlight.n, 0)
}

// recredit brings the queue's credit and the ring of turns up to date with a
// subscription. Who gets credit anew takes the last turn.
func (q *Queue) recredit(s *subscription) {
	n := s.allowance()
	q.credit += n - s.counted
	s.counted = n
	switch {
	case n > 0 && s.next == nil:
		q.enqueue(s)
	case n == 0 && s.next != nil:
		q.dequeue(s)
	}
}

// enqueue gives s the last turn.
func (q *Queue) enqueue(s *subscription) {
	if q.ready == nil {
		s.next, s.prev, q.ready = s, s, s
		return
	}
	s.next, s.prev = q.ready, q.ready.prev
	s.prev.next, s.next.prev = s, s
}

// dequeue takes s out of the turns.
func (q *Queue) dequeue(s *subscription) {
	switch {
	case s.next == s:
		q.ready = nil
	case q.ready == s:
		q.ready = s.next
	}
	s.prev.next, s.next.prev = s.next, s.prev
	s.next, s.prev = nil, nil
}

// retire forgets a subscription; what it has in flight is the caller's to bring back.
func (q *Queue) retire(s *subscription) {
	s.prefetch = 0
	q.recredit(s)
	delete(q.subs, s.id)
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
	return s.inFlight.removeAt(i, pos)
}
