package selector

// parser reads a selector by ActiveMQ's grammar, in which NOT binds as tightly as a sign. It stops at the first fault.
type parser struct {
	lexer
	now   token
	depth int
	nodes int
	// like and regex add up what their limits count.
	like, regex int
	redelivered bool
}

func (p *parser) parse() (*node, error) {
	if err := p.advance(); err != nil {
		return nil, err
	}
	at := p.now.at
	n, err := p.or()
	if err != nil {
		return nil, err
	}
	if p.now.sort != end {
		return nil, p.wanted("an operator or the end")
	}
	return truth(n, at)
}

func (p *parser) advance() (err error) {
	p.now, err = p.next()
	return err
}

// wanted is the error for a token that does not fit.
func (p *parser) wanted(what string) error {
	return invalid(p.now.at, "want %s, found %s", what, p.now)
}

func (p *parser) is(sort tokenSort, text string) bool {
	return p.now.sort == sort && p.now.text == text
}

// accept takes a token if it is that one.
func (p *parser) accept(sort tokenSort, text string) (bool, error) {
	if !p.is(sort, text) {
		return false, nil
	}
	return true, p.advance()
}

// expect takes a token that must be that one.
func (p *parser) expect(sort tokenSort, text string) error {
	if !p.is(sort, text) {
		return p.wanted(text)
	}
	return p.advance()
}

// make returns a node, if there may be one more.
func (p *parser) make(o op, args ...*node) (*node, error) {
	if p.nodes++; p.nodes > MaxNodes {
		return nil, invalid(p.now.at, "the selector has more than %d parts", MaxNodes)
	}
	return &node{op: o, args: args, end: -1}, nil
}

// enter bounds the depth; leave belongs to it.
func (p *parser) enter() error {
	if p.depth++; p.depth > MaxDepth {
		return invalid(p.now.at, "expressions are nested more than %d deep", MaxDepth)
	}
	return nil
}

func (p *parser) leave() { p.depth-- }

// truth returns a node that says true, false or unknown.
func truth(n *node, at int) (*node, error) {
	switch {
	case n.isBoolean():
		return n, nil
	case n.op == opProperty:
		return &node{op: opCast, args: []*node{n}, end: -1}, nil
	}
	return nil, invalid(at, "want a condition, found a value")
}

func (p *parser) or() (*node, error) { return p.logic("OR", opOr, p.and) }

func (p *parser) and() (*node, error) { return p.logic("AND", opAnd, p.equality) }

// logic reads operands with one word between them, however many.
func (p *parser) logic(word string, o op, operand func() (*node, error)) (*node, error) {
	at := p.now.at
	n, err := operand()
	if err != nil || !p.is(keyword, word) {
		return n, err
	}
	if n, err = truth(n, at); err != nil {
		return nil, err
	}
	chain, err := p.make(o, n)
	for err == nil && p.is(keyword, word) {
		if err = p.advance(); err != nil {
			return nil, err
		}
		at = p.now.at
		if n, err = operand(); err != nil {
			return nil, err
		}
		if n, err = truth(n, at); err != nil {
			return nil, err
		}
		chain.args = append(chain.args, n)
	}
	return chain, err
}

// equality reads = <> and IS.
func (p *parser) equality() (*node, error) {
	left, err := p.comparison()
	for err == nil {
		switch {
		case p.is(symbol, "="), p.is(symbol, "<>"):
			left, err = p.equal(left, p.now.text == "<>")
		case p.is(keyword, "IS"):
			left, err = p.isNull(left)
		default:
			return left, nil
		}
	}
	return nil, err
}

