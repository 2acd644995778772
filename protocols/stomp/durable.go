package stomp

import (
	"net/url"

	"github.com/sluice-mq/sluice/gateway"
)

// durableNames are the headers that name durable subscriptions; the first counts. The last is a slip of the pen that
// ActiveMQ understands and some clients depend on.
var durableNames = [...]string{"durable-subscription-name", "durable-subscriber-name", "activemq.subscriptionName", "activemq.subcriptionName"}

// foreign is how many of them are not ActiveMQ's.
const foreign = 2

// durable makes a subscription durable if its SUBSCRIBE says so.
func (c *conn) durable(h gateway.Header, s *subscription, o *gateway.SubscribeOptions) error {
	if s.to.Kind == gateway.KindSubscription { // it is there, and called by its name
		return nil
	}
	name, err := c.durableName(h, s.id, s.hasID, &s.to)
	if err != nil || name == "" {
		return err
	}
	if s.to.any(func(d gateway.Destination) bool { return d.Kind.IsQueue() }) {
		return invalid("Invalid Subscription: cannot durably subscribe to a Queue destination!")
	}
	if s.to.any(func(d gateway.Destination) bool { return d.Kind.IsTemp() }) {
		return invalid("A durable subscription cannot be created for a temporary topic.")
	}
	if !c.returns() {
		return nil
	}
	o.Durable, o.Shared = name, c.addresses.sharedNames
	return nil
}

// returns reports whether the client can come back to durable subscriptions of its own: without a client-id it cannot, and what is called durable ends with
// its connection, where ActiveMQ keeps for ever what nobody can ask for.
func (c *conn) returns() bool { return c.clientID != "" || c.addresses.sharedNames }

// durableName is what the durable subscription is called that a frame means, empty if it means none.
func (c *conn) durableName(h gateway.Header, id string, hasID bool, to *target) (string, error) {
	a := &c.addresses
	for i, header := range durableNames {
		name, _ := h.Get(header)
		switch {
		case name == "":
			continue
		case i < foreign && a.grammar != artemisGrammar && (c.clientID == "" || to.Kind.IsQueue()):
			continue // for Artemis, and nobody else makes anything of it
		}
		if err := bounded(header, name); err != nil {
			return "", err
		}
		if !a.sharedNames {
			return name, nil
		}
		if c.clientID == "" {
			return "", invalid("A durable subscription needs the client-id of its CONNECT")
		}
		return c.clientID + "." + name, nil
	}
	if to.queue != "" {
		return to.Name + "::" + to.queue, nil
	}
	for _, header := range a.durableFlags {
		if !isTrue(h, header) || to.Kind == gateway.KindQueue || to.Kind.IsTemp() {
			continue
		}
		if !hasID {
			return "", worded("Missing Header", invalid("Header 'id' is required for durable subscriptions"))
		}
		if a.grammar == apolloGrammar {
			return id, nil
		}
		return url.QueryEscape(id) + "@" + to.Name, nil
	}
	return "", nil
}
