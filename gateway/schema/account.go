package schema

import (
	"errors"
	"maps"
	"reflect"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

const (
	// mostSpent is what one check may cost; a part of it is about a tenth of a microsecond.
	mostSpent = 4_000_000
	// visit is what it costs to look at one value with one schema.
	visit = 20
)

// errSpent is what a check panics with when it has cost that: it cannot be stopped in another way.
var errSpent = errors.New("the check has cost too much")

// account is what a check may still cost. It belongs to one check at a time.
type account struct{ left int }

func (a *account) spend(n int) {
	if a.left -= n; a.left < 0 {
		panic(errSpent)
	}
}

// counted is a regular expression whose use is counted.
type counted struct {
	*regexp.Regexp
	account *account
	size    int
}

// MatchString implements jsonschema.Regexp.
func (c counted) MatchString(s string) bool {
	c.account.spend(2 + len(s)*c.size/64)
	return c.Regexp.MatchString(s)
}

// regexp is a jsonschema.RegexpEngine of expressions that take time in proportion to their length and to that of the text.
func (a *account) regexp(s string) (jsonschema.Regexp, error) {
	parsed, err := syntax.Parse(s, syntax.Perl)
	if err != nil {
		return nil, err
	}
	program, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		return nil, err
	}
	a.spend(len(program.Inst))
	re, err := regexp.Compile(s)
	if err != nil {
		return nil, err
	}
	return counted{re, a, len(program.Inst)}, nil
}

// watch has the use of a schema and of all that it leads to counted: the library asks for formats before it goes on to other schemas, so each has one now.
func (a *account) watch(s *jsonschema.Schema) {
	w := watcher{a, make(map[*jsonschema.Schema]struct{})}
	w.schema(s)
}

type watcher struct {
	account *account
	seen    map[*jsonschema.Schema]struct{}
}

func (w *watcher) schema(s *jsonschema.Schema) {
	if _, seen := w.seen[s]; s == nil || seen || !strings.HasPrefix(s.Location, place) && strings.Contains(s.Location, "://json-schema.org/") {
		return // what the library keeps for all is nobody's to change, and bounded
	}
	w.seen[s] = struct{}{}
	weight := visit + w.below(reflect.ValueOf(s).Elem())
	here, each := choices(s)
	format, a := s.Format, w.account
	s.Format = &jsonschema.Format{Validate: func(v any) error {
		n := weight + here/8
		switch v := v.(type) {
		case map[string]any:
			n += len(v) * (4 + each) / 8
		case []any:
			n += len(v) * (4 + each) / 8
		case string:
			n += len(v) / 64
		}
		a.spend(n)
		if format == nil {
			return nil
		}
		return format.Validate(v)
	}}
	if format != nil {
		s.Format.Name = format.Name
	}
}

// choices are how many values a value is compared with by the schemas that it is given to next, and each of what is in it: they compare before they ask for
// a format.
func choices(s *jsonschema.Schema) (here, each int) {
	of := func(all ...*jsonschema.Schema) (n int) {
		for _, s := range all {
			if s != nil && s.Enum != nil {
				n += len(s.Enum.Values)
			}
		}
		return n
	}
	here = of(s) + of(s.Ref, s.RecursiveRef, s.Not, s.If, s.Then, s.Else) + of(s.AllOf...) + of(s.AnyOf...) + of(s.OneOf...)
	here += of(slices.Collect(maps.Values(s.Properties))...) + of(slices.Collect(maps.Values(s.DependentSchemas))...)
	each = of(s.PropertyNames, s.UnevaluatedProperties, s.Contains, s.Items2020, s.UnevaluatedItems) + of(s.PrefixItems...) + of(slices.Collect(maps.Values(s.PatternProperties))...)
	for _, more := range []any{s.AdditionalProperties, s.Items, s.AdditionalItems} {
		switch more := more.(type) {
		case *jsonschema.Schema:
			each += of(more)
		case []*jsonschema.Schema:
			each += of(more...)
		}
	}
	return here, each
}

// below watches the schemas that a value holds, and returns how many there are.
func (w *watcher) below(v reflect.Value) (n int) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				n += w.below(v.Field(i))
			}
		}
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() || !v.CanInterface() {
			return 0
		}
		switch s := v.Interface().(type) {
		case *jsonschema.Schema:
			w.schema(s)
			return 1
		case *jsonschema.DynamicRef:
			w.schema(s.Ref)
			return 1
		case []*jsonschema.Schema, map[string]any:
			return w.below(v.Elem())
		}
	case reflect.Slice:
		if v.Type().Elem() == reflect.TypeFor[*jsonschema.Schema]() {
			for i := range v.Len() {
				n += w.below(v.Index(i))
			}
		}
	case reflect.Map:
		if e := v.Type().Elem(); e == reflect.TypeFor[*jsonschema.Schema]() || e == reflect.TypeFor[any]() && v.Type().Key().Kind() == reflect.String {
			for it := v.MapRange(); it.Next(); {
				n += w.below(it.Value())
			}
		}
	}
	return n
}
