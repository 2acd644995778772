// Package statistics holds the numbers that clients can ask for by a message, under the names of ActiveMQ's statistics plugin. It is pure: core counts.
package statistics

import (
	"github.com/sluice-mq/sluice/gateway/jmsmap"
)

// Whoever sends to a queue or topic whose name is Prefix and one of the three, with a reply-to, gets numbers. Destination is followed by a name or a pattern.
const (
	Prefix       = "ActiveMQ.Statistics."
	Broker       = "Broker"
	Destination  = "Destination"
	Subscription = "Subscription"
	// EndHeader asks for an empty map behind the last answer about destinations.
	EndHeader = Prefix + "Destination.List.End.With.Null"
)

// Waits is how long messages waited until they were handed out first, in milliseconds: of a sample.
type Waits struct {
	Samples int64   `json:"waitSamples,omitempty"`
	Sum     float64 `json:"waitSum,omitempty"`
	Least   float64 `json:"minEnqueueTime,omitempty"`
	Most    float64 `json:"maxEnqueueTime,omitempty"`
}

// Waited takes one in.
func (w *Waits) Waited(millis float64) {
	if w.Samples == 0 || millis < w.Least {
		w.Least = millis
	}
	w.Most = max(w.Most, millis)
	w.Samples++
	w.Sum += millis
}

// Add takes those of another in.
func (w *Waits) Add(x Waits) {
	switch {
	case x.Samples == 0:
		return
	case w.Samples == 0:
		*w = x
		return
	}
	w.Least, w.Most = min(w.Least, x.Least), max(w.Most, x.Most)
	w.Samples += x.Samples
	w.Sum += x.Sum
}

func (w *Waits) average() float64 {
	if w.Samples == 0 {
		return 0
	}
	return w.Sum / float64(w.Samples)
}

// Counts are since the start.
type Counts struct {
	Enqueued   uint64 `json:"enqueueCount"`
	Dequeued   uint64 `json:"dequeueCount"`
	Dispatched uint64 `json:"dispatchCount"`
	Expired    uint64 `json:"expiredCount"`
	// Bytes of those that were enqueued.
	Bytes uint64 `json:"enqueueBytes"`
	Waits
}

// Add takes those of another in.
func (c *Counts) Add(x Counts) {
	c.Enqueued += x.Enqueued
	c.Dequeued += x.Dequeued
	c.Dispatched += x.Dispatched
	c.Expired += x.Expired
	c.Bytes += x.Bytes
	c.Waits.Add(x.Waits)
}

func (c *Counts) averageSize() int64 { return int64(c.Bytes / max(c.Enqueued, 1)) }

// From is whose numbers they are.
type From struct {
	Broker   string `json:"brokerName"`
	BrokerID string `json:"brokerId"`
}

// OfDestination are a queue's or a topic's numbers, as nodes tell one another.
type OfDestination struct {
	From
	// Name is as gateway.Destination.String writes it.
	Name          string `json:"destinationName"`
	Size          int    `json:"size"`
	InFlight      int    `json:"inflightCount"`
	Consumers     int    `json:"consumerCount"`
	Cached        int    `json:"messagesCached"`
	MemoryUsage   int64  `json:"memoryUsage"`
	MemoryLimit   int64  `json:"memoryLimit"`
	MemoryPercent int64  `json:"memoryPercentUsage"`
	Counts
}

// Add takes in what another node has of the same topic.
func (d *OfDestination) Add(x *OfDestination) {
	d.Size += x.Size
	d.InFlight += x.InFlight
	d.Consumers += x.Consumers
	d.Cached += x.Cached
	d.MemoryUsage += x.MemoryUsage
	d.Counts.Add(x.Counts)
}

