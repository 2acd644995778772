package acl

import (
	"strings"

	"github.com/sluice-mq/sluice/gateway"
)

// verdict is what a rule says: twice its number, and one more if it allows. So of two verdicts the lesser one is that of the
// earlier rule. Where every rule allows, any of them may answer, and so the same search serves both modes.
type verdict int32

// none is the verdict where no rule fits.
const none = verdict(1<<31 - 2)

func (r *rule) verdict(a gateway.Action) verdict {
	switch {
	case r.allow&(1<<a) != 0:
		return verdict(r.number)<<1 | 1
	case r.deny&(1<<a) != 0:
		return verdict(r.number) << 1
	}
	return none
}

func (v verdict) allows() bool { return v&1 != 0 }

// verdicts are by action.
type verdicts [actions]verdict

func noVerdicts() (v verdicts) {
	for i := range v {
		v[i] = none
	}
	return v
}

func (v *verdicts) add(r *rule) {
	for a := gateway.Read; a < actions; a++ {
		v[a] = min(v[a], r.verdict(a))
	}
}

// tree finds the first rule that fits a name without looking at them all. Its depth is that of the longest pattern, whatever the name.
type tree struct {
	literal map[string]*tree
	star    *tree
	// here is for names that end here, rest for those that end here or go on; least is the best of both, here and below.
	here, rest, least verdicts
}

func newTree() *tree { return &tree{here: noVerdicts(), rest: noVerdicts(), least: noVerdicts()} }

// add puts a rule in at the names of one of its patterns.
func (t *tree) add(p pattern, r *rule) {
	t.least.add(r)
	for _, token := range p.tokens {
		next := t.star
		if token != "*" {
			next = t.literal[token]
		}
		if next == nil {
			next = newTree()
			if token == "*" {
				t.star = next
			} else {
				if t.literal == nil {
					t.literal = make(map[string]*tree)
				}
				t.literal[token] = next
			}
		}
		t = next
		t.least.add(r)
	}
	if p.rest {
		t.rest.add(r)
	} else {
		t.here.add(r)
	}
}

// find returns the verdict of the first rule that fits a name, which is no pattern, or best if that is earlier. more says that there are
// tokens left.
func (t *tree) find(a gateway.Action, name string, more bool, best verdict) verdict {
	if t == nil || t.least[a] >= best {
		return best
	}
	best = min(best, t.rest[a])
	if !more {
		return min(best, t.here[a])
	}
	token, name, more := strings.Cut(name, ".")
	if t.literal != nil {
		best = t.literal[token].find(a, name, more, best)
	}
	return t.star.find(a, name, more, best)
}
