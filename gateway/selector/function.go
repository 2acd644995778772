package selector

import (
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
)

// function reads a call: REGEX(expression, text), INLIST(list, value), MAKELIST(value, ...), REPLACE(text, expression, by), SPLIT(text, expression) and
// SPLIT(text, expression, most). Regular expressions must be literals, so that they are read once; they are RE2's, which never take long.
func (p *parser) function(t token) (*node, error) {
	known := map[string]struct {
		op          op
		least, most int
		regex       int // which argument is a regular expression
	}{
		"REGEX": {opRegex, 2, 2, 0}, "INLIST": {opInList, 2, 2, -1}, "MAKELIST": {opMakeList, 1, MaxList, -1},
		"REPLACE": {opReplace, 3, 3, 1}, "SPLIT": {opSplit, 2, 3, 1},
	}
	f, ok := known[t.text]
	if !ok {
		return nil, invalid(t.at, "unknown function %s; want REGEX, INLIST, MAKELIST, REPLACE or SPLIT", brief(t.text))
	}
	n, err := p.make(f.op)
	if err != nil {
		return nil, err
	}
	for more := true; more; {
		if err := p.advance(); err != nil { // the parenthesis or the comma
			return nil, err
		}
		at := p.now.at
		arg, err := p.unary()
		if err != nil {
			return nil, err
		}
		if len(n.args) == f.regex {
			if err := p.expression(n, arg, at); err != nil {
				return nil, err
			}
		}
		n.args = append(n.args, arg)
		more = p.is(symbol, ",")
	}
	if len(n.args) < f.least || len(n.args) > f.most {
		return nil, invalid(t.at, "%s has %d arguments; want %d to %d", t.text, len(n.args), f.least, f.most)
	}
	if f.op == opSplit && len(n.args) == 3 && !isWhole(n.args[2]) {
		return nil, invalid(t.at, "the third argument of SPLIT is no whole number")
	}
	return n, p.expect(symbol, ")")
}

// isWhole reports whether a node is a literal number of 32 bits, with a sign perhaps.
func isWhole(n *node) bool {
	if n.op == opNegate {
		n = n.args[0]
	}
	return n.op == opConstant && n.value.kind == integer
}

// expression reads a regular expression for n, whose program is short.
func (p *parser) expression(n, arg *node, at int) error {
	if arg.op != opConstant || arg.value.kind != text {
		return invalid(at, "want a regular expression in quotation marks")
	}
	parsed, err := syntax.Parse(arg.value.s, syntax.Perl)
	if err != nil {
		return invalid(at, "regular expression: %s", strings.TrimPrefix(err.Error(), "error parsing regexp: "))
	}
	n.steps, n.looksBack = steps(parsed), looksBack(parsed)
	if p.regex += n.steps; p.regex > MaxRegex {
		return invalid(at, "the regular expressions take more than %d steps", MaxRegex)
	}
	if n.regex, err = regexp.Compile(arg.value.s); err != nil {
		return invalid(at, "regular expression: %v", err)
	}
	return nil
}

// steps is about how long the program of an expression is. It is known before repetitions are written out.
func steps(re *syntax.Regexp) int {
	n := 1
	for _, sub := range re.Sub {
		n += steps(sub)
	}
	switch re.Op {
	case syntax.OpLiteral:
		n += len(re.Rune)
	case syntax.OpCharClass:
		n += len(re.Rune) / 16
	case syntax.OpRepeat:
		n = (n-1)*max(re.Min, re.Max, 1) + 1
	}
	return min(n, MaxRegex+1)
}

// call evaluates a function.
func (n *node) call(e *environment) Value {
	switch n.op {
	case opRegex:
		v := n.args[1].eval(e)
		s := v.String()
		if !e.spend(len(s) * n.steps) {
			return unknown()
		}
		return Boolean(v.kind != missing && v.kind != list && n.regex.MatchString(s))
	case opInList:
		l, v := n.args[0].eval(e), n.args[1].eval(e)
		if l.kind != list {
			return unknown()
		}
		for _, member := range *l.list {
			if member.kind == v.kind && v.kind != list && compare(member, v) == 0 {
				return Boolean(true)
			}
		}
		return Boolean(false)
	case opMakeList:
		members := make([]Value, len(n.args))
		for i, arg := range n.args {
			members[i] = arg.eval(e)
		}
		return Value{kind: list, list: &members}
	case opReplace:
		s, by := n.args[0].eval(e), n.args[2].eval(e)
		if s.kind != text || by.kind != text {
			return Value{}
		}
		return n.replace(e, s.s, by.s)
	}
	s := n.args[0].eval(e)
	if s.kind != text {
		return Value{}
	}
	most := 0
	if len(n.args) == 3 {
		most = int(n.args[2].eval(e).n)
	}
	return n.split(e, s.s, most)
}

