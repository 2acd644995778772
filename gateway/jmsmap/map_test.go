package jmsmap_test

import (
	"encoding/json"
	"encoding/xml"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sluice-mq/sluice/gateway/jmsmap"
)

// The two forms, as ActiveMQ writes them but for the blanks.
func TestForms(t *testing.T) {
	m := jmsmap.Map{{"name", "a<b"}, {"size", int64(3)}, {"percent", int32(1)}, {"average", float64(2)}, {"slow", true}, {"odd", struct{}{}}, {"nan", math.NaN()}}
	require.Equal(t, `{"map":{"entry":[{"string":["name","a\u003cb"]},{"string":"size","long":3},{"string":"percent","int":1},{"string":"average","double":2.0},{"string":"slow","boolean":true}]}}`, string(m.JSON()))
	require.Equal(t, "<map>\n  <entry>\n    <string>name</string>\n    <string>a&lt;b</string>\n  </entry>\n  <entry>\n    <string>size</string>\n    <long>3</long>\n  </entry>\n</map>", string(m[:2].XML()))
	require.Equal(t, `{"map":""}`, string(jmsmap.Map(nil).JSON()))
	require.Equal(t, "<map/>", string(jmsmap.Map(nil).XML()))
	require.True(t, jmsmap.MayBeJSON(m.JSON()))
	require.False(t, jmsmap.MayBeJSON([]byte(`{"map"`)))
}

// What is written is read again; and whatever it is, both forms can be read by others.
func TestWhatIsWrittenIsRead(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var m jmsmap.Map
		for range rapid.IntRange(0, 5).Draw(t, "entries") {
			m = append(m, jmsmap.Entry{Name: rapid.String().Draw(t, "name"), Value: rapid.OneOf(
				rapid.Map(rapid.String(), func(s string) any { return s }), rapid.Map(rapid.Int64(), func(n int64) any { return n }),
				rapid.Map(rapid.Int32(), func(n int32) any { return n }), rapid.Map(rapid.Bool(), func(b bool) any { return b }),
				rapid.Map(rapid.Float64(), func(f float64) any { return f }),
			).Draw(t, "value")})
		}
		got, err := jmsmap.ParseJSON(m.JSON())
		require.NoError(t, err)
		require.Equal(t, m, got)
		require.True(t, json.Valid(m.JSON()))
		var any struct{}
		require.NoError(t, xml.Unmarshal(m.XML(), &any))
	})
}

func TestWhatIsNoMap(t *testing.T) {
	for _, text := range []string{
		"", "{", `{"map":1}`, `{"other":""}`, `{"map":{"entry":[{}]}}`, `{"map":{"entry":[{"string":"a"}]}}`, `{"map":{"entry":[{"string":["a"]}]}}`,
		`{"map":{"entry":[{"string":"a","long":"x"}]}}`, `{"map":{"entry":[{"string":"a","byte":1}]}}`, `{"map":{"entry":[{"string":"a","int":4294967296}]}}`,
		`{"map":{"entry":[{"string":"a","int":1,"long":1}]}}`, `{"map":{"entry":[{"string":["a",1]}]}}`,
	} {
		_, err := jmsmap.ParseJSON([]byte(text))
		require.Error(t, err, text)
	}
}
