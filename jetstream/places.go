package jetstream

import (
	"bytes"
	"errors"
	"sync"

	"github.com/sluice-mq/sluice/jetstream/commit"
)

// places are where those are in the block files of a log who read it one page after another: there a record costs a tenth of what it costs through the server.
type places struct {
	mu sync.Mutex
	at map[uint64]commit.Place // by sequence; one that is nowhere has to be found yet
}

// placesMost is how many are remembered.
const placesMost = 512

func (p *places) of(seq uint64) (at commit.Place, known bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	at, known = p.at[seq]
	return at, known
}

func (p *places) note(seq uint64, at commit.Place) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.at == nil || len(p.at) >= placesMost {
		p.at = make(map[uint64]commit.Place)
	}
	p.at[seq] = at
}

// has reports whether a record's subject is one of the log's. What the file says of its length is not in the checksum, but no record begins with what may be in a subject.
func (t *topicLog) has(subject []byte) bool {
	rest, ok := bytes.CutPrefix(subject, []byte(t.subject))
	return ok && (len(rest) == 0 || bytes.HasPrefix(rest, []byte(copySubjects)) && !bytes.ContainsFunc(rest, func(r rune) bool { return r <= ' ' || r > '~' }))
}

// files reads the page from the files of a single node, whose records are all there and durable, if somebody has come as far as its beginning before. It returns whether that was all:
// else the rest is to be read through the server, which knows what to think of it.
func (f *filling) files() (all bool) {
	t := f.log
	at, known := t.places.of(f.next)
	if !known || !t.single() {
		return false
	}
	dir := t.logs.store.dirOf(t.stream)
	if at == (commit.Place{}) {
		if at, known = commit.Find(dir, f.next); !known {
			return false
		}
		t.places.note(f.next, at)
	}
	next, at := commit.ReadOn(dir, t.stream, at, f.next, f.last, func(seq uint64, subject, record []byte) bool {
		switch {
		case !t.has(subject):
			return false
		case seq < f.next: // a slot of the bundle before it
			return true
		case len(f.page.Messages) >= f.query.Messages:
			all = true
			return false
		}
		err := f.take(seq, bytes.Clone(record))
		all = errors.Is(err, errFull)
		return err == nil || errors.Is(err, errElsewhere) && f.within == nil
	})
	if next == f.next {
		t.places.note(next, at)
	}
	return all || f.next > f.last
}
