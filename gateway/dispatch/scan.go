package dispatch

import (
	"cmp"
	"slices"
)

// scanMost is how many bodies are asked for at once where a selector is to look at them.
const scanMost = 4096

// sought is for whom bodies were asked for: those with the same selector and lanes need not ask twice.
type sought struct {
	filter *filter
	own    *pool
	ring   int
}

// demand is someone with credit for whom something must be loaded.
type demand struct {
	s    *subscription
	ring int
}

// read asks for what those with credit must have loaded. Those without a selector come first: they are not kept waiting by those that look
// at everything.
func (q *Queue) read(want int, now int64, fx *Effects) {
	w := &q.window
	if w.unloaded == 0 || w.open > 0 || w.failed {
		return
	}
	plain, picky := q.demands()
	if len(plain)+len(picky) == 0 {
		return
	}
	w.asked, w.openBytes, w.scanned = w.asked[:0], 0, false
	w.turn++
	var done []sought
	if len(plain) > 0 {
		batch, low := q.batch(want)
		if !q.roomy(low) {
			q.trim(q.cfg.WindowMessages*3/4, int64(q.cfg.WindowBytes)*3/4)
		}
		for i := range plain {
			d := plain[(i+w.turn)%len(plain)]
			done = q.ask(d, min(batch, scanMost/2-len(w.asked)), now, done)
		}
	}
	for i := range picky {
		d := picky[(i+w.turn)%len(picky)]
		d.s.filter.asks = w.turn
		done = q.ask(d, min(d.s.filter.stride, scanMost-len(w.asked)), now, done)
	}
	q.request(fx)
}

// demands are those who wait for a load, without a selector and with one. If there are any, those without a selector who will
// want more soon are among them.
func (q *Queue) demands() (plain, picky []demand) {
	waiting := false
	for _, r := range q.rings {
		for s := r.ready; s != nil && !waiting; {
			waiting = s.behind > 0 && !s.blocked
			if s = s.next; s == r.ready {
				break
			}
		}
	}
	if !waiting {
		return nil, nil
	}
	for _, s := range q.arrivals() {
		at := slices.Index(q.rings, s.ring)
		behind := s.next != nil && s.behind > 0 && !s.blocked
		switch {
		case behind && s.filter != nil:
			picky = append(picky, demand{s, at})
		case behind || s.filter == nil && s.next == nil && s.inFlight.n > 0 && (q.owner == nil || q.owner == s):
			plain = append(plain, demand{s, at})
		}
	}
	return plain, picky
}

// ask chooses at most so many bodies for one subscription.
func (q *Queue) ask(d demand, most int, now int64, done []sought) []sought {
	key := sought{filter: d.s.filter, ring: d.ring}
	if d.s.own != nil && d.s.own.some != 0 {
		key.own = d.s.own
	}
	if most <= 0 || slices.Contains(done, key) {
		return done
	}
	above := q.above(d.ring)
	bytes := int64(q.cfg.WindowBytes) / 2
	if q.lanes == nil {
		q.askLane(d.s, above, &q.waiting, most, &bytes, now)
		return append(done, key)
	}
	// What it waits for comes first: there may be no room for more.
	if c := q.candidate(d.s, above, now); c.entry != nil && c.entry.Message == nil && !c.blocked {
		q.askFor(d.s, c.entry, &bytes)
		most--
	}
	for p := priorities - 1; p >= 0 && most > 0; p-- {
		free, own := q.lanes.free.lanes(p), d.s.own.lanes(p)
		if len(free)+len(own) == 0 {
			continue
		}
		each := max(most/(len(free)+len(own)), 1)
		for _, lanes := range [...][]*lane{own, free} {
			for _, l := range lanes {
				most -= q.askLane(d.s, above, l, min(each, most), &bytes, now)
			}
		}
	}
	return append(done, key)
}

// askLane chooses bodies of one lane, and returns how many.
func (q *Queue) askLane(s *subscription, above []*subscription, l *lane, most int, bytes *int64, now int64) (n int) {
	for from := uint64(0); n < most; {
		c := q.seek(s, above, l, from, now)
		if c.entry == nil || c.blocked {
			break
		}
		from = c.entry.Tag + 1
		if c.entry.Message != nil {
			continue
		}
		if !q.askFor(s, c.entry, bytes) {
			break
		}
		n++
	}
	return n
}

// askFor chooses a body, if there is room for it; the very first one of all however large it is, and whether there is room or not.
func (q *Queue) askFor(s *subscription, e *Entry, bytes *int64) bool {
	w := &q.window
	scan := s.filter != nil
	if len(w.asked) > 0 && (*bytes < int64(e.Size) || !scan && !q.fits(e)) {
		return false
	}
	w.asked = append(w.asked, request{seq: e.Seq, tag: e.Tag, size: e.Size, lane: e.Lane, scan: scan, open: true})
	if !scan {
		w.keeping++
		w.openBytes += int64(e.Size)
	}
	w.scanned = w.scanned || scan
	*bytes -= int64(e.Size)
	return true
}

// request asks for what was chosen.
func (q *Queue) request(fx *Effects) {
	w := &q.window
	slices.SortFunc(w.asked, func(a, b request) int {
		if a.seq == b.seq && a.scan != b.scan {
			if b.scan {
				return -1
			}
			return 1
		}
		return cmp.Compare(a.seq, b.seq)
	})
	n := 0
	for i, r := range w.asked {
		if i > 0 && w.asked[i-1].seq == r.seq {
			if !r.scan {
				w.keeping--
				w.openBytes -= int64(r.size)
			}
			continue
		}
		w.asked[n] = r
		n++
		fx.Load = append(fx.Load, r.seq)
	}
	w.asked, w.open = w.asked[:n], n
}

// sift drops the bodies again that were loaded to be looked at, and nobody has taken, but for those that somebody will want.
func (q *Queue) sift() {
	w := &q.window
	if !w.scanned {
		return
	}
	w.scanned = false
	messages, bytes := q.bounds()
	var found []spot
	for at := range w.asked {
		r := &w.asked[at]
		if !r.scan || r.open {
			continue
		}
		l := q.laneOf(r.lane)
		if l == nil {
			continue
		}
		i, pos, ok := l.find(r.tag)
		if !ok {
			continue
		}
		e := l.chunks[i].at(pos)
		switch {
		case e.Seq == 0 || e.Message == nil:
		case q.useful(l, i, pos):
			found = append(found, spot{&l.line, i, pos})
		default:
			w.unload(l, e)
		}
	}
	for at := len(found) - 1; at >= 0 && (w.held > messages || w.bytes > bytes); at-- {
		e := found[at].entry() // nothing was added or removed since
		w.unload(q.laneOf(e.Lane), e)
	}
	w.ahead = 0
	for _, f := range q.filters {
		switch {
		case f.asks != w.turn:
		case len(found) == 0:
			f.stride = min(4*f.stride, scanMost)
		case 4*len(found) > f.stride:
			f.stride = max(f.stride/2, loadStep)
		}
	}
}

// useful reports whether one of those who look has use for an entry, and remembers of the others that they have not.
func (q *Queue) useful(l *lane, i, pos int) bool {
	e := l.chunks[i].at(pos)
	useful := false
	for _, f := range q.filters {
		switch {
		case f.asks != q.window.turn || f.knows(l, e.Tag):
		case f.selects(e):
			useful = true
		default:
			f.learn(l, i, pos)
		}
	}
	return useful
}
