package bench

import (
	"errors"
	"fmt"
	"time"
)

// Scenario says what is sent, by whom, and how it is received.
type Scenario struct {
	Name string `json:"name"`
	// Topic sends to topics, where every consumer gets every message, instead of
	// queues, where each message goes to one.
	Topic bool `json:"topic"`
	// Destinations is the number of queues or topics. Producers and consumers, each a
	// connection, are dealt out to them in turn; where there are fewer than
	// destinations, each has several.
	Destinations int `json:"destinations"`
	Producers    int `json:"producers"`
	Consumers    int `json:"consumers"`
	// Wildcard has consumers subscribe to all topics at once.
	Wildcard bool `json:"wildcard"`
	// Messages of all producers together.
	Messages int `json:"messages"`
	// Size of a body in bytes, at least MinSize.
	Size       int  `json:"size"`
	Persistent bool `json:"persistent"`
	// Window is the number of receipts a producer lets be outstanding; 0 asks for
	// one receipt, with the last message.
	Window int `json:"window"`
	// Rate of all producers together, in messages per second; 0 is as fast as
	// they can. With a rate, latency counts from when a message was due, so that a
	// stall of the broker counts for every message it held up.
	Rate int `json:"rate"`
	// Backlog sends everything before the first consumer subscribes.
	Backlog bool `json:"backlog"`
	// Selected has consumers ask by a selector for one in so many messages of a flow; 0 is no selector, and 1 is one that matches all.
	Selected int `json:"selected"`
	// Durable has consumers subscribe durably, each by its own client-id. What that leaves behind is removed after the run.
	Durable bool `json:"durable"`
	// Ack is the ack mode: auto, client or client-individual.
	Ack string `json:"ack"`
	// Prefetch is how many unacknowledged messages a consumer takes; 0 leaves it
	// to the broker.
	Prefetch int `json:"prefetch"`
}

// Deliveries is the number of messages that consumers have to get.
func (s Scenario) Deliveries() int {
	n := 0
	if !s.Topic {
		for f := range s.flows() {
			n += s.due(f)
		}
		return n
	}
	for c := range s.Consumers {
		for f := range s.flows() {
			if s.hears(c, f) {
				n += s.due(f)
			}
		}
	}
	return n
}

// due is how many messages of a flow match the consumers' selector.
func (s Scenario) due(flow int) int {
	n := max(s.Selected, 1)
	return (s.share(flow) + n - 1) / n
}

// selects says whether a number of a flow is one that consumers ask for.
func (s Scenario) selects(number uint64) bool {
	return s.Selected == 0 || number%uint64(s.Selected) == 0
}

// flows is the number of flows: the messages of one producer to one destination, which
// are numbered and must arrive in that order. Flow f is of producer f modulo
// Producers and goes to destination f modulo Destinations.
func (s Scenario) flows() int { return max(s.Producers, s.Destinations) }

// subscriptionsOf are the destinations of a consumer.
func (s Scenario) subscriptionsOf(consumer int) (destinations []int) {
	if s.Consumers >= s.Destinations {
		return []int{consumer % s.Destinations}
	}
	for d := consumer; d < s.Destinations; d += s.Consumers {
		destinations = append(destinations, d)
	}
	return destinations
}

// hears says whether a consumer's subscriptions cover a flow.
func (s Scenario) hears(consumer, flow int) bool {
	n := min(s.Consumers, s.Destinations)
	if s.Consumers >= s.Destinations {
		return s.Wildcard || consumer%n == flow%n
	}
	return s.Wildcard || consumer == flow%s.Destinations%n
}

// share is the number of messages of a flow.
func (s Scenario) share(flow int) int { return dealt(s.Messages, s.flows(), flow) }

// shareOf is the number of messages of a producer.
func (s Scenario) shareOf(producer int) (n int) {
	for f := producer; f < s.flows(); f += s.Producers {
		n += s.share(f)
	}
	return n
}

// dealt is how many of n things the i-th of so many gets, if they are dealt out in turn.
func dealt(n, among, i int) int {
	if i < n%among {
		return n/among + 1
	}
	return n / among
}

