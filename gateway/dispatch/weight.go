package dispatch

// Weight returns the bytes of live entries that are in the journal and of those that are only in memory.
func (q *Queue) Weight() (journaled, memory int64) { return 0, 0 }

// Taken tells that so many bytes of a subscription's deliveries went on to its client.
func (q *Queue) Taken(id SubID, bytes int, now int64, fx *Effects) {}
