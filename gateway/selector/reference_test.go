package selector

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"

	"github.com/sluice-mq/sluice/gateway"
)

// part is a piece of a selector and what it is worth, by a naive reading of the rules: nil, bool, int32, int64, float64 or string.
type part struct {
	text string
	eval func(m *gateway.Message) any
}

// maker draws selectors. n(k) is a number from 0 to k-1.
type maker struct{ n func(k int) int }

func pick[T any](g maker, of ...T) T { return of[g.n(len(of))] }

var propertyNames = []string{"n", "m", "s", "t", "b", "gone"}

// headerValues are those that properties have.
var headerValues = []string{"1", "2", "21", "21.0", " 21", "+2", "-3", "2d", "abc", "ab", "a%b", "a_b", "x\ny", "", "true", "TRUE", "false", "1e1", "9999999999", ".5", "é€", "NaN"}

func (g maker) message() *gateway.Message {
	m := &gateway.Message{
		ID: "ID:1", Destination: gateway.Destination{Kind: gateway.KindTopic, Name: "golden.selectors"}, Priority: uint8(g.n(10)), Timestamp: 1000,
		Persistent: g.n(2) == 0,
	}
	for _, name := range propertyNames[:5] {
		if g.n(4) > 0 {
			m.Header = append(m.Header, gateway.Field{Name: name, Value: pick(g, headerValues...)})
		}
	}
	for _, name := range []string{"type", "correlation-id"} {
		if g.n(2) > 0 {
			m.Header = append(m.Header, gateway.Field{Name: name, Value: pick(g, "1", "2", "abc")})
		}
	}
	return m
}

func (g maker) property() part {
	name := pick(g, append([]string{"JMSPriority", "JMSDeliveryMode", "JMSType", "JMSCorrelationID", "JMSXDeliveryCount", "JMSDestination", "n", "n"}, propertyNames...)...)
	return part{name, func(m *gateway.Message) any {
		header := func(name string) any {
			if s, ok := m.Header.Get(name); ok {
				return s
			}
			return nil
		}
		switch name {
		case "JMSPriority":
			return int32(m.Priority)
		case "JMSDeliveryMode":
			return map[bool]string{true: "PERSISTENT", false: "NON_PERSISTENT"}[m.Persistent]
		case "JMSType":
			return header("type")
		case "JMSCorrelationID":
			return header("correlation-id")
		case "JMSXDeliveryCount":
			return int32(1)
		case "JMSDestination":
			return "topic://golden.selectors"
		}
		return header(name)
	}}
}

func constant(text string, v any) part { return part{text, func(*gateway.Message) any { return v }} }

func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

func (g maker) string() part {
	s := pick(g, append([]string{"it's", "PERSISTENT", "topic://golden.selectors"}, headerValues...)...)
	return constant(quote(s), s)
}

// number draws one whose parts are all numbers: ActiveMQ fails with others in the middle of a delivery.
func (g maker) number(depth int) part {
	if depth <= 0 || g.n(2) == 0 {
		return pick(g, constant("1", int32(1)), constant("2", int32(2)), constant("21", int32(21)), constant("0x15", int32(21)), constant("025", int32(21)),
			constant("21.0", 21.0), constant("21.", 21.0), constant("5E-1", .5), constant(".5", .5), constant("9999999999", int64(9999999999)), constant("2147483647", int32(math.MaxInt32)),
			constant("2L", int32(2)), constant("-3", int32(-3)), part{"JMSPriority", func(m *gateway.Message) any { return int32(m.Priority) }})
	}
	a, b, op := g.number(depth-1), g.number(depth-1), pick(g, "+", "-", "*", "/", "%")
	return part{"(" + a.text + " " + op + " " + b.text + ")", func(m *gateway.Message) any { return calculate(op, a.eval(m), b.eval(m)) }}
}

func calculate(op string, a, b any) any {
	x, y := toFloat(a), toFloat(b)
	_, f1 := a.(float64)
	_, f2 := b.(float64)
	_, l1 := a.(int64)
	_, l2 := b.(int64)
	switch {
	case op == "/":
		return x / y
	case op == "%":
		return math.Mod(x, y)
	case f1 || f2:
		return map[string]float64{"+": x + y, "-": x - y, "*": x * y}[op]
	}
	i, j := toInt(a), toInt(b)
	n := map[string]int64{"+": i + j, "-": i - j, "*": i * j}[op]
	if l1 || l2 {
		return n
	}
	return int32(n)
}

