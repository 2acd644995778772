package nats

import "sync/atomic"

type counts struct {
	received, refused, unanswered   atomic.Uint64
	repeated                        atomic.Uint64
	relayed, unrelayed, interrupted atomic.Uint64
}

// Stats is a snapshot for metrics. All but Outstanding count since the start.
type Stats struct {
	// Received messages came from native clients; Refused of them the broker did not
	// take, for which Unanswered got no PubAck although they might have asked for one.
	Received, Refused, Unanswered uint64
	// Repeated messages were known by their ids and not stored again.
	Repeated uint64
	// Dropped messages never reached the broker: too many waited.
	Dropped uint64
	// Relayed topic messages went to native clients; Unrelayed could not. Interrupted
	// is how often the broker cut the relay off as too slow.
	Relayed, Unrelayed, Interrupted uint64
	// Outstanding messages are with the broker now.
	Outstanding int
}

// Stats takes a snapshot. It is cheap.
func (d *Door) Stats() Stats {
	s := Stats{
		Received: d.counts.received.Load(), Refused: d.counts.refused.Load(), Unanswered: d.counts.unanswered.Load(),
		Repeated: d.counts.repeated.Load(),
		Relayed:  d.counts.relayed.Load(), Unrelayed: d.counts.unrelayed.Load(), Interrupted: d.counts.interrupted.Load(),
		Outstanding: d.window.outstanding(),
	}
	for _, in := range d.intakes {
		d.keepDropped(in)
		s.Dropped += in.dropped.Load()
	}
	return s
}
