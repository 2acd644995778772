package selector

import (
	"regexp"
	"strings"
)

// op is what a node does.
type op uint8

const (
	opConstant op = iota
	opProperty
	// opHyphen is a-b without blanks: the property of that name, or if there is none, the difference.
	opHyphen
	opCast // a property where a truth value is wanted
	opNot
	opAnd
	opOr
	opEqual
	opLess
	opLessOrEqual
	opGreater
	opGreaterOrEqual
	opIsNull
	opLike
	opIn
	opAdd
	opSubtract
	opMultiply
	opDivide
	opRemainder
	opNegate
	opRegex
	opInList
	opMakeList
	opReplace
	opSplit
)

// node is a part of a selector. It does not change once it was read.
type node struct {
	op   op
	args []*node
	// value of a constant.
	value Value
	// name and field of a property.
	name  string
	field field
	// like, regex and texts are what an operator compares with; texts are in order.
	like  *like
	regex *regexp.Regexp
	texts []string
	// steps is how long the program of regex is; looksBack, that it cannot be held against the rest of a text alone.
	steps     int
	looksBack bool
	// end is where a plain name ends in the text, else -1.
	end int
}

// isBoolean reports whether the node says true, false or unknown, whatever the message.
func (n *node) isBoolean() bool {
	switch n.op {
	case opConstant:
		return n.value.kind == boolean || n.value.kind == missing
	case opCast, opNot, opAnd, opOr, opEqual, opLess, opLessOrEqual, opGreater, opGreaterOrEqual, opIsNull, opLike, opIn, opRegex, opInList:
		return true
	}
	return false
}

// isProperty reports whether the node is one, or may be.
func (n *node) isProperty() bool { return n.op == opProperty || n.op == opHyphen }

// like is a pattern of LIKE: pieces with any run of characters between them.
type like struct {
	pieces []piece
	// open: a run of any length is allowed before the first and behind the last piece.
	openStart, openEnd bool
}

// piece is a run of characters.
type piece struct {
	text string
	// single marks, by byte of text, those that stand for any one character; nil: none does.
	single []bool
}

// parseLike reads a pattern. The escape character, if there is one, stands before "%", "_" and itself only.
func parseLike(pattern string, escape rune) *like {
	l := &like{}
	var current piece
	flush := func() {
		if current.text != "" {
			l.pieces = append(l.pieces, current)
		}
		current = piece{}
	}
	runes := []rune(pattern)
	for i := 0; i < len(runes); i++ {
		r := runes[i]
		next := rune(-1)
		if i+1 < len(runes) {
			next = runes[i+1]
		}
		switch {
		case r == escape && (next == escape || next == '%' || next == '_'):
			current.add(string(next), false)
			i++
		case r == '%':
			l.openStart = l.openStart || len(l.pieces) == 0 && current.text == ""
			flush()
		case r == '_':
			current.add("?", true)
		default:
			current.add(string(r), false)
		}
	}
	l.openEnd = current.text == "" && len(runes) > 0 && (len(l.pieces) > 0 || l.openStart)
	flush()
	return l
}

func (p *piece) add(s string, single bool) {
	if single && p.single == nil {
		p.single = make([]bool, len(p.text))
	}
	p.text += s
	for range s {
		if p.single != nil {
			p.single = append(p.single, single)
		}
	}
	for p.single != nil && len(p.single) < len(p.text) {
		p.single = append(p.single, false)
	}
}

// matches takes the earliest place for each piece, which is as good as any other, so it never goes back. Looking takes steps from e; without any
// left it says no.
func (l *like) matches(e *environment, s string) bool {
	pieces := l.pieces
	if len(pieces) == 0 {
		return s == "" || l.openStart
	}
	if !l.openStart {
		n := pieces[0].prefix(s)
		if n < 0 {
			return false
		}
		s, pieces = s[n:], pieces[1:]
		if len(pieces) == 0 {
			return s == "" || l.openEnd
		}
	}
	for i := range pieces {
		if i == len(pieces)-1 && !l.openEnd {
			return pieces[i].suffix(s)
		}
		n := pieces[i].find(e, s)
		if n < 0 {
			return false
		}
		s = s[n:]
	}
	return true
}

// prefix returns how many bytes at the beginning of s the piece takes, or -1.
func (p *piece) prefix(s string) int {
	if p.single == nil {
		if !strings.HasPrefix(s, p.text) {
			return -1
		}
		return len(p.text)
	}
	at := 0
	for i := range len(p.text) {
		if at == len(s) {
			return -1
		}
		if p.single[i] {
			at += runeLength(s[at:])
			continue
		}
		if s[at] != p.text[i] {
			return -1
		}
		at++
	}
	return at
}

// find returns the end of the first place of the piece in s, or -1.
func (p *piece) find(e *environment, s string) int {
	if p.single == nil {
		if i := strings.Index(s, p.text); i >= 0 {
			return i + len(p.text)
		}
		return -1
	}
	for i := 0; i < len(s) && e.spend(len(p.text)); i += runeLength(s[i:]) {
		if n := p.prefix(s[i:]); n >= 0 {
			return i + n
		}
	}
	return -1
}

// suffix reports whether s ends with the piece.
func (p *piece) suffix(s string) bool {
	if p.single == nil {
		return strings.HasSuffix(s, p.text)
	}
	characters := 0
	for i := range len(p.text) {
		if p.single[i] || isRuneStart(p.text[i]) {
			characters++
		}
	}
	at := len(s)
	for ; characters > 0; characters-- {
		if at == 0 {
			return false
		}
		at = lastRune(s[:at])
	}
	return p.prefix(s[at:]) == len(s)-at
}
