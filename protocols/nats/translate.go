package nats

import (
	"strconv"
	"strings"

	natsgo "github.com/nats-io/nats.go"

	"github.com/sluice-mq/sluice/gateway"
)

// The roots of the subjects that lead to the broker.
const (
	queueRoot = "queue."
	topicRoot = "topic."
)

// destinationOf returns where a subject under one of the roots leads.
func destinationOf(subject string) (gateway.Destination, bool) {
	if name, ok := strings.CutPrefix(subject, queueRoot); ok {
		return gateway.Destination{Kind: gateway.KindQueue, Name: gateway.UnescapeName(name)}, true
	}
	if name, ok := strings.CutPrefix(subject, topicRoot); ok {
		return gateway.Destination{Kind: gateway.KindTopic, Name: gateway.UnescapeName(name)}, true
	}
	return gateway.Destination{}, false
}

// subjectOf returns the subject of a destination that is no pattern.
func subjectOf(d gateway.Destination) string {
	if d.Kind == gateway.KindQueue {
		return queueRoot + gateway.EscapeName(d.Name)
	}
	return topicRoot + gateway.EscapeName(d.Name)
}

// messageOf makes the broker's message of a native one. The body is taken over.
// A message to a queue is persistent unless its header says otherwise, one to
// a topic if its header says so. Errors are of kind Invalid or Limit.
func messageOf(d gateway.Destination, h natsgo.Header, body []byte, fields int) (*gateway.Message, error) {
	m := &gateway.Message{Destination: d, Body: body, Priority: gateway.DefaultPriority, Persistent: d.Kind == gateway.KindQueue}
	if len(h) == 0 {
		return m, nil
	}
	if v, ok := first(h, "persistent"); ok {
		m.Persistent = strings.EqualFold(strings.TrimSpace(v), "true")
	}
	priority, err := number(h, "priority", gateway.DefaultPriority)
	if err != nil {
		return nil, err
	}
	m.Priority = uint8(min(max(priority, 0), 9))
	if m.Expires, err = number(h, "expires", 0); err != nil {
		return nil, err
	}
	m.Expires = max(m.Expires, 0)
	if m.Timestamp, err = number(h, "timestamp", 0); err != nil {
		return nil, err
	}
	var ok bool
	if m.Header, ok = fieldsOf(h, fields); !ok {
		return nil, gateway.Errorf(gateway.Limit, "the message has more than %d header fields", fields)
	}
	m.Text = isText(m.Header)
	return m, nil
}

func first(h natsgo.Header, name string) (string, bool) {
	if values := h[name]; len(values) > 0 {
		return values[0], true
	}
	return "", false
}

// number reads a field that must be a whole number.
func number(h natsgo.Header, name string, absent int64) (int64, error) {
	v, ok := first(h, name)
	if !ok {
		return absent, nil
	}
	n, err := strconv.ParseInt(strings.TrimSpace(v), 10, 64)
	if err != nil {
		return 0, gateway.Errorf(gateway.Invalid, "the header %s is not a whole number: %.40q", name, v)
	}
	return n, nil
}

// isText reports whether JMS should call it a TextMessage: the first content-type,
// in any spelling of its case, is text or JSON.
func isText(h gateway.Header) bool {
	for i := range h {
		if !strings.EqualFold(h[i].Name, "content-type") {
			continue
		}
		kind, _, _ := strings.Cut(h[i].Value, ";")
		kind = strings.ToLower(strings.TrimSpace(kind))
		return strings.HasPrefix(kind, "text/") || kind == "application/json"
	}
	return false
}

// headerOf makes the NATS header of a message. It is never empty.
func headerOf(m *gateway.Message) natsgo.Header {
	h := make(natsgo.Header, len(m.Header)+4)
	appendHeader(h, m.Header)
	h["message-id"] = []string{m.ID}
	h["timestamp"] = []string{strconv.FormatInt(m.Timestamp, 10)}
	if m.Priority != gateway.DefaultPriority {
		h["priority"] = []string{strconv.FormatUint(uint64(m.Priority), 10)}
	}
	if m.Expires != 0 {
		h["expires"] = []string{strconv.FormatInt(m.Expires, 10)}
	}
	if m.Persistent {
		h["persistent"] = []string{"true"}
	}
	return h
}
