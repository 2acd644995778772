package jsapi

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/nats-server/v2/server"
)

// The error codes of JetStream that refusals of streams use.
const (
	codeBadJSON       = 10025
	codeConsumer      = 10012
	codeConfiguration = 10052
	codeOverlap       = 10065
	codeMismatch      = 10056
)

// CheckStream reads the body of a request to make or change a stream of a client's own, and returns what is to be asked of the server
// instead: exactly what was looked at. It refuses what would reach subjects that are not the client's.
func CheckStream(name string, body []byte) ([]byte, *Error) {
	var r server.StreamConfigRequest
	if err := json.Unmarshal(body, &r); err != nil {
		return nil, &Error{400, codeBadJSON, err.Error()}
	}
	if r.Name != name {
		return nil, &Error{400, codeMismatch, "stream name in subject does not match request"}
	}
	if r.Storage == 0 { // which the server takes for files, and cannot write
		r.Storage = server.FileStorage
	}
	if slices.ContainsFunc(r.Subjects, taken) {
		return nil, &Error{400, codeOverlap, "subjects overlap with an existing stream"}
	}
	if err := streamReaches(&r.StreamConfig); err != nil {
		return nil, &Error{400, codeConfiguration, err.Error()}
	}
	return again(r)
}

// streamReaches reports why a stream would get at, or publish to, what is not its owner's.
func streamReaches(c *server.StreamConfig) error {
	var to []server.SubjectTransformConfig
	if c.SubjectTransform != nil {
		to = append(to, *c.SubjectTransform)
	}
	sources := c.Sources
	if c.Mirror != nil {
		sources = append(slices.Clone(sources), c.Mirror)
	}
	for _, s := range sources {
		switch {
		case s == nil:
			return fmt.Errorf("a source is missing")
		case s.External != nil:
			return fmt.Errorf("streams of other accounts and domains cannot be read: there are none")
		case s.Name == QueueStream || s.Name == TopicStream:
			return fmt.Errorf("%s cannot be mirrored or sourced: it is no stream of messages", s.Name)
		case s.Consumer != nil && s.Consumer.DeliverSubject != "" && !mayReach(s.Consumer.DeliverSubject):
			return fmt.Errorf("the source's deliver subject %.100q is not a client's own", s.Consumer.DeliverSubject)
		}
		to = append(to, s.SubjectTransforms...)
	}
	for _, t := range to {
		if t.Destination != "" && !mayReach(t.Destination) {
			return fmt.Errorf("the destination %.100q of a subject transform must begin with a name that is a client's own", t.Destination)
		}
	}
	if c.RePublish != nil && !mayReach(c.RePublish.Destination) {
		return fmt.Errorf("the destination %.100q of republish must begin with a name that is a client's own: who wants it in a queue publishes it there", c.RePublish.Destination)
	}
	return nil
}

// CheckConsumer reads the body of a request to make or change a consumer of a client's own stream, and returns what is to be asked
// of the server instead.
func CheckConsumer(body []byte) ([]byte, *Error) {
	var r server.CreateConsumerRequest
	if err := json.Unmarshal(body, &r); err != nil {
		return nil, &Error{400, codeBadJSON, err.Error()}
	}
	if to := r.Config.DeliverSubject; to != "" && !mayReach(to) && !internal(to) {
		return nil, &Error{400, codeConsumer, fmt.Sprintf("the deliver subject %.100q is not a client's own: who wants messages in a queue publishes them there", to)}
	}
	return again(r)
}

func again(request any) ([]byte, *Error) {
	body, err := json.Marshal(request)
	if err != nil {
		return nil, &Error{400, codeBadJSON, err.Error()}
	}
	return body, nil
}

// The streams that clients see in the place of queues and topics.
const (
	QueueStream = "QUEUES"
	TopicStream = "TOPICS"
)

// ours are the first tokens of subjects that are the node's and the server's. Others that begin with $ are as well, but for the
// server's own for buckets and object stores.
func ours(token string) bool {
	switch token {
	case "queue", "topic", "sluice", "_R_", "_GR_":
		return true
	}
	return strings.HasPrefix(token, "$") && token != "$KV" && token != "$O"
}

// taken reports whether a stream must not have a subject. Inboxes are nobody's: a stream that has them would count as their listener.
func taken(subject string) bool {
	first, _, more := strings.Cut(subject, ".")
	switch first {
	case ">":
		return true
	case "*":
		return more // what has one token only is a client's own
	case "_INBOX":
		return more
	}
	return ours(first)
}

// mayReach reports whether a stream or consumer may publish to a subject, or to a template for one.
func mayReach(subject string) bool {
	first, _, _ := strings.Cut(subject, ".")
	return first != "" && !strings.ContainsAny(first, "*>{}() \t") && !ours(first)
}

// internal reports whether the server itself made up a deliver subject, by which one stream of a client reads another.
func internal(subject string) bool {
	return strings.HasPrefix(subject, "$JS.M.") || strings.HasPrefix(subject, "$JS.S.")
}
