package past

import (
	"strconv"
	"strings"

	"github.com/sluice-mq/sluice/gateway"
)

// What an owner of a shard had only in memory when its tenure ended, it offers to the next one, if it lives: its remains. Its producers
// may have sent that one more by then, and nothing else orders them. So they get places before everything that the new owner was sent itself,
// and are taken in only while nothing that the same producer sent later was handed out: no message comes for the first time
// behind a later one. What comes too late for that, or from an owner that this one did not follow, is lost with its owner. Once they are in their queue,
// its rules tell which is next, as for all others: selectors and priorities may have later ones go first.

const (
	// remainsMost is how many places are kept for them in the order of a shard.
	remainsMost = 1 << 40
	// trailsMost is how many producers a shard remembers before it forgets those of which it has heard nothing for as long.
	trailsMost = 1 << 14
)

// Remains is what a shard of a cluster knows of them. It is guarded by the shard's lock.
type Remains struct {
	// from is the first record that was read when the tenure began, prior that with which the last tenure before it did, 0 if there was none.
	from, prior uint64
	// place is the last that was given away, order that of their records: behind all that were read, and before all later ones.
	place, order uint64
	// trails are how far producers' messages were handed out; those in old were not heard of since there were trailsMost new ones.
	trails, old map[producer]*uint64
	forgot      bool // producers
	late        int  // messages that were lost, since somebody asked
}

// producer is who numbers non-persistent messages of a queue.
type producer struct{ queue, session string }

// numbered takes an id apart that a session gave. Others are of nobody in particular, and are in no order.
func numbered(id string) (session string, number uint64) {
	i := strings.LastIndexByte(id, ':')
	if i < 0 {
		return "", 0
	}
	number, err := strconv.ParseUint(id[i+1:], 10, 64)
	if err != nil {
		return "", 0
	}
	return id[:i], number
}

// Begin notes where a tenure stands whose shard has given away the places up to tag: everything that was in the journal has its place already. It returns after which one
// the others come.
func (r *Remains) Begin(tag uint64, found *Replay) (last uint64) {
	r.from, r.prior = found.first, found.prior
	r.place, r.order = tag, 2*found.last+1
	r.trails = make(map[producer]*uint64)
	return tag + remainsMost
}

// Order is that of the records of all of them.
func (r *Remains) Order() uint64 { return r.order }

// Next is the place of one of them: behind those that came before it, and before all that was sent since.
func (r *Remains) Next() uint64 {
	r.place++
	return r.place
}

// Follows reports whether this tenure is the next after one whose last record was that: nobody has handed anything out in between.
func (r *Remains) Follows(last uint64) bool { return r.prior <= last && r.from <= last+1 }

// Passed reports whether a message of the producer that is not before this one was handed out, or may have been.
func (r *Remains) Passed(queue string, m *gateway.Message) bool {
	session, number := numbered(m.ID)
	if session == "" {
		return false
	}
	trail := r.trail(producer{queue, session})
	return trail != nil && number <= *trail || trail == nil && r.forgot
}

// trail is how far a producer's messages were handed out, nil if nothing is known of it.
func (r *Remains) trail(p producer) *uint64 {
	if trail := r.trails[p]; trail != nil {
		return trail
	}
	return r.old[p]
}

// HandOut notes that a non-persistent message is handed out.
func (r *Remains) HandOut(queue string, m *gateway.Message) {
	session, number := numbered(m.ID)
	if session == "" {
		return
	}
	p := producer{queue, session}
	if trail := r.trails[p]; trail != nil {
		*trail = max(*trail, number)
		return
	}
	if trail := r.old[p]; trail != nil {
		number = max(number, *trail)
	}
	if len(r.trails) >= trailsMost {
		r.forgot = r.forgot || len(r.old) > 0
		r.old, r.trails = r.trails, make(map[producer]*uint64)
	}
	trail := new(uint64)
	*trail = number
	r.trails[p] = trail
}

// Lose takes in that one of them is lost.
func (r *Remains) Lose() { r.late++ }

// Lost is how many were lost since it was asked last.
func (r *Remains) Lost() (n int) {
	n, r.late = r.late, 0
	return n
}
