package pubsub_test

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/avro"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/schema"
	"github.com/sluice-mq/sluice/protocols/pubsub/resource"
	"github.com/sluice-mq/sluice/protocols/pubsub/wire"
)

const (
	schemaX  = "/projects/P/schemas/x"
	topicT   = "/projects/P/topics/t"
	attached = `{"schema":"projects/P/schemas/x"}`
)

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

func of(all ...map[string]any) map[string]any { return map[string]any{"messages": all} }

// Schemas are made, shown, changed, given another name and taken away as in the service, and each revision stays readable.
func TestSchemas(t *testing.T) {
	w := stocked(t, 0, nil)
	a := w.ask("GET", "/projects/P/schemas", serviceToken, nil)
	require.Equal(t, "{\n \"schemas\": []\n}", a.body)
	var made wire.SchemaAnswer
	a = w.ask("POST", schemaX, serviceToken, `{"type":"JSON","schema":{"type":"integer","minimum":1.50}}`)
	require.NoError(t, json.Unmarshal([]byte(a.body), &made), a.body)
	require.Equal(t, "{\n \"uuid\": \""+made.UUID+"\",\n \"name\": \"projects/P/schemas/x\",\n \"type\": \"json\",\n \"schema\": {\n  \"minimum\": 1.50,\n  \"type\": \"integer\"\n }\n}", a.body)
	require.Equal(t, a.body, w.ask("GET", schemaX, serviceToken, nil).body)

	w.refused(409, "Schema already exists", "POST", schemaX, serviceToken, `{"type":"json","schema":{}}`)
	w.refused(404, "Schema doesn't exist", "GET", "/projects/P/schemas/none", serviceToken, nil)
	w.refused(404, "Schema doesn't exist", "PUT", "/projects/P/schemas/none", serviceToken, `{}`)
	w.refused(404, "Schema doesn't exist", "DELETE", "/projects/P/schemas/none", serviceToken, nil)
	const other = "/projects/P/schemas/other"
	for body, text := range map[string]string{
		`{"type":"xsd","schema":{}}`:          "Schema type can only be 'json' or 'avro'",
		`{"schema":{}}`:                       "Schema type can only be 'json' or 'avro'",
		`{"type":"json"}`:                     "Invalid Schema Arguments",
		`{"type":"json","schema":[]}`:         "Invalid Schema Arguments",
		`{"type":"json","schema":{}} {}`:      "Invalid Schema Arguments",
		`{`:                                   "Invalid Schema Arguments",
		`{"type":"json","schema":{"type":1}}`: "",
		`{"type":"json","schema":{"$ref":"https://a.example/x"}}`:                             "",
		`{"type":"avro","schema":{"type":"record"}}`:                                          "",
		`{"type":"json","schema":{},"attributes":{"type":"x","schema":{}}}`:                   "Schema type can only be 'json' or 'avro'",
		`{"type":"json","schema":{},"attributes":{"type":"json","schema":{"type":1}}}`:        "",
		`{"type":"json","schema":{"enum":["` + strings.Repeat("x", schema.MaxText) + `"]}}`:   "A schema may have 57344 bytes",
		`{"type":"json","schema":{"enum":["` + strings.Repeat("<", schema.MaxText/5) + `"]}}`: "A schema may have 57344 bytes",
	} {
		if text == "" {
			got := w.ask("POST", other, serviceToken, body)
			require.Equal(t, 400, got.code, "%s: %s", body, got.body)
			continue
		}
		w.refused(400, text, "POST", other, serviceToken, body)
	}

	w.must("PUT", schemaX, serviceToken, `{"schema":{"type":"string"}}`)
	w.must("PUT", schemaX, serviceToken, `{"name":"projects/P/schemas/y","attributes":{"type":"json","schema":{"required":["site"]}}}`, &made)
	require.Equal(t, "projects/P/schemas/y", made.Name)
	require.JSONEq(t, `{"type":"string"}`, string(made.Schema))
	w.refused(404, "Schema doesn't exist", "GET", schemaX, serviceToken, nil)
	w.refused(400, "wrong schema name declaration", "PUT", "/projects/P/schemas/y", serviceToken, `{"name":"projects/Q/schemas/z"}`)
	w.must("POST", schemaX, serviceToken, `{"type":"json","schema":{}}`)
	w.refused(409, "Schema already exists", "PUT", schemaX, serviceToken, `{"name":"projects/P/schemas/y"}`)
	var all wire.Revisions
	w.must("GET", "/projects/P/schemas/y:revisions", serviceToken, nil, &all)
	require.Len(t, all.Revisions, 3)
	for i, text := range []string{`{"type":"integer","minimum":1.50}`, `{"type":"string"}`, `{"type":"string"}`} {
		require.Equal(t, i+1, all.Revisions[i].Number)
		require.JSONEq(t, text, string(all.Revisions[i].Schema))
		require.Equal(t, "projects/P/schemas/y", all.Revisions[i].Name)
	}
	require.Nil(t, all.Revisions[1].Attributes)
	require.JSONEq(t, `{"required":["site"]}`, string(all.Revisions[2].Attributes.Schema))
	var one wire.Revision
	w.must("GET", "/projects/P/schemas/y?revision=1", serviceToken, nil, &one)
	require.Equal(t, 1, one.Number)
	require.JSONEq(t, string(all.Revisions[0].Schema), string(one.Schema))
	w.refused(404, "Schema revision doesn't exist", "GET", "/projects/P/schemas/y?revision=4", serviceToken, nil)
	w.must("DELETE", "/projects/P/schemas/y", serviceToken, nil)
	w.must("DELETE", "/projects/P", serviceToken, nil)
	keys := 0
	require.NoError(t, w.registry.Watch(t.Context(), func(key string, value []byte, _ uint64) {
		if value != nil {
			t.Log(key)
			keys++
		}
	}))
	require.Zero(t, keys, "nothing stays behind")
}

