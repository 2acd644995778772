package past

import (
	"cmp"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/dispatch"
	"github.com/sluice-mq/sluice/gateway/schedule"
)

// Replay collects what a journal says.
type Replay struct {
	first uint64
	dead  []uint64 // a bit for every sequence from first on
	names map[string]string
	// deadBefore are sequences before first that were settled from first on.
	deadBefore map[uint64]struct{}
	entries    []Message
	marks      map[uint64]uint32
	// dues are when messages come that come later, as the last word on them says.
	dues map[uint64]int64
	// handed is how far queues were handed out, saidAt the last record that says so.
	handed, saidAt map[string]uint64
	// moved leads from a sequence to the one that stands for it now.
	moved    map[uint64]uint64
	orders   map[uint64]uint64
	prepared map[string]Prepared
	last     uint64
	known    *Known // in a cluster, else nil
	// began is the record with which the last tenure began, prior that of the one before it.
	began, prior uint64
}

// Message is one that the journal has, without its body.
type Message struct {
	Queue   string
	Seq     uint64
	order   uint64
	Expires int64
	// Sent is its timestamp.
	Sent int64
	Size uint32
	Lane dispatch.Lane
	due  int64 // of what waits for its time
}

// Prepared is a transaction that the journal has the record of, and not its end.
type Prepared struct {
	ID       string
	Seq      uint64
	Messages []*gateway.Message
}

// NewReplay makes an empty one. In a cluster it has known recognise what the journal has; nil does not.
func NewReplay(known *Known) *Replay {
	return &Replay{
		known: known,
		names: make(map[string]string), deadBefore: make(map[uint64]struct{}), marks: make(map[uint64]uint32), dues: make(map[uint64]int64), handed: make(map[string]uint64), saidAt: make(map[string]uint64), moved: make(map[uint64]uint64),
		orders: make(map[uint64]uint64), prepared: make(map[string]Prepared),
	}
}

// Record takes the next record; bodies may be missing.
func (r *Replay) Record(seq uint64, size int, rec *gateway.Record) error {
	if r.first == 0 {
		r.first = seq
	}
	r.last = seq
	for _, h := range rec.Handed {
		if h.Queue == "" {
			clear(r.handed)
			clear(r.saidAt)
		} else {
			name := r.name(h.Queue)
			r.saidAt[name] = seq
			r.handed[name] = max(r.handed[name], h.Seq) // also by processes before the one that was killed last
		}
	}
	switch rec.Type {
	case gateway.RecordMessage:
		r.message(seq, size, rec)
		if r.known != nil {
			r.known.remember(NameOf(rec.Message, rec.Transaction), replayedCall)
		}
	case gateway.RecordSettle:
		for _, s := range rec.Settled {
			r.kill(s)
		}
	case gateway.RecordMark:
		for _, m := range rec.Marks {
			r.mark(r.Now(m.Seq), m)
		}
	case gateway.RecordPrepare:
		r.prepared[rec.Transaction] = Prepared{rec.Transaction, seq, rec.Messages}
		if r.known != nil {
			r.known.remember(rec.Transaction, replayedCall)
		}
	case gateway.RecordDone:
		delete(r.prepared, rec.Transaction)
	case gateway.RecordEpoch:
		if rec.Node != "" { // others only take places
			r.began, r.prior = seq, r.began
		}
	}
	return nil
}

// mark takes in what is said of a message. Counts grow; a move may repeat an older one.
func (r *Replay) mark(seq uint64, m gateway.Mark) {
	if m.Redeliveries < r.marks[seq] {
		return
	}
	r.marks[seq] = m.Redeliveries
	if m.Due != 0 {
		r.dues[seq] = m.Due
	} else {
		delete(r.dues, seq)
	}
}

func (r *Replay) message(seq uint64, size int, rec *gateway.Record) {
	e := Message{Queue: r.name(rec.Message.Place()), Lane: dispatch.LaneOf(rec.Message), Seq: seq, order: 2 * seq, Expires: rec.Message.Expires, Sent: rec.Message.Timestamp, Size: uint32(size)}
	if rec.Message.Queue == gateway.SchedulePlace {
		e.due = schedule.Due(rec.Message)
	}
	if rec.Order != 0 {
		e.order = rec.Order
		r.orders[seq] = rec.Order
		if old := rec.Replaces; old != 0 {
			if r.isSettled(old) {
				r.kill(seq) // settled before it was moved
			}
			r.moved[old] = seq
			if n, ok := r.marks[old]; ok {
				r.marks[seq] = n
			} else if old <= r.handed[e.Queue] {
				r.marks[seq] = 1
			}
			if due, later := r.dues[old]; later {
				r.dues[seq] = due
			}
			r.bury(old)
		}
	}
	r.entries = append(r.entries, e)
}

