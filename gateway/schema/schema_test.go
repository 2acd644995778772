package schema_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/avro"
	"pgregory.net/rapid"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/schema"
)

func js(s string) schema.Text { return schema.Text{Kind: schema.JSON, Text: []byte(s)} }
func av(s string) schema.Text { return schema.Text{Kind: schema.Avro, Text: []byte(s)} }

func compiled(t testing.TB, data, attributes schema.Text) *schema.Schema {
	t.Helper()
	s, err := schema.Compile(data, attributes)
	require.NoError(t, err)
	return s
}

const person = `{"type":"object","properties":{"name":{"type":"string"},"email":{"type":"string","format":"email"},"age":{"type":"integer","minimum":0}},"required":["name","email"]}`

// A refusal names the message, the place, and the rule.
func TestJSON(t *testing.T) {
	s := compiled(t, js(person), schema.Text{})
	for data, want := range map[string]string{
		`{"name":"a","email":"a@b.example"}`:          "",
		`{"name":"a","email":"a@b.example","age":7}`:  "",
		`{"name":"a","email":"a@b.example","age":-1}`: `Message 3 data is not valid,/age: minimum: got -1, want 0 (minimum)`,
		`{"name":"a"}`:           `Message 3 data is not valid,(root): missing property 'email' (required)`,
		`[]`:                     `Message 3 data is not valid,(root): got array, want object (type)`,
		`{"name":1,"email":"a"}`: `Message 3 data is not valid.1)/email: 'a' is not valid email: missing @ (format).2)/name: got number, want string (type).`,
		`{`:                      `Message 3 data is not valid JSON format,unexpected EOF`,
		``:                       `Message 3 data is not valid JSON format,EOF`,
		`{} {}`:                  `Message 3 data is not valid JSON format,there is more than one value`,
		`{"name":"a","email":"a@b.example","age":1e99999}`: `Message 3 data is not valid JSON format,a number has an exponent beyond 400`,
	} {
		err := s.Check(3, &gateway.Message{Body: []byte(data)})
		if want == "" {
			require.NoError(t, err, data)
			continue
		}
		require.Equal(t, gateway.Invalid, gateway.KindOf(err), data)
		if strings.Contains(want, ".2)") { // in either order
			require.Contains(t, gateway.TextOf(err), "/email: 'a' is not valid email")
			require.Contains(t, gateway.TextOf(err), "/name: got number, want string (type)")
			require.Regexp(t, `^Message 3 data is not valid\.1\).*\.2\).*\.$`, gateway.TextOf(err))
			continue
		}
		require.Equal(t, want, gateway.TextOf(err), data)
	}
}

// All drafts are understood: the one that a schema names, and of those that name none the one that it makes sense in.
func TestDrafts(t *testing.T) {
	for text, c := range map[string]struct{ good, bad string }{
		`{"$schema":"http://json-schema.org/draft-04/schema#","minimum":3,"exclusiveMinimum":true}`:                        {"4", "3"},
		`{"minimum":3,"exclusiveMinimum":true}`:                                                                            {"4", "3"},
		`{"$schema":"http://json-schema.org/draft-06/schema#","const":1}`:                                                  {"1", "2"},
		`{"$schema":"http://json-schema.org/draft-07/schema#","if":{"type":"string"},"then":{"minLength":2}}`:              {`"ab"`, `"a"`},
		`{"if":{"type":"string"},"then":{"minLength":2}}`:                                                                  {`"ab"`, `"a"`},
		`{"$schema":"https://json-schema.org/draft/2019-09/schema","dependentRequired":{"a":["b"]}}`:                       {`{"a":1,"b":2}`, `{"a":1}`},
		`{"$schema":"https://json-schema.org/draft/2020-12/schema","prefixItems":[{"type":"string"}]}`:                     {`["a"]`, `[1]`},
		`{"$schema":"https://json-schema.org/draft/2020-12/schema","format":"date"}`:                                       {`"2026-11-20"`, `"x"`},
		`{"$schema":"https://json-schema.org/draft/2020-12/schema","properties":{"a":true},"unevaluatedProperties":false}`: {`{"a":1}`, `{"b":1}`},
		`{"definitions":{"x":{"type":"integer"}},"$ref":"#/definitions/x"}`:                                                {"1", `"a"`},
		`{"$id":"https://a.example/s","definitions":{"x":{"$id":"x","type":"integer"}},"allOf":[{"$ref":"x"}]}`:            {"1", `"a"`},
	} {
		s := compiled(t, js(text), schema.Text{})
		require.NoError(t, s.CheckData(0, []byte(c.good)), text)
		require.Error(t, s.CheckData(0, []byte(c.bad)), text)
	}
}