// Map is what whoever asks gets. STOMP has no producers that could be counted.
func (d *OfDestination) Map() jmsmap.Map {
	return jmsmap.Map{
		{Name: "averageEnqueueTime", Value: d.average()}, {Name: "averageMessageSize", Value: d.averageSize()},
		{Name: "brokerId", Value: d.BrokerID}, {Name: "brokerName", Value: d.Broker},
		{Name: "consumerCount", Value: int64(d.Consumers)}, {Name: "dequeueCount", Value: int64(d.Dequeued)}, {Name: "destinationName", Value: d.Name},
		{Name: "dispatchCount", Value: int64(d.Dispatched)}, {Name: "enqueueCount", Value: int64(d.Enqueued)}, {Name: "expiredCount", Value: int64(d.Expired)},
		{Name: "inflightCount", Value: int64(d.InFlight)}, {Name: "maxEnqueueTime", Value: d.Most}, {Name: "memoryLimit", Value: d.MemoryLimit},
		{Name: "memoryPercentUsage", Value: int32(d.MemoryPercent)}, {Name: "memoryUsage", Value: d.MemoryUsage}, {Name: "messagesCached", Value: int64(d.Cached)},
		{Name: "minEnqueueTime", Value: d.Least}, {Name: "producerCount", Value: int64(0)}, {Name: "size", Value: int64(d.Size)},
	}
}

// OfBroker are a node's numbers.
type OfBroker struct {
	OfDestination
	StoreUsage, StoreLimit int64
}

// Map is what whoever asks gets. Where the node listens and keeps its data is not told.
func (b *OfBroker) Map() (m jmsmap.Map) {
	for _, e := range b.OfDestination.Map() {
		switch e.Name {
		case "destinationName":
			continue
		case "dequeueCount":
			m = append(m, jmsmap.Entry{Name: "dataDirectory", Value: ""})
		case "producerCount":
			m = append(m, jmsmap.Entry{Name: "openwire", Value: ""})
		}
		m = append(m, e)
	}
	return append(m,
		jmsmap.Entry{Name: "ssl", Value: ""}, jmsmap.Entry{Name: "stomp", Value: ""}, jmsmap.Entry{Name: "stomp+ssl", Value: ""},
		jmsmap.Entry{Name: "storeLimit", Value: b.StoreLimit}, jmsmap.Entry{Name: "storePercentUsage", Value: int32(b.StoreUsage * 100 / max(b.StoreLimit, 1))},
		jmsmap.Entry{Name: "storeUsage", Value: b.StoreUsage},
		jmsmap.Entry{Name: "tempLimit", Value: int64(0)}, jmsmap.Entry{Name: "tempPercentUsage", Value: int32(0)}, jmsmap.Entry{Name: "tempUsage", Value: int64(0)},
		jmsmap.Entry{Name: "vm", Value: ""},
	)
}

// OfSubscription are those of one subscription, as nodes tell one another.
type OfSubscription struct {
	From
	// Session names that of the subscription on all nodes.
	Session     string `json:"session"`
	Client      string `json:"clientId"`
	Destination string `json:"destinationName"`
	Selector    string `json:"selector"`
	Prefetch    int    `json:"prefetchSize"`
	Pending     int    `json:"maximumPendingMessageLimit"`
	Exclusive   bool   `json:"exclusive"`
	Retroactive bool   `json:"retroactive"`
	Slow        bool   `json:"slowConsumer"`
	// Out deliveries went to the client, and InFlight is of how many of them it has not said what became.
	Out      uint64 `json:"out"`
	InFlight int    `json:"inFlight"`
}

// converts is how ActiveMQ begins the selectors of STOMP's clients: strings that look like numbers are compared as such.
const converts = "convert_string_expressions:"

// Map is what whoever asks gets.
func (s *OfSubscription) Map() jmsmap.Map {
	m := jmsmap.Map{
		{Name: "brokerId", Value: s.BrokerID}, {Name: "brokerName", Value: s.Broker}, {Name: "clientId", Value: s.Client}, {Name: "connectionId", Value: s.Session},
		{Name: "dequeueCounter", Value: int64(s.Out) - int64(s.InFlight)}, {Name: "destinationName", Value: s.Destination},
		{Name: "dispatchedCounter", Value: int64(s.Out)}, {Name: "dispatchedQueueSize", Value: int64(s.InFlight)}, {Name: "enqueueCounter", Value: int64(s.Out)},
		{Name: "exclusive", Value: s.Exclusive}, {Name: "maximumPendingMessageLimit", Value: int32(s.Pending)}, {Name: "prefetchSize", Value: int32(s.Prefetch)},
		{Name: "retroactive", Value: s.Retroactive},
	}
	if s.Selector != "" {
		m = append(m, jmsmap.Entry{Name: "selector", Value: converts + s.Selector})
	}
	return append(m, jmsmap.Entry{Name: "sessionId", Value: int64(-1)}, jmsmap.Entry{Name: "slowConsumer", Value: s.Slow})
}