// A topic with a schema takes what that asks for, all messages of a request or none; the refusal is the service's.
func TestPublishToATopicWithASchema(t *testing.T) {
	w := stocked(t, 0, nil)
	w.refused(404, "Schema doesn't exist", "PUT", "/projects/P/topics/new", serviceToken, attached)
	w.must("POST", schemaX, serviceToken, `{"type":"json","schema":{"type":"object","required":["name"]},"attributes":{"type":"json","schema":{"required":["site"]}}}`)
	w.refused(400, "wrong schema name declaration", "POST", topicT+":attachSchema", serviceToken, `{"schema":"x"}`)
	w.refused(400, "wrong schema name declaration", "POST", topicT+":attachSchema", serviceToken, `{}`)
	w.refused(404, "Topic doesn't exist", "POST", "/projects/P/topics/none:attachSchema", serviceToken, attached)
	require.Empty(t, w.ask("POST", topicT+":attachSchema", serviceToken, attached).body)
	var topic wire.TopicAnswer
	w.must("GET", topicT, serviceToken, nil, &topic)
	require.Equal(t, "projects/P/schemas/x", topic.Schema)

	site := map[string]string{"site": "EGI"}
	good := map[string]any{"data": b64(`{"name":"a"}`), "attributes": site}
	for text, bad := range map[string]map[string]any{
		"Message 1 data is not valid JSON format,EOF":                                   {"data": "", "attributes": site},
		"Message 1 data is not valid,(root): missing property 'name' (required)":        {"data": b64(`{}`), "attributes": site},
		"Message 1 data is not valid,(root): got string, want object (type)":            {"data": b64(`"a"`), "attributes": site},
		"Message 1 attributes are not valid,(root): missing property 'site' (required)": {"data": b64(`{"name":"a"}`)},
		"Message 1 is not in valid base64 enocding,illegal base64 data at input byte 1": {"data": "a name", "attributes": site},
	} {
		w.refused(400, text, "POST", topicT+":publish", serviceToken, of(good, bad))
	}
	many := make([]map[string]any, gateway.MaxLogBatch+2)
	for i := range many {
		many[i] = good
	}
	many[gateway.MaxLogBatch+1] = map[string]any{"data": b64("1"), "attributes": site}
	w.refused(400, "Message 1001 data is not valid,(root): got number, want object (type)", "POST", topicT+":publish", serviceToken, of(many...))
	require.Empty(t, w.pull(10), "of a request that is refused nothing is taken")
	w.must("POST", topicT+":publish", serviceToken, of(good, good))
	require.Len(t, w.pull(10), 2)

	w.must("PUT", schemaX, serviceToken, `{"schema":{"type":"string"},"attributes":{}}`)
	w.must("POST", topicT+":publish", serviceToken, of(map[string]any{"data": b64(`"a"`)}))
	w.must("PUT", schemaX, serviceToken, `{"name":"projects/P/schemas/renamed"}`)
	w.must("GET", topicT, serviceToken, nil, &topic)
	require.Equal(t, "projects/P/schemas/renamed", topic.Schema, "a topic's schema is the same one under another name")
	w.refused(400, "Message 0 data is not valid,(root): got number, want string (type)", "POST", topicT+":publish", serviceToken, of(map[string]any{"data": b64(`1`)}))
	w.must("DELETE", "/projects/P/schemas/renamed", serviceToken, nil)
	w.must("POST", "/projects/P/schemas/renamed", serviceToken, `{"type":"json","schema":{}}`)
	w.refused(500, "Could not load schema for topic", "POST", topicT+":publish", serviceToken, of(good))
	require.ErrorContains(t, w.directory.Check("P.t", 0, &gateway.Message{}), "Could not load schema for topic")
	w.must("POST", topicT+":detachSchema", serviceToken, nil)
	w.must("POST", topicT+":publish", serviceToken, of(good))
	require.NoError(t, w.directory.Check("P.t", 0, &gateway.Message{}))
}

