package selector

import (
	"math"
	"slices"
	"strconv"
	"unicode/utf8"
)

// likes reads the pattern of LIKE.
func (p *parser) likes(left *node) (*node, error) {
	if err := p.advance(); err != nil {
		return nil, err
	}
	pattern, err := p.literal("the pattern as a text in quotation marks")
	if err != nil {
		return nil, err
	}
	escape := rune(-1)
	escaped, err := p.accept(keyword, "ESCAPE")
	if err != nil {
		return nil, err
	}
	if escaped {
		at := p.now.at
		s, err := p.literal("one character in quotation marks")
		if err != nil {
			return nil, err
		}
		if utf8.RuneCountInString(s) != 1 {
			return nil, invalid(at, "want one character in quotation marks, found '%s'", brief(s))
		}
		escape, _ = utf8.DecodeRuneInString(s)
	}
	if p.like += len(pattern); p.like > MaxLike {
		return nil, invalid(p.now.at, "the patterns of LIKE are longer than %d bytes", MaxLike)
	}
	n, err := p.make(opLike, left)
	if err == nil {
		n.like = parseLike(pattern, escape)
	}
	return n, err
}

// literal takes a text in single quotation marks.
func (p *parser) literal(what string) (string, error) {
	if p.now.sort != stringLiteral {
		return "", p.wanted(what)
	}
	s := p.now.text
	return s, p.advance()
}

// in reads the list of IN.
func (p *parser) in(left *node, at int) (*node, error) {
	if left.op == opNot {
		return nil, invalid(at, "NOT binds tighter than IN; want NOT (... IN ...) or NOT IN")
	}
	if !left.isProperty() {
		return nil, invalid(at, "want a name before IN")
	}
	if err := p.advance(); err != nil {
		return nil, err
	}
	if err := p.expect(symbol, "("); err != nil {
		return nil, err
	}
	n, err := p.make(opIn, left)
	for err == nil {
		if len(n.texts) == MaxList {
			return nil, invalid(p.now.at, "the list of IN has more than %d texts", MaxList)
		}
		s, err := p.literal("a text in quotation marks")
		if err != nil {
			return nil, err
		}
		n.texts = append(n.texts, s)
		more, err := p.accept(symbol, ",")
		if err != nil {
			return nil, err
		}
		if !more {
			slices.Sort(n.texts)
			return n, p.expect(symbol, ")")
		}
	}
	return nil, err
}

// sum reads + and -.
func (p *parser) sum() (*node, error) {
	left, err := p.product()
	for err == nil && (p.is(symbol, "+") || p.is(symbol, "-")) {
		o := opAdd
		if p.now.text == "-" {
			o = opSubtract
		}
		at := p.now.at
		if err := p.advance(); err != nil {
			return nil, err
		}
		rightAt := p.now.at
		right, err := p.product()
		if err != nil {
			return nil, err
		}
		before := left
		if left, err = p.make(o, left, right); err != nil {
			return nil, err
		}
		if o == opSubtract && before.end == at && rightAt == at+1 && right.op == opProperty && right.end >= 0 {
			if left, err = p.hyphenated(before, right, left); err != nil {
				return nil, err
			}
		}
	}
	return left, err
}

// hyphenated makes the node of two names with nothing but a hyphen between them.
func (p *parser) hyphenated(left, right, difference *node) (*node, error) {
	n, err := p.make(opHyphen, difference)
	if err != nil {
		return nil, err
	}
	n.name, n.end = left.name+"-"+right.name, right.end
	n.field = fieldOf(n.name)
	return n, nil
}

// product reads * / and %.
func (p *parser) product() (*node, error) {
	left, err := p.unary()
	for err == nil && p.now.sort == symbol {
		var o op
		switch p.now.text {
		case "*":
			o = opMultiply
		case "/":
			o = opDivide
		case "%":
			o = opRemainder
		default:
			return left, nil
		}
		if err := p.advance(); err != nil {
			return nil, err
		}
		right, err := p.unary()
		if err != nil {
			return nil, err
		}
		if left, err = p.make(o, left, right); err != nil {
			return nil, err
		}
	}
	return left, err
}