// Nothing is fetched, and what is no schema is none.
func TestNoSchema(t *testing.T) {
	deep := strings.Repeat(`{"not":`, 200) + "{}" + strings.Repeat("}", 200)
	for text, want := range map[string]string{
		`{"type":"colour"}`:                      "(enum)",
		`{"$ref":"https://a.example/s"}`:         "nothing is fetched",
		`{"$ref":"file:///etc/passwd"}`:          "nothing is fetched",
		`{"$schema":"https://a.example/schema"}`: "nothing is fetched",
		`{"$ref":"#/nowhere"}`:                   "nowhere",
		`{"pattern":"("}`:                        "regex",
		`{"pattern":"(?=a)b"}`:                   "regex",
		`[`:                                      "EOF",
		`{"minimum":1e999999999}`:                "exponent",
		deep:                                     "nested",
		`{"enum":["` + strings.Repeat("x", schema.MaxText) + `"]}`: "may have",
	} {
		_, err := schema.Compile(js(text), schema.Text{})
		require.ErrorContains(t, err, want)
		_, err = schema.Compile(schema.Text{}, js(text))
		require.ErrorContains(t, err, "attributes: ")
	}
	_, err := schema.Compile(schema.Text{Kind: "xsd", Text: []byte("{}")}, schema.Text{})
	require.ErrorContains(t, err, "no kind of schema")
}

// No schema and no message together take long, or much.
func TestChecksAreBounded(t *testing.T) {
	doubling := func(end string) string { // each leads to two of the next
		var b strings.Builder
		for i := range 40 {
			fmt.Fprintf(&b, `"a%d":{"allOf":[{"$ref":"#/definitions/a%d"},{"$ref":"#/definitions/a%d"}]},`, i, i+1, i+1)
		}
		return `{"definitions":{` + b.String() + `"a40":` + end + `},"$ref":"#/definitions/a0"}`
	}
	any2 := strings.ReplaceAll(doubling(`{"type":"string"}`), "allOf", "anyOf")
	nested := `{"anyOf":[{"items":{"$ref":"#"},"type":"array"},{"items":{"$ref":"#"},"minItems":1}],"not":{"const":7}}`
	for name, c := range map[string]struct{ schema, data string }{
		"all of twice":        {doubling(`{}`), `1`},
		"any of twice":        {any2, `1`},
		"not any of twice":    {`{"not":` + strings.TrimSuffix(strings.Replace(any2, `"$ref":"#/definitions/a0"`, `"type":"object"`, 1), "}") + `},"definitions":` + strings.TrimSuffix(strings.TrimPrefix(any2, `{"definitions":`), `,"$ref":"#/definitions/a0"}`) + `,"allOf":[{"not":{"$ref":"#/definitions/a0"}}]}`, `1`},
		"into the depth":      {nested, strings.Repeat("[", 90) + "7" + strings.Repeat("]", 90)},
		"by dynamic anchors":  {`{"$schema":"https://json-schema.org/draft/2020-12/schema","$ref":"#/$defs/x","$defs":{"x":{"$dynamicAnchor":"x","type":"array","anyOf":[{"items":{"$dynamicRef":"#x"},"minItems":1},{"items":{"$dynamicRef":"#x"},"minItems":1}]}}}`, strings.Repeat("[", 90) + "7" + strings.Repeat("]", 90)},
		"patterns":            {`{"patternProperties":{` + patterns(300) + `}}`, properties(100_000)},
		"an expression":       {`{"pattern":"(a|b|ab){900}c"}`, `"` + strings.Repeat("ab", 1<<20) + `"`},
		"names that are long": {`{"propertyNames":{"pattern":"(x?){500}y"}}`, `{"` + strings.Repeat("x", 1<<20) + `":1}`},
		"too many values":     {`{}`, "[" + strings.TrimSuffix(strings.Repeat("1,", 300_000), ",") + "]"},
		"too deep":            {`{}`, strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000)},
		"a long number":       {`{"multipleOf":3}`, strings.Repeat("7", 1_000_000)},
		"a large number":      {`{"multipleOf":3}`, "1e1000000000"},
		"many enums":          {`{"items":{"enum":[` + strings.TrimSuffix(strings.Repeat(`"xxxx",`, 5000), ",") + `]}}`, "[" + strings.TrimSuffix(strings.Repeat(`"xxxy",`, 200_000), ",") + "]"},
		"cycles":              {`{"$ref":"#"}`, `1`},
	} {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			s, err := schema.Compile(js(c.schema), schema.Text{})
			if err == nil {
				err = s.CheckData(0, []byte(c.data))
			}
			require.Error(t, err)
			require.Less(t, time.Since(began), 2*time.Minute, "on a machine that has other things to do")
			require.Less(t, len(err.Error()), 20_000)
			t.Logf("%v: %.150s", time.Since(began), err)
		})
	}
}

