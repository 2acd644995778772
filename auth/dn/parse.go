package dn

import (
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Parse reads a name as people and programs write it: "CN=a, OU=b, DC=c" (RFC 2253 and 4514, and RFC 1779's quotes and
// semicolons) or "/DC=c/OU=b/CN=a" (OpenSSL and the grid). Spaces around parts, "=" and "+" mean nothing. It refuses what is longer
// than MaxLength, attribute types that nobody knows and what is not UTF-8. The errors name the place, for operators.
func Parse(s string) (Name, error) {
	switch {
	case len(s) > MaxLength:
		return Name{}, fmt.Errorf("the name is %d bytes long, the limit is %d", len(s), MaxLength)
	case !utf8.ValidString(s):
		return Name{}, errors.New("the name is not valid UTF-8")
	}
	s = strings.TrimLeft(s, " \t")
	if s == "" {
		return Name{}, errors.New("the name is empty")
	}
	if s[0] == '/' {
		return parseSlashes(s)
	}
	return parseCommas(s)
}

func parseCommas(s string) (n Name, err error) {
	for p := part(nil); ; {
		a, end, rest, err := parseAttribute(s)
		if err != nil {
			return Name{}, err
		}
		p = append(p, a)
		if end != '+' {
			n.parts = append(n.parts, p)
			p = nil
		}
		if end == 0 {
			return n, nil
		}
		s = rest
	}
}

// parseAttribute reads "CN=a" and what ends it: '+', ',', ';' (told as ',') or 0.
func parseAttribute(s string) (a attribute, end byte, rest string, err error) {
	word, s, found := strings.Cut(s, "=")
	word = strings.Trim(word, " \t")
	if !found {
		return a, 0, "", fmt.Errorf("there is no = after %q", word)
	}
	if a.oid = oidOf(word); a.oid == "" {
		return a, 0, "", fmt.Errorf("%q is no attribute type that is known", word)
	}
	s = strings.TrimLeft(s, " \t")
	switch {
	case strings.HasPrefix(s, `"`):
		a.value, s, err = quoted(s[1:])
	case strings.HasPrefix(s, "#"):
		i := strings.IndexAny(s, ",;+")
		if i < 0 {
			i = len(s)
		}
		a.value, a.binary, err = hexadecimal(strings.TrimRight(s[1:i], " \t"))
		s = s[i:]
	default:
		a.value, s, err = plain(s)
	}
	if err != nil {
		return a, 0, "", fmt.Errorf("after %s=: %w", word, err)
	}
	if s == "" {
		return a, 0, "", nil
	}
	end = s[0]
	if end == ';' {
		end = ','
	}
	if end != ',' && end != '+' {
		return a, 0, "", fmt.Errorf("after the value of %s stands %q", word, s[:1])
	}
	return a, end, s[1:], nil
}

// plain reads a value without quotes up to its separator; spaces at its end count only if escaped.
func plain(s string) (value, rest string, err error) {
	var v []byte
	kept := 0 // what is before stays, spaces or not
	i := 0
	for i < len(s) && !strings.ContainsRune(",;+", rune(s[i])) {
		switch s[i] {
		case '\\':
			c, n, err := unescape(s[i:])
			if err != nil {
				return "", "", err
			}
			v = append(v, c)
			kept = len(v)
			i += n
		case '"', '<', '>':
			return "", "", fmt.Errorf("%q must be escaped", s[i:i+1])
		default:
			v = append(v, s[i])
			i++
		}
	}
	for len(v) > kept && (v[len(v)-1] == ' ' || v[len(v)-1] == '\t') {
		v = v[:len(v)-1]
	}
	if !utf8.Valid(v) {
		return "", "", errors.New("the value is not valid UTF-8")
	}
	return string(v), s[i:], nil
}

// quoted reads the rest of a value in quotes, and the spaces after it.
func quoted(s string) (value, rest string, err error) {
	var v []byte
	for i := 0; i < len(s); {
		switch s[i] {
		case '"':
			if !utf8.Valid(v) {
				return "", "", errors.New("the value is not valid UTF-8")
			}
			return string(v), strings.TrimLeft(s[i+1:], " \t"), nil
		case '\\':
			c, n, err := unescape(s[i:])
			if err != nil {
				return "", "", err
			}
			v = append(v, c)
			i += n
		default:
			v = append(v, s[i])
			i++
		}
	}
	return "", "", errors.New("the quotes are not closed")
}

// unescape reads "\c" or "\xx" and returns its byte and how long it is.
func unescape(s string) (c byte, n int, err error) {
	if len(s) >= 3 {
		if b, err := hex.DecodeString(s[1:3]); err == nil {
			return b[0], 3, nil
		}
	}
	if len(s) < 2 || strings.IndexByte(` ,+"\<>;=#/`, s[1]) < 0 {
		return 0, 0, errors.New(`\ escapes nothing`)
	}
	return s[1], 2, nil
}

func hexadecimal(s string) (value string, binary bool, err error) {
	der, err := hex.DecodeString(s)
	if err != nil {
		return "", false, errors.New("# is not followed by hexadecimal digits")
	}
	var raw asn1.RawValue
	if rest, err := asn1.Unmarshal(der, &raw); err != nil || len(rest) > 0 {
		return "", false, errors.New("# is not followed by DER")
	}
	return text(raw)
}

// parseSlashes reads OpenSSL's form. A slash begins a part only before a known type and "=", so that "CN=host/a.example.org" is
// one part.
func parseSlashes(s string) (n Name, err error) {
	for s != "" {
		word, rest, _ := strings.Cut(s[1:], "=")
		a := attribute{oid: oidOf(strings.Trim(word, " \t"))}
		if a.oid == "" {
			return Name{}, fmt.Errorf("%q is no attribute type that is known", word)
		}
		end := 0
		for end < len(rest) && !beginsPart(rest[end:]) {
			if rest[end] == '\\' && end+1 < len(rest) {
				end++
			}
			end++
		}
		if a.value, err = unescapeSlashes(strings.Trim(rest[:end], " \t")); err != nil {
			return Name{}, fmt.Errorf("after %s=: %w", word, err)
		}
		n.parts = append(n.parts, part{a})
		s = rest[end:]
	}
	slices.Reverse(n.parts)
	return n, nil
}

func beginsPart(s string) bool {
	if s[0] != '/' {
		return false
	}
	word, _, found := strings.Cut(s[1:], "=")
	return found && oidOf(strings.Trim(word, " \t")) != ""
}

// unescapeSlashes reads OpenSSL's "\xC3" and an escaped slash or backslash.
func unescapeSlashes(s string) (string, error) {
	v := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' {
			rest := s[i+1:]
			switch {
			case len(rest) >= 3 && rest[0] == 'x':
				b, err := hex.DecodeString(rest[1:3])
				if err != nil {
					return "", errors.New(`\x is not followed by two hexadecimal digits`)
				}
				v = append(v, b[0])
				i += 3
				continue
			case rest != "" && (rest[0] == '/' || rest[0] == '\\'):
				v = append(v, rest[0])
				i++
				continue
			}
		}
		v = append(v, s[i])
	}
	if !utf8.Valid(v) {
		return "", errors.New("the value is not valid UTF-8")
	}
	return string(v), nil
}
