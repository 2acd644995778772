package bench

import "math/bits"

// Verdict counts what a run did to its messages. Only Repeated is allowed: a
// broker may deliver again what it says it delivers again.
type Verdict struct {
	Expected  int `json:"expected"`
	Received  int `json:"received"`
	Lost      int `json:"lost"`
	Doubled   int `json:"doubled"`
	Damaged   int `json:"damaged"`
	Reordered int `json:"reordered"`
	// Misrouted came by a subscription to another destination, or whose selector it does not match.
	Misrouted int `json:"misrouted"`
	Repeated  int `json:"repeated"`
	// Problem is what happened first, in words.
	Problem string `json:"problem,omitempty"`
}

// Clean says that every message came once, whole, where it belongs and in its producer's order.
func (v Verdict) Clean() bool {
	return v.Lost == 0 && v.Doubled == 0 && v.Damaged == 0 && v.Reordered == 0 && v.Misrouted == 0 && v.Problem == ""
}

// ledger is what one consumer got. It is for one goroutine.
type ledger struct {
	scenario Scenario
	flows    []tally
	verdict  Verdict
}

// tally is what came of one flow.
type tally struct {
	seen []uint64 // a bit for each number
	said []uint64 // a bit for each that came marked as perhaps delivered before
	next uint64   // one more than the highest number
	own  int      // messages that the flow has
}

func newLedger(s Scenario) *ledger {
	return &ledger{scenario: s, flows: make([]tally, s.flows())}
}

// enter takes a message in and says whether it is new to this consumer.
func (l *ledger) enter(m stamp, redelivered bool) bool {
	if m.flow >= uint32(len(l.flows)) {
		l.verdict.Damaged++
		return false
	}
	t := &l.flows[m.flow]
	if t.seen == nil {
		t.own = l.scenario.share(int(m.flow))
		t.seen, t.said = make([]uint64, (t.own+63)/64), make([]uint64, (t.own+63)/64)
	}
	if m.number >= uint64(t.own) {
		l.verdict.Damaged++
		return false
	}
	if !l.scenario.selects(m.number) {
		l.verdict.Misrouted++
		return false
	}
	word, bit := m.number/64, uint64(1)<<(m.number%64)
	if t.seen[word]&bit != 0 {
		if redelivered {
			l.verdict.Repeated++
		} else {
			l.verdict.Doubled++
		}
		return false
	}
	t.seen[word] |= bit
	if redelivered {
		t.said[word] |= bit
	}
	l.verdict.Received++
	if m.number >= t.next {
		t.next = m.number + 1
	} else if !redelivered {
		l.verdict.Reordered++
	}
	return true
}

// judge adds up what all consumers got. Of a queue each message is due to one of
// them, of a topic to each that hears the flow.
func judge(s Scenario, ledgers []*ledger) Verdict {
	v := Verdict{Expected: s.Deliveries()}
	for _, l := range ledgers {
		v.Damaged += l.verdict.Damaged
		v.Doubled += l.verdict.Doubled
		v.Repeated += l.verdict.Repeated
		v.Reordered += l.verdict.Reordered
		v.Misrouted += l.verdict.Misrouted
		if v.Problem == "" {
			v.Problem = l.verdict.Problem
		}
	}
	if s.Topic {
		for _, l := range ledgers {
			v.Received += l.verdict.Received
		}
	} else {
		for f := range s.flows() {
			once, again, said := union(s.share(f), f, ledgers)
			v.Received += once
			v.Doubled += again
			v.Repeated += said
		}
	}
	v.Lost = v.Expected - v.Received
	return v
}

// union counts the numbers of a flow that at least one consumer got, and how
// often one got what another had already: without a word, or marked as perhaps
// delivered before, with one of them.
func union(own, flow int, ledgers []*ledger) (once, again, said int) {
	all, marked := make([]uint64, (own+63)/64), make([]uint64, (own+63)/64)
	for _, l := range ledgers {
		for i, word := range l.flows[flow].seen {
			twice := word & all[i]
			all[i] |= word
			marked[i] |= l.flows[flow].said[i]
			said += bits.OnesCount64(twice & marked[i])
			again += bits.OnesCount64(twice &^ marked[i])
		}
	}
	for _, word := range all {
		once += bits.OnesCount64(word)
	}
	return once, again, said
}
