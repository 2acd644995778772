package acl

import (
	"errors"
	"slices"
	"strings"
	"sync"

	"github.com/sluice-mq/sluice/gateway"
)

// principalsRemembered is of how many principals the compiled rights are kept for their next session.
const principalsRemembered = 256

// Authorizer implements gateway.Authorizer by rules that do not change: for others, make another one. Safe for concurrent use.
type Authorizer struct {
	mode  Mode
	rules []rule
	// Which rules are for a user or a group, by index; "*" and "anonymous" are among the groups as everyone and nobody.
	byUser, byGroup map[string][]int

	mu       sync.Mutex
	compiled map[string]*rights
}

var _ gateway.Authorizer = (*Authorizer)(nil)

// The groups that are not made of names.
const (
	star      = "*"
	anonymous = "anonymous"
)

// New reads the rules. The error says everything that is wrong with them, a line each.
func New(cfg Config) (*Authorizer, error) {
	z := &Authorizer{mode: cfg.Mode, byUser: make(map[string][]int), byGroup: make(map[string][]int), compiled: make(map[string]*rights)}
	var wrong []error
	for i, r := range cfg.Rules {
		parsed, err := parseRule(i+1, r, cfg.Mode)
		if err != nil {
			wrong = append(wrong, err)
		}
		z.rules = append(z.rules, parsed)
		for _, user := range r.Users {
			z.byUser[user] = append(z.byUser[user], i)
		}
		for _, group := range r.Groups {
			z.byGroup[group] = append(z.byGroup[group], i)
		}
	}
	if len(wrong) > 0 {
		return nil, errors.Join(wrong...)
	}
	return z, nil
}

// Rights implements gateway.Authorizer. Principals of the same name and groups share theirs. A principal whose Method is empty
// has proven nothing: whatever it calls itself, rules for users are not for it.
func (z *Authorizer) Rights(p gateway.Principal) gateway.Rights {
	who := personOf(p)
	key := who.key()
	z.mu.Lock()
	r, ok := z.compiled[key]
	z.mu.Unlock()
	if ok {
		return r
	}
	r = newRights(who, z.rulesFor(who)) // this takes its time, and others need not wait for it
	z.mu.Lock()
	defer z.mu.Unlock()
	if first, ok := z.compiled[key]; ok {
		return first
	}
	if len(z.compiled) >= principalsRemembered {
		clear(z.compiled)
	}
	z.compiled[key] = r
	return r
}

func personOf(p gateway.Principal) person {
	who := person{name: p.Name, groups: slices.Clone(p.Groups), proven: p.Method != ""}
	slices.Sort(who.groups)
	who.groups = slices.Compact(who.groups)
	return who
}

// key tells persons apart.
func (who person) key() string {
	var b strings.Builder
	if who.proven {
		b.WriteByte('+')
	}
	for _, s := range append([]string{who.name}, who.groups...) {
		b.WriteString(strings.ReplaceAll(strings.ReplaceAll(s, "\x01", "\x01\x02"), "\x00", "\x01\x03"))
		b.WriteByte(0)
	}
	return b.String()
}

// rulesFor returns the rules that are for a person, in order.
func (z *Authorizer) rulesFor(who person) []*rule {
	found := slices.Clone(z.byGroup[star])
	if who.proven {
		found = append(found, z.byUser[star]...)
		if who.name != star {
			found = append(found, z.byUser[who.name]...)
		}
	} else {
		found = append(found, z.byGroup[anonymous]...)
	}
	for _, group := range who.groups {
		if group != star && group != anonymous {
			found = append(found, z.byGroup[group]...)
		}
	}
	slices.Sort(found)
	found = slices.Compact(found)
	rules := make([]*rule, len(found))
	for i, n := range found {
		rules[i] = &z.rules[n]
	}
	return rules
}
