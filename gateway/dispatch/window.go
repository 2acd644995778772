package dispatch

import (
	"cmp"
	"slices"

	"github.com/sluice-mq/sluice/gateway"
)

// loadMost is how many messages one load asks for at most; loadStep is what the
// credit is rounded up to.
const (
	loadMost = 256
	loadStep = 64
)

// window is the book of which bodies of waiting entries are in memory. Entries
// without a Seq are not in it: their bodies are nowhere else.
type window struct {
	// held bodies are in memory and also in the journal; bytes is their size.
	held  int
	bytes int64
	// unloaded waiting entries have no body here.
	unloaded int
	// ahead is at most the number of waiting entries before the first unloaded
	// one; it means nothing when there is none. It is a hint: where the clock ran
	// backwards it is too high, which makes loads late but never stops them.
	ahead int
	// asked is the last request, by ascending seq; open of it are unanswered. keeping of those, of openBytes, are to stay
	// when they come.
	asked         []request
	open, keeping int
	openBytes     int64
	// scanned: some were asked for only to be looked at.
	scanned bool
	// turn counts requests.
	turn int
	// failed: the last load failed; not tried again until Retry.
	failed bool
}

// request is a body that was asked for.
type request struct {
	seq, tag uint64
	lane     Lane
	size     uint32
	// open: unanswered. scan: only to be looked at.
	open, scan bool
}

// came counts an entry that waits from now on, behind so many others; elsewhere
// says that it came back before or between them instead.
func (w *window) came(l *lane, e *Entry, behind int, elsewhere bool) {
	switch {
	case e.Seq == 0:
	case e.Message != nil:
		w.hold(l, e)
	default:
		if elsewhere {
			w.ahead = 0
		} else if w.unloaded == 0 {
			w.ahead = behind
		}
		w.unloaded++
	}
}

// went counts an entry that waits no more.
func (w *window) went(l *lane, e *Entry) {
	w.ahead = max(w.ahead-1, 0)
	switch {
	case e.Seq == 0:
	case e.Message != nil:
		w.drop(l, e)
	default:
		w.unloaded--
	}
}

// hold counts a body that is in memory.
func (w *window) hold(l *lane, e *Entry) {
	l.held++
	w.held++
	w.bytes += int64(e.Size)
}

// drop counts a body that is not in memory any more, or of which the window knows no more.
func (w *window) drop(l *lane, e *Entry) {
	l.held--
	w.held--
	w.bytes -= int64(e.Size)
}

// unload drops the body of a waiting entry.
func (w *window) unload(l *lane, e *Entry) {
	w.drop(l, e)
	w.unloaded++
	e.Message = nil
}

// bounds returns how much may be held: all of the window for subscriptions, a
// quarter without.
func (q *Queue) bounds() (messages int, bytes int64) {
	if len(q.subs) == 0 {
		return q.cfg.WindowMessages / 4, int64(q.cfg.WindowBytes / 4)
	}
	return q.cfg.WindowMessages, int64(q.cfg.WindowBytes)
}

// keeps reports whether a new last entry may keep its body: all before it have
// theirs or will soon, and there is room.
func (q *Queue) keeps(e *Entry) bool {
	return q.window.unloaded <= q.window.open && q.fits(e)
}

// fits reports whether the window has room for one more body, beside those that are under way.
func (q *Queue) fits(e *Entry) bool {
	messages, bytes := q.bounds()
	w := &q.window
	return w.held+w.keeping < messages && w.bytes+w.openBytes+int64(e.Size) <= bytes
}

// rest keeps only a quarter of the window when nobody is subscribed.
func (q *Queue) rest() {
	if len(q.subs) == 0 {
		q.trim(q.bounds())
	}
}

// trim drops bodies, those from the ends of lanes first, until at most so many and so much are held.
func (q *Queue) trim(messages int, bytes int64) {
	w := &q.window
	if w.held <= messages && w.bytes <= bytes {
		return
	}
	holding := 0
	q.eachLane(func(l *lane) bool {
		if l.held > 0 {
			holding++
		}
		return true
	})
	each, eachBytes := max(messages/max(holding, 1), 1), max(bytes/int64(max(holding, 1)), 1)
	q.eachLane(func(l *lane) bool {
		if l.held > 0 {
			n, size := q.trimLane(l, min(each, messages), min(eachBytes, bytes))
			messages, bytes = messages-n, bytes-size
		}
		return true
	})
}

// trimLane is trim for one lane; it returns how many are held there, and how much.
func (q *Queue) trimLane(l *lane, messages int, bytes int64) (kept int, keptBytes int64) {
	w := &q.window
	left, seen, size := l.held, 0, int64(0)
	l.all(func(e *Entry) bool {
		if e.Seq != 0 && e.Message != nil {
			left--
			size += int64(e.Size)
			if kept < messages && size <= bytes {
				kept++
				keptBytes = size
			} else {
				if w.unloaded == 0 {
					w.ahead = seen
				}
				w.ahead = min(w.ahead, seen)
				w.unload(l, e)
			}
		}
		seen++
		return left > 0
	})
	return kept, keptBytes
}

