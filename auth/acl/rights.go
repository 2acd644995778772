package acl

import (
	"hash/maphash"
	"strings"
	"sync/atomic"

	"github.com/sluice-mq/sluice/gateway"
)

const (
	// slots is how many verdicts the rights of a principal remember; a power of two.
	slots = 512
	// longestRemembered is the longest name of a destination whose verdict is remembered, in bytes.
	longestRemembered = 256
	// deniesCompared bounds the work with patterns: see rights.some.
	deniesCompared = 64
)

// person is a principal as rules see it.
type person struct {
	name   string
	groups []string
	proven bool
}

// entry is a rule at one of its patterns.
type entry struct {
	names pattern
	rule  *rule
}

// rights implement gateway.Rights.
type rights struct {
	who person
	// trees answer for names, entries, in the order of the rules, for patterns.
	trees   [spaces]*tree
	entries [spaces][]entry

	seed       maphash.Seed
	remembered [slots]atomic.Pointer[remembered]
}

var _ gateway.Rights = (*rights)(nil)

// remembered is a verdict. It does not change.
type remembered struct {
	action gateway.Action
	d      gateway.Destination
	err    error
	all    bool
}

// newRights compiles the rules that fit a person, which are in order.
func newRights(who person, rules []*rule) *rights {
	r := &rights{who: who, seed: maphash.MakeSeed()}
	for _, rule := range rules {
		for i := range rule.on {
			on := &rule.on[i]
			names, not := on.forUser(who)
			if not != "" {
				continue
			}
			if r.trees[on.in] == nil {
				r.trees[on.in] = newTree()
			}
			r.trees[on.in].add(names, rule)
			r.entries[on.in] = append(r.entries[on.in], entry{names, rule})
		}
	}
	return r
}

// May implements gateway.Rights. The answer for a name is exact. A pattern is refused only if nothing that it matches is allowed.
func (r *rights) May(a gateway.Action, d gateway.Destination) error { return r.ask(a, d).err }

// All implements gateway.Rights. It is true only if everything is allowed; it may be false for a pattern whose names are all
// allowed by several rules together.
func (r *rights) All(a gateway.Action, d gateway.Destination) bool { return r.ask(a, d).all }

// Operate implements gateway.Rights. Of an operation with arguments ("tap /queue/x") the first word is its name.
func (r *rights) Operate(operation string) error {
	name, _, _ := strings.Cut(operation, " ")
	if r.trees[admin].find(gateway.Manage, name, true, none).allows() {
		return nil
	}
	return gateway.Errorf(gateway.Denied, "User %s is not authorized to manage: /admin/%s", r.who.shown(), name)
}

// ask reads without a lock: two slots may hold a verdict, and a new one moves the older one aside.
func (r *rights) ask(a gateway.Action, d gateway.Destination) *remembered {
	hash := maphash.String(r.seed, d.Name) + uint64(a)*0x9e3779b97f4a7c15 + uint64(d.Kind)<<32
	i := (hash ^ hash>>29) % slots
	if m := r.remembered[i].Load(); m != nil && m.action == a && m.d == d {
		return m
	}
	if m := r.remembered[i^1].Load(); m != nil && m.action == a && m.d == d {
		return m
	}
	m := r.judge(a, d)
	if len(d.Name) <= longestRemembered {
		m.d.Name = strings.Clone(d.Name) // it may be part of something long
		if before := r.remembered[i].Swap(m); before != nil {
			r.remembered[i^1].Store(before)
		}
	}
	return m
}

func (r *rights) judge(a gateway.Action, d gateway.Destination) *remembered {
	m := &remembered{action: a, d: d}
	in := spaceOf(d.Kind)
	known := in != nowhere && a >= gateway.Read && a < actions
	var may bool
	switch {
	case !known:
	case d.IsPattern():
		q := split(d.Name)
		first, _ := some(r.entries[in], a, q)
		may, m.all = first != nil, all(r.entries[in], a, q)
	default:
		may = r.trees[in].find(a, d.Name, true, none).allows()
		m.all = may
	}
	if !may {
		m.err = denied(r.who, a, d)
	}
	return m
}

// some returns the first rule by which something of q is allowed; or nil, and then the first that denies all of q, if there is one. A
// rule that allows counts unless a single earlier one denies all that it has in common with q: exact enough, for whoever uses a pattern is asked again for each
// name, and quick: with more than deniesCompared denies in its way it counts.
func some(entries []entry, a gateway.Action, q pattern) (allowing, denying *rule) {
	var denies []pattern
	for _, e := range entries {
		v := e.rule.verdict(a)
		if v == none || !e.names.meets(q) {
			continue
		}
		if !v.allows() {
			if e.names.covers(q) {
				return nil, e.rule
			}
			denies = append(denies, e.names)
			continue
		}
		if len(denies) > deniesCompared || !anyCovers(denies, e.names.common(q)) {
			return e.rule, nil
		}
	}
	return nil, nil
}

// all reports whether everything of q is allowed: a single rule allows it, and of what earlier ones deny nothing is in q, but for
// what single rules before those allow. Again with more than deniesCompared to compare, the safe answer is given, which is no.
func all(entries []entry, a gateway.Action, q pattern) bool {
	var allows []pattern
	for _, e := range entries {
		v := e.rule.verdict(a)
		if v == none || !e.names.meets(q) {
			continue
		}
		if v.allows() {
			if e.names.covers(q) {
				return true
			}
			allows = append(allows, e.names)
			continue
		}
		if len(allows) > deniesCompared || !anyCovers(allows, e.names.common(q)) {
			return false
		}
	}
	return false
}

func anyCovers(patterns []pattern, q pattern) bool {
	for _, p := range patterns {
		if p.covers(q) {
			return true
		}
	}
	return false
}

// shown returns the name as texts for clients have it.
func (who person) shown() string {
	if who.name == "" {
		return "anonymous"
	}
	return who.name
}

// denied returns the refusal in ActiveMQ's words, which clients search.
func denied(who person, a gateway.Action, d gateway.Destination) error {
	words := a.String()
	switch a {
	case gateway.Read:
		words = "read from"
	case gateway.Write:
		words = "write to"
	}
	return gateway.Errorf(gateway.Denied, "User %s is not authorized to %s: %s", who.shown(), words, d)
}
