package core

// refusal is a Nack under way: it is completed when each of its messages is in the
// dead-letter queue, or dropped, and is gone from its own queue for good.
type refusal struct {
	waiter
	left int
	err  error // of a burial that failed; its message is back in its queue
}

// refuse lets a waiter wait for the burials of refused messages. The lock is held.
func (s *shard) refuse(tags []uint64, w waiter) {
	if len(tags) == 0 {
		s.waiters = append(s.waiters, w)
		return
	}
	r := &refusal{waiter: w, left: len(tags)}
	for _, tag := range tags {
		s.refusals[tag] = r
	}
}

// laidToRest notes the end of a burial whose settlement, if any, was collected. It returns the
// refusal if that was its last one and it failed. The lock is held.
func (s *shard) laidToRest(tag uint64, err error) *refusal {
	r := s.refusals[tag]
	if r == nil {
		return nil
	}
	delete(s.refusals, tag)
	r.left--
	if err != nil {
		r.err = err
	}
	switch {
	case r.left > 0:
	case r.err != nil:
		return r
	default:
		s.waiters = append(s.waiters, r.waiter)
	}
	return nil
}
