package selector

import (
	"math"
	"strconv"
	"strings"
)

// kind is the type of a Value.
type kind uint8

const (
	missing kind = iota // null: no such property, or no sense
	boolean
	integer // 32 bits
	long
	double
	text
	list
)

// Value is that of a property. The zero value is that of one that is not there.
type Value struct {
	kind kind
	// n is the number, the bits of a double, or 1 for true.
	n int64
	s string
	// list is behind a pointer, for it is rare and values are copied often.
	list *[]Value
}

// Text is a string, which is what headers are. It compares with numbers and booleans if all of it reads as one.
func Text(s string) Value { return Value{kind: text, s: s} }

// Boolean is a truth value.
func Boolean(b bool) Value {
	v := Value{kind: boolean}
	if b {
		v.n = 1
	}
	return v
}

// Integer is a number of 32 bits, as counters and priorities are.
func Integer(n int32) Value { return Value{kind: integer, n: int64(n)} }

// Long is a number of 64 bits, as times are.
func Long(n int64) Value { return Value{kind: long, n: n} }

// Double is an approximate number.
func Double(f float64) Value { return Value{kind: double, n: int64(math.Float64bits(f))} }

func (v Value) isNumber() bool { return v.kind == integer || v.kind == long || v.kind == double }

func (v Value) isTrue() bool { return v.kind == boolean && v.n != 0 }

// float returns a number as a double.
func (v Value) float() float64 {
	if v.kind == double {
		return math.Float64frombits(uint64(v.n))
	}
	return float64(v.n)
}

// String returns the value as concatenation shows it, which is how Java does.
func (v Value) String() string {
	switch v.kind {
	case boolean:
		return strconv.FormatBool(v.n != 0)
	case integer, long:
		return strconv.FormatInt(v.n, 10)
	case double:
		return doubleText(v.float())
	case text:
		return v.s
	}
	return ""
}

func doubleText(f float64) string {
	size := math.Abs(f)
	switch {
	case math.IsNaN(f):
		return "NaN"
	case math.IsInf(f, 0):
		return strings.TrimPrefix(strings.Replace(strconv.FormatFloat(f, 'g', -1, 64), "Inf", "Infinity", 1), "+")
	case size == 0 || size >= 1e-3 && size < 1e7:
		s := strconv.FormatFloat(f, 'f', -1, 64)
		if !strings.Contains(s, ".") {
			s += ".0"
		}
		return s
	}
	digits, exponent, _ := strings.Cut(strconv.FormatFloat(f, 'E', -1, 64), "E")
	if !strings.Contains(digits, ".") {
		digits += ".0"
	}
	n, _ := strconv.Atoi(exponent)
	return digits + "E" + strconv.Itoa(n)
}

// alike makes two values of the same kind, where that makes sense: numbers become the wider of both, and with convert a text becomes what
// the other is. The ok is false where values cannot be compared, and then every comparison of them is false.
func alike(l, r Value, convert bool) (Value, Value, bool) {
	switch {
	case l.kind == r.kind:
		return l, r, l.kind != list
	case l.kind == text && convert:
		l, ok := l.parse(r.kind)
		return l, r, ok
	case r.kind == text && convert:
		r, ok := r.parse(l.kind)
		return l, r, ok
	case !l.isNumber() || !r.isNumber():
		return l, r, false
	case l.kind == double || r.kind == double:
		return Double(l.float()), Double(r.float()), true
	}
	return Long(l.n), Long(r.n), true
}

// parse reads a text as a value of another kind.
func (v Value) parse(as kind) (Value, bool) {
	switch as {
	case boolean:
		return Boolean(strings.EqualFold(v.s, "true")), true
	case integer:
		n, ok := parseInteger(v.s)
		return Value{kind: integer, n: n}, ok && n >= math.MinInt32 && n <= math.MaxInt32
	case long:
		n, ok := parseInteger(v.s)
		return Long(n), ok
	case double:
		f, ok := parseDouble(v.s)
		return Double(f), ok
	}
	return Value{}, false
}

// parseInteger reads what Java's Long.valueOf does: a sign and decimal digits, and no blanks.
func parseInteger(s string) (n int64, ok bool) {
	negative := strings.HasPrefix(s, "-")
	if negative || strings.HasPrefix(s, "+") {
		s = s[1:]
	}
	if s == "" {
		return 0, false
	}
	// It is summed up below zero, where there is room for one more.
	for i := range len(s) {
		c := s[i]
		if c < '0' || c > '9' || n < math.MinInt64/10 {
			return 0, false
		}
		n *= 10
		if n < math.MinInt64+int64(c-'0') {
			return 0, false
		}
		n -= int64(c - '0')
	}
	if negative {
		return n, true
	}
	return -n, n != math.MinInt64
}

// parseDouble reads what Java's Double.valueOf does, except hexadecimal ones: blanks around it and a suffix are allowed.
func parseDouble(s string) (float64, bool) {
	s = strings.TrimFunc(s, func(r rune) bool { return r <= ' ' })
	unsigned := strings.TrimLeft(s, "+-")
	if len(s)-len(unsigned) <= 1 {
		switch unsigned {
		case "NaN":
			return math.NaN(), true
		case "Infinity":
			return math.Inf(1 - 2*strings.Count(s, "-")), true
		}
	}
	if n := len(s) - 1; n > 0 && strings.IndexByte("dDfF", s[n]) >= 0 {
		s = s[:n]
	}
	if !isDecimal(s) {
		return 0, false
	}
	f, _ := strconv.ParseFloat(s, 64) // what is too large is infinite
	return f, true
}

// isDecimal reports whether s is [sign] digits [. digits] [e [sign] digits], with a digit on one side of the point.
func isDecimal(s string) bool {
	s = trimSign(s)
	whole := countDigits(s)
	s = s[whole:]
	part := 0
	if strings.HasPrefix(s, ".") {
		part = countDigits(s[1:])
		s = s[1+part:]
	}
	if whole+part == 0 {
		return false
	}
	if s == "" {
		return true
	}
	if s[0] != 'e' && s[0] != 'E' {
		return false
	}
	s = trimSign(s[1:])
	return s != "" && countDigits(s) == len(s)
}

func trimSign(s string) string {
	if s != "" && (s[0] == '-' || s[0] == '+') {
		return s[1:]
	}
	return s
}

func countDigits(s string) (n int) {
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	return n
}

// compare orders two values of one kind, as Java's compareTo does: for doubles, NaN equals itself and is the greatest, and -0.0 is less than 0.0.
func compare(l, r Value) int {
	switch l.kind {
	case text:
		return strings.Compare(l.s, r.s)
	case double:
		a, b := l.float(), r.float()
		switch {
		case a < b:
			return -1
		case a > b:
			return 1
		case math.IsNaN(a) || math.IsNaN(b):
			return btoi(math.IsNaN(a)) - btoi(math.IsNaN(b))
		}
		return btoi(math.Signbit(b)) - btoi(math.Signbit(a))
	}
	switch {
	case l.n < r.n:
		return -1
	case l.n > r.n:
		return 1
	}
	return 0
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}
