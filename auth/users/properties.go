package users

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// maxFile is the longest file that is imported, in bytes.
const maxFile = 4 << 20

// property is a line of a Java properties file.
type property struct {
	key, value string
	line       int
}

func readFile(r io.Reader) (string, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	switch {
	case err != nil:
		return "", err
	case len(b) > maxFile:
		return "", fmt.Errorf("the file is longer than %d bytes", maxFile)
	}
	if utf8.Valid(b) {
		return strings.TrimPrefix(string(b), "\ufeff"), nil
	}
	latin := make([]rune, len(b))
	for i, c := range b {
		latin[i] = rune(c)
	}
	return string(latin), nil
}

// parseProperties reads what java.util.Properties reads: comments, continued lines, "=", ":" or blanks between key and value, escapes.
// Files that are not UTF-8 are Latin-1. A key may come more than once.
func parseProperties(text string) (all []property, err error) {
	text = strings.ReplaceAll(text, "\r\n", "\n")
	text = strings.ReplaceAll(text, "\r", "\n")
	lines := strings.Split(text, "\n")
	for i := 0; i < len(lines); i++ {
		first := i + 1
		s := strings.TrimLeft(lines[i], " \t\f")
		if s == "" || s[0] == '#' || s[0] == '!' {
			continue
		}
		for continued(s) {
			s = s[:len(s)-1]
			if i++; i == len(lines) {
				break
			}
			s += strings.TrimLeft(lines[i], " \t\f")
		}
		key, value := splitProperty(s)
		p := property{line: first}
		if p.key, err = unescapeProperty(key); err == nil {
			p.value, err = unescapeProperty(value)
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", first, err)
		}
		all = append(all, p)
	}
	return all, nil
}

// continued reports whether a line ends with an odd number of backslashes.
func continued(s string) bool {
	return (len(s)-len(strings.TrimRight(s, `\`)))%2 == 1
}

func splitProperty(s string) (key, value string) {
	i := 0
	for i < len(s) && strings.IndexByte("=: \t\f", s[i]) < 0 {
		if s[i] == '\\' {
			i++
		}
		i++
	}
	i = min(i, len(s))
	key, s = s[:i], strings.TrimLeft(s[i:], " \t\f")
	if s != "" && (s[0] == '=' || s[0] == ':') {
		s = strings.TrimLeft(s[1:], " \t\f")
	}
	return key, s
}

func unescapeProperty(s string) (string, error) {
	if !strings.Contains(s, `\`) {
		return s, nil
	}
	units := make([]uint16, 0, len(s)) // Java's characters: an escape may be half of one
	for s != "" {
		r, n := utf8.DecodeRuneInString(s)
		if r == '\\' && len(s) > 1 {
			r, n = utf8.DecodeRuneInString(s[1:])
			n++
			if c, found := propertyEscape(r); found {
				r = c
			} else if r == 'u' {
				if len(s) < 6 {
					return "", errors.New(`\u is not followed by four hexadecimal digits`)
				}
				unit, err := strconv.ParseUint(s[2:6], 16, 16)
				if err != nil {
					return "", errors.New(`\u is not followed by four hexadecimal digits`)
				}
				units = append(units, uint16(unit))
				s = s[6:]
				continue
			}
		}
		units = utf16.AppendRune(units, r)
		s = s[n:]
	}
	return string(utf16.Decode(units)), nil
}

func propertyEscape(r rune) (rune, bool) {
	switch r {
	case 't':
		return '\t', true
	case 'n':
		return '\n', true
	case 'r':
		return '\r', true
	case 'f':
		return '\f', true
	}
	return 0, false
}
