package app

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// document is a configuration file whose every key and value was compared with
// the Config type: values as text in maps and lists, and where each was said.
type document struct {
	name     string
	values   map[string]any
	at       map[string]position
	problems Problems
}

// maxDocument bounds a configuration file, in bytes.
const maxDocument = 1 << 20

// readDocument reads a file's text. All that is wrong with it is in
// problems; what was right is in values all the same.
func readDocument(name string, text []byte) *document {
	d := &document{name: name, values: map[string]any{}, at: map[string]position{}}
	if body := d.parse(text); body != nil {
		if m, ok := d.read(reflect.TypeFor[Config](), body, "").(map[string]any); ok {
			d.values = m
		}
	}
	d.problems = d.problems.sorted()
	return d
}

// parse returns what a text says, or nil. All that is wrong with it is in problems.
func (d *document) parse(text []byte) (body ast.Node) {
	if len(text) > maxDocument {
		d.report(position{}, "", "the file is %d bytes long, the limit is %d", len(text), maxDocument)
		return nil
	}
	file, err := parser.ParseBytes(text, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		var e yaml.Error
		if errors.As(err, &e) && e.GetToken() != nil {
			p := e.GetToken().Position
			d.report(position{p.Line, p.Column}, "", "not YAML: %s", withoutQuotes(e.GetMessage()))
		} else {
			d.report(position{}, "", "not YAML")
		}
		return nil
	}
	for _, doc := range file.Docs {
		if doc.Body == nil || doc.Body.Type() == ast.NullType {
			continue
		}
		if body != nil {
			d.report(place(doc.Body), "", "a second document in the file")
			break
		}
		body = doc.Body
	}
	return body
}

// quoted is what a reader of YAML repeats of the file.
var quoted = regexp.MustCompile("\"(\\\\.|[^\"\\\\])*\"|'[^']*'|`[^`]*`")

// withoutQuotes takes from a message what it repeats of the file, which may be a part of a secret: the place is said.
func withoutQuotes(message string) string { return quoted.ReplaceAllString(message, "...") }

func (d *document) report(at position, path, format string, args ...any) {
	d.problems = append(d.problems, Problem{Origin: d.origin(at), Path: path, Text: fmt.Sprintf(format, args...), at: at})
}

func (d *document) origin(at position) string {
	if at.line == 0 {
		return d.name
	}
	return fmt.Sprintf("%s:%d:%d", d.name, at.line, at.column)
}

// place is where a node begins. Mappings and lists begin with their first member.
func place(n ast.Node) position {
	switch m := n.(type) {
	case *ast.MappingNode:
		if !m.IsFlowStyle && len(m.Values) > 0 {
			return place(m.Values[0].Key)
		}
	case *ast.MappingValueNode:
		return place(m.Key)
	}
	p := n.GetToken().Position
	return position{p.Line, p.Column}
}

// read returns a node's value as the type wants it, or nil where it does not fit.
func (d *document) read(t reflect.Type, n ast.Node, path string) any {
	if a, ok := n.(*ast.AnchorNode); ok {
		n = a.Value
	}
	d.at[path] = place(n)
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch n.(type) {
	case *ast.AliasNode, *ast.TagNode:
		d.report(place(n), path, "aliases and tags are not possible here")
		return nil
	}
	switch {
	case isScalar(t):
		return d.readScalar(t, n, path)
	case t.Kind() == reflect.Slice:
		return d.readList(t, n, path)
	}
	return d.readSection(t, n, path)
}

func (d *document) readScalar(t reflect.Type, n ast.Node, path string) any {
	var text string
	switch s := n.(type) {
	case *ast.NullNode:
		d.report(place(n), path, "has no value")
		return nil
	case *ast.StringNode:
		text = s.Value
	case *ast.LiteralNode:
		text = s.Value.Value
	case ast.ScalarNode:
		text = s.GetToken().Value
	default:
		d.report(place(n), path, "want a single value here%s", unquoted(n))
		return nil
	}
	if err := checkScalar(t, text); err != nil {
		d.report(place(n), path, "%v", err)
		return nil
	}
	return text
}

