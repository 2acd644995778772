package acl

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/sluice-mq/sluice/gateway"
)

// Mode says how rules that fit the same request work together.
type Mode uint8

const (
	// FirstMatch: the first rule that fits decides. It is the default.
	FirstMatch Mode = iota
	// Union: what any rule allows is allowed, as ActiveMQ has it. There is no deny.
	Union
)

// ParseMode reads "first-match", "union" or the empty text, which is the default.
func ParseMode(text string) (Mode, error) {
	switch text {
	case "", "first-match":
		return FirstMatch, nil
	case "union":
		return Union, nil
	}
	return FirstMatch, fmt.Errorf("unknown acl_mode %q; want first-match or union", text)
}

// String returns the mode as configurations write it.
func (m Mode) String() string {
	if m == Union {
		return "union"
	}
	return "first-match"
}

// Rule allows or denies actions to people. It needs Users or Groups, Allow or Deny, and On.
type Rule struct {
	// Users are names; "*" is everybody who has proven who he is.
	Users []string
	// Groups are names; "*" is everybody at all, "anonymous" everybody who has proven nothing.
	Groups []string
	// Allow and Deny are "read", "write", "create", "manage" or "all". No action may be in both.
	Allow, Deny []string
	// On are patterns: "/queue/a.*.b", "/topic/a.>" and so on, for queue, topic, temp-queue, temp-topic, subscription and admin. "*" is one
	// token, ">" the rest, so that a.> is also a. "{user}" is the principal's name, if it holds no dot and no wildcard. The names under
	// /admin/ are operations, and "manage" is the only action with them.
	On []string
	// Position is where the rule stands, for people: "sluice.yaml:12". It may be empty.
	Position string
}

// Config is the whole list. Without rules nobody may do anything.
type Config struct {
	Mode  Mode
	Rules []Rule
}

// The actions as sets: bit 1<<action.
const (
	readBit   = 1 << gateway.Read
	writeBit  = 1 << gateway.Write
	createBit = 1 << gateway.Create
	manageBit = 1 << gateway.Manage
	allBits   = readBit | writeBit | createBit | manageBit
	actions   = gateway.Manage + 1
)

// ParseAction reads "read", "write", "create" or "manage".
func ParseAction(text string) (gateway.Action, error) {
	for a := gateway.Read; a <= gateway.Manage; a++ {
		if a.String() == text {
			return a, nil
		}
	}
	return 0, fmt.Errorf("unknown action %q; want read, write, create or manage", text)
}

// rule is a Rule that was read.
type rule struct {
	// number counts from 1, as operators do.
	number        int
	position      string
	users, groups []string
	allow, deny   uint8
	on            []onPattern
}

// parseRule reads a rule and says all that is wrong with it.
func parseRule(number int, r Rule, mode Mode) (rule, error) {
	out := rule{number: number, position: r.Position, users: slices.Clone(r.Users), groups: slices.Clone(r.Groups)}
	var wrong []error
	bad := func(format string, args ...any) {
		wrong = append(wrong, fmt.Errorf("%s: %w", out.name(), fmt.Errorf(format, args...)))
	}
	if len(r.Users)+len(r.Groups) == 0 {
		bad("it is for nobody; want users or groups")
	}
	if slices.Contains(r.Users, "") || slices.Contains(r.Groups, "") {
		bad("an empty name among its users or groups")
	}
	out.allow = parseActions(r.Allow, bad)
	out.deny = parseActions(r.Deny, bad)
	switch {
	case len(r.Allow)+len(r.Deny) == 0:
		bad("it says nothing; want allow or deny")
	case len(r.Deny) > 0 && mode == Union:
		bad("deny with acl_mode union, where all rules that fit count; want acl_mode first-match, or no deny")
	case out.allow&out.deny != 0:
		bad("it allows and denies %s; want one of the two", actionsText(out.allow&out.deny))
	}
	if len(r.On) == 0 {
		bad("it is about nothing; want patterns under \"on\"")
	}
	for _, text := range r.On {
		on, err := parsePattern(text)
		if err != nil {
			bad("%w", err)
			continue
		}
		if on.in == admin && out.allow|out.deny != 0 && (out.allow|out.deny)&manageBit == 0 {
			bad("pattern %q: manage is the only action with operations", text)
		}
		out.on = append(out.on, on)
	}
	return out, errors.Join(wrong...)
}

func parseActions(texts []string, bad func(string, ...any)) (set uint8) {
	for _, text := range texts {
		if text == "all" {
			set |= allBits
		} else if a, err := ParseAction(text); err == nil {
			set |= 1 << a
		} else {
			bad("unknown action %q; want read, write, create, manage or all", text)
		}
	}
	return set
}

func actionsText(set uint8) string {
	if set == allBits {
		return "all"
	}
	var words []string
	for a := gateway.Read; a <= gateway.Manage; a++ {
		if set&(1<<a) != 0 {
			words = append(words, a.String())
		}
	}
	return strings.Join(words, ", ")
}

// name returns "rule 3 (sluice.yaml:12)".
func (r *rule) name() string {
	if r.position == "" {
		return fmt.Sprintf("rule %d", r.number)
	}
	return fmt.Sprintf("rule %d (%s)", r.number, r.position)
}

// people returns whom the rule is for, in words.
func (r *rule) people() string {
	var words []string
	if len(r.users) > 0 {
		words = append(words, "users "+strings.Join(r.users, ", "))
	}
	if len(r.groups) > 0 {
		words = append(words, "groups "+strings.Join(r.groups, ", "))
	}
	return strings.Join(words, " and ")
}

// text returns what the rule says, on one line.
func (r *rule) text() string {
	var words []string
	if r.allow != 0 {
		words = append(words, "allow "+actionsText(r.allow))
	}
	if r.deny != 0 {
		words = append(words, "deny "+actionsText(r.deny))
	}
	var on []string
	for i := range r.on {
		on = append(on, r.on[i].text)
	}
	return fmt.Sprintf("%s on %s for %s", strings.Join(words, " and "), strings.Join(on, ", "), r.people())
}
