package stomp

import (
	"errors"
	"time"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/protocols/stomp/wire"
)

const (
	// batchBytes is how much is written at once when there is much.
	batchBytes = 64 << 10
	// directBody is the size from which a body is written from where it is
	// rather than copied.
	directBody = 32 << 10
	// keptBuffer is the largest buffer that is kept for later.
	keptBuffer = 4 * batchBytes
)

var errAbandoned = errors.New("the connection was ended")

// scratch is what a writer needs while it has work; idle connections share.
type scratch struct {
	buf     []byte
	answers [64]answer
	batch   [64]gateway.Delivery
	ready   []*subscription // to be pulled
	again   []*subscription // to be pulled once more
	written []handedOver
	ends    []int // where each frame in buf ends, if the transport wants them one by one
}

// framed is implemented by transports that carry frames one by one.
type framed interface {
	// WriteFrame takes a frame in pieces, of which nothing is kept; it goes out with Flush, if not before. The time
	// that the last write deadline left when it was set is what each part of it has that is sent.
	WriteFrame(pieces ...[]byte) error
	// WriteFrames does so with frames of one piece, each of which ends at one of ends.
	WriteFrames(frames []byte, ends []int) error
	Flush() error
}

// handedOver counts deliveries that go out with the next flush.
type handedOver struct {
	sub *subscription
	n   int
}

// writer writes what a connection sends. Its goroutine is there while there is something to write, and a little longer: most
// clients are silent most of the time, and cost no stack meanwhile. All of it belongs to the goroutine of the moment.
type writer struct {
	c *conn
	*scratch
	version   wire.Version
	beat      time.Duration
	finishing bool
	retired   bool        // what the client has and will not acknowledge has gone back
	frames    framed      // the connection, if it is that
	last      time.Time   // when something was written
	worked    time.Time   // when something other than a beat was
	timer     *time.Timer // calls at rings, if nobody does before
	rings     time.Time
	err       error // of the socket; nothing is written after it
}

// work is what the connection has for its writer.
type work struct {
	answers int
	closing []*subscription
	more    bool // more answers are ripe
	last    bool // nothing will follow
}

// end is the last that a writer does.
func (w *writer) end() {
	c := w.c
	if w.timer != nil {
		w.timer.Stop()
	}
	if w.err != nil {
		c.server.cfg.Logger.Debug("stomp: the client takes nothing more", "remote", c.remote(), "error", w.err)
		_ = c.nc.Close()
	}
	c.in.stop()
	c.desk.Store(writerGone)
	close(c.written)
}

// turn does what there is to do. It reports whether there was something, and whether it was the last.
func (w *writer) turn() (busy, over bool) {
	w.acquire()
	todo := w.collect()
	for _, s := range todo.closing {
		s.source.Close()
		s.closed = true
		close(s.gone)
	}
	fatal := w.writeAnswers(todo.answers)
	if todo.more && !fatal && len(w.buf) < batchBytes {
		return true, false // answers go before deliveries
	}
	switch {
	case fatal:
	case !w.finishing:
		w.pull()
	case !todo.last:
		w.retire()
	}
	busy = len(w.buf) > 0 || len(w.ready) > 0 || todo.more || len(todo.closing) > 0
	w.flush()
	if busy {
		w.worked = w.last
	}
	over = fatal || todo.last || w.err != nil
	if over || !busy {
		w.release()
	}
	return busy, over
}

// acquire and release take and give back the memory that only busy writers need.
func (w *writer) acquire() {
	if w.scratch == nil {
		w.scratch = w.c.server.scratch.Get().(*scratch)
	}
}

func (w *writer) release() {
	clear(w.ready)
	w.ready, w.written, w.ends = w.ready[:0], w.written[:0], w.ends[:0]
	w.c.server.scratch.Put(w.scratch)
	w.scratch = nil
}

// collect takes what is to be done.
func (w *writer) collect() (todo work) {
	c := w.c
	c.mu.Lock()
	defer c.mu.Unlock()
	todo.answers = c.answers.take(w.answers[:])
	todo.more = c.answers.ripe()
	todo.closing, c.closing = c.closing, nil
	w.ready = append(w.ready, c.ready...)
	clear(c.ready)
	c.ready = c.ready[:0]
	if c.abandoned && w.err == nil {
		w.err = errAbandoned
	}
	if w.finishing = c.finishing; w.finishing {
		clear(w.ready)
		w.ready = w.ready[:0]
		todo.last = c.answers.n == 0
	}
	w.version, w.beat = c.version, c.beat
	if c.waiting && c.hasRoom() {
		c.tellRoom()
	}
	return todo
}

