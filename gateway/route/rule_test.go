package route_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/route"
)

// message is one with attributes, given as name and value in turn.
func message(body string, attributes ...string) *gateway.Message {
	m := &gateway.Message{Body: []byte(body), ID: "x", Offset: 7, Timestamp: 1000, Persistent: true, Source: &gateway.Source{}}
	for i := 0; i < len(attributes); i += 2 {
		m.Header = append(m.Header, gateway.Field{Name: attributes[i], Value: attributes[i+1]})
	}
	return m
}

func parse(t testing.TB, s route.Spec) *route.Rule {
	r, err := route.Parse(s)
	require.NoError(t, err)
	return r
}

func TestTargetsOfAMessage(t *testing.T) {
	for _, c := range []struct {
		targets []string
		m       *gateway.Message
		want    string
	}{
		{[]string{"all"}, message("x"), "all"},
		{[]string{"site-{attributes.site}"}, message("", "site", "GR-01"), "site-GR-01"},
		{[]string{"site-{attributes.site}"}, message("", "Site", "GR-01"), ""},
		{[]string{"site-{attributes.site}"}, message("", "site", ""), ""},
		{[]string{"{attributes.a.b}-{attributes.c}-x"}, message("", "a.b", "1", "c", "2"), "1-2-x"},
		{[]string{"{attributes.a}", "b", "{attributes.c}"}, message("", "a", "b", "c", "b"), "b"},
		{[]string{"{attributes.a}", "all", "{attributes.none}"}, message("", "a", "b"), "b all"},
		{[]string{"{data/tags/site}"}, message(`{"tags":{"site":"CERN","site2":"x"}}`), "CERN"},
		{[]string{"{data/tags/site}"}, message(`{"tags":{"site":"A"},"tags":{"site":"B"}}`), "B"},
		{[]string{"{data/tags/site}"}, message(`{"tags":{"site":"A"},"tags":{"other":"B"}}`), ""},
		{[]string{"{data/tags/site}"}, message(`{"tags":{"site":"A"},"tags":7}`), ""},
		{[]string{"{data/tags/site}", "b"}, message(`not JSON`), "b"},
		{[]string{"n{data/n}-{data/t}"}, message(`{"n":1.50,"t":true}`), "n1.50-true"},
		{[]string{"{data/n}"}, message(`{"n":null}`), ""},
		{[]string{"{data/n}"}, message(`{"n":{}}`), ""},
		{[]string{"{data/list/1/x}"}, message(`{"list":[{"x":"a"},{"x":"b"}]}`), "b"},
		{[]string{"{data/a~1b/m~0n}"}, message(`{"a/b":{"m~n":"yes"}}`), "yes"},
		{[]string{"{data/\u00fc}"}, message(`{"\u00fc":"\u0041"}`), "A"},
		{[]string{"{data/}"}, message(`{"":"empty"}`), "empty"},
	} {
		names, copied, err := parse(t, route.Spec{Targets: c.targets}).Apply(c.m)
		require.NoError(t, err)
		require.Equal(t, c.want, strings.Join(names, " "), "%q of %s", c.targets, c.m.Body)
		require.Equal(t, len(names) > 0, copied != nil)
	}
}

func TestCopiesOfAMessage(t *testing.T) {
	keep := func(names ...string) *[]string { return &names }
	for _, c := range []struct {
		spec       route.Spec
		body       string
		want       string
		attributes string
		refused    string
	}{
		{spec: route.Spec{}, body: "as it is", want: "as it is", attributes: "a=1 b=2 kind=text"},
		{spec: route.Spec{Attributes: keep("b", "c")}, body: "x", want: "x", attributes: "b=2 kind=text"},
		{spec: route.Spec{Attributes: keep()}, body: "x", want: "x", attributes: "kind=text"},
		{spec: route.Spec{Pointer: "/body"}, body: `{"body": {"x": [1, 2.0]}}`, want: `{"x": [1, 2.0]}`, attributes: "a=1 b=2 kind=text"},
		{spec: route.Spec{Pointer: "/body"}, body: `{"body":"a\nb"}`, want: "a\nb", attributes: "a=1 b=2 kind=text"},
		{spec: route.Spec{Pointer: "/body"}, body: `{"body":null}`, want: "null", attributes: "a=1 b=2 kind=text"},
		{spec: route.Spec{Pointer: "/body"}, body: `{"bod":1}`, refused: "the data has not what the pointer leads to"},
		{spec: route.Spec{Pointer: "/body"}, body: `{"body":1`, refused: "the data is not JSON"},
		{spec: route.Spec{Fields: []string{"/b", "/a"}}, body: `{"a": 1e3, "b":"x", "c":2}`, want: `{"b":"x","a":1e3}`, attributes: "a=1 b=2 kind=text"},
		{spec: route.Spec{Fields: []string{"/t/x", "/t/y/z", "/none", "/t/y"}}, body: `{"t":{"x":1,"y":{"z":2,"w":3},"v":4}}`, want: `{"t":{"x":1,"y":{"z":2,"w":3}}}`, attributes: "a=1 b=2 kind=text"},
		{spec: route.Spec{Fields: []string{"/l/2/x", "/l/0"}}, body: `{"l":[{"x":1},{"x":2},{"x":3,"y":4}]}`, want: `{"l":[{"x":3},{"x":1}]}`, attributes: "a=1 b=2 kind=text"},
		{spec: route.Spec{Fields: []string{"/a\"b"}}, body: `{"a\"b":1}`, want: `{"a\"b":1}`, attributes: "a=1 b=2 kind=text"},
		{spec: route.Spec{Fields: []string{"/a"}}, body: ` [1] `, want: `[]`, attributes: "a=1 b=2 kind=text"},
		{spec: route.Spec{Fields: []string{"/a"}}, body: `7`, want: `{}`, attributes: "a=1 b=2 kind=text"},
	} {
		c.spec.Targets = []string{"x"}
		m := message(c.body, "a", "1", "b", "2", "AMQ_SCHEDULED_DELAY", "1000", "kind", "text")
		names, copied, err := parse(t, c.spec).Apply(m, "kind")
		require.Equal(t, []string{"x"}, names)
		if c.refused != "" {
			require.Equal(t, gateway.Invalid, gateway.KindOf(err))
			require.Equal(t, c.refused, gateway.TextOf(err))
			continue
		}
		require.NoError(t, err)
		var attributes []string
		for _, f := range copied.Header {
			attributes = append(attributes, f.Name+"="+f.Value)
		}
		require.Equal(t, []string{c.want, c.attributes}, []string{string(copied.Body), strings.Join(attributes, " ")}, "%+v", c.spec)
		require.Len(t, m.Header, 4, "the message is as it was")
		require.Empty(t, copied.ID)
		require.Nil(t, copied.Source)
		require.Equal(t, int64(1000), copied.Timestamp)
	}
}

