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

// announce lists the queue if the journal must hear how far it was handed out. The lock is held.
func (s *shard) announce(q *queue) {
	late := q.handed > q.announced
	if !late && (q.Stats().Waiting > 0 || q.handed+handAhead/2 <= q.announced) {
		return
	}
	s.behind = s.behind || late
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
