package selector

import (
	"strings"

	"github.com/sluice-mq/sluice/gateway"
)

// token is a word of a selector.
type token struct {
	sort tokenSort
	// text is the keyword in upper case, the symbol, the name, or what a string literal stands for.
	text string
	at   int // offset in bytes
	// plain names are not quoted.
	plain bool
}

type tokenSort uint8

const (
	end tokenSort = iota
	keyword
	name
	symbol
	stringLiteral
	whole    // 12, 12L
	hex      // 0x1F
	octal    // 017
	floating // 1.5
)

// String shows the token in errors.
func (t token) String() string {
	switch t.sort {
	case end:
		return "the end"
	case stringLiteral:
		return "'" + brief(t.text) + "'"
	}
	return brief(t.text)
}

// brief keeps errors short.
func brief(s string) string {
	if len(s) > 40 {
		return strings.ToValidUTF8(s[:40], "") + "..."
	}
	return s
}

// isKeyword reports whether a word, in upper case, is not a name.
func isKeyword(upper string) bool {
	switch upper {
	case "NOT", "AND", "OR", "BETWEEN", "LIKE", "ESCAPE", "IN", "IS", "TRUE", "FALSE", "NULL", "XPATH", "XQUERY":
		return true
	}
	return false
}

// lexer splits a selector.
type lexer struct {
	text string
	// offset is where text begins in what the client wrote.
	offset int
	at     int
	// hyphens belong to names.
	hyphens bool
}

func invalid(at int, format string, args ...any) error {
	e := gateway.Errorf(gateway.Invalid, format, args...)
	return gateway.Errorf(gateway.Invalid, "invalid selector at offset %d: %s", at, e.Text)
}

// next returns the next token.
func (l *lexer) next() (token, error) {
	if err := l.skip(); err != nil {
		return token{}, err
	}
	at := l.at + l.offset
	if l.at == len(l.text) {
		return token{sort: end, at: at}, nil
	}
	switch c := l.text[l.at]; {
	case isStart(c):
		return l.word(at), nil
	case c == '\'' || c == '"':
		s, ok := l.quoted(c)
		if !ok {
			return token{}, invalid(at, "the quotation mark %c is not closed", c)
		}
		if c == '"' {
			return token{sort: name, text: s, at: at}, nil
		}
		return token{sort: stringLiteral, text: s, at: at}, nil
	case isDigit(c) || c == '.' && l.at+1 < len(l.text) && isDigit(l.text[l.at+1]):
		return l.number(at), nil
	}
	for _, s := range []string{"<>", "<=", ">=", "<", ">", "=", "+", "-", "*", "/", "%", "(", ")", ","} {
		if strings.HasPrefix(l.text[l.at:], s) {
			l.at += len(s)
			return token{sort: symbol, text: s, at: at}, nil
		}
	}
	r := []rune(l.text[l.at:min(len(l.text), l.at+4)])
	return token{}, invalid(at, "unexpected %q", string(r[:1]))
}

// skip passes blanks and comments. As ActiveMQ has it, "--" begins a comment only if the line has an end: else it is two minus signs.
func (l *lexer) skip() error {
	for l.at < len(l.text) {
		rest := l.text[l.at:]
		switch {
		case strings.IndexByte(" \t\r\n\f", rest[0]) >= 0:
			l.at++
		case strings.HasPrefix(rest, "--") && strings.ContainsAny(rest, "\r\n"):
			l.at += strings.IndexAny(rest, "\r\n")
		case strings.HasPrefix(rest, "/*"):
			n := strings.Index(rest[2:], "*/")
			if n < 0 {
				return invalid(l.at+l.offset, "the comment is not closed")
			}
			l.at += n + 4
		default:
			return nil
		}
	}
	return nil
}

func isStart(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c == '$'
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isPart(c byte) bool { return isStart(c) || isDigit(c) }

// word reads a name or keyword.
func (l *lexer) word(at int) token {
	begin := l.at
	for l.at < len(l.text) && (isPart(l.text[l.at]) || l.hyphens && l.joined()) {
		l.at++
	}
	word := l.text[begin:l.at]
	if upper := strings.ToUpper(word); isKeyword(upper) {
		return token{sort: keyword, text: upper, at: at}
	}
	return token{sort: name, text: word, at: at, plain: true}
}

// joined reports whether there is a hyphen and more of a name behind it.
func (l *lexer) joined() bool {
	return l.text[l.at] == '-' && l.at+1 < len(l.text) && isPart(l.text[l.at+1])
}

// quoted reads up to the closing mark; a doubled mark stands for itself.
func (l *lexer) quoted(mark byte) (string, bool) {
	m := string(mark)
	for i := l.at + 1; i < len(l.text); i++ {
		if l.text[i] != mark {
			continue
		}
		if i+1 < len(l.text) && l.text[i+1] == mark {
			i++
			continue
		}
		s := l.text[l.at+1 : i]
		l.at = i + 1
		return strings.ReplaceAll(s, m+m, m), true
	}
	return "", false
}

// number reads a literal without a sign.
func (l *lexer) number(at int) token {
	rest := l.text[l.at:]
	digits := countDigits(rest)
	if n := countHex(rest); n > 0 {
		l.at += n
		return token{sort: hex, text: rest[:n], at: at}
	}
	if n := countFloating(rest, digits); n > 0 {
		l.at += n
		return token{sort: floating, text: rest[:n], at: at}
	}
	if rest[0] == '0' {
		n := 1
		for n < len(rest) && rest[n] >= '0' && rest[n] <= '7' {
			n++
		}
		l.at += n
		return token{sort: octal, text: rest[:n], at: at}
	}
	l.at += digits
	if digits < len(rest) && (rest[digits] == 'l' || rest[digits] == 'L') {
		l.at++
	}
	return token{sort: whole, text: rest[:digits], at: at}
}

func countHex(s string) int {
	if len(s) < 3 || s[0] != '0' || s[1] != 'x' && s[1] != 'X' {
		return 0
	}
	n := 2
	for n < len(s) && (isDigit(s[n]) || s[n] >= 'a' && s[n] <= 'f' || s[n] >= 'A' && s[n] <= 'F') {
		n++
	}
	if n == 2 {
		return 0
	}
	return n
}

func countFloating(s string, digits int) int {
	n := digits
	point := n < len(s) && s[n] == '.'
	if point {
		n += 1 + countDigits(s[n+1:])
	}
	if n < len(s) && (s[n] == 'e' || s[n] == 'E') {
		m := len(s) - len(trimSign(s[n+1:]))
		if more := countDigits(s[m:]); more > 0 {
			return m + more
		}
	}
	if point {
		return n
	}
	return 0
}