// matches returns where the matches are, with their groups. It says no when looking for them costs more than the budget has.
func (n *node) matches(e *environment, s string) (all [][]int, ok bool) {
	if n.looksBack { // then it has to see all of s each time, and what that takes is not known before
		if !e.spend(len(s) * len(s) * n.steps) {
			return nil, false
		}
		return n.regex.FindAllStringSubmatchIndex(s, -1), true
	}
	for from := 0; from <= len(s); {
		if !e.spend((len(s)-from+1)*n.steps) || !e.spendText(64) {
			return nil, false
		}
		m := n.regex.FindStringSubmatchIndex(s[from:])
		if m == nil {
			break
		}
		for i := range m {
			if m[i] >= 0 {
				m[i] += from
			}
		}
		all = append(all, m)
		if from = m[1]; m[0] == m[1] { // an empty match: the next one is behind the next character
			from += max(1, runeLength(s[from:]))
		}
	}
	return all, true
}

// looksBack reports whether an expression asks what was before a place.
func looksBack(re *syntax.Regexp) bool {
	switch re.Op {
	case syntax.OpBeginLine, syntax.OpBeginText, syntax.OpWordBoundary, syntax.OpNoWordBoundary:
		return true
	}
	return slices.ContainsFunc(re.Sub, looksBack)
}

// replace puts by, in which $1 is what the first parenthesis took, in place of each match.
func (n *node) replace(e *environment, s, by string) Value {
	all, ok := n.matches(e, s)
	if !ok {
		return Value{}
	}
	var out []byte
	template := javaTemplate(by)
	groups := strings.Count(template, "$")
	copied := 0
	for _, m := range all {
		out = append(out, s[copied:m[0]]...)
		if more := len(template) + groups*(m[1]-m[0]); !e.spendText(more) || len(out)+more > maxText {
			return Value{}
		}
		out = n.regex.ExpandString(out, template, s, m)
		copied = m[1]
	}
	return e.concatenation(string(out), s[copied:])
}

// split cuts s at the matches, as Java does: with most above 0 into at most as many; with 0, empty texts at the end are left out; and an
// empty match at the beginning cuts nothing off.
func (n *node) split(e *environment, s string, most int) Value {
	all, ok := n.matches(e, s)
	if !ok {
		return Value{}
	}
	var members []Value
	last := 0
	for _, m := range all {
		if most > 0 && len(members) >= most-1 {
			break
		}
		if m[1] == 0 {
			continue
		}
		members = append(members, Text(s[last:m[0]]))
		last = m[1]
	}
	members = append(members, Text(s[last:]))
	for most == 0 && last > 0 && len(members) > 0 && members[len(members)-1].s == "" {
		members = members[:len(members)-1]
	}
	return Value{kind: list, list: &members}
}

// javaTemplate writes a replacement of Java's for regexp: "$1x" is the first group and an x, and a backslash takes the meaning of what follows.
func javaTemplate(by string) string {
	if !strings.ContainsAny(by, `$\`) {
		return by
	}
	var b strings.Builder
	for i := 0; i < len(by); i++ {
		switch {
		case by[i] == '\\' && i+1 < len(by):
			i++
			if by[i] == '$' {
				b.WriteByte('$')
			}
			b.WriteByte(by[i])
		case by[i] == '$' && i+1 < len(by) && isDigit(by[i+1]):
			i++
			b.WriteString("${" + by[i:i+1] + "}")
		case by[i] == '$':
			b.WriteString("$$")
		default:
			b.WriteByte(by[i])
		}
	}
	return b.String()
}
