package feed

import "strings"

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

// Collects finds the topic, or the pattern of topics, whose messages a queue collects. The first of the rules that it belongs to counts.
func Collects(rules []VirtualTopic, queue string) (prefix, topic string, ok bool) {
	for i := range rules {
		if prefix, topic, ok = rules[i].of(queue); ok {
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
