package core

import "github.com/sluice-mq/sluice/gateway"

const (
	// handMost bounds the queues named in one record.
	handMost = 1024
	// handAhead is how many sequences ahead of an empty queue the journal is told that it
	// was handed out: what comes next will be, at once, and a crash must not come before the word of it.
	handAhead = 1024
	// handFast is from how many sequences between two records on a backlog's
	// next ones are announced, too.
	handFast = 64
)

// announce lists the queue if the journal must hear how far it was handed out. What is only in memory
// does not outlive a crash and needs no word. The lock is held.
func (s *shard) announce(q *queue) {
	late := q.handed > q.announced
	if q.handed == 0 || !late && (q.Stats().Waiting > 0 || q.handed+handAhead/2 <= q.announced) {
		return
	}
	s.behind = s.behind || late
	s.list(q)
}

func (s *shard) list(q *queue) {
	if !q.listed {
		q.listed = true
		s.handing = append(s.handing, q)
	}
}

// handOver takes what the next record says of what was handed out: up to where it is
// exactly if it goes slowly, and beyond where it goes on at once. The lock is held.
func (s *shard) handOver() (handed []gateway.Handed) {
	n := min(len(s.handing), handMost)
	for _, q := range s.handing[:n] {
		q.listed = false
		ahead := q.handed - q.from
		switch {
		case q.handed == 0: // all that was announced is of another process
		case q.Stats().Waiting == 0:
			ahead = handAhead
		case ahead < handFast || q.from == 0:
			ahead = 0
		}
		q.from = q.handed
		q.announced = max(q.announced, q.handed+ahead)
		handed = append(handed, gateway.Handed{Queue: q.name, Seq: q.announced})
	}
	s.handing = append(s.handing[:0], s.handing[n:]...)
	s.behind = len(s.handing) > 0
	return handed
}

// word is a record of what was handed out while a settlement is under way, whose sync may take long: a process that is killed meanwhile
// would leave all of that unmarked.
type word struct {
	shard  *shard
	handed []gateway.Handed
}

// sayMeanwhile has a word written, beside the settlement that is under way and one at a time. The lock is held.
func (s *shard) sayMeanwhile() {
	if !s.behind || s.saying || s.ended || s.refused != nil {
		return
	}
	s.saying = true
	s.after.word = &word{s, s.handOver()}
}

func (w *word) append() {
	w.shard.journal.Append(&gateway.Record{Type: gateway.RecordMark, Handed: w.handed, Relaxed: true}, w)
}

// Appended implements gateway.Appended. What the journal did not take the next settlement says, unless there is another owner.
func (w *word) Appended(seq uint64, err error) {
	s := w.shard
	s.mu.Lock()
	s.saying = false
	switch {
	case err == nil:
		s.noted(w.handed, seq)
	case !hasMoved(err) && s.journal.State().Err == nil:
		for _, h := range w.handed {
			if q := s.queues[h.Queue]; q != nil {
				q.announced = 0
				s.list(q)
			}
		}
	}
	s.release()
}

// noted tells that the record with this word of queues is in the journal. The lock is held.
func (s *shard) noted(handed []gateway.Handed, seq uint64) {
	for _, h := range handed {
		if q := s.queues[h.Queue]; q != nil {
			q.noted = max(q.noted, seq)
		}
	}
}

// keepWord returns down to which record the journal is needed if it is down to low for everything else: what
// was said of queues that are not empty stands before their messages, and must be said again before it may be
// trimmed. The lock is held.
func (s *shard) keepWord(low uint64) uint64 {
	kept := low
	for _, q := range s.queues {
		if q.noted != 0 && q.noted < low && !q.Empty() {
			kept = min(kept, q.noted)
			s.behind = true
			s.list(q)
		}
	}
	return kept
}

// lastWord forgets what would be said: an orderly stop takes everything back. The lock is held.
func (s *shard) lastWord() {
	for _, q := range s.handing {
		q.listed = false
	}
	s.handing, s.behind = s.handing[:0], false
}
