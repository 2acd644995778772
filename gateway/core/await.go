package core

// awaitMillis is for how long a new owner waits for other nodes before it hands anything out.
const awaitMillis = 500

// await has the shard hand out nothing until the nodes, this one among them, have offered what owners before this one have not
// answered and said what their clients have. It is called before anybody else knows the shard.
func (s *shard) await(nodes []string) {
	s.awaited, s.since = make(map[string]struct{}), s.broker.nowMillis()
	for _, n := range nodes {
		s.awaited[n] = struct{}{}
	}
}

// offered notes that a node has, or that it is gone.
func (s *shard) offered(node string) {
	s.mu.Lock()
	_, awaited := s.awaited[node]
	delete(s.awaited, node)
	if awaited && len(s.awaited) == 0 {
		s.begin()
	}
	s.release()
}

// begin lets the subscriptions have deliveries. The lock is held.
func (s *shard) begin() {
	s.awaited = nil
	late := s.late
	s.late = nil
	for _, sub := range late {
		q := s.queues[sub.queue]
		if q == nil || q.subscriptions[sub.id] != sub {
			continue // it is closed
		}
		if sub.apart {
			sub.apart = false
			q.Subscribe(sub.id, sub.consumer(0), s.broker.nowMillis(), &s.fx)
			q.Extend(sub.id, sub.credit, s.broker.nowMillis(), &s.fx)
			s.effects(q)
		}
		q.Subscribe(sub.id, sub.consumer(sub.options.Prefetch), s.broker.nowMillis(), &s.fx)
		s.effects(q)
	}
}

// waited begins without the nodes that have not spoken in time. The lock is held.
func (s *shard) waited(now int64) {
	if len(s.awaited) > 0 && max(now-s.since, s.since-now) > awaitMillis { // the clock may be set back
		s.begin()
	}
}
