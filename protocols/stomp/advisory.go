package stomp

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"slices"
	"strings"

	"github.com/sluice-mq/sluice/gateway"
)

const (
	transformation = "transformation"
	// What advisories come as, and what a SUBSCRIBE may ask for instead.
	advisoryJSON = "jms-advisory-json"
	advisoryXML  = "jms-advisory-xml"
	jmsXML       = "jms-xml"
)

// wantsXML reports whether a SUBSCRIBE asks for advisories in XML.
func wantsXML(h gateway.Header) bool {
	v, _ := h.Get(transformation)
	v = strings.TrimSpace(v)
	return strings.EqualFold(v, jmsXML) || strings.EqualFold(v, advisoryXML)
}

// advisoryInXML is an advisory with a body in XML; any other message, and one whose body is not understood, is as it was.
func advisoryInXML(m *gateway.Message) *gateway.Message {
	i := slices.IndexFunc(m.Header, func(f gateway.Field) bool { return f.Name == transformation })
	if i < 0 || m.Header[i].Value != advisoryJSON {
		return m
	}
	body, ok := xmlOf(m.Body)
	if !ok {
		return m
	}
	c := m.Copy()
	c.Body, c.Header = body, slices.Clone(m.Header)
	c.Header[i].Value = advisoryXML
	return c
}

const (
	// xmlDepth is how deep the parts of a body that is written in XML may lie in one another, and xmlBytes how long one may be.
	xmlDepth = 16
	xmlBytes = 1 << 20
)

// xmlWriter writes JSON as ActiveMQ's XML: each member is an element, a list one element per item, @class an attribute.
type xmlWriter struct {
	in  *json.Decoder
	out bytes.Buffer
}

// xmlOf writes an object of JSON in XML, unless it is something else, or larger or deeper than advisories are.
func xmlOf(body []byte) (text []byte, ok bool) {
	if len(body) > xmlBytes {
		return nil, false
	}
	w := &xmlWriter{in: json.NewDecoder(bytes.NewReader(body))}
	w.in.UseNumber()
	if t, err := w.in.Token(); err != nil || t != json.Delim('{') {
		return nil, false
	}
	if !w.members("", xmlDepth) || w.in.More() {
		return nil, false
	}
	return w.out.Bytes(), true
}

// members writes what is in an object, up to its end. If it is in an element, that is open, and may have an attribute.
func (w *xmlWriter) members(element string, depth int) bool {
	open := element != ""
	for w.in.More() {
		name, ok := w.text()
		if !ok || depth == 0 {
			return false
		}
		if open && name == "@class" {
			class, ok := w.text()
			if !ok {
				return false
			}
			w.out.WriteString(` class="`)
			_ = xml.EscapeText(&w.out, []byte(class)) // a buffer takes all
			w.out.WriteByte('"')
			continue
		}
		if open {
			w.out.WriteByte('>')
			open = false
		}
		if !isElement(name) || !w.value(name, depth-1) {
			return false
		}
	}
	if open {
		w.out.WriteByte('>')
	}
	_, err := w.in.Token()
	return err == nil
}

// value writes the next value as elements of that name.
func (w *xmlWriter) value(name string, depth int) bool {
	t, err := w.in.Token()
	if err != nil {
		return false
	}
	switch x := t.(type) {
	case json.Delim:
		if x == '[' {
			return w.items(name, depth)
		}
		w.out.WriteString("<" + name)
		if !w.members(name, depth) {
			return false
		}
	case string:
		if name == "null" && x == "" {
			w.out.WriteString("<null/>")
			return true
		}
		w.out.WriteString("<" + name + ">")
		_ = xml.EscapeText(&w.out, []byte(x))
	case json.Number:
		w.out.WriteString("<" + name + ">" + x.String())
	case bool:
		w.out.WriteString("<" + name + ">")
		if x {
			w.out.WriteString("true")
		} else {
			w.out.WriteString("false")
		}
	default:
		w.out.WriteString("<" + name + "/>")
		return true
	}
	w.out.WriteString("</" + name + ">")
	return true
}

// items writes a list up to its end.
func (w *xmlWriter) items(name string, depth int) bool {
	for w.in.More() {
		if depth == 0 || !w.value(name, depth-1) {
			return false
		}
	}
	_, err := w.in.Token()
	return err == nil
}

func (w *xmlWriter) text() (string, bool) {
	t, err := w.in.Token()
	s, ok := t.(string)
	return s, err == nil && ok
}

// isElement reports whether a name may be that of an element.
func isElement(name string) bool {
	for i := range len(name) {
		c := name[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return name != "" && len(name) <= 64
}
