package nats

import (
	"sync"

	"github.com/sluice-mq/sluice/gateway"
)

// entry is a message that is with the broker and not answered yet.
type entry struct {
	reply  string // where the PubAck goes; empty is nowhere
	stream string // what the PubAck says
	size   int
	// identified: its publisher gave it an id, under key, by which repetitions are known.
	identified bool
	key        messageKey
}

// outcome is what became of an entry.
type outcome struct {
	entry
	err error
	// repeats is, for a repetition, the sequence of the message that it repeats.
	repeats uint64
}

// window bounds what is with the broker. It implements gateway.Completion with
// tokens from enter. Safe for concurrent use.
type window struct {
	messages, bytes int // the bounds
	wake            chan struct{}
	empty           chan struct{} // closed by the end of the last entry after leave

	mu      sync.Mutex
	room    sync.Cond
	entries []entry
	free    []uint64
	n, size int
	known   []outcome // to be answered
	leaving bool
	closed  bool
}

var _ gateway.Completion = (*window)(nil)

func (w *window) init(l Limits) {
	w.messages, w.bytes = l.OutstandingMessages, l.OutstandingBytes
	w.room.L = &w.mu
	w.wake, w.empty = make(chan struct{}, 1), make(chan struct{})
}

// enter waits for room and returns the entry's token, or false once the window is
// closed. An entry larger than all the room may be in it alone.
func (w *window) enter(e entry) (token uint64, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for !w.closed && w.n > 0 && (w.n >= w.messages || w.size+e.size > w.bytes) {
		w.room.Wait()
	}
	if w.closed {
		return 0, false
	}
	w.n++
	w.size += e.size
	if last := len(w.free) - 1; last >= 0 {
		token, w.free = w.free[last], w.free[:last]
		w.entries[token] = e
		return token, true
	}
	w.entries = append(w.entries, e)
	return uint64(len(w.entries) - 1), true
}

// Complete implements gateway.Completion.
func (w *window) Complete(token uint64, err error) { w.complete(token, err, 0) }

// complete is Complete, also for repetitions.
func (w *window) complete(token uint64, err error, repeats uint64) {
	w.mu.Lock()
	e := w.entries[token]
	w.entries[token] = entry{}
	w.free = append(w.free, token)
	if e.reply == "" && err == nil && !e.identified {
		w.drop(1, e.size)
		w.mu.Unlock()
		return
	}
	w.known = append(w.known, outcome{e, err, repeats})
	w.mu.Unlock()
	w.rouse()
}

// drop makes room. The lock is held.
func (w *window) drop(n, size int) {
	w.n -= n
	w.size -= size
	w.room.Broadcast()
	w.tellEmpty()
}

func (w *window) tellEmpty() {
	if w.leaving && w.n == 0 {
		w.leaving = false
		close(w.empty)
	}
}

// take moves the known outcomes into dst, which was the last answer of take
// or nil. open is false when the window is closed and nothing is left.
func (w *window) take(dst []outcome) (known []outcome, open bool) {
	clear(dst)
	w.mu.Lock()
	defer w.mu.Unlock()
	known, w.known = w.known, dst[:0]
	return known, !w.closed || len(known) > 0
}

// answered makes the room of outcomes free.
func (w *window) answered(known []outcome) {
	size := 0
	for i := range known {
		size += known[i].size
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.drop(len(known), size)
}

// leave says that nothing enters any more: empty is closed when all is answered.
// It is called once.
func (w *window) leave() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.leaving = true
	w.tellEmpty()
}

// close lets nothing in any more and lets go those who wait.
func (w *window) close() {
	w.mu.Lock()
	w.closed = true
	w.room.Broadcast()
	w.mu.Unlock()
	w.rouse()
}

func (w *window) outstanding() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.n
}

func (w *window) rouse() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}
