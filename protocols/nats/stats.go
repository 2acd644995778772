package nats

import (
	"slices"
	"sync/atomic"
)

type counts struct {
	received, refused, unanswered   atomic.Uint64
	repeated, handed                atomic.Uint64
	relayed, unrelayed, interrupted atomic.Uint64
}

// Stats is a snapshot for metrics. All but those of the last line count since the start.
type Stats struct {
	// Received messages came from native clients; Refused of them the broker did not
	// take, for which Unanswered got no PubAck although they might have asked for one.
	Received, Refused, Unanswered uint64
	// Repeated messages were known by their ids and not stored again.
	Repeated uint64
	// Dropped messages, requests and acknowledgements were never looked at: too many waited.
	Dropped uint64
	// Handed messages of queues went to native workers.
	Handed uint64
	// Relayed topic messages went to native clients; Unrelayed could not. Interrupted
	// is how often the broker cut the relay off as too slow.
	Relayed, Unrelayed, Interrupted uint64
	// Outstanding messages are with the broker now, Held ones with native workers, of which
	// there are Workers: connections, once for each consumer that they use.
	Outstanding, Held, Workers int
}

// Stats takes a snapshot. It is cheap.
func (d *Door) Stats() Stats {
	s := Stats{
		Received: d.counts.received.Load(), Refused: d.counts.refused.Load(), Unanswered: d.counts.unanswered.Load(),
		Repeated: d.counts.repeated.Load(), Handed: d.counts.handed.Load(),
		Relayed: d.counts.relayed.Load(), Unrelayed: d.counts.unrelayed.Load(), Interrupted: d.counts.interrupted.Load(),
		Outstanding: d.window.outstanding(),
	}
	for _, in := range slices.Concat(d.intakes, d.workers.subs) {
		d.keepDropped(in)
		s.Dropped += in.dropped.Load()
	}
	s.Workers, s.Held = d.workers.count()
	return s
}

// add adds what another door counted; what is there now only if it still is.
func (s *Stats) add(o Stats, now bool) {
	s.Received += o.Received
	s.Refused += o.Refused
	s.Unanswered += o.Unanswered
	s.Repeated += o.Repeated
	s.Dropped += o.Dropped
	s.Handed += o.Handed
	s.Relayed += o.Relayed
	s.Unrelayed += o.Unrelayed
	s.Interrupted += o.Interrupted
	if now {
		s.Outstanding += o.Outstanding
		s.Held += o.Held
		s.Workers += o.Workers
	}
}

// count returns how many workers there are, and how many messages they have.
func (ws *workers) count() (n, held int) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	for _, c := range ws.consumers {
		n += len(c.workers)
		held += len(c.held)
	}
	return n, held
}