// writeAnswers encodes n answers and reports whether the connection ends with one of them.
func (w *writer) writeAnswers(n int) (fatal bool) {
	defer clear(w.answers[:n])
	for i := range w.answers[:n] {
		a := &w.answers[i]
		if a.more != nil && a.more.ends != nil {
			a.more.ends.Close()
		}
		if a.more != nil && a.more.commit != nil {
			w.c.acks.Lock()
			a.more.commit.end(a.err == nil)
			w.c.acks.Unlock()
			if a.err == nil {
				a.more.commit.giveBack()
			}
		}
		switch {
		case a.err != nil:
			w.logRefusal(a.err)
			w.buf = appendError(w.buf, w.version, a.err, a.receipt)
			w.cut()
			if w.c.server.closes(a.err) {
				w.c.parting = gateway.TextOf(a.err)
				return true
			}
		case a.more != nil && a.more.frame != nil:
			w.buf = append(w.buf, a.more.frame...)
		case a.receipt != "":
			w.buf = append(w.buf, "RECEIPT\n"...)
			w.buf = appendField(w.buf, w.version, "receipt-id", a.receipt)
			w.buf = append(w.buf, '\n', 0, '\n')
		}
		w.cut()
		if a.more != nil && a.more.starts != nil && !w.finishing {
			w.start(a.more.starts)
		}
	}
	return false
}

// start lets a subscription deliver.
func (w *writer) start(s *subscription) {
	s.started = true
	if s.queued.CompareAndSwap(false, true) {
		w.ready = append(w.ready, s)
	}
}

// logRefusal logs what only we may know of an error.
func (w *writer) logRefusal(err error) {
	if gateway.KindOf(err) == gateway.Internal {
		w.c.server.fault(w.c.remote(), err)
		return
	}
	w.c.server.cfg.Logger.Debug("stomp: refused a frame", "remote", w.c.remote(), "error", err)
}

// flush writes the buffer and tells the subscriptions what went out.
func (w *writer) flush() {
	w.out()
	if w.err == nil {
		for _, h := range w.written {
			h.sub.source.Written(h.n)
		}
	}
	clear(w.written)
	w.written = w.written[:0]
	if cap(w.buf) > keptBuffer {
		w.buf = nil
	}
}

// out writes the buffer.
func (w *writer) out() {
	if len(w.buf) == 0 {
		return
	}
	if w.frames == nil {
		w.send(w.buf)
	} else {
		w.carry(w.buf, w.ends, nil)
	}
	w.buf, w.ends = w.buf[:0], w.ends[:0]
}

// cut says that a frame ends here.
func (w *writer) cut() {
	if w.frames != nil && len(w.buf) > 0 {
		w.ends = append(w.ends, len(w.buf))
	}
}

// direct writes a frame that begins in the buffer at begin, without a copy of its body.
func (w *writer) direct(begin int, body []byte) {
	if w.frames == nil {
		w.out()
		w.send(body)
		w.buf = append(w.buf, 0, '\n')
		return
	}
	head := append([]byte(nil), w.buf[begin:]...)
	w.buf = w.buf[:begin]
	w.out()
	w.carry(head, nil, body)
}

// carry hands frames to a transport that wants them one by one, or the beginning of one that has its body elsewhere.
func (w *writer) carry(frames []byte, ends []int, body []byte) {
	now := time.Now()
	if w.err == nil {
		w.err = w.c.nc.SetWriteDeadline(now.Add(w.c.server.cfg.Limits.Stall))
	}
	switch {
	case w.err != nil:
	case body != nil:
		w.err = w.frames.WriteFrame(frames, body, []byte{0, '\n'})
	default:
		w.err = w.frames.WriteFrames(frames, ends)
	}
	if w.err == nil {
		w.err = w.frames.Flush()
	}
	w.last = now
}

// send writes b in pieces, for each of which the client has the time of a stall.
func (w *writer) send(b []byte) {
	for len(b) > 0 && w.err == nil {
		piece := b[:min(len(b), batchBytes)]
		now := time.Now()
		if w.err = w.c.nc.SetWriteDeadline(now.Add(w.c.server.cfg.Limits.Stall)); w.err == nil {
			_, w.err = w.c.nc.Write(piece)
		}
		w.last = now
		b = b[len(piece):]
	}
}
