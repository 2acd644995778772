package selector

import (
	"math"
	"slices"
)

// unknown is neither true nor false.
func unknown() Value { return Value{} }

// eval returns what the node is for a message. It does not allocate, except for texts and lists that are made on the way.
func (n *node) eval(e *environment) Value {
	switch n.op {
	case opConstant:
		return n.value
	case opProperty:
		return e.property(n)
	case opHyphen:
		if v := e.property(n); v.kind != missing {
			return v
		}
		return n.args[0].eval(e)
	case opCast:
		v := n.args[0].eval(e)
		if v.kind == boolean || v.kind == missing {
			return v
		}
		return Boolean(false)
	case opNot:
		v := n.args[0].eval(e)
		if v.kind == boolean {
			v.n ^= 1
		}
		return v
	case opAnd:
		return n.chain(e, false)
	case opOr:
		return n.chain(e, true)
	case opEqual:
		return n.equal(e)
	case opLess, opLessOrEqual, opGreater, opGreaterOrEqual:
		return n.ordered(e)
	case opIsNull:
		return Boolean(n.args[0].eval(e).kind == missing)
	case opLike:
		return n.likes(e)
	case opIn:
		return n.in(e)
	case opRegex, opInList, opMakeList, opReplace, opSplit:
		return n.call(e)
	}
	return n.arithmetic(e)
}

// chain is OR, where true decides, or AND, where false does.
func (n *node) chain(e *environment, decides bool) Value {
	sure := true
	for _, arg := range n.args {
		v := arg.eval(e)
		if v.kind == boolean && v.isTrue() == decides {
			return v
		}
		sure = sure && v.kind == boolean
	}
	if !sure {
		return unknown()
	}
	return Boolean(!decides)
}

// equal compares as ActiveMQ does: two properties that are both missing are equal, one that is there differs from one that is not, and only the other
// way round it is unknown.
func (n *node) equal(e *environment) Value {
	l, r := n.args[0].eval(e), n.args[1].eval(e)
	switch {
	case l.kind == text && r.kind == text:
		return Boolean(l.s == r.s)
	case l.kind == missing && r.kind == missing:
		return Boolean(true)
	case l.kind == missing:
		return unknown()
	case r.kind == missing:
		return Boolean(false)
	}
	l, r, ok := alike(l, r, e.convert)
	return Boolean(ok && compare(l, r) == 0)
}

func (n *node) ordered(e *environment) Value {
	l, r := n.args[0].eval(e), n.args[1].eval(e)
	if l.kind == missing || r.kind == missing {
		return unknown()
	}
	l, r, ok := alike(l, r, e.convert)
	if !ok {
		return Boolean(false)
	}
	c := compare(l, r)
	switch n.op {
	case opLess:
		return Boolean(c < 0)
	case opLessOrEqual:
		return Boolean(c <= 0)
	case opGreater:
		return Boolean(c > 0)
	}
	return Boolean(c >= 0)
}

func (n *node) likes(e *environment) Value {
	switch v := n.args[0].eval(e); v.kind {
	case missing:
		return unknown()
	case text:
		matches := n.like.matches(e, v.s)
		if e.spent > maxSteps {
			return unknown()
		}
		return Boolean(matches)
	}
	return Boolean(false)
}

func (n *node) in(e *environment) Value {
	v := n.args[0].eval(e)
	if v.kind != text {
		return unknown()
	}
	_, found := slices.BinarySearch(n.texts, v.s)
	return Boolean(found)
}

// arithmetic is for numbers, and + also for a text and what is put behind it. What makes no sense is missing.
func (n *node) arithmetic(e *environment) Value {
	l := n.args[0].eval(e)
	if n.op == opNegate {
		return negative(l)
	}
	r := n.args[1].eval(e)
	if n.op == opAdd && l.kind == text && r.kind != missing && r.kind != list {
		return e.concatenation(l.s, r.String())
	}
	if !l.isNumber() || !r.isNumber() {
		return Value{}
	}
	switch {
	case n.op == opDivide:
		return Double(l.float() / r.float())
	case n.op == opRemainder:
		return Double(math.Mod(l.float(), r.float()))
	case l.kind == double || r.kind == double:
		return Double(reckon(n.op, l.float(), r.float()))
	case l.kind == long || r.kind == long:
		return Long(reckon(n.op, l.n, r.n))
	}
	return Integer(int32(reckon(n.op, l.n, r.n))) // beyond 32 bits it wraps, as Java does
}

// reckon adds, subtracts or multiplies.
func reckon[T int64 | float64](o op, l, r T) T {
	switch o {
	case opAdd:
		return l + r
	case opSubtract:
		return l - r
	}
	return l * r
}

func negative(v Value) Value {
	switch v.kind {
	case integer:
		return Integer(int32(-v.n))
	case long:
		return Long(-v.n)
	case double:
		return Double(-v.float())
	}
	return Value{}
}

// concatenation has no value if it is too long: texts that grow with each operator would cost more than they are worth.
func (e *environment) concatenation(l, r string) Value {
	if len(l)+len(r) > maxText || !e.spendText(len(l)+len(r)) {
		return Value{}
	}
	return Text(l + r)
}

// spend takes steps of work from the budget of one message. It says no when that is used up, and then what the work was for has no value.
func (e *environment) spend(steps int) bool {
	e.spent += steps
	return e.spent <= maxSteps
}

// spendText is for texts that are made, in bytes.
func (e *environment) spendText(bytes int) bool { return e.spend(16 * bytes) }