func (p *parser) equal(left *node, not bool) (*node, error) {
	at := p.now.at
	if err := p.advance(); err != nil {
		return nil, err
	}
	right, err := p.comparison()
	if err != nil {
		return nil, err
	}
	for _, n := range []*node{left, right} {
		if n.op == opConstant && n.value.kind == missing {
			return nil, invalid(at, "NULL does not compare; want IS NULL or IS NOT NULL")
		}
	}
	if left.op == opConstant && left.value.kind == boolean && right.op == opConstant && right.value.kind != boolean {
		return nil, invalid(at, "a truth value does not compare with %s", right.value)
	}
	n, err := p.make(opEqual, left, right)
	return p.negated(n, err, not)
}

func (p *parser) isNull(left *node) (*node, error) {
	if err := p.advance(); err != nil {
		return nil, err
	}
	not, err := p.accept(keyword, "NOT")
	if err != nil {
		return nil, err
	}
	if err := p.expect(keyword, "NULL"); err != nil {
		return nil, err
	}
	n, err := p.make(opIsNull, left)
	return p.negated(n, err, not)
}

func (p *parser) negated(n *node, err error, not bool) (*node, error) {
	if err != nil || !not {
		return n, err
	}
	return p.make(opNot, n)
}

// comparison reads what binds tighter than equality.
func (p *parser) comparison() (*node, error) {
	at := p.now.at
	left, err := p.sum()
	for err == nil {
		not := p.is(keyword, "NOT")
		if not {
			if err := p.advance(); err != nil {
				return nil, err
			}
		}
		switch {
		case p.is(keyword, "LIKE"):
			left, err = p.likes(left)
		case p.is(keyword, "BETWEEN"):
			left, err = p.between(left, at, not)
			not = false
		case p.is(keyword, "IN"):
			left, err = p.in(left, at)
		case not:
			return nil, p.wanted("LIKE, BETWEEN or IN")
		default:
			o, ok := ordering(p.now)
			if !ok {
				return left, nil
			}
			left, err = p.ordered(left, at, o)
		}
		left, err = p.negated(left, err, not)
	}
	return nil, err
}

func ordering(t token) (op, bool) {
	if t.sort == symbol {
		switch t.text {
		case "<":
			return opLess, true
		case "<=":
			return opLessOrEqual, true
		case ">":
			return opGreater, true
		case ">=":
			return opGreaterOrEqual, true
		}
	}
	return 0, false
}

func (p *parser) ordered(left *node, at int, o op) (*node, error) {
	if err := p.advance(); err != nil {
		return nil, err
	}
	return p.order(o, left, at)
}

// order makes a comparison of left and what comes next.
func (p *parser) order(o op, left *node, at int) (*node, error) {
	rightAt := p.now.at
	right, err := p.sum()
	if err != nil {
		return nil, err
	}
	if err := orders(left, at); err != nil {
		return nil, err
	}
	if err := orders(right, rightAt); err != nil {
		return nil, err
	}
	return p.make(o, left, right)
}

// orders refuses what has no order: texts and truth values that are written down, and conditions.
func orders(n *node, at int) error {
	switch {
	case n.op == opNot:
		return invalid(at, "NOT binds tighter than the comparison behind it; want NOT (...)")
	case n.op == opConstant && !n.value.isNumber():
		return invalid(at, "%s has no order; want a number or a name", constantText(n.value))
	case n.isBoolean():
		return invalid(at, "a condition has no order; want a number or a name")
	}
	return nil
}

func constantText(v Value) string {
	switch v.kind {
	case missing:
		return "NULL"
	case text:
		return "'" + brief(v.s) + "'"
	}
	return v.String()
}

// between reads the bounds: it is two comparisons.
func (p *parser) between(value *node, at int, not bool) (*node, error) {
	if err := p.advance(); err != nil {
		return nil, err
	}
	below, above, both := opGreaterOrEqual, opLessOrEqual, opAnd
	if not {
		below, above, both = opLess, opGreater, opOr
	}
	low, err := p.order(below, value, at)
	if err != nil {
		return nil, err
	}
	if err := p.expect(keyword, "AND"); err != nil {
		return nil, err
	}
	high, err := p.order(above, value, at)
	if err != nil {
		return nil, err
	}
	return p.make(both, low, high)
}
