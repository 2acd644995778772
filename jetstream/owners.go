package jetstream

import (
	"maps"
	"slices"
	"time"
)

// own has this node say that it owns a shard. sole is called once, when nobody else hands out anything of it any more, unless it is disowned before.
func (l *links) own(t tenure, sole func()) {
	l.mu.Lock()
	l.disownLocked(t.shard)
	l.owns = append(l.owns, t)
	l.lease.act(claim{t, l.node}, l.now())
	l.soles[t] = sole
	peer := l.peer
	l.greetAllLocked()
	l.mu.Unlock()
	if peer != nil {
		peer.Owner(t.shard, l.node, t.epoch)
	}
}

// disown has it say so no more.
func (l *links) disown(shard int) {
	l.mu.Lock()
	l.disownLocked(shard)
	l.greetAllLocked()
	l.mu.Unlock()
}

func (l *links) disownLocked(shard int) {
	l.owns = slices.DeleteFunc(slices.Clone(l.owns), func(t tenure) bool { return t.shard == shard })
	maps.DeleteFunc(l.soles, func(t tenure, _ func()) bool { return t.shard == shard })
	l.changed = time.Now()
}

func (l *links) greetAllLocked() {
	for _, e := range l.all {
		l.greetLocked(e)
	}
}

// tellSole calls whom it concerns that what this node owns is its alone by now.
func (l *links) tellSole() {
	l.mu.Lock()
	var soles []func()
	for t, sole := range l.soles {
		if l.lease.sole(t, l.now()) {
			soles = append(soles, sole)
			delete(l.soles, t)
		}
	}
	l.mu.Unlock()
	for _, sole := range soles {
		sole()
	}
}

// claims are those that a sheet makes known.
func (s *sheet) claims(speaker string) []claim {
	claims := make([]claim, 0, len(s.owns)+len(s.words))
	for _, t := range s.owns {
		claims = append(claims, claim{t, speaker})
	}
	for _, w := range s.words {
		claims = append(claims, w.claim)
	}
	return claims
}

// learn takes in what a sheet says of owners and of how long this node is in touch, in this order, after everybody here was told of the owners.
func (l *links) learn(e *linkEnd, s *sheet, echo int64, claims []claim) {
	l.mu.Lock()
	defer l.mu.Unlock()
	news := false
	for _, c := range l.lease.unknown(claims) {
		news = l.lease.act(c, l.now()) || news
	}
	l.lease.hear(e.node, echo, s.words, s.speaks < wordLanguage, l.now())
	l.until.Store(max(l.until.Load(), l.lease.until()))
	if news { // an owner waits for that
		l.greetAllLocked()
	}
}

// replaced reports whether another node has begun to own the shard after that.
func (l *links) replaced(t tenure) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := l.lease.index(t.shard)
	return i >= 0 && l.lease.known[i].node != l.node && l.lease.known[i].epoch > t.epoch
}

// elsewhere reports whether another node has begun to own a shard after this one did, or where this one does not.
func (l *links) elsewhere(shard int) bool {
	l.mu.Lock()
	mine := epochOf(l.owns, shard)
	l.mu.Unlock()
	return l.replaced(tenure{shard, mine})
}

// epochOf is since when a node owns a shard, 0 if it does not.
func epochOf(owns []tenure, shard int) uint64 {
	for _, o := range owns {
		if o.shard == shard {
			return o.epoch
		}
	}
	return 0
}
