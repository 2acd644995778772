package core

import (
	"cmp"
	"slices"

	"github.com/sluice-mq/sluice/gateway/dispatch"
	"github.com/sluice-mq/sluice/gateway/past"
)

// adopt has a queue take what a subscription's client has from owners before this one for handed out, as far as
// it waits. The lock is held.
func (s *shard) adopt(q *queue, id dispatch.SubID, had []dispatch.Had, fx *dispatch.Effects) (seqs, tags []uint64) {
	if len(had) == 0 {
		return nil, nil
	}
	known := make(map[uint64]uint64) // by what stands for them now
	now := make([]dispatch.Had, len(had))
	for i, h := range had {
		now[i] = dispatch.Had{Seq: s.aliases.of(h.Seq), Redeliveries: h.Redeliveries}
		if now[i].Seq != h.Seq {
			known[now[i].Seq] = h.Seq
		}
	}
	slices.SortFunc(now, func(a, b dispatch.Had) int { return cmp.Compare(a.Seq, b.Seq) })
	for i, tag := range q.Adopt(id, now, fx) {
		if tag == 0 {
			continue
		}
		seq := now[i].Seq
		q.handed = max(q.handed, seq)
		if name, other := known[seq]; other {
			seq = name
		}
		seqs, tags = append(seqs, seq), append(tags, tag)
	}
	if len(tags) > 0 {
		s.announce(q)
	}
	return seqs, tags
}

// stand notes which messages were moved before this owner came: clients know them by the sequences that they had
// when they were handed out. The lock is held.
func (s *shard) stand(r *past.Replay) {
	for seq := range r.Moved() {
		if now := r.Now(seq); s.isMoved(now) {
			s.aliases.add(seq, now)
		}
	}
	for seq, order := range s.orders { // what says so of the first place may be trimmed
		if order%2 == 0 && order/2 != seq {
			s.aliases.add(order/2, seq)
		}
	}
}

// isMoved reports whether a sequence is that of a live message which has another's place. The lock is held.
func (s *shard) isMoved(seq uint64) bool {
	_, moved := s.orders[seq]
	return moved
}