func toFloat(v any) float64 {
	if f, ok := v.(float64); ok {
		return f
	}
	return float64(toInt(v))
}

func toInt(v any) int64 {
	if i, ok := v.(int32); ok {
		return int64(i)
	}
	n, _ := v.(int64)
	return n
}

var (
	wholeNumber = regexp.MustCompile(`^[+-]?[0-9]+$`)
	anyNumber   = regexp.MustCompile(`^[\x00- ]*([+-]?)(?:(NaN)|(Infinity)|((?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)[dDfF]?)[\x00- ]*$`)
)

// as reads a text as the kind of another value; nil if it is none.
func as(s string, like any) any {
	switch like.(type) {
	case bool:
		return strings.ToLower(s) == "true"
	case int32:
		if n, err := strconv.ParseInt(s, 10, 32); err == nil && wholeNumber.MatchString(s) {
			return int32(n)
		}
	case int64:
		if n, err := strconv.ParseInt(s, 10, 64); err == nil && wholeNumber.MatchString(s) {
			return n
		}
	case float64:
		if p := anyNumber.FindStringSubmatch(s); p != nil {
			if p[2] != "" {
				return math.NaN()
			}
			f, _ := strconv.ParseFloat(p[1]+p[3]+p[4], 64)
			return f
		}
	}
	return nil
}

// order returns what a and b, neither of them nil, are to each other; comparable says whether they are anything.
func order(a, b any) (c int, comparable bool) {
	if s, ok := a.(string); ok {
		if t, ok := b.(string); ok {
			return strings.Compare(s, t), true
		}
		a = as(s, b)
	} else if s, ok := b.(string); ok {
		b = as(s, a)
	}
	x, isBool := a.(bool)
	y, alsoBool := b.(bool)
	switch {
	case a == nil || b == nil || isBool != alsoBool:
		return 0, false
	case isBool:
		return map[bool]int{true: 1}[x] - map[bool]int{true: 1}[y], true
	}
	_, f1 := a.(float64)
	_, f2 := b.(float64)
	if !f1 && !f2 {
		return int(min(1, max(-1, toInt(a)-toInt(b)))), true
	}
	f, g := toFloat(a), toFloat(b)
	switch {
	case math.IsNaN(f) && math.IsNaN(g):
		return 0, true
	case math.IsNaN(f) || f > g:
		return 1, true
	case math.IsNaN(g) || f < g:
		return -1, true
	case f == 0:
		return map[bool]int{true: -1}[math.Signbit(f)] - map[bool]int{true: -1}[math.Signbit(g)], true
	}
	return 0, true
}

func not(v any) any {
	if b, ok := v.(bool); ok {
		return !b
	}
	return nil
}

// word writes a keyword in one of the ways that are allowed.
func (g maker) word(w string) string {
	return pick(g, w, w, strings.ToLower(w), w[:1]+strings.ToLower(w[1:]))
}

// maybe negates a condition with a word in the middle of it.
func (g maker) maybe(left, word, right string, eval func(m *gateway.Message) any) part {
	if g.n(3) > 0 {
		return part{left + " " + g.word(word) + " " + right, eval}
	}
	return part{left + " " + g.word("NOT") + " " + g.word(word) + " " + right, func(m *gateway.Message) any { return not(eval(m)) }}
}

func (g maker) condition(depth int) part {
	kinds := 12
	if depth <= 0 {
		kinds = 8
	}
	switch g.n(kinds) {
	case 0, 1:
		return g.equality(depth)
	case 2, 3:
		left := pick(g, g.property(), g.property(), g.number(depth-1))
		right := pick(g, g.property(), g.number(depth-1), g.number(depth-1))
		return ordering2(left, pick(g, "<", "<=", ">", ">="), right)
	case 4:
		return g.pattern()
	case 5:
		return g.list()
	case 6:
		p := pick(g, g.property(), g.property(), g.number(0), g.string())
		isNull := func(m *gateway.Message) any { return p.eval(m) == nil }
		if g.n(2) == 0 {
			return part{p.text + " " + g.word("IS") + " " + g.word("NULL"), isNull}
		}
		return part{p.text + " " + g.word("IS") + " " + g.word("NOT") + " " + g.word("NULL"), func(m *gateway.Message) any { return not(isNull(m)) }}
	case 7:
		p, low, high := pick(g, g.property(), g.number(0)), g.number(depth-1), g.number(depth-1)
		above, below := ordering2(p, ">=", low), ordering2(p, "<=", high)
		less, more := ordering2(p, "<", low), ordering2(p, ">", high)
		if g.n(3) > 0 {
			return part{p.text + " BETWEEN " + low.text + " AND " + high.text, func(m *gateway.Message) any { return both(above.eval(m), below.eval(m)) }}
		}
		return part{p.text + " NOT BETWEEN " + low.text + " AND " + high.text, func(m *gateway.Message) any { return not(both(not(less.eval(m)), not(more.eval(m)))) }}
	case 8:
		p := g.condition(depth - 1)
		return part{g.word("NOT") + " (" + p.text + ")", func(m *gateway.Message) any { return not(p.eval(m)) }}
	case 9, 10:
		a, b := g.condition(depth-1), g.condition(depth-1)
		return part{"(" + a.text + ") " + g.word("AND") + " (" + b.text + ")", func(m *gateway.Message) any { return both(a.eval(m), b.eval(m)) }}
	}
	a, b, c := g.condition(depth-1), g.condition(depth-1), g.condition(depth-1)
	return part{"(" + a.text + ")" + g.word("OR") + "(" + b.text + ") OR (" + c.text + ")", func(m *gateway.Message) any {
		return not(both(not(a.eval(m)), both(not(b.eval(m)), not(c.eval(m)))))
	}}
}

