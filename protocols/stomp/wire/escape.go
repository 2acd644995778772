package wire

import "strings"

// unescape resolves the escapes of version 1.1 or 1.2: \n, \c, \\ and, in 1.2
// only, \r. Undefined escapes stay as they are and make ok false. A text without
// escapes costs no allocation.
func unescape(s string, v Version) (text string, ok bool) {
	i := strings.IndexByte(s, '\\')
	if i < 0 {
		return s, true
	}
	ok = true
	var b strings.Builder
	b.Grow(len(s))
	for ; i >= 0; i = strings.IndexByte(s, '\\') {
		b.WriteString(s[:i])
		s = s[i+1:]
		if s == "" {
			b.WriteByte('\\')
			return b.String(), false
		}
		c := meaning(s[0], v)
		if c == 0 {
			// Not even a backslash follows, so what does is read as plain text.
			b.WriteByte('\\')
			ok = false
			continue
		}
		b.WriteByte(c)
		s = s[1:]
	}
	b.WriteString(s)
	return b.String(), ok
}

// meaning returns what a backslash and c stand for, or 0.
func meaning(c byte, v Version) byte {
	switch c {
	case 'n':
		return '\n'
	case 'c':
		return ':'
	case '\\':
		return '\\'
	case 'r':
		if v >= V12 {
			return '\r'
		}
	}
	return 0
}

// style is how names or values are written.
type style uint8

const (
	escapes      style = iota // names and values of 1.1 and 1.2
	literalName               // names of 1.0, which knows no escapes
	literalValue              // values of 1.0
	blankName                 // names in frames that are never escaped
	blankValue                // values in frames that are never escaped
)

// appendText appends a name or a value in such a way that no reader sees a line or
// a name end early, whatever s contains.
func appendText(dst []byte, s string, how style) []byte {
	done := 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c > '\r' && c != ':' && c != '\\' { // three branches that predict well
			continue
		}
		if text := how.instead(c); text != "" {
			dst = append(dst, s[done:i]...)
			dst = append(dst, text...)
			done = i + 1
		}
	}
	return append(dst, s[done:]...)
}

// instead returns what is written for c, or "" if c itself is. STOMP has no escape
// for NUL: a blank is what every reader survives.
func (how style) instead(c byte) string {
	switch {
	case c == 0:
		return " "
	case c == '\\' && how == escapes:
		return `\\`
	case c == ':' && (how == literalValue || how == blankValue):
		return ""
	case how >= blankName && (c == '\n' || c == '\r' || c == ':'):
		return " "
	case c == '\n':
		return `\n`
	case c == '\r':
		return `\r`
	case c == ':':
		return `\c`
	}
	return ""
}
