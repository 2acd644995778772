// Package quota says who may use how much of the broker: connections, subscriptions, destinations, deliveries in flight, and what is sent in a second. It counts
// what sessions use in accounts, of all together, of each user and of each address, and knows nothing of how a message comes or goes.
package quota

import (
	"slices"
	"sync/atomic"

	"github.com/sluice-mq/sluice/gateway"
)

// Quota bounds somebody's use of the broker; 0 is no bound.
type Quota struct {
	// Connections, Subscriptions and Destinations refuse what is beyond them with an error of kind Limit. Destinations are the distinct
	// ones that are subscribed to, and the queues that came into being by a send and still exist.
	Connections, Subscriptions, Destinations int
	// InFlight is how many deliveries may be unacknowledged, over all subscriptions together. The subscriptions share it evenly, and what is
	// beyond it waits. What is acknowledged in an open transaction still counts: a limit below what transactions take holds them up for ever.
	InFlight int
	// PublishMessages and PublishBytes are how much may be sent in a second. One second's worth may come at once; who
	// sends more is asked to pause, and nothing is refused.
	PublishMessages, PublishBytes int
}

// For is what some users have instead of Quotas.PerUser.
type For struct {
	// Users by their names, and Groups whose members they are.
	Users, Groups []string
	Quota         Quota
}

// Quotas bound the use of the broker on this node by its clients. A change counts from then on: what is open stays.
type Quotas struct {
	// Total is for all clients together.
	Total Quota
	// PerUser is for everybody with a name, all connections together. Who is anonymous counts by the address alone.
	PerUser Quota
	// PerAddress is for a client's address, or, with IPv6, the network of 64 bits that it is in.
	PerAddress Quota
	// Overrides of PerUser; the first that names the user or one of the groups counts. Should the groups differ from session to session, those of
	// the last one that was opened or renewed do.
	Overrides []For
}

// of is the quota of a user.
func (q *Quotas) of(p *gateway.Principal) Quota {
	for _, o := range q.Overrides {
		if slices.Contains(o.Users, p.Name) {
			return o.Quota
		}
		for _, g := range p.Groups {
			if slices.Contains(o.Groups, g) {
				return o.Quota
			}
		}
	}
	return q.PerUser
}

// scope is what an account is for.
type scope uint8

const (
	inTotal scope = iota
	perUser
	perAddress
	scopes
)

// limit is a field of a Quota.
type limit uint8

const (
	connectionsLimit limit = iota
	subscriptionsLimit
	destinationsLimit
	inFlightLimit
	messagesLimit
	bytesLimit
	limits
)

func (l limit) String() string {
	return [...]string{"connections", "subscriptions", "destinations", "in_flight", "publish_messages", "publish_bytes"}[l]
}

func (s scope) String() string { return [...]string{"total", "user", "address"}[s] }

// limitCounters count how often limits were reached.
type limitCounters [scopes][limits]atomic.Uint64

// Count is how often a limit of a scope was reached.
type Count struct {
	// Scope is "total", "user" or "address", and Limit one of "connections", "subscriptions", "destinations" (refused),
	// "in_flight" (a subscription had to wait), "publish_messages" and "publish_bytes" (a send beyond the pace).
	Scope, Limit string
	Count        uint64
}

// snapshot has an entry for each limit of each scope, always in the same order.
func (c *limitCounters) snapshot() []Count {
	all := make([]Count, 0, int(scopes)*int(limits))
	for s := range scopes {
		for l := range limits {
			all = append(all, Count{s.String(), l.String(), c[s][l].Load()})
		}
	}
	return all
}
