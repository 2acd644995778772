package schema

import (
	"fmt"
	"strings"
	"sync"

	"github.com/sluice-mq/sluice/gateway"
)

// Kind is the language of a schema.
type Kind string

// The kinds.
const (
	JSON Kind = "json"
	Avro Kind = "avro"
)

// ParseKind reads a kind, in letters of any size.
func ParseKind(s string) (Kind, bool) {
	k := Kind(strings.ToLower(s))
	return k, k == JSON || k == Avro
}

// MaxText is how long a schema may be, in bytes.
const MaxText = 56 << 10

// Text is a schema as it was written; an empty one asks for nothing.
type Text struct {
	Kind Kind
	Text []byte
}

// grammar checks what is written in it. Safe for concurrent use. Its errors are faults.
type grammar interface {
	data(b []byte) error
	attributes(h gateway.Header) error
}

// Schema is a schema that was understood. Safe for concurrent use.
type Schema struct{ body, head grammar }

// Compile understands a schema for the data of messages, and one for their attributes. The error says what is wrong with them.
func Compile(data, attributes Text) (*Schema, error) {
	body, err := compile(data)
	if err != nil {
		return nil, err
	}
	head, err := compile(attributes)
	if err != nil {
		return nil, fmt.Errorf("attributes: %w", err)
	}
	return &Schema{body, head}, nil
}

func compile(t Text) (grammar, error) {
	switch {
	case len(t.Text) == 0:
		return nil, nil
	case len(t.Text) > MaxText:
		return nil, fmt.Errorf("a schema may have %d bytes, this one has %d", MaxText, len(t.Text))
	case t.Kind == JSON:
		return compileJSON(t.Text)
	case t.Kind == Avro:
		return compileAvro(t.Text)
	}
	return nil, fmt.Errorf("%q is no kind of schema", t.Kind)
}

// Check returns why a message is not what the schema asks for, see gateway.Schemas.
func (s *Schema) Check(number int, m *gateway.Message) error {
	if err := s.CheckData(number, m.Body); err != nil {
		return err
	}
	if s.head == nil {
		return nil
	}
	if err := s.head.attributes(m.Header); err != nil {
		return gateway.Errorf(gateway.Invalid, "Message %d attributes are not valid%s", number, sentence(err))
	}
	return nil
}

// CheckData is Check for data alone.
func (s *Schema) CheckData(number int, data []byte) error {
	if s.body == nil {
		return nil
	}
	err := s.body.data(data)
	switch f := err.(type) {
	case nil:
		return nil
	case *unreadable:
		return gateway.Errorf(gateway.Invalid, "Message %d data is not valid JSON format,%s", number, f.why)
	case *misshapen:
		return gateway.Errorf(gateway.Invalid, "Message %d is not valid.%s", number, f.why)
	}
	return gateway.Errorf(gateway.Invalid, "Message %d data is not valid%s", number, sentence(err))
}

// Version is a schema that is compiled when it is first needed. Safe for concurrent use.
type Version struct {
	Data, Attributes Text

	once   sync.Once
	schema *Schema
	err    error
}

// Schema returns it, or what is wrong with it.
func (v *Version) Schema() (*Schema, error) {
	v.once.Do(func() { v.schema, v.err = Compile(v.Data, v.Attributes) })
	return v.schema, v.err
}
