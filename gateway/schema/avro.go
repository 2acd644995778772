package schema

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/twmb/avro"

	"github.com/sluice-mq/sluice/gateway"
)

// mostAvro is how long data in Avro may be, in bytes: much of it may be values of a byte.
const mostAvro = 2 << 20

// avroSchema is an Avro schema.
type avroSchema struct {
	schema *avro.Schema
	// fields are the primitive types of a record's, for attributes; nil if it is no record.
	fields map[string]string
}

func compileAvro(text []byte) (*avroSchema, error) {
	if _, err := decodeJSON(text); err != nil {
		return nil, err
	}
	s, err := avro.Parse(string(text))
	if err != nil {
		return nil, errors.New(cut(err.Error()))
	}
	a := &avroSchema{schema: s}
	if root := s.Root(); root.Type == "record" {
		a.fields = make(map[string]string, len(root.Fields))
		for i := range root.Fields {
			a.fields[root.Fields[i].Name] = primitive(&root.Fields[i].Type)
		}
	}
	return a, nil
}

// primitive is the type of a field that an attribute can be, "string" if it is none that is written otherwise. Of a union the first that is something counts.
func primitive(n *avro.SchemaNode) string {
	for i := range n.Branches {
		if n.Branches[i].Type != "null" {
			return n.Branches[i].Type
		}
	}
	return n.Type
}

// data implements grammar: one value in the binary encoding, and nothing behind it.
func (a *avroSchema) data(b []byte) error {
	if len(b) > mostAvro {
		return &misshapen{fmt.Sprintf("it has %d bytes, %d are the most that is read", len(b), mostAvro)}
	}
	var v any
	rest, err := a.schema.Decode(b, &v)
	if err != nil {
		return &misshapen{cut(err.Error())}
	}
	if len(rest) > 0 {
		return &misshapen{fmt.Sprintf("%d bytes are left over", len(rest))}
	}
	return nil
}

// attributes implements grammar: they are the fields of a record, numbers and truth written as in JSON. One that the record does not name may be there.
func (a *avroSchema) attributes(h gateway.Header) error {
	if a.fields == nil {
		return faults{fault(nil, "attributes are described by a record", "type")}
	}
	record := make(map[string]any, len(a.fields))
	for i := range h {
		kind, wanted := a.fields[h[i].Name]
		if _, twice := record[h[i].Name]; !wanted || twice {
			continue
		}
		v, err := attribute(kind, h[i].Value)
		if err != nil {
			return faults{fault([]string{h[i].Name}, err.Error(), kind)}
		}
		record[h[i].Name] = v
	}
	_, err := a.schema.Encode(record)
	if err == nil {
		return nil
	}
	var e *avro.SemanticError
	if errors.As(err, &e) && e.Field != "" {
		return faults{fault([]string{e.Field}, err.Error(), e.AvroType)}
	}
	return faults{fault(nil, err.Error(), "")}
}

// attribute reads an attribute as a value of a type.
func attribute(kind, s string) (any, error) {
	switch kind {
	case "int", "long", "float", "double":
		if !json.Valid([]byte(s)) || workableNumber(s) != nil {
			return nil, fmt.Errorf("%q is no %s", s, kind)
		}
		return json.Number(s), nil
	case "boolean":
		if s != "true" && s != "false" {
			return nil, fmt.Errorf("%q is no boolean", s)
		}
		return strconv.ParseBool(s)
	}
	return s, nil
}
