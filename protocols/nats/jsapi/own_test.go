package jsapi_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/protocols/nats/jsapi"
)

func TestSubjectsOfOwnStreams(t *testing.T) {
	for subject, fine := range map[string]bool{
		"orders": true, "orders.>": true, "orders.*.x": true, "*": true, "queue": false, "queues.>": true, "$KV.b.>": true, "$O.b.C.>": true, "inbox.>": true, "_INBOX": true,
		">": false, "*.x": false, "*.>": false, "queue.>": false, "topic.x": false, "sluice.n1.api.>": false, "$JS.>": false, "$JSC.R.x": false, "$NRG.V.x": false, "$SYS.>": false,
		"$MQTT.>": false, "$KVX.>": false, "_R_.x": false, "_INBOX.>": false, "_INBOX.*.x": false,
	} {
		body, err := json.Marshal(map[string]any{"name": "S", "subjects": []string{subject}})
		require.NoError(t, err)
		_, refused := jsapi.CheckStream("S", body)
		require.Equal(t, fine, refused == nil, subject)
	}
}

func TestDestinationsOfOwnStreams(t *testing.T) {
	for to, fine := range map[string]bool{
		"copy.>": true, "copy.{{wildcard(1)}}": true, "copy.$1": true, "$KV.b.>": true, "_INBOX.x": true, "x": true,
		"": false, ">": false, "*.x": false, "$1.x": false, "{{wildcard(1)}}.x": false, "{{ wildcard(1) }}.x": false, "queue.x": false, "topic.>": false, "$JS.API.x": false, "sluice.x": false,
	} {
		body, err := json.Marshal(map[string]any{"name": "S", "republish": map[string]any{"dest": to}})
		require.NoError(t, err)
		_, refused := jsapi.CheckStream("S", body)
		require.Equal(t, fine, refused == nil, to)
	}
}

// What a request leaves out is left out, or is what the server would take for it.
func TestTheLeastRequests(t *testing.T) {
	out, refused := jsapi.CheckStream("S", []byte(`{"name":"S"}`))
	require.Nil(t, refused)
	var r server.StreamConfigRequest
	require.NoError(t, json.Unmarshal(out, &r))
	require.Equal(t, server.StreamConfigRequest{StreamConfig: server.StreamConfig{Name: "S", Storage: server.FileStorage}}, r)
	for _, body := range []string{`{}`, `{"stream_name":"S","config":{}}`, `{"stream_name":"S","config":{"ack_policy":"all","deliver_subject":"_INBOX.x","priority_policy":"overflow"},"action":"update"}`} {
		out, refused := jsapi.CheckConsumer([]byte(body))
		require.Nil(t, refused, body)
		var want, got server.CreateConsumerRequest
		require.NoError(t, json.Unmarshal([]byte(body), &want))
		require.NoError(t, json.Unmarshal(out, &got))
		require.Equal(t, want, got)
	}
}

// Whatever a request says, what the server gets reaches nothing of ours, and says nothing else when it is read again.
func FuzzCheckStream(f *testing.F) {
	for _, seed := range []string{
		`{"name":"S","subjects":["a.>"]}`, `{"name":"S","Subjects":["queue.>"],"subjects":null}`, `{"name":"S","mirror":{"name":"Q","external":{"api":"x"}}}`,
		`{"name":"S","republish":{"dest":"queue.x"},"republish":{"src":">"}}`, `{"name":"S","sources":[{"name":"A","subject_transforms":[{"dest":"$JS.x"}]}]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		out, refused := jsapi.CheckStream("S", body)
		if refused != nil {
			return
		}
		var r server.StreamConfigRequest
		require.NoError(t, json.Unmarshal(out, &r))
		require.Equal(t, "S", r.Name)
		for _, s := range r.Subjects {
			for _, ours := range []string{"queue.>", "topic.>", "sluice.>", "$JS.>", "$SYS.>", "_INBOX.>"} {
				require.False(t, server.IsValidSubject(s) && server.SubjectsCollide(s, ours), s)
			}
		}
		if r.RePublish != nil {
			require.False(t, strings.HasPrefix(r.RePublish.Destination, "queue."))
		}
		require.True(t, r.Mirror == nil || r.Mirror.External == nil)
		again, refused := jsapi.CheckStream("S", out)
		require.Nil(t, refused)
		require.JSONEq(t, string(out), string(again))
	})
}

func TestPagesWithTheQueuesInFront(t *testing.T) {
	for _, c := range []struct {
		answer string
		offset int
		want   string
	}{
		{`{"total":2,"offset":0,"limit":1024,"streams":["A","B"]}`, 0, `{"total":3,"offset":0,"limit":1024,"streams":["QUEUES","A","B"]}`},
		{`{"total":0,"offset":0,"limit":1024,"streams":null}`, 0, `{"total":1,"offset":0,"limit":1024,"streams":["QUEUES"]}`},
		{`{"total":2,"offset":1,"limit":1024,"streams":["B"]}`, 2, `{"total":3,"offset":2,"limit":1024,"streams":["B"]}`},
		{`{"error":{"code":503},"total":0}`, 0, `{"error":{"code":503},"total":0}`},
		{`{}`, 0, `{}`},
	} {
		require.JSONEq(t, c.want, string(jsapi.PrependStream([]byte(c.answer), "QUEUES", c.offset)))
	}
	require.JSONEq(t, `{"streams":3,"consumers":9,"x":1}`, string(jsapi.AddToAccount([]byte(`{"streams":2,"consumers":4,"x":1}`), 5)))
	require.Equal(t, "{", string(jsapi.AddToAccount([]byte("{"), 5)))
}

// What is asked of the server about a stream of MQTT has MQTT's own subjects and nothing else, whatever was said.
func FuzzCheckMQTTStream(f *testing.F) {
	for _, seed := range []string{
		`{"name":"$MQTT_msgs","subjects":["$MQTT.msgs.>"],"retention":"interest"}`, `{"name":"$MQTT_msgs","subjects":["$MQTT.msgs.>",">"]}`, `{"name":"$MQTT_msgs"}`,
		`{"name":"$MQTT_msgs","subjects":["$MQTT.x"],"mirror":{"name":"ORDERS"}}`, `{"name":"$MQTT_msgs","subjects":["$MQTT.x"],"republish":{"src":">","dest":"queue.>"}}`,
		`{"name":"$MQTT_msgs","SUBJECTS":["queue.>"],"subjects":["$MQTT.x"]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if out, refused := jsapi.CheckMQTTConsumer(body); refused == nil {
			var r server.CreateConsumerRequest
			require.NoError(t, json.Unmarshal(out, &r))
			require.True(t, r.Config.DeliverSubject == "" || strings.HasPrefix(r.Config.DeliverSubject, "$MQTT."))
		}
		out, refused := jsapi.CheckMQTTStream("$MQTT_msgs", body)
		if refused != nil {
			return
		}
		var r server.StreamConfigRequest
		require.NoError(t, json.Unmarshal(out, &r))
		require.Equal(t, "$MQTT_msgs", r.Name)
		require.NotEmpty(t, r.Subjects)
		for _, subject := range r.Subjects {
			require.True(t, strings.HasPrefix(subject, "$MQTT."))
		}
		require.Nil(t, r.Mirror)
		require.Nil(t, r.RePublish)
		require.Nil(t, r.SubjectTransform)
		require.Empty(t, r.Sources)
	})
}
