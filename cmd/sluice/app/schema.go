package app

import (
	"encoding"
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// The schema is the Config type itself: these functions read it, so that a key
// is written down once.

// key is the name of a field in files; env is made of it, too.
func key(f reflect.StructField) string { return f.Tag.Get("yaml") }

// noKey is the key of fields that are not set by files.
const noKey = "-"

// isScalar reports whether a value of the type is one word of text.
func isScalar(t reflect.Type) bool {
	if reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) {
		return true
	}
	return t.Kind() != reflect.Struct && t.Kind() != reflect.Slice && t.Kind() != reflect.Pointer
}

// checkScalar reports why text cannot be a value of that type.
func checkScalar(t reflect.Type, text string) error {
	v := reflect.New(t)
	if u, ok := v.Interface().(encoding.TextUnmarshaler); ok {
		return u.UnmarshalText([]byte(text))
	}
	if t.Kind() == reflect.Bool && text != "true" && text != "false" {
		return fmt.Errorf("%q is not true or false", text)
	}
	if t.Kind() == reflect.Int {
		n, err := strconv.ParseInt(text, 10, 32)
		if err != nil || strconv.FormatInt(n, 10) != text {
			return fmt.Errorf("%q is not a whole number", text)
		}
	}
	return nil
}

// leaf is a key that holds a value of its own: a scalar or a list.
type leaf struct {
	path string
	typ  reflect.Type
}

// env is the name of the environment variable for the key.
func (l leaf) env() string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(l.path, ".", "_"))
}

// envPrefix begins the names of our environment variables.
const envPrefix = "SLUICE_"

// leaves are all keys of a struct type, in order.
func leaves(t reflect.Type, prefix string) []leaf {
	var all []leaf
	for i := range t.NumField() {
		f := t.Field(i)
		path, ft := prefix+key(f), f.Type
		if ft.Kind() == reflect.Pointer {
			ft = ft.Elem()
		}
		if ft.Kind() == reflect.Struct && !isScalar(ft) {
			all = append(all, leaves(ft, path+".")...)
			continue
		}
		all = append(all, leaf{path, ft})
	}
	return all
}

// plain turns a value into maps, lists and text, as a file would have it. Fields
// without a value are left out of list entries.
func plain(v reflect.Value) any {
	switch {
	case isScalar(v.Type()):
		if m, ok := v.Interface().(encoding.TextMarshaler); ok {
			if text, err := m.MarshalText(); err == nil {
				return string(text)
			}
		}
		return fmt.Sprint(v.Interface())
	case v.Kind() == reflect.Slice:
		list := make([]any, v.Len())
		for i := range list {
			list[i] = plain(v.Index(i))
		}
		return list
	case v.Kind() == reflect.Pointer:
		return plain(v.Elem())
	}
	m := map[string]any{}
	for i := range v.NumField() {
		if f := v.Field(i); !f.IsZero() && key(v.Type().Field(i)) != noKey {
			m[key(v.Type().Field(i))] = plain(f)
		}
	}
	return m
}

// lookup returns the value at a leaf's path, and false if a section on the way is nil.
func lookup(v reflect.Value, path string) (reflect.Value, bool) {
	for name := range strings.SplitSeq(path, ".") {
		if v.Kind() == reflect.Pointer {
			if v.IsNil() {
				return reflect.Value{}, false
			}
			v = v.Elem()
		}
		for i := range v.NumField() {
			if key(v.Type().Field(i)) == name {
				v = v.Field(i)
				break
			}
		}
	}
	return v, true
}