func patterns(n int) string {
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf(`"^p%d.*x%d$":{"type":"integer"}`, i, i))
	}
	return strings.Join(all, ",")
}

func properties(n int) string {
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf(`"p%dy":"a"`, i))
	}
	return "{" + strings.Join(all, ",") + "}"
}

// What is large and simple is not refused for being large.
func TestLargeMessagesPass(t *testing.T) {
	s := compiled(t, js(`{"type":"array","items":{"type":"object","properties":{"name":{"type":"string","pattern":"^[a-z]+$"},"n":{"type":"integer","minimum":0}},"required":["name"]}}`), schema.Text{})
	one := `{"name":"` + strings.Repeat("a", 40) + `","n":12}`
	data := "[" + strings.TrimSuffix(strings.Repeat(one+",", 20_000), ",") + "]"
	require.NoError(t, s.CheckData(0, []byte(data)), "%d bytes", len(data))
	s = compiled(t, js(`{"type":"object","properties":{"blob":{"type":"string","pattern":"^[A-Za-z0-9+/=]*$"}}}`), schema.Text{})
	require.NoError(t, s.CheckData(0, []byte(`{"blob":"`+strings.Repeat("QUJD", 2<<20)+`"}`)))
}

// Attributes are an object of strings, or a record whose fields they are; of a name that is there twice the first counts.
func TestAttributes(t *testing.T) {
	header := func(fields ...string) gateway.Header {
		var h gateway.Header
		for i := 0; i < len(fields); i += 2 {
			h = append(h, gateway.Field{Name: fields[i], Value: fields[i+1]})
		}
		return h
	}
	j := compiled(t, schema.Text{}, js(`{"required":["site"],"properties":{"site":{"pattern":"^[A-Z]+$"}},"additionalProperties":{"maxLength":3}}`))
	a := compiled(t, schema.Text{}, av(`{"type":"record","name":"r","fields":[{"name":"site","type":{"type":"enum","name":"e","symbols":["EGI","CERN"]}},{"name":"n","type":["null","int"],"default":null},{"name":"ok","type":"boolean","default":true}]}`))
	for _, c := range []struct {
		s    *schema.Schema
		h    gateway.Header
		want string
	}{
		{j, header("site", "EGI"), ""},
		{j, header("site", "EGI", "site", "egi", "x", "abc"), ""},
		{j, header("site", "egi", "site", "EGI"), "Message 1 attributes are not valid,/site: 'egi' does not match pattern '^[A-Z]+$' (pattern)"},
		{j, nil, "Message 1 attributes are not valid,(root): missing property 'site' (required)"},
		{j, header("site", "EGI", "x", "abcd"), "Message 1 attributes are not valid,/x: maxLength: got 4, want 3 (maxLength)"},
		{a, header("site", "EGI"), ""},
		{a, header("site", "CERN", "n", "7", "ok", "false", "more", "x"), ""},
		{a, header("site", "egi"), "site"},
		{a, header(), "site"},
		{a, header("site", "EGI", "n", "seven"), `Message 1 attributes are not valid,/n: "seven" is no int (int)`},
		{a, header("site", "EGI", "n", "99999999999"), "n"},
		{a, header("site", "EGI", "ok", "yes"), `Message 1 attributes are not valid,/ok: "yes" is no boolean (boolean)`},
	} {
		err := c.s.Check(1, &gateway.Message{Header: c.h, Body: []byte("anything")})
		if c.want == "" {
			require.NoError(t, err, "%v", c.h)
			continue
		}
		require.ErrorContains(t, err, c.want, "%v", c.h)
		require.Equal(t, gateway.Invalid, gateway.KindOf(err))
	}
}

