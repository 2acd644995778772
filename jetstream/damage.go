package jetstream

// suspects is how often a copy has to be read with the same result before it counts as damaged.
const suspects = 2

// suspect takes damage that was found in this node's copy of a journal that it owns. Another node has what is missing here: so the tenure
// ends, and there is no other one as long as the process lives.
func (j *journal) suspect(damage *DamageError) {
	j.mu.Lock()
	j.suspected++
	sure := j.suspected >= suspects
	j.mu.Unlock()
	if sure {
		j.condemn(damage)
	}
}

// condemn ends the tenure for damage.
func (j *journal) condemn(damage *DamageError) {
	j.store.tenancies[j.shard].condemn(damage)
	j.leave()
}

func (n *tenancy) condemn(damage *DamageError) {
	if n.damage.Swap(damage) == nil {
		n.store.cfg.Logger.Error("this node's copy of a shard is damaged: it owns no shards any more. Start it with an empty data directory while all others are there",
			"shard", n.shard, "error", damage)
	}
}

// findBroken takes note of journals that the server has not begun for damage to what it keeps beside them.
func (s *Store) findBroken() {
	for _, t := range s.tenancies {
		if why := s.cfg.Server.Broken(t.stream); why != "" && t.damage.Load() == nil {
			t.condemn(&DamageError{Stream: t.stream, What: why})
		}
	}
}

// Damage is what this node knows of damage to its copies of a cluster's journals, or nil. The others serve.
func (s *Store) Damage() error {
	for _, t := range s.tenancies {
		if d := t.damage.Load(); d != nil {
			return d
		}
	}
	return nil
}

// yieldDamaged gives the lead of damaged journals to other nodes.
func (s *Store) yieldDamaged() {
	for _, t := range s.tenancies {
		if t.damage.Load() != nil && s.cfg.Server.Leads(t.stream) {
			if err := s.cfg.Server.StepDown(t.stream); err != nil {
				s.cfg.Logger.Info("giving up the lead of a damaged journal failed, it is tried again", "stream", t.stream, "error", err)
			}
		}
	}
}
