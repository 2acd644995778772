package core

// Over reports whether the broker closes so far that nothing runs in its background any more.
func (b *Broker) Over() bool {
	b.spawning.Lock()
	defer b.spawning.Unlock()
	return b.over
}
