package app

import (
	"fmt"
	"strings"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/feed"
)

// VirtualTopic says which queues collect what is sent to topics.
type VirtualTopic struct {
	// Topics are names or patterns, without /topic/.
	Topics []string `yaml:"topics"`
	// Queues is how the names of the queues begin, before the name of the topic: "Consumer.*.".
	Queues string `yaml:"queues"`
}

// defaultVirtualTopics are those of the gateway's core.
func defaultVirtualTopics() (all []VirtualTopic) {
	for _, v := range feed.DefaultVirtualTopics() {
		all = append(all, VirtualTopic(v))
	}
	return all
}

// virtualTopics are never nil, which would be the default.
func virtualTopics(all []VirtualTopic) []feed.VirtualTopic {
	some := make([]feed.VirtualTopic, len(all))
	for i, v := range all {
		some[i] = feed.VirtualTopic(v)
	}
	return some
}

// virtualTopics wants topics that there can be, and names of queues that end where those of topics begin.
func (v *validator) virtualTopics(all []VirtualTopic) {
	for i, t := range all {
		path := fmt.Sprintf("virtual_topics[%d]", i)
		if len(t.Topics) == 0 {
			v.say(path, "has no topics")
		}
		for j, name := range t.Topics {
			at := fmt.Sprintf("%s.topics[%d]", path, j)
			switch d := (gateway.Destination{Kind: gateway.KindTopic, Name: name}); {
			case strings.HasPrefix(name, "/topic/"):
				v.say(at, "%q is a name of a topic with /topic/ before it, which does not belong here", name)
			case d.Validate() != nil:
				v.say(at, "%q is not the name of a topic", name)
			}
		}
		v.queuePrefix(path, t.Queues)
	}
}

func (v *validator) queuePrefix(path, prefix string) {
	if prefix == "" {
		v.say(path, "has no queues")
		return
	}
	path += ".queues"
	rest, dotted := strings.CutSuffix(prefix, ".")
	d := gateway.Destination{Kind: gateway.KindQueue, Name: rest}
	switch {
	case !dotted:
		v.say(path, `%q does not end with a dot, such as "Consumer.*."`, prefix)
	case strings.HasPrefix(prefix, "/queue/"):
		v.say(path, "%q is a name of a queue with /queue/ before it, which does not belong here", prefix)
	case d.Validate() != nil || strings.HasPrefix(rest, ".") || strings.HasSuffix(rest, ".") || strings.Contains(rest, ".."):
		v.say(path, "%q is not how the name of a queue begins", prefix)
	case strings.Contains("."+prefix, ".>."):
		v.say(path, "%q has a >, which cannot stand before something", prefix)
	}
}
