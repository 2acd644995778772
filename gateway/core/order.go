package core

// saw notes that a durable record was answered. The lock is held.
func (s *shard) saw(seq uint64) { s.seen = max(s.seen, seq) }

// keepRecord has a record kept until finish lets it go.
func (s *shard) keepRecord(seq uint64) {
	s.mu.Lock()
	s.kept[seq] = struct{}{}
	s.mu.Unlock()
}

// order is what orders a live record within its queue. The lock is held.
func (s *shard) order(seq uint64) uint64 {
	if order, ok := s.orders[seq]; ok {
		return order
	}
	return 2 * seq
}

// setOrder notes the Order that a record has, if any. The lock is held.
func (s *shard) setOrder(seq, order uint64) {
	if order != 0 {
		s.orders[seq] = order
	}
}
