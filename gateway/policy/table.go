package policy

import (
	"strings"

	"github.com/sluice-mq/sluice/gateway"
)

// Table finds the policy of a destination. It does not change; it may be used by many at once.
type Table struct {
	policies []Policy
	// exact leads from a destination to the first policy that names it as it is.
	exact map[gateway.Destination]int
	// patterns are in order, each with its policy.
	patterns []pattern
}

type pattern struct {
	gateway.Destination
	policy int
}

var none Policy

// NewTable makes a table of policies, the first of which that matches counts. They must not be changed afterwards.
func NewTable(policies []Policy) *Table {
	t := &Table{policies: policies, exact: make(map[gateway.Destination]int)}
	for i := range policies {
		for _, d := range policies[i].On {
			if d.IsPattern() {
				t.patterns = append(t.patterns, pattern{d, i})
			} else if _, there := t.exact[d]; !there {
				t.exact[d] = i
			}
		}
	}
	return t
}

// Find returns the policy of a destination, never nil. It costs a look at each pattern.
func (t *Table) Find(d gateway.Destination) *Policy {
	if i := t.Index(d); i >= 0 {
		return &t.policies[i]
	}
	return &none
}

// Index returns which policy it is, -1 if none matches.
func (t *Table) Index(d gateway.Destination) int {
	if t == nil {
		return -1
	}
	first := len(t.policies)
	if i, ok := t.exact[d]; ok {
		first = i
	}
	for i := range t.patterns {
		p := &t.patterns[i]
		if p.policy >= first {
			break
		}
		if p.Kind == d.Kind && gateway.Matches(p.Name, d.Name) {
			first = p.policy
		}
	}
	if first == len(t.policies) {
		return -1
	}
	return first
}

// Any reports whether some policy satisfies a condition: features that nobody uses need not cost anything.
func (t *Table) Any(condition func(*Policy) bool) bool {
	if t == nil {
		return false
	}
	for i := range t.policies {
		if condition(&t.policies[i]) {
			return true
		}
	}
	return false
}

// HoldsDead reports whether some policy has dead messages go to a queue of that name.
func (t *Table) HoldsDead(queue string) bool {
	return t.Any(func(p *Policy) bool {
		before, after, named := strings.Cut(p.DeadLetter.Queue, "{name}")
		if !named {
			return before != "" && before == queue
		}
		return before+after != "" && len(queue) > len(before)+len(after) && strings.HasPrefix(queue, before) && strings.HasSuffix(queue, after)
	})
}
