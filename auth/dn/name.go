package dn

import (
	"maps"
	"slices"
	"strings"
)

// MaxLength is the longest name that is read, in bytes, as text or as DER.
const MaxLength = 8 << 10

// Name is a distinguished name. The zero value is the empty name. It is immutable, so safe for concurrent use.
type Name struct {
	// parts are the relative names, the most specific one first, as RFC 2253 writes them.
	parts []part
}

// part is a relative name: one attribute, seldom more.
type part []attribute

type attribute struct {
	oid, value string
	// binary: the value is no text but "#" and DER in hexadecimal.
	binary bool
}

// Empty reports whether the name has no parts.
func (n Name) Empty() bool { return len(n.parts) == 0 }

// String writes the name as ActiveMQ does: RFC 2253, the most specific part first, with ", " between the parts. What
// would break a line is escaped. Parse reads it back.
func (n Name) String() string {
	var b strings.Builder
	for i, p := range n.parts {
		if i > 0 {
			b.WriteString(", ")
		}
		p.write(&b)
	}
	return b.String()
}

func (p part) write(b *strings.Builder) {
	for i, a := range p {
		if i > 0 {
			b.WriteByte('+')
		}
		a.write(b, wordOf(a.oid))
	}
}

func (a attribute) write(b *strings.Builder, word string) {
	b.WriteString(word)
	b.WriteByte('=')
	if a.binary {
		b.WriteString(a.value)
	} else {
		escape(b, a.value)
	}
}

// Key is the same for names that mean the same, and different for others: it forgets how the name was written and in
// which direction, since certificates and people write both. The values are compared exactly, case and all, as other
// grid software does it.
func (n Name) Key() string {
	parts := make([]string, len(n.parts))
	for i, p := range n.parts {
		attributes := make([]string, len(p))
		for j, a := range p {
			var b strings.Builder
			a.write(&b, a.oid)
			attributes[j] = b.String()
		}
		slices.Sort(attributes)
		parts[i] = strings.Join(attributes, "+")
	}
	forward := strings.Join(parts, ",")
	slices.Reverse(parts)
	return min(forward, strings.Join(parts, ","))
}

// Gathered is the same for names with the same attributes, however those of different types stand to one another. Those of one type keep their order, whether they are parts
// of their own or joined by "+". So it is the same for a name and for what programs make of it that keep the values of each type together, as ARGO's mapping service
// does: "CN=a,OU=b+OU=c,DC=org+DC=example" for /DC=org/DC=example/OU=b/OU=c/CN=a.
func (n Name) Gathered() string {
	values := make(map[string][]string)
	for _, p := range slices.Backward(n.parts) {
		for _, a := range p {
			var b strings.Builder
			a.write(&b, a.oid)
			values[a.oid] = append(values[a.oid], b.String())
		}
	}
	var all []string
	for _, oid := range slices.Sorted(maps.Keys(values)) {
		all = append(all, strings.Join(values[oid], "+"))
	}
	return strings.Join(all, ",")
}

// Equal reports whether two names mean the same.
func (n Name) Equal(o Name) bool { return n.Key() == o.Key() }

// Values returns the values of an attribute type, such as "CN", the most specific first.
func (n Name) Values(word string) (values []string) {
	oid := oidOf(word)
	for _, p := range n.parts {
		for _, a := range p {
			if a.oid == oid {
				values = append(values, a.value)
			}
		}
	}
	return values
}

// escape writes a value so that parsing gives it back: RFC 4514, and control characters in hexadecimal.
func escape(b *strings.Builder, v string) {
	const digits = "0123456789abcdef"
	for i := range len(v) {
		c := v[i]
		switch {
		case c < 0x20 || c == 0x7f:
			b.WriteByte('\\')
			b.WriteByte(digits[c>>4])
			b.WriteByte(digits[c&15])
			continue
		case strings.IndexByte(`,+"\<>;`, c) >= 0,
			c == ' ' && (i == 0 || i == len(v)-1),
			c == '#' && i == 0:
			b.WriteByte('\\')
		}
		b.WriteByte(c)
	}
}
