package jetstream

import (
	"encoding/binary"
	"slices"
)

// lease works out whether what this node owns is its alone. It is pure: times, in nanoseconds since the node began, come with the events.
//
// An owner hands out while a majority, itself included, has answered greetings of its that were sent less than contactFor ago, and nobody has told it of
// a later owner. Whoever answers says in the same breath which owners it knows, and says so only when it acts on it. So from when a node knows of a later owner its
// answers prolong nothing, and what it has answered before is over contactFor later. It says when: it bars those before.
//
// The later owner hands out nothing before a majority bars all others, or everybody knows of it. That is at once if all are there; if the owner before is dead, when
// it has been silent for contactFor; and in any case contactFor after a majority knows.
type lease struct {
	node   string
	nodes  int // in the whole cluster
	others map[string]*other
	known  []knownClaim // the latest of each shard that this node acts on
}

// claim is a tenure and whose it is.
type claim struct {
	tenure
	node string
}

// knownClaim is one that this node acts on.
type knownClaim struct {
	claim
	since int64
}

// word is what a node says of a claim that it acts on. barred: by this node's leave nobody else hands anything out of the shard any more.
type word struct {
	claim
	barred bool
}

// other is another node, as far as leases go.
type other struct {
	heard  int64 // when something came from it
	echoed int64 // our latest time that it has heard, 0 if none
	mute   bool  // it is of a build that says nothing of this
	words  []word
}

func newLease(node string, nodes int) *lease {
	return &lease{node: node, nodes: nodes, others: make(map[string]*other)}
}

func (l *lease) other(node string) *other {
	o := l.others[node]
	if o == nil {
		o = &other{}
		l.others[node] = o
	}
	return o
}

// epoch is since when somebody owns a shard, as far as this node knows, 0 if nobody does.
func (l *lease) epoch(shard int) uint64 {
	if i := l.index(shard); i >= 0 {
		return l.known[i].epoch
	}
	return 0
}

func (l *lease) index(shard int) int {
	return slices.IndexFunc(l.known, func(c knownClaim) bool { return c.shard == shard })
}

// unknown are the claims among them that are later than what this node acts on, and not its own: what it owns it knows itself.
func (l *lease) unknown(claims []claim) (later []claim) {
	for _, c := range claims {
		if c.node != l.node && c.epoch > l.epoch(c.shard) {
			later = append(later, c)
		}
	}
	return later
}

// act notes that this node acts on a claim from now on, and reports whether that is new.
func (l *lease) act(c claim, now int64) bool {
	i := l.index(c.shard)
	switch {
	case i < 0:
		l.known = append(l.known, knownClaim{c, now})
	case c.epoch > l.known[i].epoch:
		l.known[i] = knownClaim{c, now}
	default:
		return false
	}
	return true
}

// hear notes that something came from another node: our time that it has heard, 0 if it did not say, and what it says of claims. What it knows this
// node must act on before.
func (l *lease) hear(node string, echo int64, words []word, mute bool, now int64) {
	o := l.other(node)
	o.heard, o.echoed, o.words, o.mute = now, max(o.echoed, echo), words, mute
}

// until is up to when this node counts as in touch with a majority.
func (l *lease) until() int64 {
	need := l.nodes / 2
	echoed := make([]int64, 0, len(l.others))
	for _, o := range l.others {
		echoed = append(echoed, o.echoed)
	}
	if need == 0 || len(echoed) < need {
		return 0
	}
	slices.Sort(echoed)
	if last := echoed[len(echoed)-need]; last > 0 { // with this node a majority
		return last + int64(contactFor)
	}
	return 0
}

// words is what this node says of claims.
func (l *lease) words(now int64) []word {
	all := make([]word, len(l.known))
	for i, c := range l.known {
		all[i] = word{c.claim, l.bars(c, now)}
	}
	return all
}

// bars reports whether no node but the one that claims the shard can hand anything out by what this node has answered it.
func (l *lease) bars(c knownClaim, now int64) bool {
	if now-c.since > int64(contactFor) {
		return true
	}
	for node, o := range l.others {
		if node != c.node && !o.knows(c.tenure) && now-o.heard <= int64(contactFor) {
			return false
		}
	}
	return true
}

// knows reports whether the node has said that it knows of a tenure, or of a later one.
func (o *other) knows(t tenure) bool {
	return slices.ContainsFunc(o.words, func(w word) bool { return w.shard == t.shard && w.epoch >= t.epoch })
}

// sole reports whether nobody hands anything out any more of what this node owns since then.
func (l *lease) sole(t tenure, now int64) bool {
	i := l.index(t.shard)
	if i < 0 || l.known[i].epoch != t.epoch {
		return false
	}
	c, know, bar := l.known[i], 0, 0
	if l.bars(c, now) {
		bar++
	}
	for _, o := range l.others {
		if o.knows(t) {
			know++
		}
		barred := word{c.claim, true}
		if slices.Contains(o.words, barred) || o.mute && now-c.since > int64(contactFor) {
			bar++
		}
	}
	return know >= l.nodes-1 || bar > l.nodes/2
}

// appendWords appends their encoding to dst: the names of nodes, and for each word the shard, the epoch, and twice the name's number, plus one if it is barred.
func appendWords(dst []byte, words []word) []byte {
	var names []string
	for _, w := range words {
		if !slices.Contains(names, w.node) {
			names = append(names, w.node)
		}
	}
	dst = binary.AppendUvarint(dst, uint64(len(names)))
	for _, name := range names {
		dst = append(binary.AppendUvarint(dst, uint64(len(name))), name...)
	}
	dst = binary.AppendUvarint(dst, uint64(len(words)))
	for _, w := range words {
		whose := uint64(slices.Index(names, w.node)) << 1
		if w.barred {
			whose |= 1
		}
		dst = binary.AppendUvarint(binary.AppendUvarint(binary.AppendUvarint(dst, uint64(w.shard)), w.epoch), whose)
	}
	return dst
}

func (d *decoder) words() []word {
	names := make([]string, d.count(1))
	for i := range names {
		names[i] = string(d.bytes(d.uvarint()))
	}
	words := make([]word, d.count(3))
	for i := range words {
		shard, epoch, whose := d.uvarint(), d.uvarint(), d.uvarint()
		if d.failed || shard >= MaxShards || whose>>1 >= uint64(len(names)) {
			d.fail()
			return nil
		}
		words[i] = word{claim{tenure{int(shard), epoch}, names[whose>>1]}, whose&1 != 0}
	}
	return words
}
