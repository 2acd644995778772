package acl

import (
	"fmt"
	"slices"
	"strings"
)

// warningsMost bounds what Warnings returns.
const warningsMost = 100

// citedMost bounds how many rules one warning names.
const citedMost = 10

// Warnings says, once the rules are loaded, which of them do not do what whoever wrote them may think: with union, those that are for few and do not
// keep out others, who are allowed by a wider one; with first-match, those that an earlier rule leaves nothing to decide. At most 100.
func (z *Authorizer) Warnings() (warnings []string) {
	open := make(map[*rule][]string)
	for i := range z.rules {
		r := &z.rules[i]
		if z.mode != Union {
			if w := z.unreachable(r); w != "" {
				warnings = append(warnings, w)
			}
			continue
		}
		for j := range r.on {
			if wide := z.wider(r, &r.on[j]); wide != nil {
				open[wide] = append(open[wide], fmt.Sprintf("%s on %s for %s", r.name(), r.on[j].text, r.people()))
			}
		}
	}
	for i := range z.rules {
		wide := &z.rules[i]
		if narrow := open[wide]; len(narrow) > 0 {
			if more := len(narrow) - citedMost; more > 0 {
				narrow = append(narrow[:citedMost:citedMost], fmt.Sprintf("and %d more", more))
			}
			warnings = append(warnings, fmt.Sprintf("%s counts wherever it fits (%s), so these do not keep its people out: %s",
				wide.name(), wide.text(), strings.Join(narrow, "; ")))
		}
	}
	return warnings[:min(len(warnings), warningsMost)]
}

// unrestrictive says of a rule where it does not keep others out.
func (z *Authorizer) unrestrictive(r *rule) (notes []string) {
	for i := range r.on {
		if wide := z.wider(r, &r.on[i]); wide != nil {
			notes = append(notes, fmt.Sprintf("%s does not keep others out of %s: all rules count, and %s is: %s",
				r.name(), r.on[i].text, wide.name(), wide.text()))
		}
	}
	return notes
}

// wider returns the first rule that lets others do with a wider pattern what r allows with one of its own; nil if there is none.
func (z *Authorizer) wider(r *rule, on *onPattern) *rule {
	for j := range z.rules {
		wide := &z.rules[j]
		if wide == r || wide.allow&r.allow == 0 {
			continue
		}
		for k := range wide.on {
			w := &wide.on[k]
			if w.in == on.in && !w.personal && w.names.covers(on.names) && !on.names.covers(w.names) && !forAll(wide, r) {
				return wide
			}
		}
	}
	return nil
}

// forAll reports whether b is for everybody that a is for, as far as their words say.
func forAll(a, b *rule) bool {
	if slices.Contains(b.groups, star) {
		return true
	}
	proven := slices.Contains(b.users, star)
	for _, user := range a.users {
		if !proven && !slices.Contains(b.users, user) {
			return false
		}
	}
	for _, group := range a.groups {
		if !slices.Contains(b.groups, group) {
			return false
		}
	}
	return true
}

// unreachable returns what to say of a rule that earlier ones, each by itself, leave nothing to decide; or "".
func (z *Authorizer) unreachable(r *rule) string {
	var by *rule
	for i := range r.on {
		if by = z.before(r, &r.on[i]); by == nil {
			return ""
		}
	}
	return fmt.Sprintf("%s never decides anything: %s comes first and fits whenever it would", r.name(), by.name())
}

// before returns an earlier rule that fits whenever r does at one of its patterns; nil if there is none.
func (z *Authorizer) before(r *rule, on *onPattern) *rule {
	for i := range z.rules[:r.number-1] {
		e := &z.rules[i]
		if (r.allow|r.deny)&^(e.allow|e.deny) != 0 || !forAll(r, e) {
			continue
		}
		for j := range e.on {
			w := &e.on[j]
			if w.in == on.in && (!w.personal || w.text == on.text) && w.names.covers(on.names) {
				return e
			}
		}
	}
	return nil
}
