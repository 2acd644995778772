package route

import (
	"strings"

	"github.com/sluice-mq/sluice/gateway"
)

const (
	// maxTemplate is how long a template may be, in bytes.
	maxTemplate = 1 << 10
	// maxParts is how many placeholders and texts between them one may have.
	maxParts = 32
)

// template makes a name of a message.
type template struct{ parts []part }

// part is a text, or what stands for an attribute of the message or for a value in its data.
type part struct {
	kind partKind
	// text is a text, or the name of an attribute.
	text string
	// number is that of a pick.
	number int
}

type partKind uint8

const (
	asItIs partKind = iota
	ofAttributes
	ofData
)

// parseTemplate reads a template: text with placeholders {attributes.NAME} and {data/POINTER}. The Error is of kind Invalid.
func parseTemplate(text string, p *picks) (t template, err error) {
	if text == "" || len(text) > maxTemplate {
		return t, gateway.Errorf(gateway.Invalid, "a target may be 1 to %d bytes long", maxTemplate)
	}
	for rest := text; rest != ""; {
		before, after, found := strings.Cut(rest, "{")
		if strings.Contains(before, "}") {
			return t, gateway.Errorf(gateway.Invalid, "the target %.200q has a } without a {", text)
		}
		if before != "" {
			t.parts = append(t.parts, part{kind: asItIs, text: before})
		}
		if !found {
			break
		}
		inside, after, closed := strings.Cut(after, "}")
		if !closed {
			return t, gateway.Errorf(gateway.Invalid, "the target %.200q has a { without a }", text)
		}
		place, err := placeholder(inside, p)
		if err != nil {
			return t, err
		}
		t.parts, rest = append(t.parts, place), after
	}
	if len(t.parts) > maxParts {
		return t, gateway.Errorf(gateway.Invalid, "the target %.200q has more than %d parts", text, maxParts)
	}
	return t, nil
}

func placeholder(inside string, p *picks) (part, error) {
	if name, ok := strings.CutPrefix(inside, "attributes."); ok && name != "" {
		return part{kind: ofAttributes, text: name}, nil
	}
	pointer, ok := strings.CutPrefix(inside, "data")
	if !ok || pointer == "" {
		return part{}, gateway.Errorf(gateway.Invalid, "{%.100s} is neither {attributes.NAME} nor {data/POINTER}", inside)
	}
	number, err := p.add(pointer)
	return part{kind: ofData, number: number}, err
}

// constant is the name that a template makes of every message; not ok if there is none.
func (t template) constant() (name string, ok bool) {
	if len(t.parts) == 1 && t.parts[0].kind == asItIs {
		return t.parts[0].text, true
	}
	return "", false
}

// needsData reports whether names depend on messages' data.
func (t template) needsData() bool {
	for i := range t.parts {
		if t.parts[i].kind == ofData {
			return true
		}
	}
	return false
}

// fill is the name that a template makes of a message; empty if the message has not all that it needs.
func (t template) fill(h gateway.Header, f *found) string {
	var b strings.Builder
	for i := range t.parts {
		p := &t.parts[i]
		text := p.text
		switch p.kind {
		case ofAttributes:
			text, _ = h.Get(p.text)
		case ofData:
			text = f.text(p.number)
		}
		if text == "" {
			return ""
		}
		b.WriteString(text)
	}
	return b.String()
}