// :validate says what publishing would.
func TestValidate(t *testing.T) {
	w := stocked(t, 0, nil)
	w.must("POST", schemaX, serviceToken, `{"type":"json","schema":{"type":"integer"}}`)
	require.Equal(t, "{\n \"message\": \"Message validated successfully\"\n}", w.ask("POST", schemaX+":validate", serviceToken, "7").body)
	w.refused(400, "Message 0 data is not valid,(root): got string, want integer (type)", "POST", schemaX+":validate", serviceToken, `"7"`)
	w.refused(404, "Schema doesn't exist", "POST", "/projects/P/schemas/none:validate", serviceToken, "7")
	const text = `{"type":"record","name":"p","fields":[{"name":"name","type":"string"}]}`
	w.must("POST", "/projects/P/schemas/a", serviceToken, `{"type":"avro","schema":`+text+`}`)
	codec, err := avro.Parse(text)
	require.NoError(t, err)
	data, err := codec.Encode(map[string]any{"name": "a"})
	require.NoError(t, err)
	const validate = "/projects/P/schemas/a:validate"
	w.must("POST", validate, serviceToken, map[string]any{"data": data})
	w.refused(400, "Invalid Schema Payload Arguments", "POST", validate, serviceToken, `{}`)
	w.refused(400, "Invalid Request Body", "POST", validate, serviceToken, `[]`)
	w.refused(400, "Message 0 is not in valid base64 enocding,illegal base64 data at input byte 0", "POST", validate, serviceToken, `{"data":"?"}`)
	got := w.ask("POST", validate, serviceToken, map[string]any{"data": append(data, 1)})
	require.Contains(t, got.body, "Message 0 is not valid.1 bytes are left over")
}

// Another node knows a schema's revisions, and checks by them, as soon as it has heard of the facts.
func TestSchemasOnAnotherNode(t *testing.T) {
	w := stocked(t, 0, nil)
	w.must("POST", schemaX, serviceToken, `{"type":"json","schema":{"type":"integer"}}`)
	w.must("POST", topicT+":attachSchema", serviceToken, attached)
	w.must("PUT", schemaX, serviceToken, `{"name":"projects/P/schemas/y","schema":{"type":"string"}}`)
	other, err := resource.Open(t.Context(), resource.Config{Facts: w.disk.Registry(), Now: w.clock.Now, Shared: true})
	require.NoError(t, err)
	require.NoError(t, other.Check("P.t", 0, &gateway.Message{Body: []byte(`"a"`)}))
	require.ErrorContains(t, other.Check("P.t", 0, &gateway.Message{Body: []byte(`1`)}), "want string")
	require.NoError(t, other.Check("P.other", 0, &gateway.Message{Body: []byte(`1`)}))
	x := other.Schema(t.Context(), resource.Name{Project: "P", Name: "y"})
	require.Len(t, other.Revisions(x), 2)
}
