package gateway

import "strings"

// Subjects are dotted like destination names, but they may not hold blanks or
// control characters, empty tokens or literal wildcards. EscapeName and
// UnescapeName map every valid name to a subject and back, one to one: a byte
// that a subject cannot hold becomes "%XX" (upper-case hexadecimal), "%" itself
// "%25", and an empty token becomes "%" alone.

const upperHex = "0123456789ABCDEF"

// plainInSubject reports whether a byte of a name goes into a subject as it is.
func plainInSubject(c byte) bool {
	return c > ' ' && c != 0x7f && c != '%' && c != '*' && c != '>'
}

// EscapeName returns the subject form of a destination name that is no pattern.
func EscapeName(name string) string { return escape(name, false) }

// EscapePattern is EscapeName for patterns: tokens that are "*" or ">" stay wildcards.
func EscapePattern(pattern string) string { return escape(pattern, true) }

func escape(name string, wildcards bool) string {
	if isPlain(name) {
		return name
	}
	var b strings.Builder
	b.Grow(len(name) + 16)
	first := true
	for token := range strings.SplitSeq(name, ".") {
		if !first {
			b.WriteByte('.')
		}
		first = false
		switch {
		case token == "":
			b.WriteByte('%')
		case wildcards && (token == "*" || token == ">"):
			b.WriteString(token)
		default:
			escapeToken(&b, token)
		}
	}
	return b.String()
}

func isPlain(name string) bool {
	previous := byte('.')
	for i := range len(name) {
		c := name[i]
		if !plainInSubject(c) || (c == '.' && previous == '.') {
			return false
		}
		previous = c
	}
	return previous != '.'
}

func escapeToken(b *strings.Builder, token string) {
	for i := range len(token) {
		c := token[i]
		if plainInSubject(c) {
			b.WriteByte(c)
			continue
		}
		b.WriteByte('%')
		b.WriteByte(upperHex[c>>4])
		b.WriteByte(upperHex[c&15])
	}
}

// UnescapeName returns the destination name of a subject. It is total: what no
// EscapeName could have made is taken literally.
func UnescapeName(subject string) string {
	if strings.IndexByte(subject, '%') < 0 {
		return subject
	}
	var b strings.Builder
	b.Grow(len(subject))
	first := true
	for token := range strings.SplitSeq(subject, ".") {
		if !first {
			b.WriteByte('.')
		}
		first = false
		if token != "%" {
			unescapeToken(&b, token)
		}
	}
	return b.String()
}

func unescapeToken(b *strings.Builder, token string) {
	for i := 0; i < len(token); i++ {
		if token[i] == '%' && i+2 < len(token) {
			if hi, lo := unhex(token[i+1]), unhex(token[i+2]); hi >= 0 && lo >= 0 {
				b.WriteByte(byte(hi<<4 | lo))
				i += 2
				continue
			}
		}
		b.WriteByte(token[i])
	}
}

func unhex(c byte) int { return strings.IndexByte(upperHex, c) }
