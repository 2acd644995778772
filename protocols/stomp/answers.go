package stomp

import "github.com/sluice-mq/sluice/gateway"

// answer is what a frame is owed. It waits in the ring until its outcome is known
// and all frames before it were answered.
type answer struct {
	receipt string // receipt-id that was asked for; empty is none
	err     error  // refusal, for an ERROR frame
	size    int    // bytes it counts against the limit
	done    bool   // the outcome is known
	held    bool   // the broker keeps it back, and nothing is read meanwhile
	more    *more  // what few answers need
}

// more is the rare part of an answer.
type more struct {
	frame  []byte          // written instead of a RECEIPT
	starts *subscription   // may deliver from here on
	commit *transaction    // settled or released by the outcome
	ends   gateway.Session // closed before anything is written
}

// silent answers put nothing on the wire.
func (a *answer) silent() bool { return a.err == nil && a.receipt == "" && a.more == nil }

// answerOverhead is what an answer counts beside the message and the receipt-id.
const answerOverhead = 128

// answers is the ring of what a connection owes its client, in the order of the frames.
type answers struct {
	ring  []answer // its length is a power of two
	head  int
	n     int
	first uint64 // token of the answer at head
	bytes int
}

// push adds an answer and returns its token.
func (q *answers) push(a answer) uint64 {
	if q.n == len(q.ring) {
		q.grow()
	}
	q.ring[(q.head+q.n)&(len(q.ring)-1)] = a
	q.n++
	q.bytes += a.size
	return q.first + uint64(q.n) - 1
}

func (q *answers) grow() {
	ring := make([]answer, max(2, 2*len(q.ring)))
	k := copy(ring, q.ring[q.head:])
	copy(ring[k:], q.ring[:q.head])
	q.ring, q.head = ring, 0
}

// at returns the answer of a token, or nil if it has left the ring.
func (q *answers) at(token uint64) *answer {
	if i := token - q.first; i < uint64(q.n) {
		return &q.ring[(q.head+int(i))&(len(q.ring)-1)]
	}
	return nil
}

func (q *answers) pop() {
	q.bytes -= q.ring[q.head].size
	q.ring[q.head] = answer{}
	q.head = (q.head + 1) & (len(q.ring) - 1)
	q.n--
	q.first++
	if q.n == 0 && len(q.ring) > 8 {
		q.ring, q.head = nil, 0 // an idle connection holds nothing
	}
}

// ripe reports whether the oldest answer can be written.
func (q *answers) ripe() bool { return q.n > 0 && q.ring[q.head].done }

// skip removes silent answers that nothing holds up.
func (q *answers) skip() {
	for q.ripe() && q.ring[q.head].silent() {
		q.pop()
	}
}

// take moves ripe answers into dst.
func (q *answers) take(dst []answer) int {
	n := 0
	for q.skip(); n < len(dst) && q.ripe(); q.skip() {
		dst[n] = q.ring[q.head]
		q.pop()
		n++
	}
	return n
}

// owe records that a frame's outcome will be told by Complete.
func (c *conn) owe(a answer) (token uint64) {
	a.size += answerOverhead + len(a.receipt)
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.answers.push(a)
}

// answer records a frame's outcome that is known already.
func (c *conn) answer(a answer) {
	a.done = true
	c.owe(a)
	c.wakeWriter()
}

// Complete implements gateway.Completion.
func (c *conn) Complete(token uint64, err error) {
	c.mu.Lock()
	a := c.answers.at(token)
	if a == nil || a.done {
		c.mu.Unlock()
		return
	}
	a.done, a.err = true, err
	if a.held {
		c.held--
	}
	c.answers.skip()
	ripe, roomy := c.answers.ripe() || c.finishing, c.waiting && c.hasRoom()
	c.mu.Unlock()
	if ripe {
		c.wakeWriter()
	}
	if roomy {
		c.tellRoom()
	}
}

// hasRoom reports whether another frame may be read. c.mu is held.
func (c *conn) hasRoom() bool {
	l := &c.server.cfg.Limits
	return c.held == 0 && c.answers.n < l.OutstandingFrames && c.answers.bytes < l.OutstandingBytes
}

// Hold implements gateway.Holder: nothing is read until the message has its outcome.
func (c *conn) Hold(token uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if a := c.answers.at(token); a != nil && !a.done && !a.held {
		a.held = true
		c.held++
	}
}

// tellRoom lets a waiting reader look again.
func (c *conn) tellRoom() {
	select {
	case c.room <- struct{}{}:
	default:
	}
}

// awaitRoom holds the reader, and with it the client, while too much is
// unanswered. It reports false when the writer has ended.
func (c *conn) awaitRoom() bool {
	for {
		c.mu.Lock()
		ok := c.hasRoom()
		c.waiting = !ok
		c.mu.Unlock()
		if ok {
			return true
		}
		select {
		case <-c.room:
		case <-c.written:
			return false
		}
	}
}

var _ gateway.Holder = (*conn)(nil)
var _ gateway.Completion = (*conn)(nil)