const avroPerson = `{"type":"record","name":"p","fields":[{"name":"name","type":"string"},{"name":"tags","type":{"type":"array","items":"string"}},{"name":"next","type":["null","p"]}]}`

// A message in Avro is one value in the binary encoding.
func TestAvro(t *testing.T) {
	s := compiled(t, av(avroPerson), schema.Text{})
	codec, err := avro.Parse(avroPerson)
	require.NoError(t, err)
	good, err := codec.Encode(map[string]any{"name": "a", "tags": []any{"b"}, "next": map[string]any{"name": "c", "tags": []any{}, "next": nil}})
	require.NoError(t, err)
	require.NoError(t, s.CheckData(0, good))
	require.ErrorContains(t, s.CheckData(2, append(good, 0)), "Message 2 is not valid.1 bytes are left over")
	for i := range good {
		require.ErrorContains(t, s.CheckData(0, good[:i]), "Message 0 is not valid.")
	}
	require.Error(t, s.CheckData(0, []byte(`{"name":"a"}`)))
	require.ErrorContains(t, s.CheckData(0, make([]byte, 3<<20)), "are the most that is read")
	loop := compiled(t, av(`{"type":"array","items":"null"}`), schema.Text{})
	require.Error(t, loop.CheckData(0, []byte{0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 0}), "nothing, very often")
	for _, text := range []string{`{"type":"record"}`, `"colour"`, `{`, ``} {
		if text != "" {
			_, err = schema.Compile(av(text), schema.Text{})
			require.Error(t, err, text)
		}
	}
}

// The model: a number is accepted when it is in the range, whatever else is checked at the same time on the same schema.
func TestCheckedAtOnce(t *testing.T) {
	s := compiled(t, js(`{"type":"integer","minimum":0,"maximum":10}`), schema.Text{})
	rapid.Check(t, func(t *rapid.T) {
		numbers := rapid.SliceOfN(rapid.IntRange(-20, 20), 1, 20).Draw(t, "numbers")
		got := make([]error, len(numbers))
		var all sync.WaitGroup
		for i, n := range numbers {
			all.Go(func() { got[i] = s.CheckData(i, fmt.Append(nil, n)) })
		}
		all.Wait()
		for i, n := range numbers {
			if (got[i] == nil) != (0 <= n && n <= 10) {
				t.Fatalf("%d: %v", n, got[i])
			}
		}
	})
}

func TestVersionIsCompiledOnce(t *testing.T) {
	v := &schema.Version{Data: js(`{"type":"integer"}`)}
	a, err := v.Schema()
	require.NoError(t, err)
	b, _ := v.Schema()
	require.Same(t, a, b)
	_, err = (&schema.Version{Data: js(`{"type":1}`)}).Schema()
	require.Error(t, err)
}

// Whatever is sent, it is refused or not, and what is said of it is short.
func FuzzCheck(f *testing.F) {
	f.Add(person, []byte(`{"name":1}`), false)
	f.Add(avroPerson, []byte{2, 'a', 0, 0}, true)
	f.Add(`{"$dynamicAnchor":"x","$schema":"https://json-schema.org/draft/2020-12/schema","items":{"$dynamicRef":"#x"}}`, []byte(`[[1]]`), false)
	f.Fuzz(func(t *testing.T, text string, data []byte, binary bool) {
		kind := schema.JSON
		if binary {
			kind = schema.Avro
		}
		watchdog := time.AfterFunc(time.Minute, func() { panic(fmt.Sprintf("it takes too long to check %q by %q", data, text)) })
		defer watchdog.Stop()
		s, err := schema.Compile(schema.Text{Kind: kind, Text: []byte(text)}, schema.Text{})
		if err != nil {
			return
		}
		first, second := s.CheckData(0, data), s.CheckData(0, data)
		require.Equal(t, first == nil, second == nil)
		if first != nil {
			require.Less(t, len(first.Error()), 20_000)
			require.Equal(t, gateway.Invalid, gateway.KindOf(first))
		}
	})
}
