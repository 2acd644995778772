package bench

import (
	"fmt"
	"strconv"
)

// Dialect is what brokers call differently.
type Dialect struct {
	Name string
	// all matches every name below a prefix, in a topic subscription.
	all string
	// prefetch is the header of SUBSCRIBE that bounds unacknowledged messages.
	prefetch string
	// durable are the headers that make a subscription durable.
	durable string
	// named: a durable subscription is one of its client, and can be removed without being subscribed to.
	named     bool
	selectors bool
	// transient: nothing is kept for anybody who is not there.
	transient bool
}

// Can says whether there is such a thing in the dialect as a scenario asks for.
func (d Dialect) Can(s Scenario) bool {
	return (s.Selected == 0 || d.selectors) && !(d.transient && (s.Backlog || s.Durable))
}

// RelayDialect is that of a Relay.
func RelayDialect() Dialect {
	return Dialect{Name: "relay", all: ">", prefetch: "activemq.prefetchSize", transient: true}
}

// Dialects are the ones known, by name.
func Dialects() map[string]Dialect {
	return map[string]Dialect{
		"activemq": {Name: "activemq", all: ">", prefetch: "activemq.prefetchSize", durable: "activemq.subscriptionName:bench\n", named: true, selectors: true},
		"rabbitmq": {Name: "rabbitmq", all: "#", prefetch: "prefetch-count", durable: "durable:true\nauto-delete:false\n"},
	}
}

func (d Dialect) destination(s Scenario, run uint32, n int) string {
	kind := "/queue/"
	if s.Topic {
		kind = "/topic/"
	}
	return fmt.Sprintf("%sbench.%08x.%d", kind, run, n)
}

func (d Dialect) everything(run uint32) string {
	return fmt.Sprintf("/topic/bench.%08x.%s", run, d.all)
}

// sendHead is a SEND frame up to where a receipt and the body follow.
func (d Dialect) sendHead(s Scenario, destination string) []byte {
	head := "SEND\ndestination:" + destination + "\n"
	if s.Persistent {
		head += "persistent:true\n"
	}
	return append([]byte(head), "content-length:"+strconv.Itoa(s.Size)+"\n"...)
}

// selected is the header that selectors look at.
const selected = "turn"

func (d Dialect) subscribe(s Scenario, id int, destination string) string {
	n := strconv.Itoa(id)
	f := "SUBSCRIBE\nid:" + n + "\nreceipt:" + n + "\nack:" + s.Ack + "\ndestination:" + destination + "\n"
	if s.Prefetch > 0 {
		f += d.prefetch + ":" + strconv.Itoa(s.Prefetch) + "\n"
	}
	if s.Selected > 0 {
		f += "selector:" + selected + " = '0'\n"
	}
	if s.Durable {
		f += d.durable
	}
	return f + "\n\x00"
}

// unsubscribe removes the durable subscriptions of a client that has connected again, and has no others.
func (d Dialect) unsubscribe(s Scenario, id int, destination string) (f string) {
	if !d.named {
		f = d.subscribe(s, id, destination)
	}
	n := strconv.Itoa(id)
	return f + "UNSUBSCRIBE\nid:" + n + "\nreceipt:gone\ndestination:" + destination + "\n" + d.durable + "\n\x00"
}
