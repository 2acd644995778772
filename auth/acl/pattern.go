package acl

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/sluice-mq/sluice/gateway"
)

// The placeholder in patterns that stands for the principal's name.
const userPlaceholder = "{user}"

// space is one of the name spaces that rules speak of.
type space uint8

const (
	queues space = iota
	topics
	tempQueues
	tempTopics
	subscriptions
	admin
	spaces
	// nowhere is a space that no rule speaks of.
	nowhere = spaces
)

var spaceNames = [spaces]string{"queue", "topic", "temp-queue", "temp-topic", "subscription", "admin"}

// spaceOf returns the space of destinations of a kind.
func spaceOf(k gateway.Kind) space {
	switch k {
	case gateway.KindQueue:
		return queues
	case gateway.KindTopic:
		return topics
	}
	if i := slices.Index(spaceNames[:admin], k.String()); i >= 0 {
		return space(i)
	}
	return nowhere
}

// pattern is a set of names: those with exactly these tokens, where "*" stands for any token; with rest, also those with more tokens
// behind them. It has at least one token: ">" alone is "*" with rest.
type pattern struct {
	tokens []string
	rest   bool
}

// split makes a pattern of a name as clients write it. What follows a ">" is ignored, as with subscriptions.
func split(name string) pattern {
	var p pattern
	for token := range strings.SplitSeq(name, ".") {
		if token == ">" {
			p.rest = true
			break
		}
		p.tokens = append(p.tokens, token)
	}
	if len(p.tokens) == 0 {
		p.tokens = []string{"*"}
	}
	return p
}

// covers reports whether every name in q is in p.
func (p pattern) covers(q pattern) bool {
	if len(q.tokens) < len(p.tokens) || !p.rest && (q.rest || len(q.tokens) > len(p.tokens)) {
		return false
	}
	for i, want := range p.tokens {
		if want != "*" && want != q.tokens[i] {
			return false
		}
	}
	return true
}

// meets reports whether some name is in both.
func (p pattern) meets(q pattern) bool {
	if len(p.tokens) > len(q.tokens) {
		p, q = q, p
	}
	if len(p.tokens) < len(q.tokens) && !p.rest {
		return false
	}
	for i, a := range p.tokens {
		if b := q.tokens[i]; a != "*" && b != "*" && a != b {
			return false
		}
	}
	return true
}

// common returns the names that are in both; p meets q.
func (p pattern) common(q pattern) pattern {
	if len(p.tokens) > len(q.tokens) {
		p, q = q, p
	}
	both := pattern{slices.Clone(q.tokens), p.rest && q.rest}
	for i, token := range p.tokens {
		if both.tokens[i] == "*" {
			both.tokens[i] = token
		}
	}
	return both
}

// onPattern is a pattern of a rule, as the operator wrote it.
type onPattern struct {
	text  string
	in    space
	names pattern
	// personal patterns hold the placeholder for the principal's name.
	personal bool
}

// parsePattern reads "/queue/a.*.>". The error says what is wrong in words for the operator.
func parsePattern(text string) (onPattern, error) {
	on := onPattern{text: text, in: nowhere}
	var name string
	for i, s := range spaceNames {
		if rest, ok := strings.CutPrefix(text, "/"+s+"/"); ok {
			on.in, name = space(i), rest
		}
	}
	switch {
	case on.in == nowhere:
		return on, fmt.Errorf("pattern %q; want /%s/ and a name", text, strings.Join(spaceNames[:spaces-1], "/, /")+"/ or /"+spaceNames[admin])
	case name == "":
		return on, fmt.Errorf("pattern %q has no name; want %s> for everything", text, text)
	case len(name) > gateway.MaxNameLength:
		return on, fmt.Errorf("pattern %.32q... is %d bytes long, the limit is %d", text, len(name), gateway.MaxNameLength)
	case !utf8.ValidString(name):
		return on, fmt.Errorf("pattern %q is not valid UTF-8", text)
	case strings.ContainsFunc(name, func(r rune) bool { return r < 0x20 || r == 0x7f }):
		return on, fmt.Errorf("pattern %q holds a control character", text)
	}
	tokens := strings.Split(name, ".")
	for i, token := range tokens {
		if err := checkToken(token, i == len(tokens)-1); err != nil {
			return on, fmt.Errorf("pattern %q: %w", text, err)
		}
		on.personal = on.personal || strings.Contains(token, userPlaceholder)
	}
	on.names = split(name)
	return on, nil
}

// checkToken refuses what would be a literal although it looks like more: an operator who writes it means something else.
func checkToken(token string, last bool) error {
	switch {
	case token == ">" && !last:
		return fmt.Errorf("\">\" stands for the rest, so it must be the last token")
	case token == ">" || token == "*":
		return nil
	case strings.ContainsAny(token, "*>"):
		return fmt.Errorf("token %q; \"*\" and \">\" stand for whole tokens", token)
	}
	if left := strings.ReplaceAll(token, userPlaceholder, ""); strings.ContainsAny(left, "{}") {
		return fmt.Errorf("token %q; the only placeholder is %s", token, userPlaceholder)
	}
	return nil
}

// forUser returns the names of the pattern for a principal. not says why it has none.
func (on *onPattern) forUser(who person) (names pattern, not string) {
	if !on.personal {
		return on.names, ""
	}
	switch {
	case !who.proven:
		return pattern{}, userPlaceholder + " stands for nobody who has not proven who he is"
	case who.name == "":
		return pattern{}, userPlaceholder + " stands for nobody without a name"
	case strings.ContainsAny(who.name, ".*>"):
		return pattern{}, fmt.Sprintf("%s does not stand for the name %q, which holds a dot or a wildcard", userPlaceholder, who.name)
	}
	names = pattern{slices.Clone(on.names.tokens), on.names.rest}
	for i, token := range names.tokens {
		names.tokens[i] = strings.ReplaceAll(token, userPlaceholder, who.name)
	}
	return names, ""
}
