package core

import (
	"context"
	"strings"

	"github.com/sluice-mq/sluice/gateway"
)

// VirtualTopic says which queues collect what is sent to topics: those whose name begins as Queues says and goes on with that of the topic.
type VirtualTopic struct {
	// Topics are patterns.
	Topics []string
	// Queues is how the names of the queues begin, with a dot at its end: "Consumer.*." for any consumer.
	Queues string
}

// DefaultVirtualTopics are ActiveMQ's as the grid's brokers have them: all topics, for queues named Consumer.*.
func DefaultVirtualTopics() []VirtualTopic {
	return []VirtualTopic{{Topics: []string{">"}, Queues: "Consumer.*."}}
}

// of splits the name of a queue into what the rule says of its beginning and the topic whose messages it collects.
func (v *VirtualTopic) of(queue string) (prefix, topic string, ok bool) {
	rest := queue
	for token := range strings.SplitSeq(strings.TrimSuffix(v.Queues, "."), ".") {
		first, after, more := strings.Cut(rest, ".")
		if !more || first == "" || first == ">" || first == "*" || token != "*" && token != first {
			return "", "", false
		}
		rest = after
	}
	if rest == "" {
		return "", "", false
	}
	for _, t := range v.Topics {
		if overlaps(t, rest) {
			return queue[:len(queue)-len(rest)], rest, true
		}
	}
	return "", "", false
}

// collects finds the topic, or the pattern of topics, whose messages a queue collects.
func (b *Broker) collects(queue string) (prefix, topic string, ok bool) {
	for i := range b.cfg.VirtualTopics {
		if prefix, topic, ok = b.cfg.VirtualTopics[i].of(queue); ok {
			return prefix, topic, true
		}
	}
	return "", "", false
}

// overlaps reports whether there may be a name that two patterns match.
func overlaps(a, b string) bool {
	for {
		x, restA, moreA := strings.Cut(a, ".")
		y, restB, moreB := strings.Cut(b, ".")
		switch {
		case x == ">" || y == ">":
			return true
		case x != y && x != "*" && y != "*":
			return false
		case !moreA && !moreB:
			return true
		case !moreA:
			return restB == ">" || strings.HasPrefix(restB, ">.")
		case !moreB:
			return restA == ">" || strings.HasPrefix(restA, ">.")
		}
		a, b = restA, restB
	}
}

// bindVirtual has the topic feed a queue that somebody subscribes to, if it is one of a virtual topic. It returns the revision of the binding, 0 if
// there is none.
func (s *session) bindVirtual(o *gateway.SubscribeOptions) (revision uint64, err error) {
	b := s.broker
	if b.facts.registry == nil || o.Browse {
		return 0, nil
	}
	for _, d := range append([]gateway.Destination{o.Destination}, o.Also...) {
		if d.Kind != gateway.KindQueue {
			continue
		}
		prefix, topic, ok := b.collects(d.Name)
		if !ok {
			continue
		}
		want := Binding{Topic: topic, Queue: d.Name, User: s.who().Name}
		if isPattern(topic) {
			want.Queue = prefix + topicMark
		}
		since, _, err := b.bind(context.Background(), want)
		if err != nil {
			return 0, err
		}
		revision = max(revision, since)
	}
	return revision, nil
}