// Validate says what cannot be run.
func (s Scenario) Validate() error {
	var errs []error
	positive := func(name string, n int) {
		if n < 1 {
			errs = append(errs, fmt.Errorf("%s is %d, and must be at least 1", name, n))
		}
	}
	positive("destinations", s.Destinations)
	positive("producers", s.Producers)
	positive("consumers", s.Consumers)
	positive("messages", s.Messages)
	if s.Size < MinSize || s.Size > 16<<20 {
		errs = append(errs, fmt.Errorf("size is %d, and must be between %d and %d", s.Size, MinSize, 16<<20))
	}
	if s.Window < 0 || s.Rate < 0 || s.Prefetch < 0 || s.Selected < 0 {
		errs = append(errs, errors.New("window, rate, prefetch and selected cannot be negative"))
	}
	if s.Ack != "auto" && s.Ack != "client" && s.Ack != "client-individual" {
		errs = append(errs, fmt.Errorf("%q is not auto, client or client-individual", s.Ack))
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	switch {
	case s.Wildcard && !s.Topic, s.Backlog && s.Topic:
		return errors.New("wildcards are for topics, and a backlog is for queues")
	case s.Durable && (!s.Topic || s.Wildcard):
		return errors.New("durable subscriptions are for topics, without wildcards")
	case s.Selected > 1 && !s.Topic:
		return errors.New("from queues all messages are taken")
	case s.Messages < s.flows():
		return errors.New("each producer and each destination needs a message")
	}
	return nil
}

// interval is the time between two messages of one producer, 0 without a rate.
func (s Scenario) interval() time.Duration {
	if s.Rate == 0 {
		return 0
	}
	return time.Duration(float64(time.Second) * float64(s.Producers) / float64(s.Rate))
}

// Scenarios are those with a name, in the order in which reports show them. Where
// messages are persistent, consumers acknowledge them: brokers exist that do not write what
// a consumer with automatic acknowledgement takes at once, receipt or not. Not where a
// connection has many subscriptions: RabbitMQ takes a cumulative ACK for all of them.
func Scenarios() []Scenario {
	queue := Scenario{Destinations: 1, Producers: 1, Consumers: 1, Messages: 200_000, Size: 1024, Persistent: true, Ack: "client"}
	topic := queue
	topic.Topic, topic.Persistent, topic.Messages, topic.Ack = true, false, 500_000, "auto"
	with := func(s Scenario, name string, change func(*Scenario)) Scenario {
		s.Name = name
		change(&s)
		return s
	}
	return []Scenario{
		with(queue, "persistent", func(*Scenario) {}),
		with(queue, "persistent-window-256", func(s *Scenario) { s.Window = 256 }),
		with(queue, "persistent-10-producers-window-1", func(s *Scenario) { s.Producers, s.Window, s.Messages = 10, 1, 100_000 }),
		with(queue, "persistent-window-1", func(s *Scenario) { s.Window, s.Messages = 1, 20_000 }),
		with(queue, "persistent-10-to-10", func(s *Scenario) { s.Producers, s.Consumers = 10, 10 }),
		with(queue, "persistent-window-1-auto", func(s *Scenario) { s.Window, s.Messages, s.Ack = 1, 20_000, "auto" }),
		with(queue, "persistent-100-queues", func(s *Scenario) { s.Destinations, s.Producers, s.Consumers = 100, 100, 100 }),
		with(queue, "persistent-1000-queues", func(s *Scenario) { s.Destinations, s.Producers, s.Consumers, s.Ack = 1000, 10, 10, "auto" }),
		with(queue, "non-persistent", func(s *Scenario) { s.Persistent, s.Messages, s.Ack = false, 500_000, "auto" }),
		with(topic, "topic", func(*Scenario) {}),
		with(queue, "selector", func(s *Scenario) { s.Persistent, s.Messages, s.Ack, s.Selected = false, 500_000, "auto", 1 }),
		with(topic, "topic-selector-1-in-10", func(s *Scenario) { s.Selected = 10 }),
		with(topic, "durable", func(s *Scenario) { s.Persistent, s.Durable, s.Messages, s.Ack = true, true, 200_000, "client" }),
		with(topic, "topic-1-to-100", func(s *Scenario) { s.Consumers, s.Messages = 100, 20_000 }),
		with(topic, "topic-wildcard-1000", func(s *Scenario) { s.Destinations, s.Producers, s.Wildcard = 1000, 1000, true }),
		with(queue, "latency", func(s *Scenario) { s.Rate, s.Messages = 1000, 10_000 }),
		with(queue, "backlog", func(s *Scenario) { s.Backlog, s.Messages, s.Size = true, 1_000_000, 256 }),
	}
}