// name keeps one copy of every queue's name.
func (r *Replay) name(name string) string {
	if known, ok := r.names[name]; ok {
		return known
	}
	name = strings.Clone(name)
	r.names[name] = name
	return name
}

// Now is the sequence that stands for seq at this point of the journal.
func (r *Replay) Now(seq uint64) uint64 {
	for len(r.moved) > 0 {
		next, ok := r.moved[seq]
		if !ok {
			break
		}
		seq = next
	}
	return seq
}

func (r *Replay) kill(seq uint64) { r.bury(r.Now(seq)) }

func (r *Replay) bury(seq uint64) {
	if seq < r.first { // trimmed already, but it may have been moved before
		r.deadBefore[seq] = struct{}{}
		return
	}
	at := seq - r.first
	for uint64(len(r.dead)) <= at/64 {
		r.dead = append(r.dead, 0)
	}
	r.dead[at/64] |= 1 << (at % 64)
}

// isSettled reports whether the journal said so. That a record was trimmed says
// nothing: it may have been moved, and the next record says where to.
func (r *Replay) isSettled(seq uint64) bool {
	if seq < r.first {
		_, dead := r.deadBefore[seq]
		return dead
	}
	return r.isDead(seq)
}

func (r *Replay) isDead(seq uint64) bool {
	if seq < r.first {
		return true
	}
	at := seq - r.first
	return at/64 < uint64(len(r.dead)) && r.dead[at/64]&(1<<(at%64)) != 0
}

// Live returns the live messages, each queue's in its order, and forgets them.
func (r *Replay) Live() []Message {
	live := slices.DeleteFunc(r.entries, func(e Message) bool { return r.isDead(e.Seq) })
	r.entries = nil
	if len(r.orders) > 0 {
		slices.SortStableFunc(live, func(a, b Message) int { return cmp.Compare(a.order, b.order) })
	}
	return live
}

// Redeliveries is how often a message was handed out, as far as the journal tells.
func (r *Replay) Redeliveries(e Message) uint32 {
	n := r.marks[e.Seq]
	if e.Seq <= r.handed[e.Queue] {
		n = max(n, 1) // by a process that did not live to tell
	}
	return n
}

// Fate is how often a message counts as handed out, and when it comes if it comes later: what waits for its time counts from 1, see schedule.
func (r *Replay) Fate(e Message) (redeliveries uint32, due int64) {
	redeliveries, due = r.Redeliveries(e), r.dues[e.Seq]
	if e.due != 0 {
		redeliveries, due = max(redeliveries, 1), max(due, e.due)
	}
	return redeliveries, due
}

// Order is what orders a message within its queue. ok is false where its sequence tells it.
func (r *Replay) Order(e Message) (order uint64, ok bool) {
	order, ok = r.orders[e.Seq]
	return order, ok
}

// Handed is how far a queue was handed out, and the last record that says so.
func (r *Replay) Handed(queue string) (upTo, saidAt uint64) { return r.handed[queue], r.saidAt[queue] }

// Moved yields the sequences that others stand for now: see Now.
func (r *Replay) Moved() iter.Seq[uint64] { return maps.Keys(r.moved) }

// Span is the first and the last record that there was; 0 if there was none.
func (r *Replay) Span() (first, last uint64) { return r.first, r.last }

// Prepared are the transactions that are not carried out, in no order.
func (r *Replay) Prepared() iter.Seq[Prepared] { return maps.Values(r.prepared) }

// Interrupted is a transaction that is to be carried out again.
type Interrupted struct {
	Prepared
	// At is which of the journals has its record.
	At int
}

// InOrder lists the interrupted transactions of journals, those of one session as it committed
// them: each may have been prepared in another journal, so that only the number in the id tells.
func InOrder(found ...*Replay) (all []Interrupted) {
	for i, r := range found {
		for _, p := range r.prepared {
			all = append(all, Interrupted{p, i})
		}
	}
	slices.SortFunc(all, func(a, b Interrupted) int {
		return cmp.Or(cmp.Compare(transactionNumber(a.ID), transactionNumber(b.ID)), cmp.Compare(a.ID, b.ID))
	})
	return all
}

// transactionMark stands between the session's id and the number of a transaction in its id.
const transactionMark = "tx"

// TransactionID names a transaction of a session, by what the ids of its messages begin with and a number that grows within it.
func TransactionID(ids string, number uint64) string {
	return ids + transactionMark + strconv.FormatUint(number, 10)
}

// transactionNumber is the number in a transaction's id.
func transactionNumber(id string) uint64 {
	i := strings.LastIndex(id, transactionMark)
	if i < 0 {
		return 0
	}
	n, _ := strconv.ParseUint(id[i+len(transactionMark):], 10, 64)
	return n
}

// PartName names a message of a transaction.
func PartName(id string, i int) string { return fmt.Sprintf("%s/%d", id, i) }
