package stomp

import (
	"strings"

	"github.com/sluice-mq/sluice/gateway"
)

// artemis reads a destination as ActiveMQ's, with what Artemis adds to that: prefixes for both kinds of routing, a header that
// says which one is meant, "#" for the rest of a name, and fully qualified names of queues, a::q. There the queue counts if it is one
// by itself; q of a topic is what waits for a durable subscription.
func (a *addresses) artemis(text, kind string, to purpose) (t target, err error) {
	text = strings.TrimSpace(text)
	if i := strings.Index(text, "://"); i >= 0 {
		switch text[:i] {
		case "anycast":
			text = queuePrefix + text[i+3:]
		case "multicast":
			text = topicPrefix + text[i+3:]
		}
	}
	if t, err = a.composite(text); err != nil {
		return t, err
	}
	_, prefixed, _ := a.plain(text)
	if err := routed(&t, kind, prefixed); err != nil {
		return t, err
	}
	if address, queue, ok := strings.Cut(t.Name, "::"); ok && !t.Kind.IsTemp() {
		switch {
		case len(t.also) > 0 || address == "" || queue == "":
			return t, invalid("'%s' is not the fully qualified name of a queue", quote(t.Name))
		case t.Kind == gateway.KindQueue:
			t.Name = queue
		case to == toSend:
			return t, invalid("'%s': nobody can send to one subscription of a topic", quote(t.Name))
		default:
			t.Name, t.queue = address, queue
		}
	}
	if to == toSubscribe {
		return t, rest(&t, "#")
	}
	return t, nil
}

// routed turns queues without a prefix into topics if the type says so.
func routed(t *target, kind string, prefixed bool) error {
	wanted := gateway.KindQueue
	switch strings.ToUpper(strings.TrimSpace(kind)) {
	case "":
		return nil
	case "ANYCAST":
	case "MULTICAST":
		wanted = gateway.KindTopic
	default:
		return invalid("'%s' is neither ANYCAST nor MULTICAST", quote(kind))
	}
	if prefixed || len(t.also) > 0 {
		if t.any(func(d gateway.Destination) bool { return d.Kind.IsTopic() != (wanted == gateway.KindTopic) }) {
			return invalid("'%s' is not %s", quote(t.String()), strings.ToUpper(strings.TrimSpace(kind)))
		}
		return nil
	}
	t.Kind = wanted
	return nil
}
