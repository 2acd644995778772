// Package jmsmap writes and reads the content of a JMS MapMessage in the forms in which ActiveMQ gives it to clients of text protocols: those of the
// transformations jms-map-json and jms-map-xml. It is pure.
package jmsmap

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"math"
	"strconv"
	"strings"
)

// The names of the forms in a transformation header, and that header's.
const (
	Header = "transformation"
	JSON   = "jms-map-json"
	XML    = "jms-map-xml"
)

// Entry is a name and its value: a string, an int64 (Java's long), int32, float64 or bool. What has another type is left out.
type Entry struct {
	Name  string
	Value any
}

// Map is the content, in order.
type Map []Entry

// typed is Java's name of a value's type, and the value as text; an empty name: there is none.
func typed(value any) (kind, text string) {
	switch v := value.(type) {
	case string:
		return "string", v
	case int64:
		return "long", strconv.FormatInt(v, 10)
	case int32:
		return "int", strconv.FormatInt(int64(v), 10)
	case bool:
		return "boolean", strconv.FormatBool(v)
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return "", ""
		}
		text := strconv.FormatFloat(v, 'f', -1, 64)
		if !strings.Contains(text, ".") {
			text += ".0"
		}
		return "double", text
	}
	return "", ""
}

// JSON is the form jms-map-json.
func (m Map) JSON() []byte {
	if len(m) == 0 {
		return []byte(`{"map":""}`)
	}
	var b bytes.Buffer
	b.WriteString(`{"map":{"entry":[`)
	begin := b.Len()
	for _, e := range m {
		kind, text := typed(e.Value)
		if kind == "" {
			continue
		}
		if b.Len() > begin {
			b.WriteByte(',')
		}
		if kind == "string" {
			b.WriteString(`{"string":[` + quoted(e.Name) + `,` + quoted(text) + `]}`)
			continue
		}
		b.WriteString(`{"string":` + quoted(e.Name) + `,"` + kind + `":` + text + `}`)
	}
	b.WriteString(`]}}`)
	return b.Bytes()
}

func quoted(s string) string {
	text, _ := json.Marshal(s) // strings always can be
	return string(text)
}

// XML is the form jms-map-xml.
func (m Map) XML() []byte {
	if len(m) == 0 {
		return []byte("<map/>")
	}
	var b bytes.Buffer
	element := func(kind, text string) {
		b.WriteString("    <" + kind + ">")
		_ = xml.EscapeText(&b, []byte(text)) // a Buffer takes all
		b.WriteString("</" + kind + ">\n")
	}
	b.WriteString("<map>\n")
	for _, e := range m {
		kind, text := typed(e.Value)
		if kind == "" {
			continue
		}
		b.WriteString("  <entry>\n")
		element("string", e.Name)
		element(kind, text)
		b.WriteString("  </entry>\n")
	}
	b.WriteString("</map>")
	return b.Bytes()
}

// begins is what the form jms-map-json begins with.
const begins = `{"map":`

// MayBeJSON reports whether a body looks like the form jms-map-json. It is quick.
func MayBeJSON(body []byte) bool {
	return len(body) > len(begins) && string(body[:len(begins)]) == begins
}

var errNoMap = errors.New("not a map in JSON")

// ParseJSON reads the form jms-map-json. Whoever calls it bounds the text.
func ParseJSON(text []byte) (m Map, err error) {
	var outer struct {
		Map json.RawMessage `json:"map"`
	}
	if err := json.Unmarshal(text, &outer); err != nil || len(outer.Map) == 0 {
		return nil, errNoMap
	}
	if outer.Map[0] == '"' {
		return nil, nil // empty
	}
	var inner struct {
		Entry []map[string]any `json:"entry"`
	}
	d := json.NewDecoder(bytes.NewReader(outer.Map))
	d.UseNumber()
	if err := d.Decode(&inner); err != nil {
		return nil, errNoMap
	}
	for _, fields := range inner.Entry {
		e, ok := entryOf(fields)
		if !ok {
			return nil, errNoMap
		}
		m = append(m, e)
	}
	return m, nil
}

// entryOf reads {"string":["name","value"]} and {"string":"name","long":1}.
func entryOf(fields map[string]any) (e Entry, ok bool) {
	switch name := fields["string"].(type) {
	case []any:
		if len(name) != 2 || len(fields) != 1 {
			return e, false
		}
		first, isText := name[0].(string)
		_, isText2 := name[1].(string)
		return Entry{first, name[1]}, isText && isText2
	case string:
		e.Name = name
	default:
		return e, false
	}
	for kind, value := range fields {
		if kind == "string" {
			continue
		}
		if e.Value, ok = valueOf(kind, value); !ok {
			return e, false
		}
	}
	return e, len(fields) == 2
}

func valueOf(kind string, value any) (any, bool) {
	if kind == "boolean" {
		v, ok := value.(bool)
		return v, ok
	}
	n, ok := value.(json.Number)
	if !ok {
		return nil, false
	}
	switch kind {
	case "long":
		v, err := n.Int64()
		return v, err == nil
	case "int":
		v, err := strconv.ParseInt(n.String(), 10, 32)
		return int32(v), err == nil
	case "double":
		v, err := n.Float64()
		return v, err == nil
	}
	return nil, false
}
