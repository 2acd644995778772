package advising

import (
	"slices"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/advisory"
)

// RosterMost is how many clients, consumers and destinations a node names to somebody who begins to listen, of each.
const RosterMost = 4096

// Roll asks about consumers and topics of other nodes.
type Roll struct {
	Node      string                `json:"node"`
	Consumers []gateway.Destination `json:"consumers,omitempty"`
	Topics    []gateway.Destination `json:"topics,omitempty"`
}

// Add adds a destination to one of the lists, once.
func (q *Roll) Add(to *[]gateway.Destination, d gateway.Destination) {
	if !slices.Contains(*to, d) {
		*to = append(*to, d)
	}
}

// Headcount says how many consumers the destinations have on a node, and which topics it knows.
type Headcount struct {
	Consumers []int  `json:"consumers,omitempty"`
	Topics    []bool `json:"topics,omitempty"`
}

// Elsewhere is what other nodes say.
type Elsewhere struct {
	Consumers map[gateway.Destination]int
	Known     map[gateway.Destination]bool
}

// Roster is what there is on a node that advisories tell of.
type Roster struct {
	Origin       advisory.Broker    `json:"origin"`
	Clients      []advisory.Client  `json:"clients,omitempty"`
	Consumers    []KnownConsumer    `json:"consumers,omitempty"`
	Destinations []KnownDestination `json:"destinations,omitempty"`
}

// KnownConsumer is one, and how many there are of its destination.
type KnownConsumer struct {
	advisory.Subscriber
	Count int `json:"count"`
}

// KnownDestination is one, and whose it is if it is temporary.
type KnownDestination struct {
	gateway.Destination
	Connection string `json:"connection,omitempty"`
}

// Messages are the advisories that tell what is known, but for topics of which seen has heard.
func (all *Roster) Messages(seen map[gateway.Destination]struct{}) (messages []*gateway.Message) {
	for i := range all.Clients {
		messages = append(messages, all.Origin.Connected(&all.Clients[i]))
	}
	for _, d := range all.Destinations {
		if _, twice := seen[d.Destination]; !twice {
			seen[d.Destination] = struct{}{}
			messages = append(messages, all.Origin.Made(d.Destination, d.Connection))
		}
	}
	for i := range all.Consumers {
		messages = append(messages, all.Origin.Subscribed(&all.Consumers[i].Subscriber, all.Consumers[i].Count))
	}
	return messages
}