// unary reads signs and NOT.
func (p *parser) unary() (*node, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	switch {
	case p.is(symbol, "+"):
		if err := p.advance(); err != nil {
			return nil, err
		}
		n, err := p.unary()
		return unnamed(n), err
	case p.is(symbol, "-"):
		return p.negative()
	case p.is(keyword, "NOT"):
		if err := p.advance(); err != nil {
			return nil, err
		}
		at := p.now.at
		n, err := p.unary()
		if err == nil {
			n, err = truth(n, at)
		}
		return p.negated(n, err, true)
	}
	return p.primary()
}

// unnamed returns a node that does not join with a name behind a hyphen.
func unnamed(n *node) *node {
	if n == nil || n.end < 0 {
		return n
	}
	other := *n
	other.end = -1
	return &other
}

func (p *parser) negative() (*node, error) {
	if err := p.advance(); err != nil {
		return nil, err
	}
	if p.is(whole, "9223372036854775808") {
		n, err := p.make(opConstant)
		if err == nil {
			n.value = Long(math.MinInt64)
			err = p.advance()
		}
		return n, err
	}
	n, err := p.unary()
	if err != nil {
		return nil, err
	}
	return p.make(opNegate, n)
}

// primary reads literals, names, calls of functions, and what is in parentheses.
func (p *parser) primary() (*node, error) {
	switch p.now.sort {
	case stringLiteral:
		return p.constant(Text(p.now.text))
	case whole, octal, hex, floating:
		return p.number()
	case name:
		return p.named()
	case symbol:
		if p.now.text == "(" {
			return p.parenthesis()
		}
	case keyword:
		switch p.now.text {
		case "TRUE", "FALSE":
			return p.constant(Boolean(p.now.text == "TRUE"))
		case "NULL":
			return p.constant(Value{})
		case "XPATH", "XQUERY":
			return nil, invalid(p.now.at, "%s is not supported: selectors do not look into bodies", p.now.text)
		}
	}
	return nil, p.wanted("a name, a literal or an opening parenthesis")
}

func (p *parser) constant(v Value) (*node, error) {
	n, err := p.make(opConstant)
	if err != nil {
		return nil, err
	}
	n.value = v
	return n, p.advance()
}

func (p *parser) parenthesis() (*node, error) {
	if err := p.advance(); err != nil {
		return nil, err
	}
	n, err := p.or()
	if err != nil {
		return nil, err
	}
	return unnamed(n), p.expect(symbol, ")")
}

// number reads a literal: 32 bits if it fits, else 64.
func (p *parser) number() (*node, error) {
	t := p.now
	if t.sort == floating {
		f, _ := strconv.ParseFloat(t.text, 64) // what is too large is infinite
		return p.constant(Double(f))
	}
	base := map[tokenSort]int{whole: 10, octal: 8, hex: 16}[t.sort]
	digits := t.text
	if t.sort == hex {
		digits = digits[2:]
	}
	n, err := strconv.ParseInt(digits, base, 64)
	if err != nil {
		return nil, invalid(t.at, "the number %s is too large", brief(t.text))
	}
	if n <= math.MaxInt32 {
		return p.constant(Integer(int32(n)))
	}
	return p.constant(Long(n))
}

// named reads a property, or a function if a parenthesis follows.
func (p *parser) named() (*node, error) {
	t := p.now
	if err := p.advance(); err != nil {
		return nil, err
	}
	if t.plain && p.is(symbol, "(") {
		return p.function(t)
	}
	n, err := p.make(opProperty)
	if err != nil {
		return nil, err
	}
	n.name, n.field = t.text, fieldOf(t.text)
	if t.plain {
		n.end = t.at + len(t.text)
	}
	if n.field == redelivered || n.field == deliveryCount {
		p.redelivered = true
	}
	return n, nil
}