// load asks for the next unloaded bodies if fewer than half a batch are ahead of
// them, there is room and no other request is under way.
func (q *Queue) load(want int, now int64, fx *Effects) {
	w := &q.window
	if w.unloaded == 0 || w.open > 0 || w.failed {
		return
	}
	batch, low := q.batch(want)
	if q.waiting.first().Message != nil {
		if w.ahead >= low || w.ahead > 0 && !q.roomy(low) {
			return
		}
	} else if !q.roomy(low) {
		// Those that came back must not wait for what lies behind them.
		q.trim(q.cfg.WindowMessages*3/4, int64(q.cfg.WindowBytes)*3/4)
	}
	q.choose(batch, low, now)
	if len(w.asked) == 0 {
		return
	}
	w.open, w.keeping = len(w.asked), len(w.asked)
	slices.SortFunc(w.asked, func(a, b request) int { return cmp.Compare(a.seq, b.seq) })
	for i := range w.asked {
		fx.Load = append(fx.Load, w.asked[i].seq)
	}
}

// batch is how many are worth a request, and how few ahead of them make it worth while.
func (q *Queue) batch(want int) (n, low int) {
	n = min((min(want, loadMost)+loadStep-1)/loadStep*loadStep, q.cfg.WindowMessages)
	return n, max(n/2, 1)
}

// roomy reports whether a load is worth its while.
func (q *Queue) roomy(low int) bool {
	return q.cfg.WindowMessages-q.window.held >= low &&
		int64(q.cfg.WindowBytes)-q.window.bytes >= int64(q.cfg.WindowBytes)/4
}

// choose fills asked with the next unloaded entries, at most batch, as far as the
// window has room, but with the very next one in any case. It sets ahead.
func (q *Queue) choose(batch, low int, now int64) {
	w := &q.window
	w.asked, w.scanned = w.asked[:0], false
	room, bytes := q.cfg.WindowMessages-w.held, int64(q.cfg.WindowBytes)-w.bytes
	seen, found := 0, false
	q.waiting.all(func(e *Entry) bool {
		unloaded := e.Message == nil && dueOf(e) > now
		if unloaded {
			if !found {
				found, w.ahead = true, seen
				if seen > 0 && (seen >= low || !q.roomy(low)) {
					return false
				}
			}
			room--
			bytes -= int64(e.Size)
			if (room < 0 || bytes < 0) && (seen > 0 || len(w.asked) > 0) {
				return false
			}
			w.asked = append(w.asked, request{seq: e.Seq, tag: e.Tag, size: e.Size, lane: e.Lane, open: true})
			w.openBytes += int64(e.Size)
		}
		seen++
		if !found {
			return seen < low // beyond that it is too far off to be asked for
		}
		return len(w.asked) < min(batch, w.unloaded) && seen < batch+q.cfg.WindowMessages
	})
	if !found {
		w.ahead = seen
	}
}

// Loaded answers Load: msgs[i] is the message of seqs[i], or nil if the journal
// has it no more; then the entry is dropped without a word.
func (q *Queue) Loaded(seqs []uint64, msgs []*gateway.Message, now int64, fx *Effects) {
	for i, seq := range seqs {
		if r := q.window.answer(seq); r != nil && i < len(msgs) {
			q.loaded(r, msgs[i])
		}
	}
	q.epoch++
	q.rest()
	q.window.ahead = 0
	want := q.want()
	q.distribute(now, fx)
	q.sift()
	q.fetch(want, now, fx)
}

// loaded gives a waiting entry its body.
func (q *Queue) loaded(r *request, m *gateway.Message) {
	l := q.laneOf(r.lane)
	if l == nil {
		return
	}
	i, pos, ok := l.find(r.tag)
	if !ok {
		return // it died or was acknowledged meanwhile
	}
	e := l.chunks[i].at(pos)
	switch {
	case e.Message != nil:
	case m != nil:
		e.Message = m
		q.window.unloaded--
		q.window.hold(l, e)
	case e.Seq == r.seq:
		gone := q.takeWaiting(l, i, pos)
		q.weigh(&gone, -1)
	}
	// A moved entry whose old record is gone is asked for again under its new one.
}

// answer strikes seq from the request and returns it, nil if it was not asked for.
func (w *window) answer(seq uint64) *request {
	i, ok := slices.BinarySearchFunc(w.asked, seq, func(r request, seq uint64) int { return cmp.Compare(r.seq, seq) })
	if !ok || !w.asked[i].open {
		return nil
	}
	r := &w.asked[i]
	r.open = false
	w.open--
	if !r.scan {
		w.keeping--
		w.openBytes -= int64(r.size)
	}
	return r
}

// LoadFailed answers Load when the journal could not be read. Nothing is asked
// for again before Retry or Tick.
func (q *Queue) LoadFailed(seqs []uint64) {
	for _, seq := range seqs {
		if q.window.answer(seq) != nil {
			q.window.failed, q.window.ahead = true, 0
		}
	}
}

// Retry allows loads again after LoadFailed.
func (q *Queue) Retry(now int64, fx *Effects) {
	q.window.failed = false
	q.pump(now, fx)
}