// unquoted says what to do if somebody has probably not meant a key and a value: YAML reads [a:1] as a list with the section {a: 1}.
func unquoted(n ast.Node) string {
	if m, ok := n.(*ast.MappingNode); ok && m.IsFlowStyle {
		return "" // there are braces
	}
	switch n.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		return `, not a key and its value; between [ and ] a value with a colon has to be in quotes, as "host:port"`
	}
	return ""
}

func (d *document) readList(t reflect.Type, n ast.Node, path string) any {
	list, ok := n.(*ast.SequenceNode)
	if !ok {
		d.report(place(n), path, "want a list here")
		return nil
	}
	values := make([]any, 0, len(list.Values))
	for i, entry := range list.Values {
		v := d.read(t.Elem(), entry, path+"["+strconv.Itoa(i)+"]")
		values = append(values, v)
	}
	return values
}

func (d *document) readSection(t reflect.Type, n ast.Node, path string) any {
	var members []*ast.MappingValueNode
	flow := false // {between: braces}
	switch m := n.(type) {
	case *ast.NullNode:
		// A section whose every line is commented out.
		return nil
	case *ast.MappingNode:
		members, flow = m.Values, m.IsFlowStyle
	case *ast.MappingValueNode:
		members = []*ast.MappingValueNode{m}
	default:
		d.report(place(n), path, "want keys and values here")
		return nil
	}
	section := map[string]any{}
	lines := map[string]int{}
	for _, m := range members {
		name := m.Key.GetToken().Value
		full := join(path, name)
		f, known := member(t, name)
		if !known {
			if perhapsSecret(t, m, flow) {
				d.report(place(m.Key), "", "unknown key%s%s (not shown, since it may be a part of a secret: values with a comma or a colon have to be quoted)", inside(path), suggest(t, name))
				continue
			}
			d.report(place(m.Key), "", "unknown key %q%s%s", name, inside(path), suggest(t, name))
			continue
		}
		if line, twice := lines[name]; twice {
			d.report(place(m.Key), full, "said twice, first in line %d", line)
			continue
		}
		lines[name] = place(m.Key).line
		if v := d.read(f.Type, m.Value, full); v != nil {
			section[name] = v
		}
	}
	return section
}

// keyLike is what keys look like, whether we have them or not.
var keyLike = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_.-]{0,39}$`)

// perhapsSecret reports whether an unknown key may be a part of a secret: of one that was not quoted and fell into pieces.
func perhapsSecret(t reflect.Type, m *ast.MappingValueNode, flow bool) bool {
	_, empty := m.Value.(*ast.NullNode)
	return !keyLike.MatchString(m.Key.GetToken().Value) || (flow || empty) && holdsSecret(t)
}

// holdsSecret reports whether a section, or one in it, has a place for a secret.
func holdsSecret(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice:
		return holdsSecret(t.Elem())
	case reflect.Struct:
		for i := range t.NumField() {
			if holdsSecret(t.Field(i).Type) {
				return true
			}
		}
	}
	return t == reflect.TypeFor[Secret]()
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func inside(path string) string {
	if path == "" {
		return ""
	}
	return " in " + path
}

func member(t reflect.Type, name string) (reflect.StructField, bool) {
	for i := range t.NumField() {
		if f := t.Field(i); key(f) == name && name != noKey {
			return f, true
		}
	}
	return reflect.StructField{}, false
}

// suggest names the key that was probably meant: one of this section, or the
// same name in another.
func suggest(t reflect.Type, name string) string {
	var here []string
	for i := range t.NumField() {
		if k := key(t.Field(i)); k != noKey {
			here = append(here, k)
		}
	}
	if s := didYouMean(name, here); s != "" {
		return s
	}
	all := leaves(reflect.TypeFor[Config](), "")
	i := slices.IndexFunc(all, func(l leaf) bool { return lastName(l.path) == name })
	if i < 0 {
		return ""
	}
	return `, did you mean "` + all[i].path + `"?`
}

func lastName(path string) string {
	for i := len(path) - 1; i >= 0; i-- {
		if path[i] == '.' {
			return path[i+1:]
		}
	}
	return path
}
