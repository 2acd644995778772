package core

// awaitMillis is for how long a new owner waits for other nodes before it hands anything out.
const awaitMillis = 500

// await has the shard hand out nothing until no owner before this one does any more, and the nodes, this one among them, have offered what those have not
// answered and said what their clients have. It is called before anybody else knows the shard.
func (s *shard) await(nodes []string) {
	s.shared, s.awaited, s.since = true, make(map[string]struct{}), s.broker.nowMillis()
	for _, n := range nodes {
		s.awaited[n] = struct{}{}
	}
}

// begun reports whether it hands out. The lock is held.
func (s *shard) begun() bool { return !s.shared && len(s.awaited) == 0 }

// offered notes that a node has, or that it is gone.
func (s *shard) offered(node string) {
	s.mu.Lock()
	begun := s.begun()
	delete(s.awaited, node)
	if !begun && s.begun() {
		s.begin()
	}
	s.release()
}

// sole notes that no owner before this one hands anything out any more.
func (s *shard) sole() {
	s.mu.Lock()
	begun := s.begun()
	s.shared = false
	if !begun && s.begun() {
		s.begin()
	}
	s.release()
}

// begin lets the subscriptions have deliveries. The lock is held.
func (s *shard) begin() {
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

// waited waits no more for the nodes that have not spoken in time. The lock is held.
func (s *shard) waited(now int64) {
	if len(s.awaited) > 0 && max(now-s.since, s.since-now) > awaitMillis { // the clock may be set back
		clear(s.awaited)
		if s.begun() {
			s.begin()
		}
	}
}