func both(a, b any) any {
	switch {
	case a == false || b == false:
		return false
	case a == true && b == true:
		return true
	}
	return nil
}

func (g maker) equality(depth int) part {
	left := pick(g, g.property(), g.property(), g.property(), g.number(depth-1), g.string())
	right := pick(g, g.property(), g.string(), g.number(depth-1), g.number(depth-1), constant(pick(g, "TRUE", "true"), true), constant("FALSE", false))
	equal := func(m *gateway.Message) any {
		a, b := left.eval(m), right.eval(m)
		switch {
		case a == nil && b == nil:
			return true
		case a == nil:
			return nil
		case b == nil:
			return false
		}
		c, ok := order(a, b)
		return ok && c == 0
	}
	if g.n(2) == 0 {
		return part{left.text + pick(g, "=", " = ") + right.text, equal}
	}
	return part{left.text + pick(g, "<>", " <> ") + right.text, func(m *gateway.Message) any { return not(equal(m)) }}
}

func ordering2(left part, op string, right part) part {
	return part{left.text + " " + op + " " + right.text, func(m *gateway.Message) any {
		a, b := left.eval(m), right.eval(m)
		if a == nil || b == nil {
			return nil
		}
		c, ok := order(a, b)
		return ok && map[string]bool{"<": c < 0, "<=": c <= 0, ">": c > 0, ">=": c >= 0}[op]
	}}
}

func (g maker) pattern() part {
	p := g.property()
	var pattern strings.Builder
	for range g.n(5) {
		pattern.WriteString(pick(g, "%", "_", "a", "b", "!", "!%", "!_", "!!", "€", "2", "x"))
	}
	escape, suffix := rune(-1), ""
	if g.n(2) == 0 {
		escape, suffix = '!', " "+g.word("ESCAPE")+" '!'"
	}
	return g.maybe(p.text, "LIKE", quote(pattern.String())+suffix, func(m *gateway.Message) any {
		switch v := p.eval(m).(type) {
		case nil:
			return nil
		case string:
			return modelLike([]rune(pattern.String()), []rune(v), escape)
		}
		return false
	})
}

func modelLike(pattern, s []rune, escape rune) bool {
	if len(pattern) == 0 {
		return len(s) == 0
	}
	head := pattern[0]
	if head == escape && len(pattern) > 1 && strings.ContainsRune("%_"+string(escape), pattern[1]) {
		return len(s) > 0 && s[0] == pattern[1] && modelLike(pattern[2:], s[1:], escape)
	}
	if head == '%' {
		return modelLike(pattern[1:], s, escape) || len(s) > 0 && modelLike(pattern, s[1:], escape)
	}
	return len(s) > 0 && (head == '_' || head == s[0]) && modelLike(pattern[1:], s[1:], escape)
}

func (g maker) list() part {
	p := g.property()
	var texts, words []string
	for range 1 + g.n(4) {
		s := pick(g, headerValues...)
		texts, words = append(texts, s), append(words, quote(s))
	}
	return g.maybe(p.text, "IN", fmt.Sprintf("(%s)", strings.Join(words, pick(g, ",", ", "))), func(m *gateway.Message) any {
		s, ok := p.eval(m).(string)
		if !ok {
			return nil
		}
		for _, t := range texts {
			if s == t {
				return true
			}
		}
		return false
	})
}