func TestASelectorChooses(t *testing.T) {
	r := parse(t, route.Spec{Selector: "status = 'CRITICAL' AND n > 3", Targets: []string{"x"}})
	for text, want := range map[string]int{"CRITICAL 4": 1, "CRITICAL 3": 0, "OK 4": 0} {
		status, n, _ := strings.Cut(text, " ")
		names, _, err := r.Apply(message("", "status", status, "n", n))
		require.NoError(t, err)
		require.Len(t, names, want, text)
	}
}

func TestRulesThatMakeNoSense(t *testing.T) {
	many := make([]string, route.MaxFields+1)
	for i := range many {
		many[i] = fmt.Sprint("/", i)
	}
	x := []string{"x"}
	for text, s := range map[string]route.Spec{
		"a route has 1 to 16 targets":                   {},
		"a target may be 1 to 1024 bytes long":          {Targets: []string{""}},
		"has a } without a {":                           {Targets: []string{"a}"}},
		"has a { without a }":                           {Targets: []string{"a{attributes.x"}},
		"{x} is neither":                                {Targets: []string{"{x}"}},
		"{attributes.} is neither":                      {Targets: []string{"{attributes.}"}},
		"{data} is neither":                             {Targets: []string{"{data}"}},
		`"x" is not a JSON pointer`:                     {Targets: []string{"{datax}"}},
		`"/~2" is not a JSON pointer`:                   {Targets: x, Pointer: "/~2"},
		`"a" is not a JSON pointer`:                     {Targets: x, Fields: []string{"a"}},
		"a field is a JSON pointer":                     {Targets: x, Fields: []string{""}},
		"has 17 steps":                                  {Targets: x, Pointer: strings.Repeat("/a", 17)},
		"either what a pointer leads to or some fields": {Targets: x, Pointer: "/a", Fields: []string{"/b"}},
		"keeps at most 64":                              {Targets: x, Fields: many},
		"keeps at most 64 attributes":                   {Targets: x, Attributes: &many},
		"has more than 32 parts":                        {Targets: []string{strings.Repeat("{attributes.a}", 33)}},
		"selector":                                      {Targets: x, Selector: "("},
	} {
		_, err := route.Parse(s)
		require.Equal(t, gateway.Invalid, gateway.KindOf(err), text)
		if text != "selector" {
			require.Contains(t, gateway.TextOf(err), text)
		}
	}
	require.Equal(t, []string{"a", "b"}, parse(t, route.Spec{Targets: []string{"a", "{attributes.x}", "b"}}).Constants())
}

// FuzzRule: whatever a rule and a message are, a rule that is read applies to it, with names of what the message says, and data that is JSON where the rule has it made of
// JSON.
func FuzzRule(f *testing.F) {
	f.Add("a-{attributes.x}", "/a/b", true, `{"a":{"b":[1,{"c":2}]}}`, "v")
	f.Add("{data/a}{data/b/0}", "/b/1", false, `{"a":"x","b":[true,null],"a":"y"}`, "")
	f.Add("{data/~01}", "", true, "{\"~1\":\"\\ud800\"}", "\xff")
	f.Fuzz(func(t *testing.T, target, pointer string, fields bool, body, value string) {
		s := route.Spec{Targets: []string{target, "x"}}
		if fields {
			s.Fields = []string{pointer, "/a"}
		} else {
			s.Pointer = pointer
		}
		r, err := route.Parse(s)
		if err != nil {
			require.Equal(t, gateway.Invalid, gateway.KindOf(err))
			return
		}
		m := message(body, "x", value)
		names, copied, err := r.Apply(m)
		require.NotEmpty(t, names)
		require.Equal(t, body, string(m.Body))
		if err != nil {
			require.Equal(t, gateway.Invalid, gateway.KindOf(err))
			return
		}
		if fields {
			require.True(t, json.Valid(copied.Body), "%q", copied.Body)
		}
		if !fields && pointer == "" {
			require.Equal(t, body, string(copied.Body))
		}
	})
}
