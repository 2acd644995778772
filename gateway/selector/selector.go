package selector

import (
	"strings"
	"unicode/utf8"

	"github.com/sluice-mq/sluice/gateway"
)

// The limits of a selector. What is beyond is refused before anything is kept of it.
const (
	// MaxLength is in bytes, that of a STOMP header.
	MaxLength = 10 << 10
	// MaxDepth is how deep expressions may be nested.
	MaxDepth = 200
	// MaxNodes is how many operators, names and literals there may be, lists of IN aside.
	MaxNodes = 2048
	// MaxList is how many texts one IN may list.
	MaxList = 1024
	// MaxLike is how long the patterns of all LIKE may be together, in bytes.
	MaxLike = 1024
	// MaxRegex is how many steps the programs of all regular expressions may have together.
	MaxRegex = 512
	// maxText is how long a text may become that is made of others, in bytes. A longer one has no value.
	maxText = 64 << 10
	// maxSteps is how much work with texts one message may cost, in steps of some nanoseconds.
	maxSteps = 2 << 20
)

// Selector is a selector that was read. It does not change; it may be used by many at once.
type Selector struct {
	text        string
	root        *node
	convert     bool
	redelivered bool
}

// Parse reads a selector. Before it may stand, in any order, "convert_string_expressions:", which is how it is anyway,
// "no_convert_string_expressions:", by which texts do not compare with numbers, and "hyphenated_props:" or
// "convert_hyphenated_properties:", by which hyphens belong to names. The Error is of kind Invalid and names the place, in bytes from 0.
func Parse(text string) (*Selector, error) {
	if len(text) > MaxLength {
		return nil, gateway.Errorf(gateway.Invalid, "the selector is %d bytes long, the limit is %d", len(text), MaxLength)
	}
	if !utf8.ValidString(text) {
		return nil, gateway.Errorf(gateway.Invalid, "the selector is not valid UTF-8")
	}
	s := &Selector{text: strings.Clone(text), convert: true}
	rest, hyphens := s.text, false
	for more := true; more; {
		rest, more = s.prefix(rest, &hyphens)
	}
	p := &parser{lexer: lexer{text: rest, offset: len(text) - len(rest), hyphens: hyphens}}
	root, err := p.parse()
	if err != nil {
		return nil, err
	}
	s.root, s.redelivered = root, p.redelivered
	return s, nil
}

// prefix takes one of the words that may stand before a selector.
func (s *Selector) prefix(text string, hyphens *bool) (rest string, ok bool) {
	word, rest, ok := strings.Cut(strings.TrimLeft(text, " "), ":")
	if !ok {
		return text, false
	}
	switch word {
	case "convert_string_expressions":
		s.convert = true
	case "no_convert_string_expressions":
		s.convert = false
	case "hyphenated_props", "convert_hyphenated_properties":
		*hyphens = true
	case "no_hyphenated_props", "no_convert_hyphenated_properties":
		*hyphens = false
	default:
		return text, false
	}
	return rest, true
}

// String returns the selector as it was written.
func (s *Selector) String() string { return s.text }

// Redelivered reports whether the verdict on a message may change when it is delivered again.
func (s *Selector) Redelivered() bool { return s.redelivered }

// MatchMessage reports whether a message is selected that was handed out that many times before. Header fields are its properties, except
// those that are JMS's own under another name: type, reply-to and correlation-id.
func (s *Selector) MatchMessage(m *gateway.Message, redeliveries uint32) bool {
	e := environment{message: m, redeliveries: redeliveries, convert: s.convert}
	return s.root.eval(&e).isTrue()
}

// Match reports whether what has these properties is selected.
func (s *Selector) Match(p Properties) bool {
	e := environment{properties: p, convert: s.convert}
	return s.root.eval(&e).isTrue()
}
