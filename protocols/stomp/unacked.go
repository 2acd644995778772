package stomp

// held is a delivery that its client has not settled for good.
type held struct {
	id      string // message-id
	tag     uint64
	tx      *transaction // acknowledged inside this open transaction
	settled bool
}

// free reports whether the delivery may be acknowledged.
func (h *held) free() bool { return !h.settled && h.tx == nil }

// unacked are a subscription's deliveries in their order, numbered from 0 over
// the life of the subscription. Guarded by conn.mu.
type unacked struct {
	items []held
	head  int    // items before it are gone
	first uint64 // number of items[head]
}

// add appends a delivery and returns its number.
func (u *unacked) add(id string, tag uint64) uint64 {
	if u.head > 64 && u.head > len(u.items)/2 {
		n := copy(u.items, u.items[u.head:])
		clear(u.items[n:])
		u.items, u.head = u.items[:n], 0
	}
	u.items = append(u.items, held{id: id, tag: tag})
	return u.first + uint64(len(u.items)-u.head) - 1
}

// open are the deliveries from the oldest unsettled one on.
func (u *unacked) open() []held { return u.items[u.head:] }

// byNumber returns the index in open of a delivery's number, or -1.
func (u *unacked) byNumber(n uint64) int {
	if i := n - u.first; i < uint64(len(u.items)-u.head) {
		return int(i)
	}
	return -1
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

// trim forgets settled deliveries at the front.
func (u *unacked) trim() {
	for u.head < len(u.items) && u.items[u.head].settled {
		u.items[u.head] = held{}
		u.head++
		u.first++
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
		} else {
			h.tx = tx
		}
	}
	u.trim()
	return tags, true
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
		}
	}
	u.trim()
}
