package jsapi

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/nats-io/nats-server/v2/server"
)

// mqttRoot begins the subjects of MQTT sessions and messages in the server.
const mqttRoot = "$MQTT."

// IsMQTT reports whether a stream is one of those in which the server keeps sessions and messages of MQTT clients.
func IsMQTT(stream string) bool {
	switch stream {
	case "$MQTT_sess", "$MQTT_rmsgs", "$MQTT_msgs", "$MQTT_qos2in", "$MQTT_out":
		return true
	}
	return false
}

// CheckMQTTStream is CheckStream for such a stream. It holds nothing but MQTT's own subjects.
func CheckMQTTStream(name string, body []byte) ([]byte, *Error) {
	var r server.StreamConfigRequest
	if err := json.Unmarshal(body, &r); err != nil {
		return nil, &Error{400, codeBadJSON, err.Error()}
	}
	if r.Name != name {
		return nil, &Error{400, codeMismatch, "stream name in subject does not match request"}
	}
	foreign := func(s string) bool { return !strings.HasPrefix(s, mqttRoot) }
	if len(r.Subjects) == 0 || slices.ContainsFunc(r.Subjects, foreign) || r.Mirror != nil || len(r.Sources) > 0 || r.RePublish != nil || r.SubjectTransform != nil {
		return nil, &Error{400, codeConfiguration, "a stream of MQTT has subjects of MQTT and nothing else"}
	}
	return again(r)
}

// CheckMQTTConsumer is CheckConsumer for such a stream.
func CheckMQTTConsumer(body []byte) ([]byte, *Error) {
	var r server.CreateConsumerRequest
	if err := json.Unmarshal(body, &r); err != nil {
		return nil, &Error{400, codeBadJSON, err.Error()}
	}
	if to := r.Config.DeliverSubject; to != "" && !strings.HasPrefix(to, mqttRoot) {
		return nil, &Error{400, codeConsumer, "messages of MQTT are delivered on subjects of MQTT"}
	}
	return again(r)
}
