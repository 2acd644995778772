package migrate_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/protocols/pubsub/migrate"
	"github.com/sluice-mq/sluice/protocols/pubsub/resource"
)

func TestNumbersOfExtendedJSON(t *testing.T) {
	for text, want := range map[string]migrate.Int{
		`5`: 5, `-5`: -5, `5.0`: 5, `1e3`: 1000, `{"$numberLong":"9007199254740993"}`: 9007199254740993, `{"$numberInt":"7"}`: 7, `{"$numberDouble":"7.9"}`: 7, `null`: 0,
	} {
		var n migrate.Int
		require.NoError(t, json.Unmarshal([]byte(text), &n), text)
		require.Equal(t, want, n, text)
	}
	for _, text := range []string{`"5"`, `{}`, `{"$numberLong":5}`, `{"$numberLong":"x"}`, `{"$numberDouble":"NaN"}`, `{"$numberDouble":"Infinity"}`, `1e300`, `true`, `[]`} {
		var n migrate.Int
		require.Error(t, json.Unmarshal([]byte(text), &n), text)
	}
}

func TestTimesOfExtendedJSON(t *testing.T) {
	want := time.Date(2019, 5, 6, 7, 8, 9, 0, time.UTC)
	for _, text := range []string{
		`"2019-05-06T07:08:09Z"`, `{"$date":"2019-05-06T07:08:09Z"}`, `{"$date":"2019-05-06T07:08:09.000Z"}`, `{"$date":"2019-05-06T09:08:09.000+0200"}`, `{"$date":"2019-05-06T09:08:09+02:00"}`,
		`{"$date":1557126489000}`, `{"$date":{"$numberLong":"1557126489000"}}`, `1557126489000`, `"2019-05-06 07:08:09"`,
	} {
		var at migrate.Time
		require.NoError(t, json.Unmarshal([]byte(text), &at), text)
		require.True(t, want.Equal(at.Time), "%s: %s", text, at)
	}
	for _, text := range []string{`null`, `""`, `{"$date":null}`} {
		var at migrate.Time
		require.NoError(t, json.Unmarshal([]byte(text), &at), text)
		require.True(t, at.IsZero())
	}
	for _, text := range []string{`{}`, `"yesterday"`, `{"$date":{}}`, `[]`, `true`} {
		var at migrate.Time
		require.Error(t, json.Unmarshal([]byte(text), &at), text)
	}
}

func TestObjectIDs(t *testing.T) {
	var o migrate.ObjectID
	require.NoError(t, json.Unmarshal([]byte(`{"$oid":"5f0000000000000000000001"}`), &o))
	require.Equal(t, time.Unix(0x5f000000, 0).UTC(), o.Made)
	for _, text := range []string{`5`, `{"$oid":"5f"}`, `{"$oid":"zz0000000000000000000001"}`, `null`, `"x"`} {
		require.NoError(t, json.Unmarshal([]byte(text), &o), text)
		require.True(t, o.Made.IsZero(), text)
	}
}

func TestFilesOfCollections(t *testing.T) {
	for file, want := range map[string]string{
		"users.json": "users", "/a/b/users.jsonl": "users", "argo_msg.users.json": "users", "dump/users.bson.json": "users", "x.ndjson": "x", ".json": "", "users.bson": "", "users.metadata.json": "metadata", "README": "",
	} {
		got, ok := migrate.CollectionOf(file)
		require.Equal(t, want != "", ok, file)
		if ok {
			require.Equal(t, want, got, file)
		}
	}
	require.Empty(t, migrate.Collection("bindings"))
	require.Equal(t, "it is no collection of the service's", migrate.Collection("metadata"))
	require.Contains(t, migrate.Collection("roles"), "fixed")
}

func TestDocuments(t *testing.T) {
	read := func(text string) (all []string, err error) {
		err = migrate.Documents(strings.NewReader(text), func(d json.RawMessage) error { all = append(all, string(d)); return nil })
		return all, err
	}
	for _, text := range []string{"{\"a\":1}\n{\"b\":2}", `{"a":1} {"b":2}` + "\n", `[{"a":1},{"b":2}]`, " \r\n [\n{\"a\":1},\n{\"b\":2}\n]\n", "\ufeff{\"a\":1}{\"b\":2}"} {
		all, err := read(text)
		require.NoError(t, err, text)
		require.Equal(t, []string{`{"a":1}`, `{"b":2}`}, all, text)
	}
	for _, text := range []string{"", " \n", "[]"} {
		all, err := read(text)
		require.NoError(t, err)
		require.Empty(t, all)
	}
	for text, want := range map[string]string{
		`{"a":1}5`: "document 2: it is no object", `[{"a":1},5]`: "document 2: it is no object", `{"a":NumberLong(1)}`: "document 1: invalid character 'N' looking for beginning of value",
		`{"a":1}{`: "document 2: unexpected EOF", `[{"a":1}`: "the array has no end: EOF", `[] x`: "there is something behind the array", `"x"`: "document 1: it is no object",
	} {
		_, err := read(text)
		require.EqualError(t, err, want, text)
	}
}

func TestEnds(t *testing.T) {
	for _, text := range []string{"x", "topic:0:", ":0:5", "t:0:-1", "t:0:9007199254740993"} {
		require.Error(t, migrate.NewWriter(&bytes.Buffer{}).Ends(strings.NewReader(text)), text)
	}
}

func TestWhatNoWriterHasWritten(t *testing.T) {
	for _, text := range []string{"{", "5", `{"collection":"nothing","document":{}}`, `{"document":{}}`, `[]`} {
		_, err := migrate.Read(strings.NewReader(text))
		require.Error(t, err, text)
	}
	e, err := migrate.Read(strings.NewReader(`{"collection":"users","document":[1]}{"collection":"topics","document":{"name":"t","created_on":"never"}}`))
	require.NoError(t, err)
	require.Equal(t, []string{
		"a document of users is not taken: json: cannot unmarshal array into Go value of type migrate.user (it is no object)",
		`a document of topics is not taken: "never" is not a time (name "t")`,
	}, e.Notes)
}

// What an export has in it makes nothing fail, and whoever takes it twice takes nothing the second time.
func FuzzImport(f *testing.F) {
	files := slices.Sorted(maps.Keys(whole()))
	for i, name := range files {
		f.Add(uint8(i), whole()[name])
	}
	f.Add(uint8(slices.Index(files, "bindings.json")), `[{"name":"b","uuid":"b","auth_type":"x509","auth_identifier":"CN=a","host":"msg.example.org","service_uuid":"s-1","unique_key":"u"}]`)
	f.Fuzz(func(t *testing.T, which uint8, text string) {
		e := whole()
		var all []string
		if migrate.Documents(strings.NewReader(text), func(d json.RawMessage) error { all = append(all, string(d)); return nil }) != nil {
			return
		}
		e[files[int(which)%len(files)]] = strings.Join(all, "\n")
		p := newPlace(t)
		counts, _ := p.take(e, "")
		again, _ := p.take(e, "")
		for kind := range counts {
			require.True(t, strings.HasPrefix(again[kind], "0/"), "%s: %s, then %s", kind, counts[kind], again[kind])
		}
		_, err := resource.Open(t.Context(), resource.Config{Facts: p.registry})
		require.NoError(t, err)
	})
}
