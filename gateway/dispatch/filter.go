package dispatch

import (
	"slices"

	"github.com/sluice-mq/sluice/gateway/selector"
)

// spansMost is how many runs of entries that a selector does not select are remembered for each selector, and beyond that one for each lane.
const spansMost = 1024

// filter is a selector, for all subscriptions that have it, and what is known of it: runs of tags of each lane. Whatever waits there with such a tag is
// not selected. What comes into a lane at such a place is cut out of them.
type filter struct {
	*selector.Selector
	subs  int
	known map[*lane][]span
	// spans is how many there are.
	spans int
	// asks is the turn of the load that was made for it, and stride how much that may be: the more, the less is found.
	asks, stride int
	// tag is the new entry that was judged last, and verdict what came of it.
	tag     uint64
	verdict bool
}

// span is a run of tags, both ends belonging to it.
type span struct{ from, to uint64 }

// filter returns that of a selector, nil for none.
func (q *Queue) filter(s *selector.Selector) *filter {
	if s == nil {
		return nil
	}
	for _, f := range q.filters {
		if f.String() == s.String() {
			f.subs++
			return f
		}
	}
	f := &filter{Selector: s, subs: 1, stride: loadMost, known: make(map[*lane][]span)}
	q.filters = append(q.filters, f)
	q.epoch++
	return f
}

// unfilter forgets the filter of a subscription that has gone.
func (q *Queue) unfilter(f *filter) {
	if f == nil {
		return
	}
	if f.subs--; f.subs == 0 {
		q.filters = slices.DeleteFunc(q.filters, func(o *filter) bool { return o == f })
		if len(q.filters) == 0 {
			q.filters, q.window.ahead = nil, 0
		}
	}
}

// selects reports whether an entry with its body is selected.
func (f *filter) selects(e *Entry) bool { return f.MatchMessage(e.Message, e.Redeliveries) }

// selectsNew is selects for an entry that has just been stored.
func (f *filter) selectsNew(e *Entry) bool {
	if f.tag != e.Tag {
		f.tag, f.verdict = e.Tag, f.selects(e)
	}
	return f.verdict
}

// beyond returns the first tag, from tag on, of which nothing is known.
func (f *filter) beyond(l *lane, tag uint64) uint64 {
	spans := f.known[l]
	if i := spanAt(spans, tag); i < len(spans) && spans[i].from <= tag {
		return spans[i].to + 1
	}
	return tag
}

// knows reports whether an entry is known not to be selected.
func (f *filter) knows(l *lane, tag uint64) bool { return f.beyond(l, tag) != tag }

// spanAt returns the first span that ends at or after tag.
func spanAt(spans []span, tag uint64) int {
	lo, hi := 0, len(spans)
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if spans[mid].to < tag {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}

// learn remembers that the entry at that place of a lane, of which nothing was known, is not selected.
// If too much is known already, what lies farthest behind is forgotten: who looks from the front gets ahead all the same.
func (f *filter) learn(l *lane, i, pos int) {
	tag := l.chunks[i].at(pos).Tag
	spans := f.known[l]
	at := spanAt(spans, tag)
	before := at > 0 && spans[at-1].to >= l.before(i, pos)
	after := at < len(spans) && spans[at].from <= l.after(i, pos)
	switch {
	case before && after:
		spans[at-1].to = spans[at].to
		f.known[l] = slices.Delete(spans, at, at+1)
		f.spans--
	case before:
		spans[at-1].to = tag
	case after:
		spans[at].from = tag
	case f.spans < spansMost || len(spans) == 0:
		f.known[l] = slices.Insert(spans, at, span{tag, tag})
		f.spans++
	case at < len(spans):
		copy(spans[at+1:], spans[at:len(spans)-1])
		spans[at] = span{tag, tag}
	}
}

// bridge makes one span of the one that ends just before a tag, if any, and the one with the next entry of the lane: what was between them
// has gone.
func (f *filter) bridge(l *lane, tag, next uint64) {
	spans := f.known[l]
	if at := spanAt(spans, tag); at > 0 && spans[at].from <= next && spans[at-1].to == tag-1 {
		spans[at-1].to = spans[at].to
		f.known[l] = slices.Delete(spans, at, at+1)
		f.spans--
	}
}

// before returns the tag of the entry before the one at that place, or one that no span ends at or after.
func (l *lane) before(i, pos int) uint64 {
	switch {
	case pos > 0:
		return l.chunks[i].at(pos - 1).Tag
	case i > 0:
		return l.chunks[i-1].at(l.chunks[i-1].n - 1).Tag
	}
	return never
}

// after returns the tag of the entry behind the one at that place, or one that no span begins at or before.
func (l *lane) after(i, pos int) uint64 {
	switch {
	case pos < l.chunks[i].n-1:
		return l.chunks[i].at(pos + 1).Tag
	case i < len(l.chunks)-1:
		return l.chunks[i+1].at(0).Tag
	}
	return 0
}

// cut takes a tag out of what is known.
func (f *filter) cut(l *lane, tag uint64) {
	spans := f.known[l]
	at := spanAt(spans, tag)
	if at == len(spans) || spans[at].from > tag {
		return
	}
	switch s := &spans[at]; {
	case s.from == s.to:
		f.known[l] = slices.Delete(spans, at, at+1)
		f.spans--
	case s.from == tag:
		s.from++
	case s.to == tag:
		s.to--
	case f.spans >= spansMost: // the longer half stays
		if s.to-tag > tag-s.from {
			s.from = tag + 1
		} else {
			s.to = tag - 1
		}
	default:
		end := s.to
		s.to = tag - 1
		f.known[l] = slices.Insert(spans, at+1, span{tag + 1, end})
		f.spans++
	}
}

// forgetLane forgets what is known of a lane.
func (q *Queue) forgetLane(l *lane) {
	for _, f := range q.filters {
		f.spans -= len(f.known[l])
		delete(f.known, l)
	}
}
