package stomp

import (
	"cmp"
	"slices"
)

// held is a delivery that its client has not settled for good.
type held struct {
	number  uint64 // of the delivery, within its subscription
	id      string // message-id
	tag     uint64
	tx      *transaction // acknowledged inside this open transaction
	settled bool
}

// free reports whether the delivery may be acknowledged.
func (h *held) free() bool { return !h.settled && h.tx == nil }

// unacked are a subscription's deliveries in their order, numbered from 0 over
// the life of the subscription. Guarded by conn.acks.
type unacked struct {
	items   []held // ascending by number
	head    int    // items before it are gone
	settled int    // of the others
	next    uint64 // number of the next delivery
}

// add appends a delivery and returns its number.
func (u *unacked) add(id string, tag uint64) uint64 {
	if u.head > 64 && u.head > len(u.items)/2 {
		n := copy(u.items, u.items[u.head:])
		clear(u.items[n:])
		u.items, u.head = u.items[:n], 0
	}
	u.items = append(u.items, held{number: u.next, id: id, tag: tag})
	u.next++
	return u.next - 1
}

// open are the deliveries from the oldest unsettled one on.
func (u *unacked) open() []held { return u.items[u.head:] }

// byNumber returns the index in open of a delivery's number, or -1.
func (u *unacked) byNumber(n uint64) int {
	open := u.open()
	if len(open) == 0 || n < open[0].number {
		return -1
	}
	// It is as far from the oldest as its number says, or nearer where settled ones were left out.
	most := min(n-open[0].number, uint64(len(open)-1))
	if open[most].number == n {
		return int(most)
	}
	i, ok := slices.BinarySearchFunc(open[:most], n, func(h held, n uint64) int { return cmp.Compare(h.number, n) })
	if !ok {
		return -1
	}
	return i
}

// byID returns the index in open of the oldest unsettled delivery of that message, or -1.
func (u *unacked) byID(id string) int {
	for i := range u.open() {
		if h := &u.items[u.head+i]; !h.settled && h.id == id {
			return i
		}
	}
	return -1
}

// manySettled is from how many settled deliveries on it is worth looking for them
// behind an unsettled one.
const manySettled = 64

// trim forgets settled deliveries: those at the front, and all once they are the
// most, so that a client that keeps one delivery for ever costs no more for it.
func (u *unacked) trim() {
	for u.head < len(u.items) && u.items[u.head].settled {
		u.items[u.head] = held{}
		u.head++
		u.settled--
	}
	if u.settled > manySettled && u.settled > (len(u.items)-u.head)/2 {
		u.items = slices.DeleteFunc(u.items[u.head:], func(h held) bool { return h.settled })
		u.head, u.settled = 0, 0
	}
	if u.head == len(u.items) {
		u.items, u.head = u.items[:0], 0
	}
}

// take marks what an acknowledgement of open()[i] covers, all up to it if
// cumulative, and returns the tags. Within a transaction it only reserves them.
// It returns ok false if the delivery cannot be acknowledged any more.
func (u *unacked) take(i int, cumulative bool, tx *transaction) (tags []uint64, ok bool) {
	open := u.open()
	if h := &open[i]; h.settled || (h.tx != nil && h.tx != tx) {
		return nil, false
	}
	from := i
	if cumulative {
		from = 0
	}
	for j := from; j <= i; j++ {
		h := &open[j]
		if !h.free() {
			continue
		}
		tags = append(tags, h.tag)
		if tx == nil {
			h.settled = true
			u.settled++
		} else {
			h.tx = tx
		}
	}
	u.trim()
	return tags, true
}

// free are the tags of what nobody has acknowledged, in no transaction either.
func (u *unacked) free() (tags []uint64) {
	for i := range u.open() {
		if h := &u.items[u.head+i]; h.free() {
			tags = append(tags, h.tag)
		}
	}
	return tags
}

// reserved counts what a transaction holds.
func (u *unacked) reserved(tx *transaction) int {
	n := 0
	for i := range u.open() {
		if u.items[u.head+i].tx == tx {
			n++
		}
	}
	return n
}

// release ends a transaction's hold: the deliveries are settled, or free again.
func (u *unacked) release(tx *transaction, settled bool) {
	open := u.open()
	for i := range open {
		if open[i].tx == tx {
			open[i].tx, open[i].settled = nil, settled
			if settled {
				u.settled++
			}
		}
	}
	u.trim()
}
