package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"github.com/sluice-mq/sluice/gateway"
)

const (
	// mostDepth is how deep values may be nested, in schemas and in messages.
	mostDepth = 100
	// mostElements is how many values a message may hold, at any depth.
	mostElements = 250_000
	// mostNumber is how long a number may be, and mostExponent how large its exponent: it is worked with exactly.
	mostNumber   = 400
	mostExponent = 400
	// mostIdle is how many compiled copies of a schema wait for the next message.
	mostIdle = 8
)

// place is where schemas are, for their own references. Nothing is fetched from there, nor from anywhere.
const place = "https://schema.invalid/schema"

// jsonSchema is a JSON Schema. Each check has a copy of its own, with the account of what it spends.
type jsonSchema struct {
	document any
	draft    *jsonschema.Draft
	idle     chan *copied
}

type copied struct {
	schema  *jsonschema.Schema
	account *account
}

// nowhere is a jsonschema.URLLoader that loads nothing.
type nowhere struct{}

// Load implements jsonschema.URLLoader.
func (nowhere) Load(string) (any, error) {
	return nil, errors.New("a schema stands by itself: nothing is fetched")
}

// compileJSON understands a JSON Schema. One that does not say which draft it is of is of draft 7, or of the first of the others that it makes sense in.
func compileJSON(text []byte) (*jsonSchema, error) {
	document, err := decodeJSON(text)
	if err != nil {
		return nil, err
	}
	var first error
	for _, draft := range []*jsonschema.Draft{jsonschema.Draft7, jsonschema.Draft4, jsonschema.Draft2020} {
		s := &jsonSchema{document: document, draft: draft, idle: make(chan *copied, mostIdle)}
		c, err := s.compile()
		if err == nil {
			s.idle <- c
			return s, nil
		}
		if first == nil {
			first = err
		}
		if o, ok := document.(map[string]any); ok && o["$schema"] != nil {
			break
		}
	}
	return nil, first
}

func (s *jsonSchema) compile() (c *copied, err error) {
	c = &copied{account: &account{left: mostSpent}}
	defer func() {
		if p := recover(); p != nil {
			if p != any(errSpent) {
				panic(p)
			}
			c, err = nil, errors.New("the schema is too complicated")
		}
	}()
	compiler := jsonschema.NewCompiler()
	compiler.UseLoader(nowhere{})
	compiler.UseRegexpEngine(c.account.regexp)
	compiler.AssertFormat()
	compiler.DefaultDraft(s.draft)
	if err := compiler.AddResource(place, s.document); err != nil {
		return nil, errors.New(cut(err.Error()))
	}
	if c.schema, err = compiler.Compile(place); err != nil {
		var shape *jsonschema.ValidationError
		if broken := (*jsonschema.SchemaValidationError)(nil); errors.As(err, &broken) && errors.As(broken.Err, &shape) {
			return nil, appendFaults(nil, shape, message.NewPrinter(language.English))
		}
		return nil, errors.New(cut(strings.ReplaceAll(err.Error(), place, "")))
	}
	c.account.watch(c.schema)
	for _, pointer := range marked(s.document, "", nil) { // what is found by its mark alone
		if named, err := compiler.Compile(place + "#" + pointer); err == nil {
			c.account.watch(named)
		}
	}
	return c, nil
}

// marked appends the places of the objects that schemas may be referred to by, without their places.
func marked(v any, at string, all []string) []string {
	switch v := v.(type) {
	case map[string]any:
		for name, in := range v {
			switch name {
			case "$dynamicAnchor", "$recursiveAnchor", "$id", "id":
				all = append(all, at)
			}
			all = marked(in, at+"/"+url.PathEscape(strings.NewReplacer("~", "~0", "/", "~1").Replace(name)), all)
		}
	case []any:
		for i, in := range v {
			all = marked(in, at+"/"+strconv.Itoa(i), all)
		}
	}
	return all
}

// decodeJSON reads one value, with its numbers as they are written, if it is no larger than can be worked with.
func decodeJSON(b []byte) (any, error) {
	if bytes.Count(b, []byte{','}) > mostElements {
		return nil, fmt.Errorf("more than %d values", mostElements)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("there is more than one value")
	}
	return v, workable(v, mostDepth)
}

func workable(v any, depth int) error {
	if depth == 0 {
		return fmt.Errorf("values are nested more than %d deep", mostDepth)
	}
	switch v := v.(type) {
	case map[string]any:
		for _, in := range v {
			if err := workable(in, depth-1); err != nil {
				return err
			}
		}
	case []any:
		for _, in := range v {
			if err := workable(in, depth-1); err != nil {
				return err
			}
		}
	case json.Number:
		return workableNumber(string(v))
	}
	return nil
}

func workableNumber(s string) error {
	if len(s) > mostNumber {
		return fmt.Errorf("a number has more than %d digits", mostNumber)
	}
	if i := strings.IndexAny(s, "eE"); i >= 0 {
		if e, err := strconv.Atoi(s[i+1:]); err != nil || e > mostExponent || e < -mostExponent {
			return fmt.Errorf("a number has an exponent beyond %d", mostExponent)
		}
	}
	return nil
}

// data implements grammar.
func (s *jsonSchema) data(b []byte) error {
	v, err := decodeJSON(b)
	if err != nil {
		return &unreadable{cut(err.Error())}
	}
	return s.check(v)
}

// attributes implements grammar: they are an object of strings.
func (s *jsonSchema) attributes(h gateway.Header) error {
	o := make(map[string]any, len(h))
	for i := range h {
		if _, twice := o[h[i].Name]; !twice { // the first counts
			o[h[i].Name] = h[i].Value
		}
	}
	return s.check(o)
}

func (s *jsonSchema) check(v any) error {
	var c *copied
	select {
	case c = <-s.idle:
	default:
		var err error
		if c, err = s.compile(); err != nil {
			return faults{fault(nil, err.Error(), "")}
		}
	}
	c.account.left = mostSpent
	err := c.validate(v)
	select {
	case s.idle <- c:
	default:
	}
	return err
}

// validate checks a value, until the account is empty.
func (c *copied) validate(v any) (err error) {
	defer func() {
		if p := recover(); p != nil {
			if p != any(errSpent) {
				panic(p)
			}
			err = faults{fault(nil, "to check it takes too long", "")}
		}
	}()
	err = c.schema.Validate(v)
	var e *jsonschema.ValidationError
	if !errors.As(err, &e) {
		return err
	}
	return appendFaults(nil, e, message.NewPrinter(language.English))
}

// appendFaults appends what is at the ends of an error's branches.
func appendFaults(all faults, e *jsonschema.ValidationError, p *message.Printer) faults {
	if len(e.Causes) == 0 && len(all) < mostFaults {
		rule := e.ErrorKind.KeywordPath()
		if len(rule) == 0 {
			rule = []string{""}
		}
		return append(all, fault(e.InstanceLocation, e.ErrorKind.LocalizedString(p), rule[len(rule)-1]))
	}
	for _, cause := range e.Causes {
		if len(all) < mostFaults {
			all = appendFaults(all, cause, p)
		}
	}
	return all
}
