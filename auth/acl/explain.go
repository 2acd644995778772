package acl

import (
	"fmt"
	"strings"

	"github.com/sluice-mq/sluice/gateway"
)

// Cited is a rule as an explanation names it.
type Cited struct {
	// Number counts from 1.
	Number int
	// Position is the rule's own; it may be empty.
	Position string
	// Text is what the rule says, on one line.
	Text string
}

// String returns "rule 3 (sluice.yaml:12): allow read on /queue/> for users alice".
func (c Cited) String() string {
	r := rule{number: c.Number, position: c.Position}
	return r.name() + ": " + c.Text
}

// Explanation is a verdict and why it is so.
type Explanation struct {
	// Allowed: the action is allowed; with a pattern, with something that it matches.
	Allowed bool
	// Pattern: the question was about a pattern. Then All says that the action is allowed with everything it matches.
	Pattern, All bool
	// Rule decided; nil: none fits.
	Rule *Cited
	// Also are the rules that fit as well. With first-match they came too late to count.
	Also []Cited
	// Notes say what the reader might not expect: rules that do not apply, rules that do not keep anybody out.
	Notes []string
	mode  Mode
}

// String returns the explanation for people, some lines without a line end at the last.
func (e Explanation) String() string {
	var b strings.Builder
	switch {
	case !e.Allowed && e.Pattern:
		b.WriteString("denied: nothing that the pattern matches is allowed")
	case !e.Allowed:
		b.WriteString("denied")
	case e.Pattern && e.All:
		b.WriteString("allowed, with everything that the pattern matches")
	case e.Pattern:
		b.WriteString("allowed, but each destination that the pattern matches is judged by itself")
	default:
		b.WriteString("allowed")
	}
	if e.Rule == nil {
		b.WriteString("\nno rule fits, and what no rule allows is denied")
	} else {
		fmt.Fprintf(&b, "\nby %s", e.Rule)
	}
	for _, c := range e.Also {
		word := "too late"
		if e.mode == Union {
			word = "allowed as well by"
		} else if e.Pattern {
			word = "fits as well"
		}
		fmt.Fprintf(&b, "\n%s: %s", word, c)
	}
	for _, note := range e.Notes {
		fmt.Fprintf(&b, "\nnote: %s", note)
	}
	return b.String()
}

// Explain says what a principal may do with a target and why. The target is written as in rules, "/queue/a.b" or "/admin/drain", and may be a
// pattern. The error says what is wrong with it. A principal whose Method is empty has proven nothing.
func (z *Authorizer) Explain(p gateway.Principal, a gateway.Action, target string) (Explanation, error) {
	on, err := parsePattern(target)
	if err != nil {
		return Explanation{}, fmt.Errorf("destination: %w", err)
	}
	if on.personal {
		return Explanation{}, fmt.Errorf("destination %q: %s has a meaning in rules only", target, userPlaceholder)
	}
	who := personOf(p)
	e := Explanation{mode: z.mode, Pattern: isWild(on.names)}
	entries := z.fitting(who, a, on, &e)
	var decides *rule
	if e.Pattern {
		allowing, denying := some(entries, a, on.names)
		e.Allowed, e.All = allowing != nil, all(entries, a, on.names)
		if decides = allowing; decides == nil {
			decides = denying
		}
	} else if len(entries) > 0 {
		decides = entries[0].rule
		e.Allowed = decides.verdict(a).allows()
	}
	for _, entry := range entries {
		switch {
		case entry.rule == decides:
			e.Rule = entry.rule.cite()
		case len(e.Also) == 0 || e.Also[len(e.Also)-1].Number != entry.rule.number:
			e.Also = append(e.Also, *entry.rule.cite())
		}
	}
	if z.mode == Union {
		for _, entry := range entries {
			e.Notes = append(e.Notes, z.unrestrictive(entry.rule)...)
		}
	}
	return e, nil
}

func isWild(p pattern) bool {
	if p.rest {
		return true
	}
	for _, token := range p.tokens {
		if token == "*" {
			return true
		}
	}
	return false
}

// fitting returns the rules, at their patterns, that fit a question, in order. It looks at each rule, so that it may check those who do not.
func (z *Authorizer) fitting(who person, a gateway.Action, target onPattern, e *Explanation) (entries []entry) {
	for _, r := range z.rulesFor(who) {
		if r.verdict(a) == none {
			continue
		}
		for i := range r.on {
			on := &r.on[i]
			if on.in != target.in {
				continue
			}
			names, not := on.forUser(who)
			if not != "" {
				e.Notes = append(e.Notes, fmt.Sprintf("%s does not apply on %s: %s", r.name(), on.text, not))
				continue
			}
			if names.meets(target.names) {
				entries = append(entries, entry{names, r})
			}
		}
	}
	return entries
}

func (r *rule) cite() *Cited { return &Cited{Number: r.number, Position: r.position, Text: r.text()} }
