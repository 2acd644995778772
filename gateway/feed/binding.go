// Package feed knows which queues topics feed: those of durable subscriptions, and those of virtual topics. It is the table of all that, kept as the registry tells it,
// and the words for it; who puts messages into the queues is core.
package feed

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"time"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/selector"
)

// Binding says that a queue keeps what is sent to a topic: that of a durable subscription, or one of a virtual topic.
type Binding struct {
	// Topic may be a pattern.
	Topic string `json:"topic"`
	// Queue of a virtual topic, empty for a durable subscription. If Topic is a pattern it ends with "{topic}", in whose place comes the name of the topic.
	Queue string `json:"queue,omitempty"`
	// Client and Name of a durable subscription.
	Client string `json:"client,omitempty"`
	Name   string `json:"name,omitempty"`
	// Selector of what is kept, and NoLocal: nothing that Client sent.
	Selector string `json:"selector,omitempty"`
	NoLocal  bool   `json:"no_local,omitempty"`
	// User who made it, and when.
	User string    `json:"user,omitempty"`
	Made time.Time `json:"made"`
}

// Destination is the queue that is fed, or the durable subscription. ok is false for a binding of many queues.
func (b *Binding) Destination() (d gateway.Destination, ok bool) {
	if b.Queue == "" {
		return Durable(b.Client, b.Name), true
	}
	return gateway.Destination{Kind: gateway.KindQueue, Name: b.Queue}, !isPattern(b.Topic)
}

// topicMark is where the name of a topic stands in that of a queue.
const topicMark = "{topic}"

// ID names the binding. It is the same for the same queue.
func (b *Binding) ID() string {
	kind, name := "durable/", b.Place()
	if b.Queue != "" {
		kind, name = "virtual/", b.Queue
	}
	sum := sha256.Sum256([]byte(name))
	return kind + base64.RawURLEncoding.EncodeToString(sum[:])
}

// Place is the queue of a durable subscription.
func (b *Binding) Place() string { return Durable(b.Client, b.Name).Place() }

// Durable is what a durable subscription is called. A colon in the client-id is written as %3A, so that no other client has the same.
func Durable(client, name string) gateway.Destination {
	client = strings.NewReplacer("%", "%25", ":", "%3A").Replace(client)
	return gateway.Destination{Kind: gateway.KindSubscription, Name: client + ":" + name}
}

// KeepsTheSame reports whether two bindings of a queue keep the same messages.
func (b *Binding) KeepsTheSame(o *Binding) bool {
	return b.Topic == o.Topic && b.Selector == o.Selector && b.NoLocal == o.NoLocal && b.Queue == o.Queue
}

// Validate returns why there cannot be such a binding, an error of kind Invalid, or nil.
func (b *Binding) Validate() error {
	switch {
	case b.Topic == "" || (b.Queue == "") == (b.Name == ""):
		return gateway.Errorf(gateway.Invalid, "a binding is of a topic, and of a queue or a subscription")
	case b.Queue != "" && isPattern(b.Topic) != strings.HasSuffix(b.Queue, topicMark):
		return gateway.Errorf(gateway.Invalid, "for a pattern of topics the name of the queue ends with %s", topicMark)
	}
	if b.Selector != "" {
		if _, err := selector.Parse(b.Selector); err != nil {
			return err
		}
	}
	return nil
}

// Collected is the binding of a queue, if it is one of a virtual topic.
func Collected(rules []VirtualTopic, queue string) (b Binding, ok bool) {
	prefix, topic, ok := Collects(rules, queue)
	if !ok {
		return Binding{}, false
	}
	b = Binding{Topic: topic, Queue: queue}
	if isPattern(topic) {
		b.Queue = prefix + topicMark
	}
	return b, true
}

// Compare orders bindings: durable subscriptions by client and name, then queues by name.
func (b *Binding) Compare(o *Binding) int {
	return cmp.Or(strings.Compare(b.Queue, o.Queue), strings.Compare(b.Client, o.Client), strings.Compare(b.Name, o.Name))
}

func isPattern(topic string) bool { return gateway.Destination{Name: topic}.IsPattern() }
